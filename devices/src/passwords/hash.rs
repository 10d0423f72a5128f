//! One password's hash: read, written, checked, made.
//!
//! ```text
//! $6$SALT$HASH                                   SHA-512 of the password and then the salt
//! $7$ITERATIONS$SALT$HASH                        PBKDF2 with HMAC-SHA-512, 64 bytes
//! $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH   Argon2id (RFC 9106), as a PHC string
//! ```
//! Salt and hash are base64: with padding in the first two, which are mosquitto's, without in the third.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use crate::limits::{
    ARGON2_HASH_BYTES, ARGON2_HASH_BYTES_MAX, ARGON2_HASH_BYTES_MIN, ARGON2_LANES_MAX, ARGON2_MEMORY_KIB,
    ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES, ARGON2_PASSES_MAX, ARGON2_SALT_BYTES, ITERATIONS_MAX, MOSQUITTO_SALT_BYTES,
    SALT_BYTES_MAX,
};

/// Bytes of SHA-512.
const SHA512_BYTES: usize = 64;

/// Padding or none: tools differ.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a password is hashed, and how much work that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `$6$`: one SHA-512. A stolen file gives its passwords away at a billion guesses a second.
    Sha512,
    /// `$7$`: so many rounds of PBKDF2 with HMAC-SHA-512.
    Pbkdf2 {
        /// 1 to [`ITERATIONS_MAX`].
        iterations: u32,
    },
    /// `$argon2id$`: needs memory as well as time.
    Argon2id {
        /// KiB, 8 for each lane to [`ARGON2_MEMORY_KIB_MAX`].
        memory_kib: u32,
        /// 1 to [`ARGON2_PASSES_MAX`].
        passes: u32,
        /// 1 to [`ARGON2_LANES_MAX`].
        lanes: u32,
    },
}

impl Kind {
    /// What Primer hashes with if nobody says otherwise.
    pub const DEFAULT: Self = Self::Argon2id { memory_kib: ARGON2_MEMORY_KIB, passes: ARGON2_PASSES, lanes: 1 };

    /// Bytes of the salt that a new hash of this kind should have.
    #[must_use]
    pub const fn salt_bytes(self) -> usize {
        match self {
            Self::Sha512 | Self::Pbkdf2 { .. } => MOSQUITTO_SALT_BYTES,
            Self::Argon2id { .. } => ARGON2_SALT_BYTES,
        }
    }
}

/// Why a text is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// It does not begin with `$`.
    #[error("the password is not hashed")]
    Plain,
    /// It begins with `$` and is none of those that are known.
    #[error("the hash is of an unknown kind: $6$, $7$ and $argon2id$ are known")]
    Unknown,
    /// A part is missing, or is not what stands there.
    #[error("the hash is damaged: {0}")]
    Damaged(&'static str),
    /// It would take too long, or too much memory, to check.
    #[error("the hash asks for {0}")]
    Absurd(String),
    /// Argon2 has not made a hash.
    #[error("the password cannot be hashed: {0}")]
    Failed(String),
}

/// A password's hash, with its salt.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    kind: Kind,
    salt: Box<[u8]>,
    hash: Box<[u8]>,
}

impl Hash {
    /// Hashes a password. The salt is to be random, [`salt_bytes`](Kind::salt_bytes) long.
    ///
    /// # Errors
    /// The kind's numbers are out of their ranges, or the salt is too short (8 bytes for Argon2) or too long.
    pub fn new(kind: Kind, password: &[u8], salt: &[u8]) -> Result<Self, HashError> {
        check_kind(kind)?;
        check_salt(salt)?;
        let len = if let Kind::Argon2id { .. } = kind { ARGON2_HASH_BYTES } else { SHA512_BYTES };
        let hash = compute(kind, password, salt, len, &mut Scratch::default())?.into();
        Ok(Self { kind, salt: salt.into(), hash })
    }

