//! What a peer did wrong: the clause it broke, the reason code that answers it, and a sentence for the log.

use crate::reason::ReasonCode;

/// Bytes or a packet that break the specification. The connection ends with [`Violation::reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{detail} [{clause}]: {reason}")]
pub struct Violation {
    /// The normative statement, as `MQTT-3.1.2-3`, or the section, as `MQTT5 3.3.2.3.4`, where it has no number.
    pub clause: &'static str,
    /// The MQTT 5.0 code that says so; 3.1.1 peers see the closed connection.
    pub reason: ReasonCode,
    /// What was wrong, for a person who reads the log.
    pub detail: &'static str,
}

impl Violation {
    /// A packet that cannot be parsed (0x81).
    #[must_use]
    pub const fn malformed(clause: &'static str, detail: &'static str) -> Self {
        Self { clause, reason: ReasonCode::MALFORMED_PACKET, detail }
    }

    /// A packet that parses and is not allowed (0x82).
    #[must_use]
    pub const fn protocol(clause: &'static str, detail: &'static str) -> Self {
        Self { clause, reason: ReasonCode::PROTOCOL_ERROR, detail }
    }

    /// A violation for which the specification names a code of its own.
    #[must_use]
    pub const fn with(reason: ReasonCode, clause: &'static str, detail: &'static str) -> Self {
        Self { clause, reason, detail }
    }
}
