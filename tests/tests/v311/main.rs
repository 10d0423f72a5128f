//! What MQTT 3.1.1 demands of a broker, and a little of MQTT 3.1.
//!
//! The statements stand in `tests/conformance/mqtt-3.1.1.toml`, each with the tests that hold it. Here each test is
//! named after what it holds and says which statements these are.

mod client_id;
mod connack;
mod connect;
mod credentials;
mod delivery;
mod exactly_once;
mod fixture;
mod flags;
mod identifiers;
mod keep_alive;
mod order;
mod publish;
mod redelivery;
mod retained;
mod session;
mod subscribe;
mod text;
mod topics;
mod transport;
mod unsubscribe;
mod v31;
mod violations;
mod will;
