//! One listener of a mosquitto.conf.

use std::net::IpAddr;

use super::{
    convert::{Written, boolean, path},
    reader::Line,
    report::{
        Group::{Needless, Other},
        Report,
    },
    words,
};
use crate::{schema::Transport, value::quoted};

/// Words that make a listener out of the one of `port`, where neither that nor an address is said.
const OF_SAFETY: &[&str] = &[
    "certfile",
    "keyfile",
    "psk_hint",
    "psk_file",
    "mount_point",
    "bind_interface",
    "use_username_as_clientid",
    "proxy_protocol_v2_require_tls",
    "require_certificate",
    "use_identity_as_username",
    "use_subject_as_username",
];

/// A listener with the lines that are about it.
#[derive(Debug, Default)]
pub(super) struct Listener {
    /// The line that begins it; `None` for the one that `port` is about.
    pub(super) begun: Option<Line>,
    /// What comes after it.
    pub(super) lines: Vec<Line>,
}

/// Where a listener listens.
enum Place {
    Socket(String),
    Path(String),
}

impl Listener {
    /// The last line about a word.
    pub(super) fn get(&self, word: &str) -> Option<&Line> {
        self.lines.iter().rev().find(|line| line.word == word)
    }

    /// Whether it was told of.
    pub(super) fn is_said(&self) -> bool {
        self.begun.is_some() || ["port", "bind_address"].iter().chain(OF_SAFETY).any(|word| self.get(word).is_some())
    }

    /// Writes it. With `is_own` each listener says who is let in; a plugin said so as well.
    pub(super) fn write(&self, is_own: bool, has_plugin: bool, written: &mut Written, report: &mut Report) {
        let Some(place) = self.place(report) else { return };
        let protocol = self.get("protocol");
        // What was meant to have TLS never becomes one without.
        let is_encrypted = ["certfile", "keyfile"].iter().any(|word| self.get(word).is_some()) || self.wants_keys();
        let transport = match (&place, protocol.map(|line| line.value.as_str()), is_encrypted) {
            (Place::Path(_), None | Some("mqtt"), _) => Transport::Unix,
            (Place::Socket(_), None | Some("mqtt"), false) => Transport::Tcp,
            (Place::Socket(_), None | Some("mqtt"), true) => Transport::Ssl,
            (Place::Socket(_), Some("websockets"), false) => Transport::Ws,
            (Place::Socket(_), Some("websockets"), true) => Transport::Wss,
            (_, Some(other), _) => {
                let says = format!("a listener that speaks {other} is not there; the listener is left out");
                let origin = protocol.map(|line| line.origin.clone()).unwrap_or_default();
                return report.lost(&origin, "protocol", says);
            }
        };
        let (bind, base) = match place {
            Place::Socket(address) => {
                let port = address.rsplit(':').next().unwrap_or_default().to_owned();
                (quoted(&address), port)
            }
            Place::Path(path) => (quoted(&path), "socket".to_owned()),
        };
        let name = written.listener(transport, if self.begun.is_some() { &base } else { "default" });
        let origin = self.begun.as_ref().or(self.get("port")).map(|line| line.origin.clone()).unwrap_or_default();
        let unsafe_lines = self.unsafe_lines(transport, written, report);
        if !unsafe_lines.is_empty() {
            written.of_listener(transport, &name, "enabled", "false", &origin, report);
        }
        written.of_listener(transport, &name, "bind", &bind, &origin, report);
        if let Some(line) = protocol.filter(|_| matches!(transport, Transport::Ws | Transport::Wss)) {
            line.note(
                Other,
                report,
                "clients have to ask for /mqtt here, or what `path` says; mosquitto takes any path",
            );
            written.of_listener(transport, &name, "path", &quoted("/mqtt"), &line.origin, report);
        }
        for line in self.lines.iter().filter(|line| !unsafe_lines.contains(&line.word.as_str())) {
            self.line(line, transport, &name, (is_own, has_plugin), written, report);
        }
    }

