//! SCRAM-SHA-256 (RFC 5802, RFC 7677): a password is proven, not sent.
//!
//! Both roles are machines that turn a message into the next one; randomness comes in with the constructor. Nothing
//! here carries messages (MQTT 5.0 does, in AUTH packets, 4.12), stores credentials or counts attempts.
//!
//! Not done: channel binding (`p=` is refused; the `-PLUS` mechanism is another name) and SASLprep (RFC 4013). User
//! names and passwords are taken as their UTF-8 bytes, which for ASCII is what SASLprep gives; text that has several
//! Unicode spellings must be spelt alike when it is set and when it is used.

mod client;
mod credentials;
mod message;
mod server;
#[cfg(test)]
mod tests;

pub use self::client::{ClientStep, ScramClient};
pub use self::credentials::{Credentials, Decoy};
pub use self::server::{ScramServer, ServerStep};

/// The name of the mechanism, the Authentication Method of MQTT 5.0.
pub const METHOD: &str = "SCRAM-SHA-256";

/// The least iterations a password may be derived with (RFC 7677, 4).
pub const ITERATIONS_MIN: u32 = 4096;

/// The most iterations: a peer names the number, and the client has to compute them; this many take about a second.
pub const ITERATIONS_MAX: u32 = 2_000_000;

/// The shortest salt, in bytes: below it, salts of a few thousand users repeat.
pub const SALT_BYTES_MIN: usize = 8;

/// The longest salt, in bytes; more gives nothing.
pub const SALT_BYTES_MAX: usize = 64;

/// The length of the salts that [`Decoy`] makes up, in bytes. Salts of real users should have it too.
pub const SALT_BYTES: usize = 16;

/// The randomness one side puts into an exchange, in bytes. In base64 it needs no padding.
pub const NONCE_BYTES: usize = 18;

/// The longest message accepted, in bytes. Honest ones have a few hundred; a server keeps two of them in an exchange.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// The bytes of a key: of SHA-256.
pub const KEY_BYTES: usize = 32;

/// Why an exchange failed. The machine is then at its end; a new attempt needs a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScramError {
    /// The message is longer than [`MESSAGE_BYTES_MAX`].
    #[error("the message is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// The message does not follow the grammar (RFC 5802, 7).
    #[error("the message does not follow the grammar of RFC 5802, 7")]
    Malformed,
    /// The client wants channel binding, or its binding is not the header it sent (RFC 5802, 6).
    #[error("channel binding is not supported, or was changed on the way")]
    ChannelBinding,
    /// The message demands an extension (`m=`, RFC 5802, 5.1).
    #[error("the message demands an extension")]
    Extension,
    /// The client wants to act as another user.
    #[error("acting as another user is not supported")]
    Authzid,
    /// The nonce is not the one agreed on (RFC 5802, 5.1).
    #[error("the nonce is not that of this exchange")]
    Nonce,
    /// The password holds U+0000, which SASLprep prohibits (RFC 4013, 2.3).
    #[error("the password holds U+0000")]
    Password,
    /// The number of iterations is not from [`ITERATIONS_MIN`] to [`ITERATIONS_MAX`].
    #[error("the number of iterations is not from {ITERATIONS_MIN} to {ITERATIONS_MAX}")]
    Iterations,
    /// The length of the salt is not from [`SALT_BYTES_MIN`] to [`SALT_BYTES_MAX`].
    #[error("the salt is not from {SALT_BYTES_MIN} to {SALT_BYTES_MAX} bytes long")]
    Salt,
    /// There is no such user, or the password is wrong; the two are not told apart.
    #[error("the proof is wrong")]
    Proof,
    /// The server does not know the password either.
    #[error("the server's signature is wrong")]
    ServerSignature,
    /// The server ended the exchange with an error (`e=`).
    #[error("the server refused")]
    Refused,
    /// The exchange is over, or has not begun.
    #[error("a message out of order")]
    Order,
}
