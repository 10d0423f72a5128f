//! How a run ends that does not end well: what is said, and the exit code.

use std::io;
use std::path::PathBuf;

use primer_mqtt::{ReasonCode, Violation, codec::EncodeError};

use crate::{link::LinkError, options::Options, session::PublishError};

/// The exit code of a run whose time (-W) is over.
pub(crate) const TIMED_OUT: u8 = 27;

/// Why a run ends. The exit codes are those of libmosquitto's errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    /// There was no connection.
    #[error("Error: {0}")]
    Link(#[from] LinkError),
    /// The broker does not want us.
    #[error("Connection error: {says}")]
    Refused { code: u8, says: String },
    /// What came cannot be printed.
    #[error("Error: what came cannot be written to standard output: {0}")]
    Output(io::Error),
    /// The connection ended before the work was done.
    #[error("Error: the connection to {place} was lost: {why}")]
    Lost { place: String, why: String },
    /// The broker ended the connection, and would do so again.
    #[error("Error: {place} ended the connection: {says}")]
    Ended { place: String, says: String },
    /// What the broker sends is not MQTT.
    #[error("Error: {place} broke the protocol: {} [{}]", violation.detail, violation.clause)]
    Protocol { place: String, violation: Violation },
    /// The broker answers CONNECT with an alert of TLS.
    #[error("Error: {place} answers in TLS: this looks like a TLS port: give --cafile, or --tls-use-os-certs")]
    TlsPort { place: String },
    /// The broker does not take it.
    #[error("Error: {0}")]
    Publish(#[from] PublishError),
    /// A packet has no encoding.
    #[error("Error: a packet cannot be sent: {0}")]
    Encode(#[from] EncodeError),
    /// What is to be published cannot be read.
    #[error("Error: {}: {why}", path.display())]
    File { path: PathBuf, why: String },
    /// The same of standard input.
    #[error("Error: standard input: {0}")]
    Stdin(String),
    /// Signals cannot be waited for.
    #[error("Error: {0}")]
    System(#[from] io::Error),
    /// The response topic cannot be subscribed to.
    #[error("Error: the broker refused the subscription to the response topic: {0}")]
    Denied(String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Lost { .. } | Self::Ended { .. } => 7,
            Self::Protocol { .. } | Self::TlsPort { .. } => 2,
            _ => 1,
        }
    }
}

/// Why the broker refused the connection, and what can be done.
pub(crate) fn refused(options: &Options, code: u8, why: Option<&str>) -> Failure {
    let is_v5 = options.version.is_v5();
    let reason = ReasonCode(code);
    let name = match code {
        _ if is_v5 => reason.name(),
        1 => "unacceptable protocol version",
        2 => "identifier rejected",
        3 => "broker unavailable",
        4 => "bad user name or password",
        5 => "not authorised",
        _ => "unknown reason",
    };
    let who = match (&options.username, &options.password) {
        (None, None) => "It wants a user name and password: -u NAME -P PASSWORD",
        _ => "Check the user name and password (-u, -P), and the client identifier (-i)",
    };
    let hint = match (is_v5, code) {
        (false, 1) => "Try another version: -V 5, -V 31",
        (true, 0x84) => "It speaks no MQTT 5.0: try -V 311",
        (false, 2) | (true, 0x85) => "Name another client identifier: -i ID",
        (false, 4 | 5) | (true, 0x86 | 0x87) => who,
        (false, 3) | (true, 0x88 | 0x89) => "Try again later",
        _ => "",
    };
    let mut says = format!("{} refused: {name}", options.server.place());
    if let Some(why) = why {
        says = format!("{says} ({why})");
    }
    if !hint.is_empty() {
        says = format!("{says}. {hint}");
    }
    Failure::Refused { code, says }
}
