//! The durable store: an ordered stream of records in redb segment files behind one writer thread.
//!
//! It keeps two things. **Messages**, each stored once with the list of its destinations (a queue and a position
//! there), in the order in which they were committed. **State**: which queues there are, which positions of each are
//! gone, what is leased, and small entries that the owner of a queue may put there. Changes of state travel in the
//! same stream as deltas, one a commit; every segment file begins with a whole picture of it.
//!
//! What was [submitted](Store::submit) is durable when its [`Group`] is: one commit, one fsync, for all that came
//! while the last one was being written. See `docs/format.md` for the bytes and the argument about crashes.
//!
//! It knows no protocol and no peer. [`Disk`] is the port on which tests inject faults.

mod backend;
mod change;
mod clean;
mod commit;
mod cost;
pub mod disk;
pub mod draft;
mod identity;
mod intervals;
mod ledger;
pub mod limits;
mod loader;
mod mend;
mod message;
mod moves;
pub mod offline;
mod pace;
mod rebuild;
mod record;
mod recover;
mod reserve;
mod roster;
mod salvage;
mod segment;
mod show;
mod sources;
mod space;
mod state;
pub mod stats;
mod store;
mod ticket;
mod varint;
mod writer;

pub use self::{
    change::{Change, Move, QueueId, Whereabouts},
    disk::{Disk, Folder},
    draft::Draft,
    intervals::Intervals,
    loader::{Loaded, Want},
    recover::{OpenError, Report, Stored},
    state::{QueueState, State},
    stats::{Figures, Trimmed},
    store::{Group, Options, Refusal, Store, Sync, try_file},
    ticket::Ticket,
};
