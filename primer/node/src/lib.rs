//! The node: what one embeds. It owns the clock, the memory budget and the shared state of routing, and runs the
//! machines of `primer-core`; what is to last goes into its journal. It knows no protocol and opens no socket.
//!
//! `S` is what a subscription carries: the face that uses the node (the MQTT server, say) brings its own.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

mod budget;
mod clock;
mod delayed;
pub mod drops;
pub mod journal;
mod node;
mod retained;
mod routes;

pub use self::{
    budget::{Budget, Charge},
    clock::Clock,
    delayed::DelayedStore,
    drops::Drops,
    journal::Journal,
    node::{Node, NodeOptions},
    retained::{Kept, Published, RetainedPage, RetainedStore},
    routes::{Routes, SubscriberKey},
};
