//! What MQTT 5.0 demands of a broker from PUBLISH on (chapters 3.3 to 3.15, 4), and what its users expect beyond it.
//!
//! The statements stand in `tests/conformance/mqtt-5.0.toml`, each with the tests that hold it. Here each test is named
//! after what it holds and says which statements these are. CONNECT, CONNACK and the data types are tested elsewhere.

mod acks;
mod aliases;
mod auth;
mod bursts;
mod delayed;
mod delivery;
mod disconnect;
mod errors;
mod exactly_once;
mod expiry;
mod fixture;
mod flow;
mod order;
mod overflow;
mod overlap;
mod publish;
mod redelivery;
mod regressions;
mod retained;
mod session;
mod shared;
mod size;
mod subscribe;
mod sys;
mod topics;
mod unsubscribe;
mod wills;
