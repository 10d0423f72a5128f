//! What the tests of the workspace stand on: broker processes and MQTT clients that share no code with Primer.
//!
//! - [`Broker`] starts the real program on a free port, reads what it says and ends it by its process id.
//! - [`Raw`] sends exact bytes and tells packets, silence and a closed connection apart.
//! - [`wire`] builds and reads packets of MQTT 3.1, 3.1.1 and 5.0; what it builds are bytes that a test may damage.
//! - [`Client`] is a well-behaved blocking client over the two.
//! - [`mqttbytes_client`] speaks through the crate mqttbytes: for load, and as a second opinion on the format.
//! - [`program`] finds the program, for tests of what it does besides being a broker.
//! - [`certificates`] makes authorities, certificates and keys for TLS.
//! - [`peers`] finds the foreign clients that interop tests run.
//!
//! It is test code: what goes wrong ends in a panic that says what was awaited and what came, at the test's own line.
//! Every wait ends: [`TIMEOUT`] unless the call takes a limit of its own.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

pub mod broker;
pub mod certificates;
pub mod client;
pub mod mqttbytes_client;
pub mod peers;
pub mod port;
pub mod program;
pub mod ran;
pub mod raw;
pub mod sys;
pub mod wire;

pub use broker::{Broker, Launch};
pub use client::{Client, Refused};
pub use raw::{Raw, Received};
pub use wire::{Packet, Prop, Publish, Version};

/// How long a call waits for what must come. Long, because CI has two cores and runs tests side by side.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a call waits to be convinced that nothing comes. Short: it is spent in full each time.
pub const SILENCE: Duration = Duration::from_millis(200);
