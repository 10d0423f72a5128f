//! Bounds on what is read.

/// Bytes of one file of the configuration: some ten thousand queues fit.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// Files that one `include` brings.
pub(crate) const INCLUDED_FILES_MAX: usize = 1000;

/// Faults that are shown; a file of another kind has one in each line.
pub(crate) const FAULTS_SHOWN_MAX: usize = 20;

/// Listeners, each with all its addresses.
pub(crate) const LISTENERS_MAX: usize = 1000;
