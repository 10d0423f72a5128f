//! What the server offers to every client: the bounds that CONNACK announces and the session machine holds.

use crate::codec::packet::QoS;

/// The server's side of a connection's negotiation. Ranges are those of MQTT 5.0, 3.2.2.3.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Unacknowledged QoS 1 and 2 publishes that a client may have in flight, 1 to 65,535.
    pub receive_maximum: u16,
    /// Unacknowledged QoS 1 and 2 publishes towards one client, 1 to 65,535, whatever larger number it allows.
    pub inflight_max: u16,
    /// The largest packet that the server reads, in bytes, fixed header included; at most 268,435,460.
    pub packet_bytes_max: u32,
    /// Topic aliases that a client may set, 0 to 65,535.
    pub alias_maximum: u16,
    /// Topic aliases that the server sets towards one client, 0 to 65,535, whatever larger number it allows.
    pub alias_out_maximum: u16,
    /// The highest QoS that a client may publish with.
    pub qos_max: QoS,
    /// Whether retained messages are kept.
    pub retain_available: bool,
    /// The longest life of a session without a connection, in seconds; `u32::MAX` for no end.
    pub session_expiry_max_s: u32,
    /// The longest keep alive, in seconds, for 5.0 clients, which can be told; 0 leaves it to the client. A client that
    /// turned the keep alive off keeps it off.
    pub keep_alive_max_s: u16,
    /// Answered to clients that request response information (MQTT 5.0, 3.2.2.3.15).
    pub response_information: Option<Box<str>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            receive_maximum: 1024,
            inflight_max: 512,
            packet_bytes_max: 1024 * 1024 * 16,
            alias_maximum: 32,
            alias_out_maximum: 32,
            qos_max: QoS::ExactlyOnce,
            retain_available: true,
            session_expiry_max_s: u32::MAX,
            keep_alive_max_s: 60,
            response_information: None,
        }
    }
}
