//! MQTT inside WebSocket: binary messages are the stream, however it is cut (MQTT 5.0, 6).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Bytes, Error, Message,
        client::IntoClientRequest,
        http::{HeaderValue, StatusCode},
    },
};

use super::{Link, LinkError};
use crate::options::Server;

/// The largest piece that is put into one message.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Where brokers have it.
const PATH_DEFAULT: &str = "/mqtt";

/// Asks the server for MQTT on WebSocket.
pub(super) async fn wrap(server: &Server, link: Link) -> Result<Link, LinkError> {
    let failed = |why: String| LinkError::WebSocket { place: server.place(), why };
    // TLS is beneath, and the scheme says nothing here.
    let host = if server.unix.is_some() { "localhost".to_owned() } else { server.place() };
    let path = server.websocket_path.as_deref().unwrap_or(PATH_DEFAULT);
    let mut request = format!("ws://{host}{path}").into_client_request().map_err(|error| failed(error.to_string()))?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
    match client_async(request, link).await {
        Ok((socket, _)) => Ok(Box::new(Socket { socket, rest: Bytes::new() })),
        Err(Error::Http(response)) => {
            let status = response.status();
            let path = if status == StatusCode::NOT_FOUND { format!("at {path} (--ws-path) ") } else { String::new() };
            Err(failed(format!("it answers {path}{status}: is this a WebSocket port of the broker?")))
        }
        Err(Error::Io(error)) => Err(failed(super::reason(&error))),
        Err(error) => Err(failed(format!("{error}: is this a WebSocket port of the broker?"))),
    }
}

/// The messages as a stream.
struct Socket {
    socket: WebSocketStream<Link>,
    /// What is left of the last message.
    rest: Bytes,
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.rest.is_empty() {
                let len = self.rest.len().min(buf.remaining());
                buf.put_slice(&self.rest.split_to(len));
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Text(_))) => {
                    let why = "the broker sends text in WebSocket, and MQTT is binary";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return end(error),
            }
        }
    }
}

/// A closed connection is the end of the stream.
fn end(error: Error) -> Poll<io::Result<()>> {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Poll::Ready(Ok(())),
        error => Poll::Ready(Err(fault(error))),
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(fault)?;
        let piece = bytes.get(..MESSAGE_BYTES_MAX).unwrap_or(bytes);
        let message = Message::Binary(Bytes::copy_from_slice(piece));
        Pin::new(&mut self.socket).start_send(message).map_err(fault)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context).map_err(fault)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.socket).poll_close(context)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => end(error),
        }
    }
}

fn fault(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}
