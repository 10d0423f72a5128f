//! Every fixed bound of this crate, with its reason.

use std::time::Duration;

/// The longest body of one row. A value a little above a power of two wastes redb pages; this one fills 64 KiB.
pub const BODY_BYTES_MAX: usize = 65_400;

/// The body of each row of a record that has several, but the last. A row is then as long as one page of redb has room
/// for: longer ones take a power of two of pages, and leave gaps that nothing fits into.
pub const PART_BYTES: usize = 4_048;

/// redb's page.
const PAGE_BYTES: u64 = 4096;

/// The length that a segment file may have. redb doubles a file as it grows: 17 pages and one to begin with, so the
/// lengths that it comes through are these; a bound between two of them would leave half of the space unused.
#[must_use]
pub const fn segment_bytes(doublings: u32) -> u64 {
    PAGE_BYTES * ((17 << doublings) + 1)
}

/// The part of a segment that the picture of the state may take. It is longer where the state is larger than that: with
/// no room behind the picture nothing could be written any more.
pub const PICTURE_SHARE: u64 = 4;

/// Doublings of the largest segments, 143 MB, and of the smallest, 4.5 MB: recovery, damage, and what cleaning moves
/// are bounded by it.
pub const DOUBLINGS_MAX: u32 = 11;
/// See [`DOUBLINGS_MAX`].
pub const DOUBLINGS_MIN: u32 = 6;

/// Segments in a budget: one is written, one is kept free, the others hold data.
pub const SEGMENTS_PER_BUDGET: u64 = 8;

/// Segments of the budget that messages do not get: acknowledgements and cleaning, which make room, need some.
pub const SEGMENTS_RESERVED: u64 = 1;

/// Room that is kept for a disk that is full: the beginning of a segment (72 kB) with a small picture of the state, and
/// some commits (28 kB each, of which pages are used again).
pub const RESERVE_BYTES: u64 = 256 << 10;

/// What the budget has beside segments: the reserve, the list of segments, and the store's identity.
pub const BESIDE_BYTES: u64 = RESERVE_BYTES + 2 * PAGE_BYTES + PAGE_BYTES;

/// The longest pause between two attempts to make the reserve again. Where there is some room and not enough of it, an
/// attempt writes that much.
pub const REFILL_PAUSE_MAX: Duration = Duration::from_secs(4);

/// The smallest disk budget: fewer segments than these cannot be cleaned.
pub const BUDGET_BYTES_MIN: u64 = segment_bytes(DOUBLINGS_MIN) * SEGMENTS_PER_BUDGET + BESIDE_BYTES;

/// Bytes of messages in one commit, so that a group's latency stays that of its disk.
pub const GROUP_BYTES_MAX: usize = 1 << 20;

/// Messages in one commit.
pub const GROUP_MESSAGES_MAX: usize = 2_000;

/// Bytes that wait for the writer above which publishers are read more slowly.
pub const PENDING_BYTES_SOFT: usize = 4 << 20;

/// Bytes that wait for the writer above which messages are refused.
pub const PENDING_BYTES_HARD: usize = 64 << 20;

/// How long changes that nobody waits for may wait for a commit to ride on.
pub const LAZY_FLUSH: Duration = Duration::from_millis(50);

/// After how much quiet the empty commit comes that makes the next open quick.
pub const IDLE_COMMIT: Duration = Duration::from_secs(1);

/// Pause between two attempts to come back after the disk failed.
pub const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// redb's cache of the segment that is written: more costs memory, less costs speed of appending.
pub const ACTIVE_CACHE_BYTES: usize = 8 << 20;

/// redb's cache of a segment that is only read.
pub const READ_CACHE_BYTES: usize = 1 << 20;

/// Sequence numbers left out when a store opens: what a lost commit may have used is never used again, so that salvage
/// cannot mistake one record for another.
pub const SEQUENCE_GAP: u64 = 1 << 22;

/// Salts that salvage tries where nothing tells the right one: payloads may offer any number of them.
pub const SALTS_TRIED_MAX: usize = 8;

/// Pause between two attempts to read from a segment that gives errors.
pub const REREAD_PAUSE: Duration = Duration::from_millis(50);

/// Attempts to read from it, before its messages are given back as unreadable for now.
pub const REREADS: usize = 30;

/// Bytes that cleaning moves in one commit, and rows that it looks at.
pub const CLEAN_BYTES: usize = 512 << 10;

/// Rows that cleaning looks at before others have their turn: more than the longest record has.
pub const CLEAN_ROWS: usize = 1 << 15;

/// Failed attempts to clean a segment before it is left alone until the next start.
pub const CLEAN_ATTEMPTS: u32 = 3;

/// Commits of cleaning after one group.
pub const CLEAN_STEPS: usize = 4;

/// Rows read in one transaction: a read that is held makes a file grow for good.
pub const READ_ROWS_MAX: usize = 256;

/// Groups between two tries whether waiting for more pays.
pub const PACE_PROBE_EVERY: u32 = 16;

/// Messages on their way below which nobody is kept waiting: the few would pay for a gain that is small.
pub const PACE_MESSAGES_MIN: usize = 16;

/// Bytes of messages that make a group so large that it does not wait for more: a commit's own 28 KB are a sixth of it.
pub const GROUP_BYTES_WORTH: usize = 160 << 10;

/// The longest wait for more, whatever a commit takes.
pub const PACE_PATIENCE_MAX: Duration = Duration::from_millis(10);

/// How long publishers wait for room that the owner makes by evicting. What comes then is refused.
pub(crate) const ROOM_PATIENCE_MS: u64 = 1_000;
