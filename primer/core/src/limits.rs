//! The bounds of the machines that no option changes, each with its reason.

/// Groups of a queue: a message has one bit for each in its entry.
pub const GROUPS_MAX: usize = 64;

/// Priorities, 0 to 9: as many as JMS and AMQP have. Each that is used has a line of its own.
pub const PRIORITY_MAX: u8 = 9;

/// The priority of a message that names none: the middle, as in JMS.
pub const PRIORITY_DEFAULT: u8 = 4;

/// Messages that a group which keeps keys in order sets aside while their keys are busy. With so many it looks no
/// further until some are settled: a backlog is not to be turned over in memory for one slow key.
pub const ASIDE_MAX: usize = 10_000;

/// Messages that are looked through for expired ones, for each millisecond until the next look: a queue of a million
/// messages of which some expire each moment would do nothing else.
pub const EXPIRY_SEEN_PER_MS: u64 = 2_000;

/// Stored messages that are asked for at once, so that a backlog is read back in few, large reads.
pub const LOAD_WINDOW: usize = 256;

/// Ready messages that stay in memory although a store holds them: what the next consumers take.
pub const READY_HOT_MAX: usize = 1_024;

/// Message identifiers that a queue remembers, at most, whatever its window.
pub const DEDUPE_IDS_MAX: usize = 1_000_000;

/// Bytes of a message identifier that a publisher gives, at most.
pub const DEDUPE_ID_BYTES_MAX: usize = 256;

/// Messages that one look into a queue shows, so that nobody waits for it.
pub const PEEK_MAX: usize = 1_000;

/// Bytes of a queue's or group's name: what fits into a topic beside its prefix.
pub const NAME_BYTES_MAX: usize = 255;
