//! The node's durable store: the store of `primer-storage` in the node's time and the core's words.

pub mod content;
pub mod queues;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use primer_core::{
    commit::{Durable, Refused},
    message::NEVER_MS,
};
pub use primer_storage::Disk;
use primer_storage::Refusal;
pub use primer_storage::{
    Change, Draft, Figures, Folder, Group, Intervals, Loaded, Move, OpenError, Options, QueueId, QueueState, Report,
    State, Store, Stored, Sync, Ticket, Want, Whereabouts,
    disk::{FolderError, Probe},
    draft::Destinations,
    limits::BUDGET_BYTES_MIN,
    offline::{
        Building, Checked, CompactError, Compacted, FileCheck, FileFigures, Reading, Sizes, check, compact, try_view,
    },
    try_file,
};

use crate::Clock;
pub use crate::table::{read_table_name, table_name};

/// A queue of the node's own, in which a message has a position as in any other.
#[derive(Debug)]
pub struct OwnQueue {
    /// Its number in the store.
    pub id: QueueId,
    next: AtomicU64,
}

impl OwnQueue {
    /// A queue whose next message gets this position.
    #[must_use]
    pub const fn new(id: QueueId, next: u64) -> Self {
        Self { id, next: AtomicU64::new(next) }
    }

    /// The position is taken: it was found in the store. What is known of a queue there are the positions that are
    /// gone, and not those of the messages.
    pub fn take(&self, position: u64) {
        self.next.fetch_max(position.saturating_add(1), Ordering::Relaxed);
    }

    /// The position of a new message.
    pub fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// Where a message of one of the node's own queues is.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its position there.
    pub position: u64,
    /// Where the store has it.
    pub at: Whereabouts,
}

impl Kept {
    /// A message that is about to be submitted.
    #[must_use]
    pub fn with(position: u64, ticket: &Arc<Ticket>) -> Self {
        Self { position, at: Whereabouts::With(Arc::clone(ticket)) }
    }

    /// The change that says it is gone from the queue.
    #[must_use]
    pub fn gone(self, queue: QueueId) -> Change {
        Change::Gone { queue, position: self.position, floor: 0, at: settle(self.at) }
    }

    /// The move that says it is gone from the queue if what it moves with is durable.
    #[must_use]
    pub fn moves(self, queue: QueueId) -> Move {
        Move::Gone { queue, position: self.position, at: self.at }
    }
}

/// Settles a message that may not be written yet; answers what is left to be told.
#[must_use]
pub fn settle(at: Whereabouts) -> Whereabouts {
    match at {
        Whereabouts::With(ticket) => Store::settle(&ticket),
        other => other,
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    clock: Clock,
    /// Retained messages.
    pub retained: OwnQueue,
    /// Messages that are published later.
    pub delayed: OwnQueue,
}

impl Journal {
    /// Opens the store; see [`Store::open`].
    ///
    /// # Errors
    /// Nothing can be read or written at all, or the files are those of a newer version.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        clock: Clock,
        visit: &mut dyn FnMut(&State, Stored<'_>),
    ) -> Result<(Self, State, Report), OpenError> {
        // What the state says of positions is what has left them: those that are taken are seen here.
        let mut taken = [(RETAINED, 0), (DELAYED, 0)];
        let (store, state, report) = Store::open(disk, options, &mut |state, stored| {
            let name = state.queue(stored.queue).map(|queue| &*queue.name);
            if let Some((_, next)) = taken.iter_mut().find(|(own, _)| name == Some(own)) {
                *next = stored.position.saturating_add(1).max(*next);
            }
            visit(state, stored);
        })?;
        let mut draft = Draft::default();
        let mut own = |(name, taken): (&[u8], u64)| {
            let known = state.queues().find(|(_, queue)| &*queue.name == name);
            let id = known.map_or_else(
                || {
                    let queue = store.new_queue();
                    draft.change(Change::Define { queue, name: name.into() });
                    queue
                },
                |(id, _)| id,
            );
            OwnQueue::new(id, known.map_or(0, |(_, queue)| queue.next_free()).max(taken))
        };
        let [retained, delayed] = taken.map(&mut own);
        store.note(draft);
        Ok((Self { store, clock, retained, delayed }, state, report))
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Whether messages are taken in now.
    ///
    /// # Errors
    /// They are not, and why.
    pub fn admits(&self) -> Result<(), Refused> {
        self.store.admits().map_err(refused)
    }

    /// A deadline of the node in milliseconds since 1970; `None` for never.
    #[must_use]
    pub fn to_unix_ms(&self, at_ms: u64) -> Option<u64> {
        (at_ms != NEVER_MS).then(|| (self.clock.unix_ms() + at_ms).saturating_sub(self.clock.now_ms()))
    }

    /// A time since 1970 in the node's milliseconds; what has passed before the node started is 0.
    #[must_use]
    pub fn from_unix_ms(&self, unix_ms: Option<u64>) -> u64 {
        from_unix_ms(&self.clock, unix_ms)
    }
}

/// A time since 1970 in the milliseconds of a node's clock.
#[must_use]
pub fn from_unix_ms(clock: &Clock, unix_ms: Option<u64>) -> u64 {
    unix_ms.map_or(NEVER_MS, |unix_ms| unix_ms.saturating_add(clock.now_ms()).saturating_sub(clock.unix_ms()))
}

/// The names of the node's own queues.
pub const RETAINED: &[u8] = b"r";
/// See [`RETAINED`].
pub const DELAYED: &[u8] = b"d";

const fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::DiskFailed => Refused::DiskFailed,
        Refusal::Overloaded => Refused::Overloaded,
        Refusal::BudgetUsedUp => Refused::DiskLimit,
        _ => Refused::DiskFull,
    }
}

impl Durable for Journal {
    type Group = Group;

    fn outcome(&self, group: Group) -> Option<Result<(), Refused>> {
        let is_durable = self.store.outcome(group)?;
        Some(if is_durable { Ok(()) } else { Err(self.store.admits().err().map_or(Refused::DiskFull, refused)) })
    }
}
