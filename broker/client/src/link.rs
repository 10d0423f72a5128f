//! A connection to the broker as a stream of MQTT's bytes: over TCP, a Unix socket or a proxy, with TLS, in WebSocket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream, UnixStream, lookup_host},
    time::timeout,
};

use crate::{limits::CONNECT_PATIENCE, options::Server};

mod proxy;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod websocket;

/// What goes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub(crate) type Link = Box<dyn Stream>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LinkError {
    /// No address of the host accepts.
    #[error("no broker at {place}: {why}. Is it running? -h and -p name another")]
    Refused { place: String, why: String },
    /// The name is not known.
    #[error("{host:?} is no name or address of a host (-h): {why}")]
    Name { host: String, why: String },
    /// Nothing listens there.
    #[error("no broker at the socket {}: {why}", path.display())]
    Unix { path: PathBuf, why: io::Error },
    /// The address of this machine is not one of it, or has not the family of the broker's.
    #[error("-A {bind}: {why}")]
    Bind { bind: IpAddr, why: String },
    /// The proxy does not connect us.
    #[error("the proxy at {place}: {why}")]
    Proxy { place: String, why: String },
    /// A file, or what the options say about TLS.
    #[error("{0}")]
    TlsOptions(String),
    /// The handshake failed.
    #[error("TLS with {place}: {why}")]
    Tls { place: String, why: String },
    /// It is no WebSocket server, or refuses MQTT.
    #[error("WebSocket with {place}: {why}")]
    WebSocket { place: String, why: String },
}

impl Server {
    /// Whether TLS is spoken.
    pub(crate) fn is_tls(&self) -> bool {
        let tls = &self.tls;
        let is_wanted = tls.cafile.is_some() || tls.capath.is_some() || tls.os_certs || self.port == Some(8883);
        is_wanted && !tls.is_off
    }

    /// The host's name.
    pub(crate) fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("localhost")
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(if self.is_tls() { 8883 } else { 1883 })
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match &self.unix {
            Some(path) => path.display().to_string(),
            None => place(self.host(), self.port()),
        }
    }
}

/// Opens a connection; `tls` is what [`tls::config`] made of the options, where TLS is spoken.
///
/// # Errors
/// What stands in the way, and what can be done.
pub(crate) async fn open(server: &Server, tls: Option<&tls::Config>) -> Result<Link, LinkError> {
    let link: Link = match (&server.unix, &server.proxy) {
        (Some(path), _) => {
            let stream = UnixStream::connect(path).await;
            Box::new(stream.map_err(|why| LinkError::Unix { path: path.clone(), why })?)
        }
        (None, Some(url)) => {
            let port = url.port.unwrap_or(proxy::PORT_DEFAULT);
            let mut stream = connect(&url.host, port, server.bind).await?;
            let request = proxy::request(&mut stream, url, server.host(), server.port());
            let answer =
                timeout(CONNECT_PATIENCE, request).await.unwrap_or_else(|_| Err("it does not answer".to_owned()));
            answer.map_err(|why| LinkError::Proxy { place: place(&url.host, port), why })?;
            Box::new(stream)
        }
        (None, None) => Box::new(connect(server.host(), server.port(), server.bind).await?),
    };
    let patience = |place| move |_| LinkError::Tls { place, why: "no answer".to_owned() };
    let link = match tls {
        Some(config) => {
            timeout(CONNECT_PATIENCE, tls::wrap(config, server, link)).await.map_err(patience(server.place()))??
        }
        None => link,
    };
    if server.websocket {
        return timeout(CONNECT_PATIENCE, websocket::wrap(server, link))
            .await
            .map_err(|_| LinkError::WebSocket { place: server.place(), why: "no answer".to_owned() })?;
    }
    Ok(link)
}

/// Connects to the first address that accepts.
async fn connect(host: &str, port: u16, bind: Option<IpAddr>) -> Result<TcpStream, LinkError> {
    let name = |why: String| LinkError::Name { host: host.to_owned(), why };
    let addresses: Vec<SocketAddr> =
        lookup_host((host, port)).await.map_err(|error| name(error.to_string()))?.collect();
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        match timeout(CONNECT_PATIENCE, connect_to(address, bind)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(AddressError::Bind(why))) => {
                return Err(LinkError::Bind { bind: bind.unwrap_or(address.ip()), why });
            }
            Ok(Err(AddressError::Connect(error))) => last = reason(&error),
            Err(_) => last = format!("no answer in {} s", CONNECT_PATIENCE.as_secs()),
        }
    }
    Err(LinkError::Refused { place: place(host, port), why: last })
}

/// Why one address does not do.
enum AddressError {
    Bind(String),
    Connect(io::Error),
}

async fn connect_to(address: SocketAddr, bind: Option<IpAddr>) -> Result<TcpStream, AddressError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(AddressError::Connect)?;
    if let Some(bind) = bind {
        if bind.is_ipv4() != address.is_ipv4() {
            let why = format!("{address} cannot be reached from it");
            return Err(AddressError::Connect(io::Error::new(io::ErrorKind::AddrNotAvailable, why)));
        }
        socket.bind(SocketAddr::new(bind, 0)).map_err(|error| AddressError::Bind(reason(&error)))?;
    }
    let stream = socket.connect(address).await.map_err(AddressError::Connect)?;
    stream.set_nodelay(true).map_err(AddressError::Connect)?;
    Ok(stream)
}

/// What the system or TLS says, in the words of people.
pub(crate) fn reason(error: &io::Error) -> String {
    // A broker refuses a client's certificate after the handshake of TLS 1.3: this comes at any read.
    if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        return tls::words(error);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "the broker closed the connection".to_owned(),
        _ => error.to_string(),
    }
}

fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
