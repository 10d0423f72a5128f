//! Mapping: Rhai rules that route, change and re-enqueue messages.
//!
//! The pure half compiles scripts, runs a rule on a message and answers what came of it: no clock, disk or node is in
//! it. `run` carries that out on a node.

#[doc(hidden)]
pub mod bench;
mod call;
mod check;
mod duration;
mod edges;
mod engine;
mod failure;
mod footprint;
mod functions;
mod host;
mod limits;
mod load_error;
mod lookup;
mod message;
mod meter;
mod natives;
mod options;
mod output;
pub mod record;
mod reference;
mod rule;
mod ruleset;
mod run;
mod script;
mod seat;
mod shard;
mod stamp;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod values;

pub use rhai;

pub use self::{
    failure::{Failure, FailureReason},
    host::Host,
    limits::{Limits, RULES_PER_FILE_MAX, SCRIPT_BYTES_MAX},
    load_error::{LoadError, LoadErrors},
    lookup::{LookupError, LookupFormat, LookupReload, Lookups},
    message::{Content, Msg, Origin, Stage},
    options::{Begin, Delivery, KeyBy, OnError, RuleOptions},
    output::{Output, Target, Verdict},
    reference::reference,
    rule::{Called, How, Rule, Source, Trace},
    ruleset::Ruleset,
    run::{COMMANDS, Mapping, OWN_QUEUES, Reloaded, view},
    state::{RuleState, StateChange},
};
