//! The client's role: names the user, proves the password, and checks that the server knows it too.
//!
//! Used by tests and by whoever connects to other brokers. Derives keys when the server's first message comes in,
//! which takes as long as the iterations it names, within bounds.

use core::fmt;

use subtle::ConstantTimeEq;

use super::credentials::{Key, SaltedPassword, hash, hmac, xor};
use super::message::{ServerFirst, encode, escape, read_server_final};
use super::{NONCE_BYTES, ScramError};

/// The header of a client without channel binding that acts as itself.
const HEADER: &str = "n,,";

/// One exchange, seen from the client.
pub struct ScramClient {
    username: String,
    password: Vec<u8>,
    nonce: String,
    state: State,
}

enum State {
    Start,
    Named,
    Proven { signature: Key },
    Ended,
}

/// What a client does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStep {
    /// Sends this message and waits for another.
    Continue(Vec<u8>),
    /// The server knows the password and has accepted the proof.
    Done,
}

/// Shows no password.
impl fmt::Debug for ScramClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramClient").field("username", &self.username).finish_non_exhaustive()
    }
}

impl ScramClient {
    /// `nonce` must be random and new for each exchange. `username` must not be empty nor hold U+0000: a server
    /// refuses that.
    #[must_use]
    pub fn new(username: &str, password: &[u8], nonce: [u8; NONCE_BYTES]) -> Self {
        Self::with_nonce(username, password, encode(&nonce))
    }

    pub(super) fn with_nonce(username: &str, password: &[u8], nonce: String) -> Self {
        Self { username: username.to_owned(), password: password.to_vec(), nonce, state: State::Start }
    }

    /// The first message. Asked for again, it is the same, and the exchange starts anew.
    pub fn first(&mut self) -> Vec<u8> {
        self.state = State::Named;
        format!("{HEADER}{}", self.first_bare()).into_bytes()
    }

    /// Takes the server's next message.
    ///
    /// # Errors
    /// Says why the exchange has failed; it is over then. The server is not who it says it is if this is
    /// [`ScramError::ServerSignature`].
    pub fn step(&mut self, input: &[u8]) -> Result<ClientStep, ScramError> {
        match core::mem::replace(&mut self.state, State::Ended) {
            State::Named => self.prove(input).map(ClientStep::Continue),
            State::Proven { signature } => {
                let received = read_server_final(input)?;
                if bool::from(received.ct_eq(&signature)) {
                    Ok(ClientStep::Done)
                } else {
                    Err(ScramError::ServerSignature)
                }
            }
            State::Start | State::Ended => Err(ScramError::Order),
        }
    }

    fn prove(&mut self, input: &[u8]) -> Result<Vec<u8>, ScramError> {
        let first = ServerFirst::read(input)?;
        // The server has to add randomness of its own, or it could replay an old exchange.
        match first.nonce.strip_prefix(&self.nonce) {
            Some(added) if !added.is_empty() => {}
            _ => return Err(ScramError::Nonce),
        }
        let salted = SaltedPassword::derive(&self.password, &first.salt, first.iterations)?;
        let without_proof = format!("c={},r={}", encode(HEADER.as_bytes()), first.nonce);
        let signed = format!("{},{},{without_proof}", self.first_bare(), first.text);
        let client_key = salted.client_key();
        let proof = xor(client_key, &hmac(&hash(&client_key), &[signed.as_bytes()]));
        self.state = State::Proven { signature: hmac(&salted.server_key(), &[signed.as_bytes()]) };
        Ok(format!("{without_proof},p={}", encode(&proof)).into_bytes())
    }

    fn first_bare(&self) -> String {
        format!("n={},r={}", escape(&self.username), self.nonce)
    }
}