    /// Reads one out of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let rest = text.strip_prefix('$').ok_or(HashError::Plain)?;
        let (id, rest) = rest.split_once('$').ok_or(HashError::Unknown)?;
        let (kind, rest) = match id {
            "6" => (Kind::Sha512, rest),
            "7" => {
                let (iterations, rest) = rest.split_once('$').ok_or(HashError::Damaged("it ends too early"))?;
                let iterations = number(iterations, "iterations", ITERATIONS_MAX)?;
                (Kind::Pbkdf2 { iterations }, rest)
            }
            "argon2id" => argon2id(rest)?,
            _ => return Err(HashError::Unknown),
        };
        check_kind(kind)?;
        let (salt, hash) = rest.split_once('$').ok_or(HashError::Damaged("it ends too early"))?;
        let salt = LENIENT.decode(salt).map_err(|_| HashError::Damaged("its salt is no base64"))?;
        let hash = LENIENT.decode(hash).map_err(|_| HashError::Damaged("its last part is no base64"))?;
        check_salt(&salt)?;
        let is_whole = match kind {
            Kind::Sha512 | Kind::Pbkdf2 { .. } => hash.len() == SHA512_BYTES,
            Kind::Argon2id { .. } => {
                salt.len() >= argon2::MIN_SALT_LEN
                    && (ARGON2_HASH_BYTES_MIN..=ARGON2_HASH_BYTES_MAX).contains(&hash.len())
            }
        };
        if !is_whole {
            return Err(HashError::Damaged("a part of it has the wrong length"));
        }
        Ok(Self { kind, salt: salt.into(), hash: hash.into() })
    }

    /// Whether this is the password. Takes as long for a wrong one.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        self.verify_in(password, &mut Scratch::default())
    }

    /// The same in memory that was used before.
    pub(super) fn verify_in(&self, password: &[u8], scratch: &mut Scratch) -> bool {
        let hash = compute(self.kind, password, &self.salt, self.hash.len(), scratch);
        hash.is_ok_and(|hash| hash.ct_eq(&self.hash).into())
    }

    /// How it was hashed.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// A hash of nobody's, which takes as long to check as one of this kind and length.
    pub(super) fn decoy(&self) -> Self {
        Self { kind: self.kind, salt: vec![0; self.salt.len()].into(), hash: vec![0; self.hash.len()].into() }
    }
}

impl fmt::Display for Hash {
    /// As it stands in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Sha512 => write!(f, "$6${}${}", STANDARD.encode(&self.salt), STANDARD.encode(&self.hash)),
            Kind::Pbkdf2 { iterations } => {
                write!(f, "$7${iterations}${}${}", STANDARD.encode(&self.salt), STANDARD.encode(&self.hash))
            }
            Kind::Argon2id { memory_kib, passes, lanes } => {
                write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}$")?;
                write!(f, "{}${}", LENIENT.encode(&self.salt), LENIENT.encode(&self.hash))
            }
        }
    }
}

impl fmt::Debug for Hash {
    /// Without salt and hash: they do not belong into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// `v=19$m=..,t=..,p=..` and what follows.
fn argon2id(rest: &str) -> Result<(Kind, &str), HashError> {
    let rest = rest.strip_prefix("v=19$").ok_or(HashError::Damaged("it is not of Argon2's version 19"))?;
    let (numbers, rest) = rest.split_once('$').ok_or(HashError::Damaged("it ends too early"))?;
    let (mut memory_kib, mut passes, mut lanes) = (None, None, None);
    for part in numbers.split(',') {
        let (place, text, what, max) = match part.split_once('=') {
            Some(("m", text)) => (&mut memory_kib, text, "KiB of memory", ARGON2_MEMORY_KIB_MAX),
            Some(("t", text)) => (&mut passes, text, "passes", ARGON2_PASSES_MAX),
            Some(("p", text)) => (&mut lanes, text, "lanes", ARGON2_LANES_MAX),
            _ => return Err(HashError::Damaged("its parameters are not m, t and p")),
        };
        if place.replace(number(text, what, max)?).is_some() {
            return Err(HashError::Damaged("its parameters are not m, t and p"));
        }
    }
    match (memory_kib, passes, lanes) {
        (Some(memory_kib), Some(passes), Some(lanes)) => Ok((Kind::Argon2id { memory_kib, passes, lanes }, rest)),
        _ => Err(HashError::Damaged("its parameters are not m, t and p")),
    }
}

/// A number of a hash; one that is too large for its type is too large.
fn number(text: &str, what: &'static str, max: u32) -> Result<u32, HashError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HashError::Damaged("a number in it is none"));
    }
    text.parse().map_err(|_| HashError::Absurd(format!("{text} {what}, and may ask for {max}")))
}