    fn line(
        &self,
        line: &Line,
        transport: Transport,
        name: &str,
        (is_own, has_plugin): (bool, bool),
        written: &mut Written,
        report: &mut Report,
    ) {
        let (key, value) = match line.word.as_str() {
            "certfile" | "keyfile" | "cafile" | "crlfile" => {
                if !transport.is_encrypted() {
                    return line.note(Other, report, "the listener has no certificate and key, and so no TLS");
                }
                (line.word.as_str(), path(line, report))
            }
            "require_certificate" | "use_identity_as_username" | "use_subject_as_username" => {
                if !transport.is_encrypted() {
                    return line.note(Other, report, "the listener has no certificate and key, and so no TLS");
                }
                (line.word.as_str(), boolean(line, report))
            }
            "tls_version" => match line.value.as_str() {
                _ if !transport.is_encrypted() => return line.note(Other, report, "the listener has no TLS"),
                "tlsv1.3" => ("tls_version", Some(quoted("1.3"))),
                "tlsv1.2" => ("tls_version", Some(quoted("1.2"))),
                _ => return line.note(Other, report, "TLS 1.2 is the oldest that is spoken"),
            },
            "websockets_origin" if matches!(transport, Transport::Ws | Transport::Wss) => {
                ("origins", Some(format!("[{}]", quoted(&line.value))))
            }
            "websockets_origin" => return line.note(Needless, report, "the listener speaks no WebSocket"),
            "max_connections" if line.value == "-1" => return,
            "max_connections" => ("max_connections", Some(line.value.clone())),
            "enable_proxy_protocol" => {
                line.note(
                    Other,
                    report,
                    "name your proxies in `proxies`: as it is, any client may say where it comes from",
                );
                ("proxies", Some("[\"0.0.0.0/0\", \"::/0\"]".to_owned()))
            }
            "allow_anonymous" | "listener_allow_anonymous" if is_own || line.word != "allow_anonymous" => {
                let value = boolean(line, report);
                ("allow_anonymous", value.map(|value| if has_plugin { "false".to_owned() } else { value }))
            }
            // These say where and how it listens, or were written before: they are about the broker as a whole.
            "port" | "bind_address" | "protocol" | "socket_domain" | "allow_anonymous" | "password_file"
            | "acl_file" | "max_qos" | "max_topic_alias" => return,
            "tls_keyform" if line.value == "pem" => return,
            word => {
                if let Some((group, why)) = words::reason(word) {
                    line.note(group, report, why);
                }
                return;
            }
        };
        if let Some(value) = value {
            written.of_listener(transport, name, key, &value, &line.origin, report);
        }
    }

    /// `listener PORT [ADDRESS]`, `listener 0 PATH`, or `port` and `bind_address`.
    fn place(&self, report: &mut Report) -> Option<Place> {
        let (port, host, line) = match &self.begun {
            Some(line) => {
                let (port, host) = line.value.split_once(char::is_whitespace).unwrap_or((&line.value, ""));
                (port.to_owned(), host.trim().to_owned(), Some(line))
            }
            None => {
                let value = |word: &str| self.get(word).map(|line| line.value.clone()).unwrap_or_default();
                let port = value("port");
                let port = if port.is_empty() { "1883".to_owned() } else { port };
                let host = value("bind_address");
                let is_local = host.is_empty() && self.get("port").is_none();
                let host = if is_local { "localhost".to_owned() } else { host };
                (port, host, self.get("port").or(self.get("bind_address")))
            }
        };
        let origin = line.map(|line| line.origin.clone()).unwrap_or_default();
        let word = line.map_or("listener", Line::key);
        let Ok(number) = port.parse::<u16>() else {
            report.fault(&origin, word, format!("`{port}` is no port: a number from 0 to 65535"));
            return None;
        };
        let domain = self.get("socket_domain").map(|line| line.value.as_str());
        match host.as_str() {
            _ if number == 0 && !host.is_empty() => return Some(Place::Path(host)),
            "" if domain == Some("ipv4") => return Some(Place::Socket(format!("0.0.0.0:{number}"))),
            "" => return Some(Place::Socket(format!(":{number}"))),
            "localhost" => return Some(Place::Socket(format!("localhost:{number}"))),
            _ => {}
        }
        match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(host)) => Some(Place::Socket(format!("[{host}]:{number}"))),
            Ok(host) => Some(Place::Socket(format!("{host}:{number}"))),
            Err(_) => {
                let says = format!("`{host}` is no IP address; the listener is left out: give its address");
                report.lost(&origin, word, says);
                None
            }
        }
    }
}
