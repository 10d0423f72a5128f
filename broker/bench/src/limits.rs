//! Every fixed bound of this crate, with its reason.

use std::time::Duration;

/// Bytes that a worker reads at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Reads of one socket before the others have their turn.
pub(crate) const READS_PER_EVENT_MAX: usize = 4;

/// Connections of one worker that are being opened at a time: fewer than a listener's backlog.
pub(crate) const CONNECTING_MAX: usize = 128;

/// The longest that a worker waits for a socket before it looks around.
pub(crate) const ROUND_MAX: Duration = Duration::from_millis(20);

/// How often the coordinator looks at what the workers have done.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// Clients of one run. Ports of one address end long before.
pub(crate) const CLIENTS_MAX: u32 = 1_000_000;

/// How long one of several addresses of a broker may take to answer.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Messages a second of an open loop: more than any machine makes.
pub(crate) const RATE_MAX: f64 = 1e9;

/// Worker threads.
pub(crate) const THREADS_MAX: usize = 64;

/// Messages whose topics are numbered (six digits).
pub(crate) const NUMBERS_MAX: u64 = 1_000_000;

/// QoS 1 and 2 publishes of one client in flight.
pub(crate) const WINDOW_MAX: u16 = 16_384;

/// Bytes of a payload: publishers keep a copy each.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// The largest packet that is taken from a broker: the largest payload, with the longest topic and properties to spare.
pub(crate) const PACKET_BYTES_MAX: u32 = (64 << 20) + (1 << 20);

/// Text of an option that MQTT writes with a length of two bytes, with room for what is added to it.
pub(crate) const TEXT_BYTES_MAX: usize = 60_000;

/// Bytes that a publisher writes ahead of its socket.
pub(crate) const AHEAD_BYTES_MAX: usize = 128 * 1024;

/// Bytes of answers that a broker may leave unread before its client gives up.
pub(crate) const UNREAD_BYTES_MAX: usize = 16 << 20;

/// Open loop: messages that a worker hands out before it looks at its sockets again.
pub(crate) const DUE_PER_ROUND_MAX: usize = 1024;

/// Open loop: messages of one worker that are due and cannot be sent yet. More are counted as unsent.
pub(crate) const LATE_MAX: u64 = 4_000_000;

/// Open loop: how long the publishers may go on after the load to send what is late. The rest is counted as unsent.
pub(crate) const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Holes in the sequence of one publisher that a subscriber keeps in mind; the oldest is given up as lost.
pub(crate) const HOLES_MAX: usize = 100_000;

/// How long the end of a run waits for copies of messages that have all come.
pub(crate) const LINGER: Duration = Duration::from_millis(20);

/// How long a broker that was started may take until it accepts connections.
pub(crate) const START_MAX: Duration = Duration::from_secs(30);

/// How long a broker may take to stop before it is killed.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(5);

/// How long a broker that was killed may deliver nothing until what is missing is lost.
pub(crate) const CRASH_PATIENCE: Duration = Duration::from_secs(3);
