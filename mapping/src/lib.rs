//! Mapping: Rhai rules that route, change and re-enqueue messages.
//!
//! The pure half compiles scripts, runs a rule on a message and answers what came of it: no clock, disk or node is in
//! it. `run` carries that out on a node.

#![cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the engine that uses it comes with the next merge"))]

#[doc(hidden)]
pub mod bench;
mod call;
mod durations;
mod functions;
mod limits;
mod lookup;
mod message;
mod output;
mod state;
#[cfg(test)]
mod testing;
mod values;

pub use self::{
    limits::Limits,
    lookup::{LookupError, LookupFormat, LookupReload, Lookups},
    message::{Content, Msg, Origin, Stage},
    output::{Output, Target, Verdict},
    state::{RuleState, StateChange},
};