/// Whether the numbers are in their ranges.
fn check_kind(kind: Kind) -> Result<(), HashError> {
    let within = |number: u32, what: &str, min: u32, max: u32| {
        let is_within = (min..=max).contains(&number);
        is_within.then_some(()).ok_or_else(|| HashError::Absurd(format!("{number} {what}: {min} to {max} are allowed")))
    };
    match kind {
        Kind::Sha512 => Ok(()),
        Kind::Pbkdf2 { iterations } => within(iterations, "iterations", 1, ITERATIONS_MAX),
        Kind::Argon2id { memory_kib, passes, lanes } => {
            within(passes, "passes", 1, ARGON2_PASSES_MAX)?;
            within(lanes, "lanes", 1, ARGON2_LANES_MAX)?;
            within(memory_kib, "KiB of memory", 8 * lanes, ARGON2_MEMORY_KIB_MAX)
        }
    }
}

fn check_salt(salt: &[u8]) -> Result<(), HashError> {
    if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
        return Err(HashError::Damaged("a part of it has the wrong length"));
    }
    Ok(())
}

/// Memory of Argon2, to be used again. Given back after each check it would not go back to the system: an allocator
/// keeps blocks of this size, for each thread.
#[derive(Debug, Default)]
pub struct Scratch(Vec<Block>);

