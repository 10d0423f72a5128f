//! The server's role: asks for a proof, checks it, and proves itself.
//!
//! Does not derive keys from passwords, so a step is cheap whoever asks. Users come from the caller's look-up.

use core::fmt;

use subtle::ConstantTimeEq;

use super::credentials::{Credentials, Decoy, hash, hmac, xor};
use super::message::{ClientFinal, ClientFirst, encode};
use super::{KEY_BYTES, NONCE_BYTES, ScramError};

/// One exchange, seen from the server.
pub struct ScramServer {
    nonce: String,
    decoy: Decoy,
    state: State,
}

enum State {
    Start,
    Asked(Box<Asked>),
    Ended,
}

/// What the second step needs of the first.
struct Asked {
    header: String,
    /// `client-first-message-bare "," server-first-message`
    messages: String,
    nonce: String,
    username: String,
    credentials: Credentials,
    known: bool,
}

/// What a server does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerStep {
    /// Sends this message and waits for another.
    Continue(Vec<u8>),
    /// The client is this user; the message proves the server to it.
    Done {
        /// The user's name, without escapes.
        username: String,
        /// The last message.
        server_final: Vec<u8>,
    },
}

/// Shows no keys.
impl fmt::Debug for ScramServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramServer").field("username", &self.username()).finish_non_exhaustive()
    }
}

impl ScramServer {
    /// `nonce` must be random and new for each exchange.
    #[must_use]
    pub fn new(nonce: [u8; NONCE_BYTES], decoy: Decoy) -> Self {
        Self::with_nonce(encode(&nonce), decoy)
    }

    pub(super) fn with_nonce(nonce: String, decoy: Decoy) -> Self {
        Self { nonce, decoy, state: State::Start }
    }

    /// Takes the client's next message. `lookup` is called in the first step, with the user's name.
    ///
    /// # Errors
    /// Says why the exchange has failed; it is over then. Tell the client no more than that it failed.
    pub fn step(
        &mut self,
        input: &[u8],
        lookup: impl FnOnce(&str) -> Option<Credentials>,
    ) -> Result<ServerStep, ScramError> {
        match core::mem::replace(&mut self.state, State::Ended) {
            State::Start => self.ask(input, lookup).map(ServerStep::Continue),
            State::Asked(asked) => asked.check(input),
            State::Ended => Err(ScramError::Order),
        }
    }

    /// The name the client gave, which is proven only by [`ServerStep::Done`]. `None` before the first step and after
    /// the last.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        match &self.state {
            State::Asked(asked) => Some(&asked.username),
            State::Start | State::Ended => None,
        }
    }

    fn ask(&mut self, input: &[u8], lookup: impl FnOnce(&str) -> Option<Credentials>) -> Result<Vec<u8>, ScramError> {
        let first = ClientFirst::read(input)?;
        if first.authzid.as_ref().is_some_and(|authzid| *authzid != first.username) {
            return Err(ScramError::Authzid);
        }
        // The decoy is made for known users too: both take the same time.
        let decoy = self.decoy.credentials(&first.username);
        let found = lookup(&first.username);
        let known = found.is_some();
        let credentials = found.unwrap_or(decoy);
        let nonce = format!("{}{}", first.nonce, self.nonce);
        let reply = format!("r={nonce},s={},i={}", encode(&credentials.salt), credentials.iterations);
        self.state = State::Asked(Box::new(Asked {
            header: first.header.to_owned(),
            messages: format!("{},{reply}", first.bare),
            nonce,
            username: first.username,
            credentials,
            known,
        }));
        Ok(reply.into_bytes())
    }
}

impl Asked {
    fn check(self, input: &[u8]) -> Result<ServerStep, ScramError> {
        let last = ClientFinal::read(input)?;
        if last.binding != self.header.as_bytes() {
            return Err(ScramError::ChannelBinding);
        }
        if last.nonce != self.nonce {
            return Err(ScramError::Nonce);
        }
        let proof = <[u8; KEY_BYTES]>::try_from(last.proof).map_err(|_| ScramError::Malformed)?;
        let signed: [&[u8]; 3] = [self.messages.as_bytes(), b",", last.without_proof.as_bytes()];
        let client_key = xor(proof, &hmac(&self.credentials.stored_key, &signed));
        let server_final = format!("v={}", encode(&hmac(&self.credentials.server_key, &signed)));
        let proven = hash(&client_key).ct_eq(&self.credentials.stored_key);
        if !bool::from(proven) || !self.known {
            return Err(ScramError::Proof);
        }
        Ok(ServerStep::Done { username: self.username, server_final: server_final.into_bytes() })
    }
}
