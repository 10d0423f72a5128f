//! By what a change of a file is noticed.

use std::{fs::Metadata, time::SystemTime};

/// See the module's description. A file that was put in another's place has another inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(status: &Metadata) -> Self {
        Self { modified: status.modified().ok(), bytes: status.len(), inode: inode(status) }
    }
}

#[cfg(unix)]
fn inode(status: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(status)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}
