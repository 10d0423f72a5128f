//! The MQTT server on tokio: listeners, connections, routing, retained messages, wills, `$SYS`.
//!
//! [`Broker::start`] serves until [`Broker::shutdown`]. Several brokers can run in one process; nothing is global but
//! one read buffer a worker thread.
//!
//! A publish goes `connection` -> session machine (`primer-mqtt`) -> `pipeline` (authorise, destinations, commit) ->
//! `fanout` (into the subscribers' `session` buffers) -> proof -> acknowledgement. `docs/ARCHITECTURE.md` follows one.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

pub mod access;
mod authentication;
mod batch;
mod broker;
mod buffers;
mod connection;
mod control;
mod counters;
mod delivery;
mod denials;
mod durable;
mod events;
mod fanout;
mod filters;
mod handshake;
mod housekeeper;
mod hub;
mod ingress;
mod leftover;
mod limits;
mod listener;
mod moving;
pub mod options;
mod password_turns;
mod pipeline;
pub mod portable;
mod queues;
mod rate;
mod registry;
mod replay;
mod restore;
mod schema;
mod session;
mod session_drops;
mod silence;
mod subscribe;
mod sys;
pub mod transport;
mod turns;
mod votes;
mod will;

pub use self::{
    authentication::SCRAM_ITERATIONS,
    broker::{Broker, Entrance, StartError},
    options::{DataOptions, Options},
};
pub use primer::journal;
