//! The end of a connection: the last word, the session let go, the socket closed so that the last word arrives.

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{Connection, Ending};
use crate::{
    events,
    limits::{LINGER, LINGER_AT_STOP, LINGER_BYTES_MAX},
    registry,
};

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Ends the connection. The session is let go before the last bytes are written: whoever waits for it does not
    /// wait for a slow socket.
    pub(crate) async fn finish(mut self, ending: Ending) {
        self.await_store().await;
        let last = {
            let mut guard = self.cell.lock();
            let state = &mut *guard;
            if let Some((reason, why)) = &ending.tell {
                state.machine.disconnect(*reason, why.as_deref(), &mut state.outbox);
            }
            std::mem::take(&mut state.outbox)
        };
        self.has_let_go = true;
        registry::let_go(&self.hub, &self.cell, ending.farewell, ending.session_expiry_s, || {
            events::disconnected(&self.hub, &self.identity, &ending);
        });
        let speaks = ending.tell.is_some();
        let writing = std::mem::take(&mut self.writing);
        let unwritten = writing.get(self.written..).unwrap_or_default();
        let stream = &mut self.stream;
        let close = async {
            stream.write_all(unwritten).await?;
            stream.write_all(&last).await?;
            stream.shutdown().await?;
            if speaks {
                drain(stream).await?;
            }
            std::io::Result::Ok(())
        };
        // A socket that is lost already, or does not take the last word in time, is closed all the same.
        let linger = if self.hub.is_stopping() { LINGER_AT_STOP } else { LINGER };
        if let Ok(Err(error)) = timeout(linger, close).await {
            tracing::trace!(%error, "the last bytes were not written");
        }
    }
}

/// Reads what the client still sends until it closes: a close with unread bytes would be a reset, which can take the
/// last word away from the client.
pub(crate) async fn drain<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<()> {
    let mut sink = [0; 4096];
    let mut left = LINGER_BYTES_MAX;
    while left > 0 {
        match stream.read(&mut sink).await? {
            0 => break,
            n => left = left.saturating_sub(n),
        }
    }
    Ok(())
}
