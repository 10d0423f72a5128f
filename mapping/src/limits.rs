//! What a script may use up. Each limit ends the call for that message alone, with a counted reason.
//!
//! Memory: Rhai bounds each value that an operation makes, and the number of variables; here the variables of all
//! functions that are in each other count together, and what they hold is measured while the call runs (`footprint`).
//! What this crate's own functions make (payloads, JSON, CBOR, outputs) is added up over the whole call. Both are
//! bounded by `memory_bytes`. What a program's own functions allocate is theirs to bound.

use std::time::Duration;

/// The largest file of rules.
pub const SCRIPT_BYTES_MAX: usize = 256 << 10;
/// Rules of a file. A file that needs more is better two.
pub const RULES_PER_FILE_MAX: usize = 256;
/// Script functions of a file, closures included.
pub(crate) const FUNCTIONS_PER_FILE_MAX: usize = 1_024;
/// Errors told of a file; more of them are seldom read.
pub(crate) const ERRORS_PER_FILE_MAX: usize = 20;
/// Lines of `print` and `debug` that are kept of a call.
pub(crate) const PRINTS_MAX: usize = 32;
/// Operations and time that evaluating a file may take, when it is loaded.
pub(crate) const LOAD_OPERATIONS: u64 = 1_000_000;
/// See [`LOAD_OPERATIONS`].
pub(crate) const LOAD_WALL: Duration = Duration::from_secs(2);

/// The bounds of a rule's calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Operations of Rhai in a call.
    pub operations: u64,
    /// Time that a call may take by the wall clock.
    pub wall: Duration,
    /// Functions that are in each other at a time.
    pub call_depth: usize,
    /// Expressions in each other, checked when the script is loaded.
    pub expression_depth: usize,
    /// Variables that are there at a time, in all functions that are in each other.
    pub variables: usize,
    /// Bytes of a text, all texts in an array or map together.
    pub string_bytes: usize,
    /// Elements of an array, bytes of a blob, those of arrays in it included.
    pub array_len: usize,
    /// Entries of a map, those of maps in it included.
    pub map_len: usize,
    /// Bytes that the variables hold at a time, and bytes that this crate's functions make in one call: payloads, JSON,
    /// CBOR, outputs.
    pub memory_bytes: usize,
    /// Outputs of one call.
    pub fan_out: usize,
    /// How many rules a message may go through.
    pub hops: u8,
    /// Entries of a rule's state.
    pub state_keys: usize,
    /// Bytes of a rule's state.
    pub state_bytes: usize,
}

impl Limits {
    /// For rules of stage `group`.
    pub const GROUP: Self = Self {
        operations: 500_000,
        wall: Duration::from_millis(250),
        call_depth: 24,
        expression_depth: 64,
        variables: 128,
        string_bytes: 1 << 20,
        array_len: 1 << 20,
        map_len: 16_384,
        memory_bytes: 32 << 20,
        fan_out: 100,
        hops: 16,
        state_keys: 10_000,
        state_bytes: 1 << 20,
    };

    /// For rules of stage `ingress`, which hold up the client's connection and others of its thread.
    pub const INGRESS: Self = Self { operations: 50_000, wall: Duration::from_millis(20), ..Self::GROUP };
}
