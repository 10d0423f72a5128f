//! What a server keeps of a password, what it shows for users it does not know, and the formulas of RFC 5802, 3.
//!
//! No storage, no randomness: salts and secrets are given.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{ITERATIONS_MAX, ITERATIONS_MIN, KEY_BYTES, SALT_BYTES, SALT_BYTES_MAX, SALT_BYTES_MIN, ScramError};

/// A key: an output of SHA-256.
pub(super) type Key = [u8; KEY_BYTES];

/// What a server keeps of a user's password. It is enough to check the user, and to act as the server; it is not
/// enough to act as the user, but enough to try passwords, so keep it secret.
#[derive(Clone)]
pub struct Credentials {
    /// Random bytes of this user.
    pub salt: Vec<u8>,
    /// How often the password was hashed.
    pub iterations: u32,
    /// `H(HMAC(SaltedPassword, "Client Key"))`
    pub stored_key: Key,
    /// `HMAC(SaltedPassword, "Server Key")`
    pub server_key: Key,
}

/// Shows no keys: logs are not secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Derives them from a password; this takes a millisecond and more, as it is meant to.
    ///
    /// # Errors
    /// [`ScramError::Iterations`] and [`ScramError::Salt`] for what is out of bounds.
    pub fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Result<Self, ScramError> {
        if password.contains(&0) {
            return Err(ScramError::Password);
        }
        let salted = SaltedPassword::derive(password, salt, iterations)?;
        Ok(Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: hash(&salted.client_key()),
            server_key: salted.server_key(),
        })
    }

    /// Whether this is the password, for a client that sends it in the clear. Takes as long as [`Self::derive`].
    ///
    /// HMAC fills its key up with zeros, so a password with zeros behind it has the same key; none with a zero is
    /// right.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        SaltedPassword::derive(password, &self.salt, self.iterations)
            .is_ok_and(|salted| !password.contains(&0) && hash(&salted.client_key()).ct_eq(&self.stored_key).into())
    }
}

/// Stands in for users that do not exist, so that an exchange does not tell that they do not: the same salt each time,
/// and a proof that cannot succeed.
#[derive(Clone)]
pub struct Decoy {
    /// Random bytes that stay the same as long as the users do; all servers of a cluster need the same.
    pub secret: Key,
    /// The iterations of real users; a user with another number is seen to exist.
    pub iterations: u32,
}

/// Shows no secret.
impl fmt::Debug for Decoy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoy").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Decoy {
    /// Credentials without a password, the same for the same name.
    pub(super) fn credentials(&self, username: &str) -> Credentials {
        let name = username.as_bytes();
        let salt = hmac(&self.secret, &[b"salt,", name]);
        Credentials {
            salt: salt.into_iter().take(SALT_BYTES).collect(),
            iterations: self.iterations,
            stored_key: hmac(&self.secret, &[b"stored,", name]),
            server_key: hmac(&self.secret, &[b"server,", name]),
        }
    }
}

/// The secret of a client: `Hi(password, salt, i)`.
pub(super) struct SaltedPassword(Key);

impl SaltedPassword {
    pub(super) fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Result<Self, ScramError> {
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(ScramError::Iterations);
        }
        if !(SALT_BYTES_MIN..=SALT_BYTES_MAX).contains(&salt.len()) {
            return Err(ScramError::Salt);
        }
        let mut salted = [0; KEY_BYTES];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted);
        Ok(Self(salted))
    }

    pub(super) fn client_key(&self) -> Key {
        hmac(&self.0, &[b"Client Key"])
    }

    pub(super) fn server_key(&self) -> Key {
        hmac(&self.0, &[b"Server Key"])
    }
}

/// `HMAC(key, parts)`
pub(super) fn hmac(key: &Key, parts: &[&[u8]]) -> Key {
    // A key filled up with zeros to a block is the same key (RFC 2104, 2), and a whole block cannot be refused.
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// `H(key)`
pub(super) fn hash(key: &Key) -> Key {
    Sha256::digest(key).into()
}

/// `a XOR b`
pub(super) fn xor(mut a: Key, b: &Key) -> Key {
    for (a, b) in a.iter_mut().zip(b) {
        *a ^= b;
    }
    a
}
