//! Primer's machines: pure state, no clock, no socket, no file, no thread, no global random source. (Hash tables are
//! seeded by the process against made-up collisions; nothing follows the order of a hash table.)
//!
//! What a node does with queues, topics and acknowledgements is decided here; `primer` (the node) carries it out.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

pub mod backlog;
pub mod commit;
pub mod deadlines;
pub mod delayed;
pub mod limits;
pub mod message;
pub mod properties;
pub mod queue;
pub mod retained;
pub mod topic;
pub mod trie;
