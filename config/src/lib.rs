//! Files, variables of the environment and options of the command line become options of the crates.
//!
//! One table ([`schema`]) says what keys there are; [`load`] reads the layers, weakest first: defaults, file,
//! environment, command line. Each value knows where it comes from, and all faults are told at once, each with its
//! place. The crate touches neither disk nor environment: a [`Machine`] and the variables are given to it, but for
//! paths, of which it asks the machine whether they are there.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

mod effective;
pub mod explain;
mod kind;
mod layers;
pub mod limits;
pub mod mosquitto;
mod nearest;
mod problem;
pub mod quantity;
mod queues;
pub mod sample;
pub mod schema;
mod settings;
mod value;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use self::{
    effective::{Effective, Entry},
    kind::{Given, Kind, Wanted},
    layers::{Flags, ip_address},
    problem::{Faults, Origin, Problem},
    queues::QueueRule,
    settings::{Access, Difference, Log, Settings, disk_bytes, load},
    value::{Address, Value},
};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Something that can be read.
    File,
    /// A folder.
    Folder,
}

/// The machine that the configuration is for.
pub trait Machine {
    /// The text of a file, of which more than [`limits::FILE_BYTES_MAX`] and one byte need not be read.
    ///
    /// # Errors
    /// It cannot be read, or is no UTF-8.
    fn read(&self, file: &Path) -> io::Result<String>;

    /// The files of a folder, in any order.
    ///
    /// # Errors
    /// It cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// What a path leads to, if anything.
    fn look(&self, path: &Path) -> Option<Thing>;

    /// Bytes of memory.
    fn memory_bytes(&self) -> u64;

    /// Bytes that are free on the disk where a folder is, or is going to be.
    fn free_bytes(&self, folder: &Path) -> Option<u64>;

    /// Bytes of the files in a folder; 0 where there is none.
    fn used_bytes(&self, folder: &Path) -> u64;
}

#[cfg(test)]
mod testing;
