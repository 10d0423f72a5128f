//! Byte streams between the socket and MQTT: TLS, WebSocket, and what else a client may have meant by its first bytes.
//!
//! [`Tls::accept`] and [`websocket::accept`] take a stream and give one, so that either stands on the other, or on any
//! stream of the listener's. They bound memory; the caller bounds the time. One task reads and writes such a stream,
//! and calls `poll_flush` when it has nothing more to write: both may keep bytes that the socket did not take.

mod certificates;
mod first_bytes;
mod server_names;
mod subject;
pub mod tls;
pub mod websocket;

pub use self::{
    certificates::TlsError,
    first_bytes::looks_like,
    subject::ClientName,
    tls::{Tls, TlsStream},
    websocket::{WebSocket, WebSocketError},
};
