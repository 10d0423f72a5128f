//! What a script may use up. Each limit ends the call for that message alone, with a counted reason.

use std::time::Duration;

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
    /// Variables that are there at a time.
    pub variables: usize,
    /// Bytes of a text, all texts in an array or map together.
    pub string_bytes: usize,
    /// Elements of an array, bytes of a blob, those of arrays in it included.
    pub array_len: usize,
    /// Entries of a map, those of maps in it included.
    pub map_len: usize,
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
        array_len: 65_536,
        map_len: 16_384,
        fan_out: 100,
        hops: 16,
        state_keys: 10_000,
        state_bytes: 1 << 20,
    };

    /// For rules of stage `ingress`, which hold up the client's connection and others of its thread.
    pub const INGRESS: Self = Self { operations: 50_000, wall: Duration::from_millis(20), ..Self::GROUP };
}
