//! What MQTT 5.0 demands of a broker up to CONNACK: the data types, the packet format, CONNECT and CONNACK (chapters 1,
//! 2, 3.1 and 3.2).
//!
//! The statements stand in `tests/conformance/mqtt-5.0.toml`, each with the tests that hold it. Here each test is named
//! after what it holds and says which statements these are. What follows CONNACK is tested elsewhere.

mod client_id;
mod client_limits;
mod connack;
mod connect;
mod credentials;
mod fixture;
mod flags;
mod identifiers;
mod information;
mod keep_alive;
mod properties;
mod server_limits;
mod session;
mod text;
mod varints;
mod will;
