//! Listeners: accept under the limits, and give each connection its task.

mod bind;
mod door;
mod proxy;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::{Instant, sleep, timeout_at},
};

use self::door::{Counted, UNIX_PEER};
pub(crate) use self::{
    bind::{Listening, bind},
    door::{Door, Origin},
};
use crate::{connection::Connection, events, handshake, hub::Hub, limits, transport::Tls};

const DAY_S: u64 = 24 * 3600;

/// Accepts until the broker stops.
pub(crate) async fn run(hub: Arc<Hub>, listening: Listening, door: Arc<Door>) {
    while !hub.is_stopping() {
        let accepted = tokio::select! {
            accepted = accept(&listening) => accepted,
            () = hub.stop.notified() => return,
        };
        if hub.is_stopping() {
            return;
        }
        match accepted {
            Ok(accepted) => {
                let wait_ms = hub.accept_rate.lock().spend(1, hub.node.clock.now_ms());
                match accepted {
                    Accepted::Tcp(stream, peer) => enter(&hub, &door, stream, peer),
                    Accepted::Unix(stream) => enter(&hub, &door, stream, UNIX_PEER),
                }
                if wait_ms > 0 {
                    sleep(Duration::from_millis(wait_ms)).await; // the others wait in the kernel's queue
                }
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: what is connected goes on, what is not waits.
                tracing::warn!(%error, listener = door.name(), "cannot accept a connection");
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Says of a certificate that it ends soon.
fn warn_of_end(door: &Door) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let days = door.tls().map(|tls| (tls.expires_at_s() - now_s) / DAY_S.cast_signed());
    if let Some(days) = days.filter(|days| (0..limits::CERTIFICATE_DAYS_WARNED).contains(days)) {
        tracing::warn!(listener = door.name(), "the certificate ends in {days} days");
    }
}

/// Has new connections served with certificates that have changed on the disk.
pub(crate) async fn watch_certificates(doors: Vec<Arc<Door>>) {
    let mut warn_at = Instant::now();
    loop {
        if Instant::now() >= warn_at {
            warn_at += Duration::from_secs(DAY_S);
            doors.iter().for_each(|door| warn_of_end(door));
        }
        sleep(limits::CERTIFICATE_LOOK_INTERVAL).await;
        for door in &doors {
            let Some(tls) = door.tls().cloned().filter(Tls::files_changed) else { continue };
            let outcome = tokio::task::spawn_blocking(move || tls.reload()).await;
            match outcome {
                Ok(Ok(true)) => tracing::info!(listener = door.name(), "serves new certificates"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::error!(
                    listener = door.name(),
                    "the certificates have changed and cannot be used, so the ones before are served on: {error}"
                ),
                Err(error) => tracing::error!(%error, "the certificates were not read"),
            }
        }
    }
}

/// A stream that came in.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

async fn accept(listening: &Listening) -> io::Result<Accepted> {
    match listening {
        Listening::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, %peer, "cannot set TCP_NODELAY");
            }
            // An IPv4 client of a listener on `::` is called by its IPv4 address.
            Ok(Accepted::Tcp(stream, SocketAddr::new(peer.ip().to_canonical(), peer.port())))
        }
        Listening::Unix(listener, ..) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
    }
}

/// Whether accepting failed because of the connection that was to be accepted; the next one may be in order.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Takes a connection in: at once where MQTT stands in the stream itself, else through what stands before it.
fn enter<S>(hub: &Arc<Hub>, door: &Arc<Door>, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let origin = Origin::new(peer, Arc::clone(door));
    if door.is_plain() {
        admit(hub, stream, origin);
        return;
    }
    let deadline = Instant::now() + hub.options.connect_timeout; // for all that comes before the session
    let Some(counted) = count(hub, door) else { return };
    let hub = Arc::clone(hub);
    tokio::spawn(async move {
        let entering = Box::pin(async {
            tokio::select! {
                entered = timeout_at(deadline, origin.pass(stream)) => entered,
                () = hub.stop.notified() => Ok(Err("the broker is stopping".to_owned())),
            }
        });
        match entering.await {
            Ok(Ok((stream, origin))) => serve(hub, stream, origin, counted, deadline).await,
            Ok(Err(why)) => tracing::info!("Client connection from {peer} denied: {why}"),
            Err(_) => tracing::info!("Client connection from {peer} denied: no CONNECT in time"),
        }
    });
}

/// Gives a byte stream its task, or drops it unread when there are as many connections as there may be.
pub(crate) fn admit<S>(hub: &Arc<Hub>, stream: S, origin: Origin)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if let Some(counted) = count(hub, &origin.door) {
        let deadline = Instant::now() + hub.options.connect_timeout;
        tokio::spawn(serve(Arc::clone(hub), stream, origin, counted, deadline));
    }
}

/// Counts a connection, if there is room for it.
fn count(hub: &Arc<Hub>, door: &Arc<Door>) -> Option<Counted> {
    hub.counters.sockets.add(1);
    let counted = Counted::new(hub, door);
    if counted.is_none() {
        hub.counters.shed_connections.add(1); // the stream is dropped, and so closed
    }
    counted
}

/// A connection from its first byte to its end. Beginning and end are boxed, so that a connection in service carries
/// the room of neither.
fn serve<S>(
    hub: Arc<Hub>,
    stream: S,
    origin: Origin,
    counted: Counted,
    deadline: Instant,
) -> impl Future<Output = ()> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let opening = Box::pin(open(hub, stream, origin, deadline));
    async move {
        let _counted = counted;
        let Some(mut connection) = opening.await else { return };
        let ending = (&mut connection).await;
        Box::pin(connection.finish(ending)).await;
    }
}

/// Brings a byte stream to its session.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    hub: Arc<Hub>,
    mut stream: S,
    origin: Origin,
    deadline: Instant,
) -> Option<Connection<S>> {
    let peer = origin.peer;
    let shaken = tokio::select! {
        shaken = timeout_at(deadline, handshake::shake(&hub, &mut stream, &origin)) => shaken,
        () = hub.stop.notified() => return None,
    };
    let admitted = match shaken {
        Ok(Ok(admitted)) => admitted,
        Ok(Err(refusal)) => {
            tracing::info!("Client connection from {peer} denied: {refusal}");
            return None;
        }
        Err(_) => {
            tracing::info!("Client connection from {peer} denied: CONNECT was not complete in time");
            return None;
        }
    };
    let (identity, terms) = (Arc::clone(&admitted.identity), admitted.terms.clone());
    let connection = Connection::new(Arc::clone(&hub), stream, admitted);
    hub.counters.connects.add(1);
    hub.counters.packets_sent.add(1);
    events::connected(&hub, &identity, &terms);
    Some(connection)
}
