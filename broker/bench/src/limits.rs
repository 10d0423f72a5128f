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

/// A run that has to end by itself is given up when nothing at all happens for so long.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(5);

/// Clients of one run. Ports of one address end long before.
pub(crate) const CLIENTS_MAX: u32 = 1_000_000;

/// Messages whose topics are numbered (six digits).
pub(crate) const NUMBERS_MAX: u64 = 1_000_000;

/// QoS 1 and 2 publishes of one client in flight.
pub(crate) const WINDOW_MAX: u16 = 16_384;

/// How long a broker that was started may take until it accepts connections.
pub(crate) const START_MAX: Duration = Duration::from_secs(30);

/// How long a broker may take to stop before it is killed.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(5);
