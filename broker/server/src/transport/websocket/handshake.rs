//! From a byte stream to a WebSocket: the HTTP request that asks for it, and the answer.
//!
//! The request is read here, in a bounded buffer, whatever pieces it comes in; `tungstenite` reads its lines and makes
//! the answer's key. Extensions (compression) are never agreed on. `X-Forwarded-For` is not read: anybody can write it,
//! and the PROXY header is there for that.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tungstenite::{
    Error,
    error::ProtocolError,
    handshake::{
        machine::TryParse,
        server::{Request, create_response, write_response},
    },
    http::header::{HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
};

use super::WebSocket;
use crate::{
    connection::finish::drain,
    limits::{LINGER, WEBSOCKET_HEAD_BYTES_MAX},
    options::WebSocketOptions,
    transport::looks_like,
};

/// The sub-protocols of MQTT, the better one first: `mqtt` [MQTT-6.0.0-4], and what clients of MQTT 3.1 ask for.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Characters of what a client sent that an error repeats.
const SHOWN_CHARS_MAX: usize = 100;

/// Why there is no WebSocket. The client has been told, if it speaks HTTP.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The connection broke.
    #[error("the connection was lost during the WebSocket handshake: {0}")]
    Lost(#[from] io::Error),
    /// The client closed in the middle of its request.
    #[error("the client closed the connection before its WebSocket request was complete")]
    Closed,
    /// Something that is not HTTP.
    #[error("no HTTP request came, and this listener speaks WebSocket: {0}")]
    NotHttp(&'static str),
    /// HTTP that asks for no WebSocket, or not in a way that it can be given.
    #[error("a request without a WebSocket: {0}")]
    NotWebSocket(String),
    /// A longer request than there may be.
    #[error("a WebSocket request of more than {WEBSOCKET_HEAD_BYTES_MAX} bytes")]
    TooLarge,
    /// Another path than the listener's.
    #[error("WebSocket was asked for at the path {0:?}, which is not the listener's")]
    WrongPath(String),
    /// None of MQTT's sub-protocols was offered.
    #[error("the client offers no sub-protocol of MQTT (it offers {0:?})")]
    NoSubprotocol(String),
    /// A page of an origin that is not in the list.
    #[error("a page of {0:?} may not connect: that origin is not in the listener's list")]
    WrongOrigin(String),
}

/// An answer that is no WebSocket.
struct Refusal {
    status: &'static str,
    /// More lines of the head, each with its end.
    lines: &'static str,
    body: String,
    error: WebSocketError,
}

impl Refusal {
    fn new(status: &'static str, body: impl Into<String>, error: WebSocketError) -> Self {
        Self { status, lines: "", body: body.into(), error }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { status, lines, body, .. } = self;
        let length = body.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
             Connection: close\r\n{lines}\r\n{body}\n"
        )
        .into_bytes()
    }
}

/// Reads a client's request and answers it. The caller bounds the time.
///
/// # Errors
/// Why there is no WebSocket. A client that asked in HTTP was answered: 400, 403 (origin), 404 (path), 405 (not GET),
/// 426 (no WebSocket asked for), 431 (too large), each with a line that says what to do.
pub async fn accept<S>(mut stream: S, options: &WebSocketOptions) -> Result<WebSocket<S>, WebSocketError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = match read_request(&mut stream).await? {
        Ok(request) => answer(&request, options).map(|bytes| (bytes, request.headers().contains_key(ORIGIN))),
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok((bytes, is_of_a_page)) => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            Ok(WebSocket { is_of_a_page, ..WebSocket::new(stream) })
        }
        Err(refusal) => {
            stream.write_all(&refusal.bytes()).await?;
            stream.shutdown().await?;
            // A reset because of unread bytes would take the answer away.
            let _ = timeout(LINGER, drain(&mut stream)).await;
            Err(refusal.error)
        }
    }
}

/// Reads until the empty line that ends a request's head. The outer error is one that nobody is told of.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Result<Request, Refusal>, WebSocketError> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let before = head.len();
        if stream.read_buf(&mut head).await? == 0 {
            return Err(WebSocketError::Closed);
        }
        if before == 0 && !head.first().is_some_and(u8::is_ascii_uppercase) {
            let hint = match head.first() {
                Some(0x10) => "this looks like MQTT; connect with WebSocket, or to a listener without it",
                Some(0x16) => "this looks like TLS; connect without it (ws://), or give the listener a certificate",
                _ => looks_like(&head).unwrap_or("the client has to connect with WebSocket"),
            };
            return Err(WebSocketError::NotHttp(hint));
        }
        if let Some(end) = end_of_head(&head, before) {
            let rest = head.split_off(end);
            return Ok(parse(&head, &rest));
        }
        if head.len() > WEBSOCKET_HEAD_BYTES_MAX {
            return Ok(Err(too_large()));
        }
    }
}

