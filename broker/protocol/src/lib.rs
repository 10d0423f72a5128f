//! MQTT 3.1, 3.1.1 and 5.0 without IO: the codec and the session machine.
//!
//! Nothing here owns a socket, a clock or a thread. The codec turns bytes into borrowed packets and packets into
//! bytes, in the server's and in the client's role; the session machine turns packets into effects.

#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]
#![cfg_attr(
    test,
    expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")
)]

pub mod auth;
pub mod codec;
pub mod limits;
pub mod reason;
pub mod session;
pub mod version;
pub mod violation;

pub use reason::ReasonCode;
pub use version::Version;
pub use violation::Violation;
