//! A store as a file that outlives formats and machines: one JSON object a line, read by people and by programs.
//!
//! [`dump`] writes what a broker would find in a data directory, [`restore`] makes a data directory of it on which a
//! broker goes on as on the first. [`survey`] says what is in a data directory, [`peruse()`] what was said in a dump.
//! None of them runs beside a broker on the same directory, whose lock they take; dump and survey change no file there.
//!
//! Payloads pass through: memory holds one message, and what the store's own state takes.

mod dump;
mod format;
mod inward;
mod lines;
mod merge;
mod outward;
mod pack;
mod peruse;
mod queue_inward;
mod queue_lines;
mod queue_outward;
mod restore;
mod survey;
mod tables;

use std::{io, path::PathBuf};

use primer::journal::{FolderError, OpenError};

pub use self::{
    dump::{Dumped, dump, look_for, open},
    pack::{Packed, unpack},
    peruse::{Perused, PerusedPlace, peruse},
    restore::{Restore, Restored, Source, restore},
    survey::{File, Oldest, Queue, Survey, Table, survey},
};

/// What has passed so far, for who shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines of sessions.
    pub sessions: u64,
    /// Lines of queues.
    pub queues: u64,
    /// Lines of tables.
    pub tables: u64,
    /// Lines of messages.
    pub messages: u64,
    /// Bytes of lines, as they are before packing.
    pub bytes: u64,
}

/// Why a dump or a restore did not come to its end. A data directory that was to be restored into is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortableError {
    /// There is no store to be dumped.
    #[error("there is no store in {}: name the directory that `primer serve --data` has", directory.display())]
    NoStore {
        /// Where.
        directory: PathBuf,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store in it does not open.
    #[error("cannot open the data directory {}", directory.display())]
    Open {
        /// Which.
        directory: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The dump cannot be written.
    #[error("cannot write the dump: {0}")]
    Write(io::Error),
    /// The dump cannot be read.
    #[error("cannot read the dump after line {line}")]
    Read {
        /// The last line that was read.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// It begins with something else.
    #[error("this is no dump of Primer: line 1 is {says}; expected {{\"primer_dump\":{{...}}}}")]
    NoDump {
        /// What it is.
        says: String,
    },
    /// It was written by a newer version.
    #[error("the dump has format {found}, newer than this version of Primer reads ({reads}): use a newer version")]
    Newer {
        /// Its format.
        found: u32,
        /// The newest that is read.
        reads: u32,
    },
    /// A line is not as it should be.
    #[error("line {line} of the dump: {says}; expected {expected}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong.
        says: String,
        /// What would be right.
        expected: String,
    },
    /// The last line is not there.
    #[error("the dump is cut off: it ends after line {line}, without its last line, {{\"end\":{{...}}}}; get it anew")]
    CutOff {
        /// The last line there is.
        line: u64,
    },
    /// It is not as it was written.
    #[error("the dump was altered: its lines have the checksum {found}, its last line says {says}; get it anew")]
    Altered {
        /// Of the lines that were read.
        found: String,
        /// As it was written.
        says: String,
    },
    /// Lines are missing, or there are too many.
    #[error("the dump was altered: it has {found} {what}, its last line says {says}; get it anew")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many were read.
        found: u64,
        /// How many were written.
        says: u64,
    },
    /// There is something in the data directory.
    #[error(
        "the data directory {} is not empty: it has {sessions} sessions, {queues} queues, {tables} tables and \
         {messages} messages; choose another one, or add to it with --merge",
        directory.display()
    )]
    NotEmpty {
        /// Which.
        directory: PathBuf,
        /// Sessions there.
        sessions: u64,
        /// Queues there.
        queues: u64,
        /// Tables there.
        tables: u64,
        /// Messages there.
        messages: u64,
    },
    /// What is in the data directory would be lost in part.
    #[error(
        "the store in {} is damaged, and what is damaged of it would be lost: start the broker on it once, which sets \
         damaged files aside, or restore into another directory",
        directory.display()
    )]
    Damaged {
        /// Which.
        directory: PathBuf,
    },
    /// The new store takes no more.
    #[error("the new store takes no more: {says}; give it more with --disk-limit, or make room on the disk")]
    Refused {
        /// Why.
        says: String,
    },
    /// The new store cannot be made or put into its place.
    #[error("cannot make the new store in {}", directory.display())]
    Build {
        /// Where.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}
