//! What stands between a listening socket and MQTT: whom a listener lets in, and what comes before CONNECT.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::proxy;
use crate::{
    access::is_loopback,
    hub::Hub,
    options::{Bind, CertificateName, ListenerOptions},
    transport::{
        ClientName, Tls, TlsError,
        tls::{ALPN_HTTP, ALPN_MQTT},
        websocket,
    },
};

/// Where clients of a Unix socket come from: this machine.
pub(super) const UNIX_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A byte stream of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What the connections of a listener have in common.
#[derive(Debug)]
pub(crate) struct Door {
    options: ListenerOptions,
    tls: Option<Tls>,
    connections: AtomicUsize,
}

impl Door {
    /// Reads the files of its TLS.
    pub(crate) fn new(options: ListenerOptions) -> Result<Self, TlsError> {
        let alpn = if options.websocket.is_some() { ALPN_HTTP } else { ALPN_MQTT };
        let tls = options.tls.as_ref().map(|tls| Tls::load(tls, alpn)).transpose()?;
        Ok(Self { options, tls, connections: AtomicUsize::new(0) })
    }

    /// For byte streams that the host program brings.
    pub(crate) fn of_the_program() -> Self {
        let options = ListenerOptions::on("program", Bind::IfPresent((Ipv4Addr::UNSPECIFIED, 0).into()));
        Self { options, tls: None, connections: AtomicUsize::new(0) }
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub(crate) fn name(&self) -> &str {
        &self.options.name
    }

    pub(crate) fn allow_anonymous(&self) -> Option<bool> {
        self.options.allow_anonymous
    }

    /// What MQTT is carried over.
    pub(crate) fn over(&self) -> &'static str {
        match (&self.options.websocket, &self.options.tls) {
            (None, None) => "",
            (None, Some(_)) => "TLS",
            (Some(_), None) => "WebSocket",
            (Some(_), Some(_)) => "secure WebSocket",
        }
    }

    /// Whether MQTT stands in the stream itself.
    pub(super) fn is_plain(&self) -> bool {
        self.options.proxies.is_empty() && self.options.tls.is_none() && self.options.websocket.is_none()
    }

    /// Whether a peer may say where its connections come from. Who reaches a Unix socket is of this machine.
    fn trusts(&self, peer: SocketAddr) -> bool {
        matches!(self.options.bind, Bind::Unix { .. } | Bind::GivenUnix(_))
            || self.options.proxies.iter().any(|network| network.contains(&peer.ip()))
    }
}

/// Where a connection comes from, and by which door.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) peer: SocketAddr,
    pub(crate) door: Arc<Door>,
    /// The user name that stands in a client certificate, if that is what counts.
    pub(crate) certified: Option<Arc<str>>,
    /// Whether it is a program of this machine.
    pub(crate) is_local: bool,
}

impl Origin {
    /// The address that wrong passwords are counted for. Who comes by a Unix socket has one of its own: whoever guesses
    /// from this machine, or by a proxy on it, does not slow down its operator.
    pub(crate) fn guesses_as(&self) -> IpAddr {
        match self.door.options.bind {
            Bind::Unix { .. } | Bind::GivenUnix(_) if self.peer == UNIX_PEER => Ipv6Addr::UNSPECIFIED.into(),
            _ => self.peer.ip(),
        }
    }

    pub(crate) fn new(peer: SocketAddr, door: Arc<Door>) -> Self {
        Self { peer, door, certified: None, is_local: is_loopback(peer) }
    }

    /// Takes off what comes before MQTT. The caller bounds the time.
    pub(super) async fn pass<S: Stream + 'static>(mut self, stream: S) -> Result<(Box<dyn Stream>, Self), String> {
        let mut stream: Box<dyn Stream> = Box::new(stream);
        let options = &self.door.options;
        if !options.proxies.is_empty() {
            if !self.door.trusts(self.peer) {
                return Err("it is none of the proxies of this listener".to_owned());
            }
            let told = proxy::read(&mut stream).await.map_err(|error| error.to_string())?;
            self.peer = told.source.unwrap_or(self.peer);
            self.is_local = told.source.is_some_and(is_loopback);
            if options.certificate_name == CertificateName::Common {
                self.certified = told.common_name.map(Into::into);
            }
        }
        if let Some(tls) = &self.door.tls {
            let (inner, name) = tls.accept(stream).await.map_err(|error| format!("TLS: {error}"))?;
            stream = Box::new(inner);
            if let Some(name) = name {
                self.certified = certified(name, options.certificate_name)?.or(self.certified);
            }
        }
        if let Some(websocket) = &options.websocket {
            let inner = websocket::accept(stream, websocket).await.map_err(|error| error.to_string())?;
            // A page may be anybody's, whoever's browser shows it.
            self.is_local &= !inner.is_of_a_page();
            stream = Box::new(inner);
        }
        Ok((stream, self))
    }
}

/// The user name that a certificate gives. One that should give it and does not lets nobody in: the client could call
/// itself anything else.
fn certified(name: ClientName, which: CertificateName) -> Result<Option<Arc<str>>, String> {
    let name = match which {
        CertificateName::Unused => return Ok(None),
        CertificateName::Common => name.common,
        CertificateName::Subject => Some(name.subject),
    };
    match name.filter(|name| !name.is_empty()) {
        Some(name) => Ok(Some(name.into())),
        None => Err("the client's certificate has no name that could be its user name here".to_owned()),
    }
}

/// A connection that is counted until it is over, however it ends.
#[derive(Debug)]
pub(super) struct Counted(Arc<Hub>, Arc<Door>);

impl Counted {
    /// `None` when there are as many as there may be, of the broker or of the listener.
    pub(super) fn new(hub: &Arc<Hub>, door: &Arc<Door>) -> Option<Self> {
        let of_door = door.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let of_all = hub.connections.up();
        let counted = Self(Arc::clone(hub), Arc::clone(door)); // taken back on drop
        let fits = of_all <= hub.options.connections_max as u64 && of_door <= door.options.connections_max;
        fits.then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.down();
        self.1.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
