//! Tests of the codec from outside: the named cases, round trips, the comparison with mqttbytes, mutations.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod cases;
mod cases_v4;
mod cases_v5;
mod differential;
mod frame;
#[path = "../../../../tests/fuzz/src/generate.rs"]
pub mod generate;
mod roundtrip;
mod smoke;
mod tables;
#[path = "../../../../tests/fuzz/src/targets.rs"]
pub mod targets;
