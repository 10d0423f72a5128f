//! The keys of listeners, and which kind of listener has which.

use super::{
    Default::{Nothing, Value},
    Key,
};
use crate::kind::{
    Kind::{Addresses, Boolean, Certificates, Choice, Integer, Location, Mode, Networks, Origins, Path},
    Wanted,
};

/// How bytes come to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// TLS.
    Ssl,
    /// WebSocket.
    Ws,
    /// WebSocket in TLS.
    Wss,
    /// A Unix socket.
    Unix,
}

use Transport::{Ssl, Tcp, Unix, Ws, Wss};

const ALL: &[Transport] = &[Tcp, Ssl, Ws, Wss, Unix];
const NETWORKED: &[Transport] = &[Tcp, Ssl, Ws, Wss];
const ENCRYPTED: &[Transport] = &[Ssl, Wss];
const WEB: &[Transport] = &[Ws, Wss];

/// A key of listeners.
#[derive(Debug)]
pub struct ListenerKey {
    /// The listeners that have it.
    pub of: &'static [Transport],
    /// The key.
    pub key: Key,
}

impl Transport {
    /// All there are.
    pub const ALL: &'static [Self] = ALL;

    /// Its name in keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Tcp => "tcp",
            Ssl => "ssl",
            Ws => "ws",
            Wss => "wss",
            Unix => "unix",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|transport| transport.name() == name)
    }

    /// Whether its bytes are encrypted.
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Ssl | Wss)
    }

    /// The keys that listeners of it have.
    pub(crate) fn keys(self) -> impl Iterator<Item = &'static Key> {
        LISTENER_KEYS.iter().filter(move |it| it.of.contains(&self)).map(|it| &it.key)
    }
}

const fn bind(default: &'static str) -> Key {
    Key::new(
        "bind",
        Addresses,
        Value(default),
        "Where it listens: address and port, or a list of them. `localhost` is both 127.0.0.1 and ::1, a port alone is \
         all addresses, port 0 lets the system choose.",
    )
}

const fn of(of: &'static [Transport], key: Key) -> ListenerKey {
    ListenerKey { of, key }
}

/// All keys of listeners.
pub static LISTENER_KEYS: &[ListenerKey] = &[
    of(ALL, Key::new("enabled", Boolean, Value("true"), "Whether it is opened.")),
    of(&[Tcp], bind("localhost:1883")),
    of(&[Ssl], bind("localhost:8883")),
    of(&[Ws], bind("localhost:8083")),
    of(&[Wss], bind("localhost:8084")),
    of(
        &[Unix],
        Key::new(
            "bind",
            Path(Wanted::Nothing),
            Nothing { means: "the listener is refused", example: "\"primer.sock\"" },
            "The socket's path. A socket that is there and that nobody listens on is replaced.",
        ),
    ),
    of(
        &[Unix],
        Key::new(
            "mode",
            Mode,
            Value("0660"),
            "Who may connect, as for chmod: the owner, its group, or others as well.",
        ),
    ),
    of(
        ALL,
        Key::new(
            "max_connections",
            Integer(1, u64::MAX),
            Nothing { means: "as many as mqtt.max_connections", example: "1000" },
            "Connections at a time, of each of its addresses.",
        ),
    ),
    of(
        ALL,
        Key::new(
            "allow_anonymous",
            Boolean,
            Nothing { means: "as access.allow_anonymous", example: "false" },
            "Whether clients without a user name are let in here.",
        ),
    ),
    of(
        NETWORKED,
        Key::new(
            "proxies",
            Networks,
            Value(""),
            "Proxies that begin each connection with a PROXY header (version 1 or 2), which says where the client \
             comes from; from anybody else no connection is taken then.",
        ),
    ),
    of(
        ENCRYPTED,
        Key::new(
            "certfile",
            Path(Wanted::File),
            Nothing { means: "the listener is refused", example: "\"server.crt\"" },
            "Its certificate, followed by those between it and its authority (PEM).",
        ),
    ),
    of(
        ENCRYPTED,
        Key::new(
            "keyfile",
            Path(Wanted::File),
            Nothing { means: "the listener is refused", example: "\"server.key\"" },
            "The certificate's private key, not encrypted (PEM).",
        ),
    ),
    of(
        ENCRYPTED,
        Key::new(
            "cafile",
            Path(Wanted::File),
            Nothing { means: "clients are not asked for certificates", example: "\"ca.crt\"" },
            "Authorities of client certificates (PEM).",
        ),
    ),
    of(
        ENCRYPTED,
        Key::new(
            "crlfile",
            Path(Wanted::File),
            Nothing { means: "none is revoked", example: "\"revoked.crl\"" },
            "Client certificates that their authorities have revoked (PEM).",
        ),
    ),
    of(
        ENCRYPTED,
        Key::new("require_certificate", Boolean, Value("false"), "Whether a client must have a certificate."),
    ),
    of(
        ENCRYPTED,
        Key::new(
            "use_identity_as_username",
            Boolean,
            Value("false"),
            "The common name of a client's certificate is its user name; a password is not asked for.",
        ),
    ),
    of(
        ENCRYPTED,
        Key::new(
            "use_subject_as_username",
            Boolean,
            Value("false"),
            "The whole subject of a client's certificate (RFC 4514) is its user name; a password is not asked for.",
        ),
    ),
    of(
        ENCRYPTED,
        Key::new("tls_version", Choice(&["1.2", "1.3"]), Value("1.2"), "The oldest version of TLS that is spoken."),
    ),
    of(
        ENCRYPTED,
        Key::new(
            "certificates",
            Certificates,
            Nothing { means: "none", example: "[{ certfile = \"other.crt\", keyfile = \"other.key\" }]" },
            "Other certificates, for the server names (SNI) in them.",
        ),
    ),
    of(WEB, Key::new("path", Location, Value("/mqtt"), "The path that clients ask for.")),
    of(
        WEB,
        Key::new(
            "origins",
            Origins,
            Value(""),
            "Origins that a browser's page may have; none for any. A client that names no origin is no browser, and \
             let in.",
        ),
    ),
];
