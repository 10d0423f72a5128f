//! Who may connect, and what they may do: password files, ACL files, and what slows down who guesses.
//!
//! Pure functions and machines: text and time come in as arguments, files are read and written by who calls. So a file
//! is checked by the same code wherever it is read: by the broker, by `primer passwd`, by a test.
//!
//! - [`passwords`] reads, checks and edits a password file, as mosquitto's tools write it.
//! - [`acl`] reads an ACL file, as mosquitto has it, and says what a client may read and write.
//! - [`guesses`] says how long an address has to wait that has tried wrong passwords.
//!
//! None of them knows MQTT's packets, queues or sessions. What the names of queues, commands and `$SYS` mean is the
//! broker's to say, which asks with the topic that counts.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

pub mod acl;
pub mod guesses;
pub mod limits;
pub mod passwords;

pub use self::{
    acl::{Acl, AclError, Client, Reading},
    guesses::{Guesses, Lane},
    passwords::{Hash, Kind, PasswordFileError, Passwords, Scratch},
};
