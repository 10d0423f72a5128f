//! What stands between a socket and MQTT: TLS, WebSocket, Unix sockets, proxies, given sockets; each with the real
//! program and, where there are some, with clients that others wrote.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fixture;
mod hostile;
mod proxy;
mod reload;
mod starting;
mod systemd;
mod tls;
mod unix;
mod websocket;
