//! What a key can have as its value, and how that is written as TOML.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;

use crate::quantity::{size_text, time_text};

/// Where a listener is told to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// One address of this machine.
    Socket(SocketAddr),
    /// Both loopback addresses.
    Local(u16),
    /// All addresses.
    Everywhere(u16),
}

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Boolean(bool),
    /// A count.
    Integer(u64),
    /// Bytes.
    Size(u64),
    /// A time span.
    Time(Duration),
    /// One of the words that the key allows.
    Choice(&'static str),
    /// Text.
    Text(String),
    /// A file or folder; relative to the working directory, or absolute.
    Path(PathBuf),
    /// Addresses to listen on.
    Addresses(Vec<Address>),
    /// Networks, or single addresses as the smallest of them.
    Networks(Vec<IpNet>),
    /// Texts.
    Texts(Vec<String>),
    /// Names and passwords.
    Users(Vec<(String, String)>),
    /// Certificates with their keys.
    Certificates(Vec<(PathBuf, PathBuf)>),
    /// Rights to a file, as for `chmod`.
    Mode(u32),
}

impl Address {
    /// The port; 0 lets the system choose.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Socket(address) => address.port(),
            Self::Local(port) | Self::Everywhere(port) => port,
        }
    }

    pub(crate) fn with_port(self, port: u16) -> Self {
        match self {
            Self::Socket(address) => Self::Socket(SocketAddr::new(address.ip(), port)),
            Self::Local(_) => Self::Local(port),
            Self::Everywhere(_) => Self::Everywhere(port),
        }
    }

    /// The sockets that it stands for.
    pub(crate) fn sockets(self) -> Vec<SocketAddr> {
        match self {
            Self::Socket(address) => vec![address],
            Self::Local(port) => vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()],
            Self::Everywhere(port) => vec![(Ipv6Addr::UNSPECIFIED, port).into()],
        }
    }

    /// Whether another machine may connect to it.
    pub(crate) fn is_reachable(self) -> bool {
        self.sockets().iter().any(|socket| !socket.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => write!(out, "{address}"),
            Self::Local(port) => write!(out, "localhost:{port}"),
            Self::Everywhere(port) => write!(out, ":{port}"),
        }
    }
}

impl Value {
    /// As TOML, with what is secret left out.
    #[must_use]
    pub fn to_toml(&self) -> String {
        match self {
            Self::Boolean(is) => is.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Size(bytes) => {
                let text = size_text(*bytes);
                if text.ends_with(|last: char| last.is_ascii_digit()) { text } else { quoted(&text) }
            }
            Self::Time(time) => quoted(&time_text(*time)),
            Self::Choice(word) => quoted(word),
            Self::Text(text) => quoted(text),
            Self::Path(path) => quoted(&path.to_string_lossy()),
            Self::Addresses(addresses) => match addresses.as_slice() {
                [one] => quoted(&one.to_string()),
                several => list(several.iter().map(|address| quoted(&address.to_string()))),
            },
            Self::Networks(networks) => list(networks.iter().map(|network| quoted(&network_text(*network)))),
            Self::Texts(texts) => list(texts.iter().map(|text| quoted(text))),
            Self::Users(users) => list(users.iter().map(|(name, _)| quoted(&format!("{name}:***")))),
            Self::Certificates(pairs) => list(pairs.iter().map(|(certificate, key)| {
                let [certificate, key] = [certificate, key].map(|path| quoted(&path.to_string_lossy()));
                format!("{{ certfile = {certificate}, keyfile = {key} }}")
            })),
            Self::Mode(mode) => quoted(&format!("0{mode:o}")),
        }
    }
}

/// A text as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A network of one address is written as that address.
fn network_text(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() { network.addr().to_string() } else { network.to_string() }
}
