//! Every limit of the clients, with its reason.

use std::time::Duration;

/// Bytes read from the connection at a time.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// While more bytes than this wait to be written, no further line of standard input is taken.
pub(crate) const UNSENT_BYTES_MAX: usize = 256 * 1024;

/// Lines read ahead from standard input.
pub(crate) const LINES_AHEAD: usize = 64;

/// The largest payload: what fits into the largest packet of MQTT with its topic and properties is less, and is found
/// when the packet is made.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 268_435_455;

/// How long one address may take to accept, and a proxy to answer.
pub(crate) const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// How long after a lost connection the next is tried, as mosquitto_sub does.
pub(crate) const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// How long the broker may take to close the connection after DISCONNECT, before it is left alone.
pub(crate) const FAREWELL_PATIENCE: Duration = Duration::from_secs(2);

/// What -M is when it is not given, and the Receive Maximum that the broker is told.
pub(crate) const INFLIGHT_DEFAULT: u16 = 20;

/// Bytes of a file of options. They are written by hand.
pub(crate) const OPTIONS_FILE_BYTES_MAX: u64 = 1024 * 1024;
