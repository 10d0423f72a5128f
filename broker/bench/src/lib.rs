//! A load generator for MQTT brokers, and a comparison of brokers: what `primer bench` runs.
//!
//! Loads are closed loops (no more in flight than a window) or open ones (messages are due at a rate, whatever the
//! broker does, and their latency counts from when they were due). Every message carries a sequence number, and a run
//! says whether anything was lost, doubled or reordered; a fast broker that loses messages does not win here.
//!
//! The crate speaks MQTT through the codec of `primer-mqtt` and knows no broker: any that listens on TCP can be loaded.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

mod client;
mod clock;
pub mod compare;
pub mod crash;
mod error;
mod flow;
mod frame;
mod limits;
mod number;
mod pace;
mod process;
mod progress;
mod report;
mod scenario;
mod shared;
mod stage;
mod stamp;
mod stop;
mod tally;
mod track;
mod worker;

pub use self::{
    error::BenchError,
    report::{Broker, Latency, Report},
    scenario::{Load, Loop, Scenario, run},
    stop::Stop,
};
