//! Every fixed bound of this crate, with its reason.

/// Bytes of a password or ACL file: a hundred thousand users, or rules. Whoever has more has them in a service.
pub const FILE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// PBKDF2 iterations that a password file may ask for: about five seconds of a core, for each attempt.
pub const ITERATIONS_MAX: u32 = 10_000_000;

/// PBKDF2 iterations of passwords that Primer hashes so (OWASP's advice for SHA-512).
pub const ITERATIONS: u32 = 210_000;

/// Memory that one check of an Argon2 hash may take, in KiB: 1 GiB.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 1024 * 1024;

/// Passes of Argon2 over its memory.
pub const ARGON2_PASSES_MAX: u32 = 100;

/// Lanes of Argon2. They are computed one after another here.
pub const ARGON2_LANES_MAX: u32 = 64;

/// Memory and passes of passwords that Primer hashes (OWASP's advice): 19 MiB, which a small gateway has twice.
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
/// See [`ARGON2_MEMORY_KIB`].
pub const ARGON2_PASSES: u32 = 2;

/// Bytes of the salts that Primer makes for Argon2 (RFC 9106).
pub const ARGON2_SALT_BYTES: usize = 16;

/// Bytes of the salts that Primer makes for the others: mosquitto 2.0 drops users with any other length.
pub const MOSQUITTO_SALT_BYTES: usize = 12;

/// Bytes that a salt in a file may have.
pub const SALT_BYTES_MAX: usize = 128;

/// Bytes that an Argon2 hash in a file may have; below the least, two passwords may have the same.
pub const ARGON2_HASH_BYTES_MIN: usize = 16;
/// See [`ARGON2_HASH_BYTES_MIN`].
pub const ARGON2_HASH_BYTES_MAX: usize = 128;

/// Bytes of an Argon2 hash that Primer makes.
pub const ARGON2_HASH_BYTES: usize = 32;

/// Levels of a rule's topic, as mosquitto has it: looking rules up recurses as deep.
pub const RULE_LEVELS_MAX: usize = 200;

/// Failures of one address before it has to wait. People mistype; a device with a wrong password tries for ever.
pub const FAILURES_FREE: u32 = 5;

/// How long the first wait is, in milliseconds; each further failure doubles it.
pub const WAIT_MS_MIN: u64 = 1_000;

/// The longest wait, in milliseconds: less than a client has for its CONNECT, so that one with the right password,
/// which shares an address with one who guesses, is let in by the connection that waits. At eight attempts a minute a
/// password of eight lower-case letters lasts fifty thousand years.
pub const WAIT_MS_MAX: u64 = 8_000;

/// After so many milliseconds without a failure an address is forgotten.
pub const QUIET_MS: u64 = 10 * 60 * 1_000;

/// Addresses that have failed, and users with failures, that are remembered; then the one whose last failure is longest
/// ago goes. About 8 MiB.
pub const LANES_MAX: usize = 65_536;

/// Users that have come in, with their addresses, that are remembered. About 8 MiB.
pub const USERS_MAX: usize = 65_536;
