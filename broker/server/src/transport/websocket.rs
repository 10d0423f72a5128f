//! MQTT in WebSocket [MQTT-6.0.0-1]: a byte stream whose bytes travel in binary frames.
//!
//! Frames are taken apart where they were read, in the reader's own buffer, and MQTT's bytes are handed on as they
//! come: the borders of frames and messages mean nothing [MQTT-6.0.0-2], so nothing is gathered, and no length that a
//! client claims costs memory. An idle connection has no buffer. What is kept: the rest of one frame that the socket
//! did not take, and one control frame that waits behind it.

mod frames;
mod handshake;

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::frames::{Close, Decoder, Opcode, head};
pub use self::handshake::{WebSocketError, accept};
use crate::limits::{WEBSOCKET_FRAME_BYTES_MAX, WEBSOCKET_IDLE_READS_MAX};

/// A WebSocket connection after its handshake, the server's side.
///
/// - Text frames and whatever breaks RFC 6455 end it: the client is told by a close frame (1003, 1002), reading gives
///   an error that says why, once, and then the end.
/// - Pings are answered; of several that come while nothing can be sent, the last one. A client that closes is
///   answered, and reading gives the end.
/// - A write is one binary frame. It is taken whole or not at all: what the socket leaves of a frame is kept and goes
///   out with the next write, read or flush, before which no other write is taken.
/// - Shutting down sends a close frame (1000) and ends the stream below.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: S,
    decoder: Decoder,
    /// Of a frame that the stream has not taken whole: how much it has, and all of it that was kept.
    unsent: Vec<u8>,
    sent: usize,
    /// A pong or a close frame that goes out as soon as no other frame is under way.
    answer: Vec<u8>,
    /// A close frame is on its way or sent: nothing may follow it.
    has_closed: bool,
    /// The client will send no more that counts.
    has_ended: bool,
    /// Why, until the reader has been told.
    fault: Option<&'static str>,
    is_of_a_page: bool,
}

impl<S> WebSocket<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
            unsent: Vec::new(),
            sent: 0,
            answer: Vec::new(),
            has_closed: false,
            has_ended: false,
            fault: None,
            is_of_a_page: false,
        }
    }

    /// Whether a page in a browser has asked for it: browsers say its origin, and other programs do not.
    pub const fn is_of_a_page(&self) -> bool {
        self.is_of_a_page
    }

    /// What WebSocket stands on.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    fn close(&mut self, close: Close) {
        if !mem::replace(&mut self.has_closed, true) {
            self.answer = close.frame();
        }
    }

    /// Takes MQTT's bytes out of what was read, to its start, and answers how many they are.
    fn take_in(&mut self, bytes: &mut [u8]) -> usize {
        let (kept, ping, end) = self.decoder.decode(bytes);
        if let Some(ping) = ping
            && !self.has_closed
        {
            self.answer = frames::control(Opcode::Pong, &ping);
        }
        if let Some(end) = end {
            self.has_ended = true;
            self.fault = end.fault;
            self.close(end.answer);
        }
        kept
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Sends what is kept.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
                match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    n => self.sent += n,
                }
            }
            self.sent = 0;
            self.unsent = mem::take(&mut self.answer);
            if self.unsent.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Sends answers as far as the stream takes them. That it does not is no matter of the reader.
    fn try_send(&mut self, cx: &mut Context<'_>) {
        let has_some = !self.unsent.is_empty() || !self.answer.is_empty();
        if has_some && self.poll_send(cx).is_ready() {
            // An error is found by the next write; a flush that waits is done by the next one.
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        this.try_send(cx);
        for _ in 0..WEBSOCKET_IDLE_READS_MAX {
            if this.has_ended {
                let fault = this.fault.take();
                let told = fault.map_or(Ok(()), |why| Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                return Poll::Ready(told);
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            let Some(bytes) = buffer.filled_mut().get_mut(before..).filter(|bytes| !bytes.is_empty()) else {
                return Poll::Ready(Ok(())); // closed without a close frame, as many clients do
            };
            let kept = this.take_in(bytes);
            buffer.set_filled(before + kept);
            this.try_send(cx);
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        if this.has_closed {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "the WebSocket has been closed")));
        }
        let payload = bytes.get(..WEBSOCKET_FRAME_BYTES_MAX).unwrap_or(bytes);
        if payload.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let head = head(Opcode::Binary, payload.len());
        let slices = [IoSlice::new(&head), IoSlice::new(payload)];
        let n = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, &slices))?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        // The frame has begun, and has to be ended with these bytes whatever the caller does next.
        this.unsent.extend_from_slice(head.get(n..).unwrap_or_default());
        this.unsent.extend_from_slice(payload.get(n.saturating_sub(head.len())..).unwrap_or_default());
        Poll::Ready(Ok(payload.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.close(Close::NORMAL);
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