fn compute(kind: Kind, password: &[u8], salt: &[u8], len: usize, scratch: &mut Scratch) -> Result<Vec<u8>, HashError> {
    let mut hash = vec![0; len];
    match kind {
        Kind::Sha512 => hash = Sha512::new().chain_update(password).chain_update(salt).finalize().to_vec(),
        Kind::Pbkdf2 { iterations } => pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut hash),
        Kind::Argon2id { memory_kib, passes, lanes } => {
            let failed = |error: argon2::Error| HashError::Failed(error.to_string());
            let params = Params::new(memory_kib, passes, lanes, Some(len)).map_err(failed)?;
            let Scratch(blocks) = scratch;
            if blocks.len() < params.block_count() {
                blocks.resize(params.block_count(), Block::default());
            }
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_into_with_memory(password, salt, &mut hash, blocks).map_err(failed)?;
        }
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small, so that tests are quick.
    const ARGON2: Kind = Kind::Argon2id { memory_kib: 16, passes: 1, lanes: 2 };

    #[test]
    fn what_mosquittos_tool_writes_is_read() {
        for (password, text) in [
            (
                "secret",
                "$7$101$JSFwf07KFkWlLxOI$LFkiPpLIy0ZjbJqNIhp2W6Wbw1RJC2twjaGPl70WoO3jJahHuLzK46bhaebjuXUhos8w3/IyE0tNn\
                 nw6lAep6g==",
            ),
            (
                "pass word",
                "$7$101$gInGFsLaAydPmo0D$y86yQPmZFy+u/2WoA+U9GIcgkIm0pJRjmqt3a5tcyaRmemwIyE67A2tG2lBYoOC3bzdo45jN+Whb5o\
                 v3s44XDA==",
            ),
            (
                "secret",
                "$6$XmIWDcXgyv9wHLru$1RdAqE5FDIWtmj34UsyOZoEm669yZ/Clk0wmGvOYxwsClvIkw6TccMbebnSWh9QJznVCmFRKARyUO+N4eP\
                 vo7w==",
            ),
        ] {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.verify(password.as_bytes()), "{text}");
            assert!(!hash.verify(b"Secret") && !hash.verify(b""), "{text}");
            assert_eq!(hash.to_string(), text, "it is written as it was read");
        }
    }

    /// A golden line of the reference implementation's command-line tool.
    #[test]
    fn what_the_reference_of_argon2_writes_is_read() {
        let text = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hash = Hash::parse(text).unwrap();
        assert_eq!(hash.kind(), Kind::Argon2id { memory_kib: 256, passes: 2, lanes: 1 });
        assert!(hash.verify(b"password"));
        assert!(!hash.verify(b"passwort"));
        assert_eq!(hash.to_string(), text);
    }

    #[test]
    fn any_bytes_may_be_a_password() {
        for kind in [Kind::Sha512, Kind::Pbkdf2 { iterations: 2 }, ARGON2] {
            for password in [&b""[..], b"\0", b"\xff\xfe:$\n", &[7; 70_000]] {
                let hash = Hash::new(kind, password, b"0123456789abcdef").unwrap();
                let read = Hash::parse(&hash.to_string()).unwrap();
                assert_eq!(read, hash);
                assert!(read.verify(password));
                assert!(!read.verify(&[password, b"x"].concat()));
            }
        }
    }

    #[test]
    fn the_salt_counts() {
        for kind in [Kind::Sha512, Kind::Pbkdf2 { iterations: 2 }, ARGON2] {
            let [a, b] = [b"0123456789abcdef", b"0123456789abcdeg"].map(|salt| Hash::new(kind, b"x", salt).unwrap());
            assert_ne!(a.hash, b.hash);
        }
    }

    #[test]
    fn what_is_no_hash_is_refused_and_says_why() {
        let long = "A".repeat(172);
        for (text, why) in [
            ("secret", "not hashed"),
            ("", "not hashed"),
            ("$", "unknown kind"),
            ("$5$abc$def", "unknown kind"),
            ("$2b$12$abc", "unknown kind"),
            ("$argon2i$v=19$m=16,t=1,p=1$c29tZXNhbHQ$AAAA", "unknown kind"),
            ("$6$abcd", "too early"),
            ("$6$a!cd$AAAA", "salt is no base64"),
            ("$6$abcd$A!AA", "last part is no base64"),
            ("$6$abcd$AAAA", "wrong length"),
            ("$6$$AAAA", "wrong length"),
            (&format!("$6${long}AAAA$AAAA"), "wrong length"),
            ("$7$101", "too early"),
            ("$7$-1$abcd$AAAA", "a number in it is none"),
            ("$7$0$abcd$AAAA", "0 iterations"),
            ("$7$10000001$abcd$AAAA", "10000001 iterations"),
            ("$7$99999999999999$abcd$AAAA", "99999999999999 iterations"),
            ("$argon2id$v=16$m=16,t=1,p=1$c29tZXNhbHQ$AAAA", "version 19"),
            ("$argon2id$v=19$m=16,t=1$c29tZXNhbHQ$AAAA", "m, t and p"),
            ("$argon2id$v=19$m=16,t=1,p=1,m=16$c29tZXNhbHQ$AAAA", "m, t and p"),
            ("$argon2id$v=19$m=1048577,t=1,p=1$c29tZXNhbHQ$AAAA", "1048577 KiB"),
            ("$argon2id$v=19$m=7,t=1,p=1$c29tZXNhbHQ$AAAA", "7 KiB"),
            ("$argon2id$v=19$m=16,t=101,p=1$c29tZXNhbHQ$AAAA", "101 passes"),
            ("$argon2id$v=19$m=1024,t=1,p=65$c29tZXNhbHQ$AAAA", "65 lanes"),
            ("$argon2id$v=19$m=16,t=1,p=1$c29tZXNhbHQ$AAAA", "wrong length"),
            ("$argon2id$v=19$m=16,t=1,p=1$c29t$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "wrong length"),
        ] {
            let error = Hash::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(Hash::new(Kind::Pbkdf2 { iterations: 0 }, b"x", b"0123456789abcdef").is_err());
        assert!(Hash::new(ARGON2, b"x", b"short").is_err(), "Argon2 wants eight bytes of salt");
    }

    #[test]
    fn a_log_does_not_get_the_hash() {
        let hash = Hash::new(Kind::Sha512, b"x", b"saltsalt").unwrap();
        assert_eq!(format!("{hash:?}"), "Hash { kind: Sha512, .. }");
    }
}
