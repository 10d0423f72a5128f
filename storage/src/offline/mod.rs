//! What is done with a store that no process serves from: look at it, check it, make it small, put another in its
//! place.
//!
//! Looking and checking change no file: what redb and recovery would write goes into a [`View`] in memory.

mod check;
mod compact;
mod reading;
mod replace;
mod view;

pub use self::{
    check::{Checked, FileCheck, check},
    compact::{CompactError, Compacted, Sizes, compact},
    reading::{FileFigures, Reading},
    replace::Building,
    view::{View, try_view},
};
pub(crate) use replace::finish;
