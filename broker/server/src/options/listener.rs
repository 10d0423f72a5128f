//! What a listener is told: where it listens, how bytes come there, and what it holds clients to.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

/// Where a listener listens.
#[derive(Debug, Clone)]
pub enum Bind {
    /// An address and port; `::` serves IPv4 as well, port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The same, but that the listener is left out where the system has no such address: `::1` without IPv6. Port 0 is
    /// the port of the listener before it.
    IfPresent(SocketAddr),
    /// A Unix socket at a path.
    Unix {
        /// A socket that is there and that nobody listens on is replaced.
        path: PathBuf,
        /// Who may connect, as for `chmod`.
        mode: u32,
    },
    /// A listening TCP socket that was given to the process (socket activation).
    GivenTcp(Arc<std::net::TcpListener>),
    /// A listening Unix socket that was given to the process.
    GivenUnix(Arc<std::os::unix::net::UnixListener>),
}

impl std::fmt::Display for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) | Self::IfPresent(address) => address.fmt(f),
            Self::Unix { path, .. } => path.display().fmt(f),
            Self::GivenTcp(_) | Self::GivenUnix(_) => f.write_str("the socket that was given"),
        }
    }
}

/// TLS of a listener. All files are PEM.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The listener's certificate, followed by those between it and its authority.
    pub certificates: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
    /// Other certificates, for the server names (SNI) in them; a client that asks for none of these gets the one above.
    pub others: Vec<(PathBuf, PathBuf)>,
    /// Authorities of client certificates; a client without a certificate of theirs is refused if one is required.
    pub client_authorities: Option<PathBuf>,
    /// Client certificates that their authorities have revoked.
    pub revoked: Option<PathBuf>,
    /// Whether a client must have a certificate.
    pub requires_certificate: bool,
    /// Whether TLS 1.2 is refused.
    pub only_tls13: bool,
}

/// WebSocket of a listener.
#[derive(Debug, Clone)]
pub struct WebSocketOptions {
    /// The path that clients ask for.
    pub path: String,
    /// Origins (`https://example.org`) that a browser's page may have; empty for any. A client that names no origin is
    /// no browser, and let in.
    pub origins: Vec<String>,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self { path: "/mqtt".to_owned(), origins: Vec::new() }
    }
}

/// What becomes of the name in a client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CertificateName {
    /// Nothing: user name and password count.
    #[default]
    Unused,
    /// The common name is the user name; a password is not asked for.
    Common,
    /// The whole subject (RFC 4514) is the user name; a password is not asked for.
    Subject,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// Its name, in the log and in errors.
    pub name: String,
    /// Where it listens.
    pub bind: Bind,
    /// TLS, if it speaks that.
    pub tls: Option<TlsOptions>,
    /// WebSocket, if it speaks that; otherwise MQTT stands in the byte stream itself.
    pub websocket: Option<WebSocketOptions>,
    /// Proxies (addresses, or networks as 10.0.0.0/8) that begin each connection with a PROXY header, version 1 or 2,
    /// which says where the client comes from. From anybody else no connection is taken then. Empty for none.
    pub proxies: Vec<ipnet::IpNet>,
    /// What a client certificate's name is good for.
    pub certificate_name: CertificateName,
    /// Whether clients without a user name are let in; `None` does as the broker does.
    pub allow_anonymous: Option<bool>,
    /// Connections of this listener at a time.
    pub connections_max: usize,
}

impl ListenerOptions {
    /// A listener of plain TCP.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::on(format!("tcp:{address}"), Bind::Tcp(address))
    }

    /// A listener that speaks MQTT in the byte stream, with the defaults for all else.
    #[must_use]
    pub fn on(name: impl Into<String>, bind: Bind) -> Self {
        Self {
            name: name.into(),
            bind,
            tls: None,
            websocket: None,
            proxies: Vec::new(),
            certificate_name: CertificateName::Unused,
            allow_anonymous: None,
            connections_max: usize::MAX,
        }
    }

    /// Both loopback addresses, which nobody reaches from another machine.
    #[must_use]
    pub fn local(port: u16) -> Vec<Self> {
        vec![
            Self::on("local", Bind::Tcp((Ipv4Addr::LOCALHOST, port).into())),
            Self::on("local6", Bind::IfPresent((Ipv6Addr::LOCALHOST, port).into())),
        ]
    }
}
