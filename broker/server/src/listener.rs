//! Listeners: accept under the limits, and give each connection its task.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::{sleep, timeout},
};

use crate::{connection::Connection, events, handshake, hub::Hub, limits};

/// Binds an address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?; // `::` serves IPv4 as well, whatever the system's default is
    }
    socket.set_reuse_address(true)?; // a restart must not wait for the old connections' TIME_WAIT
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the broker stops.
pub(crate) async fn run(hub: Arc<Hub>, listener: TcpListener) {
    while !hub.is_stopping() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = hub.stop.notified() => return,
        };
        if hub.is_stopping() {
            return;
        }
        match accepted {
            Ok((stream, peer)) => {
                let wait_ms = hub.accept_rate.lock().spend(1, hub.node.clock.now_ms());
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, %peer, "cannot set TCP_NODELAY");
                }
                // An IPv4 client of a listener on `::` is called by its IPv4 address.
                admit(&hub, stream, SocketAddr::new(peer.ip().to_canonical(), peer.port()));
                if wait_ms > 0 {
                    sleep(Duration::from_millis(wait_ms)).await; // the others wait in the kernel's queue
                }
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: what is connected goes on, what is not waits.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether accepting failed because of the connection that was to be accepted; the next one may be in order.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Gives a byte stream its task, or drops it unread when there are as many connections as there may be.
pub(crate) fn admit<S>(hub: &Arc<Hub>, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    hub.counters.sockets.add(1);
    if hub.connections.up() > hub.options.connections_max as u64 {
        hub.connections.down();
        hub.counters.shed_connections.add(1);
        return; // dropping the stream closes it
    }
    let counted = Counted(Arc::clone(hub));
    // Beginning and end are boxed, so that a connection in service carries the room of neither.
    let opening = Box::pin(open(Arc::clone(hub), stream, peer));
    tokio::spawn(async move {
        let _counted = counted;
        let Some(mut connection) = opening.await else { return };
        let ending = (&mut connection).await;
        Box::pin(connection.finish(ending)).await;
    });
}

/// A connection that is counted until it is over, however it ends.
struct Counted(Arc<Hub>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.down();
    }
}

/// Brings a byte stream to its session.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    hub: Arc<Hub>,
    mut stream: S,
    peer: SocketAddr,
) -> Option<Connection<S>> {
    let shaken = tokio::select! {
        shaken = timeout(hub.options.connect_timeout, handshake::shake(&hub, &mut stream, peer)) => shaken,
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