/// Where the head ends, looked for in what was read since there were `known` bytes.
fn end_of_head(head: &[u8], known: usize) -> Option<usize> {
    let from = known.saturating_sub(3);
    let fresh = head.get(from..)?;
    fresh.windows(4).position(|window| window == b"\r\n\r\n").map(|at| from + at + 4)
}

fn parse(head: &[u8], rest: &[u8]) -> Result<Request, Refusal> {
    if !rest.is_empty() {
        let why = "bytes follow the request before it was answered";
        return Err(Refusal::new("400 Bad Request", why, WebSocketError::NotWebSocket(why.to_owned())));
    }
    match Request::try_parse(head) {
        Ok(Some((_, request))) => Ok(request),
        Ok(None) => Err(malformed("the request is incomplete")),
        Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => {
            let why = "a WebSocket is asked for with GET";
            let error = WebSocketError::NotWebSocket(why.to_owned());
            Err(Refusal { lines: "Allow: GET\r\n", ..Refusal::new("405 Method Not Allowed", why, error) })
        }
        Err(error) => Err(malformed(&error.to_string())),
    }
}

fn malformed(why: &str) -> Refusal {
    Refusal::new("400 Bad Request", why, WebSocketError::NotWebSocket(why.to_owned()))
}

fn too_large() -> Refusal {
    let body = format!("a request may have {WEBSOCKET_HEAD_BYTES_MAX} bytes");
    Refusal::new("431 Request Header Fields Too Large", body, WebSocketError::TooLarge)
}

/// The answer to a request that can be read.
fn answer(request: &Request, options: &WebSocketOptions) -> Result<Vec<u8>, Refusal> {
    let path = request.uri().path();
    if path != options.path {
        let body = format!("There is nothing here. MQTT over WebSocket is at {}", options.path);
        return Err(Refusal::new("404 Not Found", body, WebSocketError::WrongPath(shown(path))));
    }
    if !request.headers().contains_key(UPGRADE) {
        return Err(for_people(options));
    }
    check_origin(request, options)?;
    let mut response = create_response(request).map_err(|error| match error {
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            let why = "the version of WebSocket here is 13";
            let error = WebSocketError::NotWebSocket(why.to_owned());
            Refusal { lines: "Sec-WebSocket-Version: 13\r\n", ..Refusal::new("426 Upgrade Required", why, error) }
        }
        other => malformed(&other.to_string()),
    })?;
    let subprotocol = choose_subprotocol(request)?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response).map_err(|error| malformed(&error.to_string()))?;
    Ok(bytes)
}

/// What a browser shows that was pointed here.
fn for_people(options: &WebSocketOptions) -> Refusal {
    let body = format!(
        "This is the MQTT broker Primer. It takes MQTT clients over WebSocket here (path {}, sub-protocol mqtt); \
         there is no page to see.",
        options.path
    );
    let error = WebSocketError::NotWebSocket("no upgrade was asked for".to_owned());
    Refusal { lines: "Upgrade: websocket\r\n", ..Refusal::new("426 Upgrade Required", body, error) }
}

fn check_origin(request: &Request, options: &WebSocketOptions) -> Result<(), Refusal> {
    if options.origins.is_empty() {
        return Ok(());
    }
    for origin in request.headers().get_all(ORIGIN) {
        let origin = String::from_utf8_lossy(origin.as_bytes());
        if !options.origins.iter().any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(&origin)) {
            let body = "pages of this origin may not connect";
            return Err(Refusal::new("403 Forbidden", body, WebSocketError::WrongOrigin(shown(&origin))));
        }
    }
    Ok(())
}

/// The best of the sub-protocols that the client offers, in one line or several [MQTT-6.0.0-3].
fn choose_subprotocol(request: &Request) -> Result<&'static str, Refusal> {
    let lines = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    let offered: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    SUBPROTOCOLS.into_iter().find(|name| offered.contains(name)).ok_or_else(|| {
        let body = "the client has to offer the sub-protocol mqtt (Sec-WebSocket-Protocol: mqtt)";
        Refusal::new("400 Bad Request", body, WebSocketError::NoSubprotocol(shown(&offered.join(", "))))
    })
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
