//! A password file, as mosquitto's tools write it and Primer does: one user a line.
//!
//! ```text
//! # a comment
//! alice:$7$101$JSFwf07KFkWlLxOI$LFkiPpLI...
//! ```
//! Blank lines and lines that begin with `#` are skipped. What may stand behind the first colon is in
//! [`struct@Hash`]. A file is taken whole or not at all: one line that is wrong refuses it, with its number, and
//! whoever has read an earlier one keeps that.
//!
//! Nothing here reads or writes a file: text comes in and goes out.

mod edit;
mod hash;

use std::collections::BTreeMap;

pub use self::{
    edit::{hash_plain, remove, set},
    hash::{Hash, HashError, Kind, Scratch},
};
use crate::limits::FILE_BYTES_MAX;

/// Why a password file is refused. Nothing of it is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordFileError {
    /// It is too long.
    #[error("the password file has more than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// A line is wrong.
    #[error("line {line}: {why}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        why: LineError,
    },
}

/// What is wrong with a line of a password file, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The bytes are no text.
    #[error("it is not UTF-8: user names are, and hashes are ASCII")]
    NotUtf8,
    /// There is no colon.
    #[error("it has no colon: write USER:HASH, or run `primer passwd FILE USER`")]
    NoColon,
    /// The user's name cannot be one.
    #[error("the user name `{0}` is empty, or has a control character: run `primer passwd FILE USER`")]
    Name(String),
    /// The user stands in an earlier line as well.
    #[error("the user `{name}` stands in line {before} already: remove one of the two")]
    Duplicate {
        /// Whose line it is.
        name: String,
        /// The other line.
        before: usize,
    },
    /// There is a password, or nothing, where a hash should be.
    #[error("the password of `{0}` is not hashed: run `primer passwd -U FILE`, which hashes it")]
    Plain(String),
    /// The hash cannot be used.
    #[error("the user `{name}`: {why}; set the password anew with `primer passwd FILE {name}`")]
    Hash {
        /// Whose hash it is.
        name: String,
        /// What is wrong with it.
        why: HashError,
    },
}

/// The users of a password file.
#[derive(Debug, Clone, Default)]
pub struct Passwords {
    users: BTreeMap<Box<str>, Hash>,
    /// What an unknown user is checked against.
    decoy: Option<Hash>,
}

impl Passwords {
    /// Reads a password file.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(file: &[u8]) -> Result<Self, PasswordFileError> {
        if file.len() > FILE_BYTES_MAX {
            return Err(PasswordFileError::TooLong);
        }
        let mut lines_of = BTreeMap::new();
        let mut users = BTreeMap::new();
        for (index, bytes) in file.split(|byte| *byte == b'\n').enumerate() {
            let line = index + 1;
            let wrong = |why| PasswordFileError::Line { line, why };
            let text = std::str::from_utf8(bytes).map_err(|_| wrong(LineError::NotUtf8))?;
            let Some(text) = entry(text, index) else { continue };
            let (name, hash) = split(text).map_err(wrong)?;
            let hash = Hash::parse(hash).map_err(|why| match why {
                HashError::Plain => wrong(LineError::Plain(name.to_owned())),
                why => wrong(LineError::Hash { name: name.to_owned(), why }),
            })?;
            if let Some(before) = lines_of.insert(name, line) {
                return Err(wrong(LineError::Duplicate { name: name.to_owned(), before }));
            }
            users.insert(name.into(), hash);
        }
        let decoy = most_common(users.values());
        Ok(Self { users, decoy })
    }

    /// Whether this is the password of this user. For a user that is not there it takes as long as for one with the
    /// most common kind of hash, so that names cannot be found out.
    #[must_use]
    pub fn verify(&self, user: &str, password: &[u8]) -> bool {
        self.verify_in(user, password, &mut Scratch::default())
    }

    /// The same in memory that was used before: Argon2 wants many megabytes for each check.
    #[must_use]
    pub fn verify_in(&self, user: &str, password: &[u8], scratch: &mut Scratch) -> bool {
        let known = self.users.get(user);
        let hash = known.or(self.decoy.as_ref());
        hash.is_some_and(|hash| hash.verify_in(password, scratch)) && known.is_some()
    }

    /// Whether there is this user.
    #[must_use]
    pub fn knows(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// The users, by their names.
    pub fn users(&self) -> impl ExactSizeIterator<Item = (&str, &Hash)> {
        self.users.iter().map(|(name, hash)| (&**name, hash))
    }
}

/// Whether a user's name can stand in a password file; the name of none is empty.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_trimmed = name.trim() == name;
    !name.is_empty() && is_trimmed && !name.starts_with('#') && !name.contains([':', '\u{feff}']) && is_printable(name)
}

fn is_printable(name: &str) -> bool {
    !name.contains(char::is_control)
}

/// The part of a line that says something; `None` for a blank line or a comment.
fn entry(line: &str, index: usize) -> Option<&str> {
    // Editors of some systems begin a file with a mark of its encoding.
    let line = if index == 0 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
    let text = line.trim();
    (!text.is_empty() && !text.starts_with('#')).then_some(text)
}

/// The name and what stands behind the first colon.
fn split(text: &str) -> Result<(&str, &str), LineError> {
    let (name, rest) = text.split_once(':').ok_or(LineError::NoColon)?;
    let name = name.trim();
    if name.is_empty() || !is_printable(name) {
        return Err(LineError::Name(name.escape_default().to_string()));
    }
    Ok((name, rest.trim()))
}

/// A decoy of the kind that most users have.
fn most_common<'h>(hashes: impl Iterator<Item = &'h Hash>) -> Option<Hash> {
    let mut kinds: BTreeMap<Kind, (usize, &Hash)> = BTreeMap::new();
    for hash in hashes {
        kinds.entry(hash.kind()).or_insert((0, hash)).0 += 1;
    }
    kinds.values().max_by_key(|(count, _)| *count).map(|(_, hash)| hash.decoy())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA512: &str = "$6$XmIWDcXgyv9wHLru$1RdAqE5FDIWtmj34UsyOZoEm669yZ/Clk0wmGvOYxwsClvIkw6TccMbebnSWh9QJznVCmFRKA\
                          RyUO+N4ePvo7w==";

    fn pbkdf2(iterations: u32) -> String {
        Hash::new(Kind::Pbkdf2 { iterations }, b"secret", b"0123456789ab").unwrap().to_string()
    }

    fn refused(file: &[u8]) -> String {
        Passwords::parse(file).unwrap_err().to_string()
    }

    #[test]
    fn a_file_of_mosquittos_tool_is_read() {
        let file = concat!(
            "alice:$7$101$JSFwf07KFkWlLxOI$",
            "LFkiPpLIy0ZjbJqNIhp2W6Wbw1RJC2twjaGPl70WoO3jJahHuLzK46bhaebjuXUhos8w3/IyE0tNnnw6lAep6g==\n",
            "carol:$6$XmIWDcXgyv9wHLru$",
            "1RdAqE5FDIWtmj34UsyOZoEm669yZ/Clk0wmGvOYxwsClvIkw6TccMbebnSWh9QJznVCmFRKARyUO+N4ePvo7w==\n",
        );
        let passwords = Passwords::parse(file.as_bytes()).unwrap();
        assert!(passwords.verify("alice", b"secret") && passwords.verify("carol", b"secret"));
        assert!(!passwords.verify("alice", b"wrong") && !passwords.verify("bob", b"secret"));
        assert_eq!(passwords.users().map(|(name, _)| name).collect::<Vec<_>>(), ["alice", "carol"]);
    }

    #[test]
    fn comments_blank_lines_marks_and_line_ends_of_other_systems_are_no_entries() {
        let file = format!("\u{feff}# users\r\n\r\n  # more\n é b :{SHA512} \r\n\n");
        let passwords = Passwords::parse(file.as_bytes()).unwrap();
        assert_eq!(passwords.users().len(), 1);
        assert!(passwords.knows("é b") && passwords.verify("é b", b"secret"));
        assert_eq!(Passwords::parse(b"").unwrap().users().len(), 0);
    }

    #[test]
    fn a_line_that_is_wrong_refuses_the_file_and_says_where_and_what_to_do() {
        for (line, words) in [
            (&b"bob"[..], &["line 2", "no colon", "USER:HASH"][..]),
            (b"bob:secret", &["line 2", "`bob` is not hashed", "primer passwd -U FILE"]),
            (b"bob:", &["line 2", "`bob` is not hashed"]),
            (b":$6$", &["line 2", "user name ``"]),
            (b"a\x07b:$6$", &["line 2", "a\\u{7}b"]),
            (b"bob:$5$abc$def", &["line 2", "`bob`", "unknown kind", "primer passwd FILE bob"]),
            (b"bob:$7$10000001$abcd$AAAA", &["line 2", "`bob`", "10000001 iterations", "10000000"]),
            (b"b\xffb:$6$", &["line 2", "not UTF-8"]),
        ] {
            let error = refused(&[format!("alice:{SHA512}\n").as_bytes(), line, b"\n"].concat());
            for word in words {
                assert!(error.contains(word), "no {word:?} in {error}");
            }
        }
        let twice = format!("\nalice:{SHA512}\n#\n alice:{SHA512}\n");
        assert_eq!(
            refused(twice.as_bytes()),
            "line 4: the user `alice` stands in line 2 already: remove one of the two"
        );
        assert!(refused(&vec![b'\n'; FILE_BYTES_MAX + 1]).contains("more than"));
    }

    #[test]
    fn an_unknown_user_is_checked_against_what_most_users_have() {
        let file = format!("a:{SHA512}\nb:{}\nc:{}\nd:{}\n", pbkdf2(2), pbkdf2(3), pbkdf2(3));
        let passwords = Passwords::parse(file.as_bytes()).unwrap();
        let decoy = passwords.decoy.as_ref().unwrap();
        assert_eq!(decoy.kind(), Kind::Pbkdf2 { iterations: 3 });
        assert!(!decoy.verify(b"secret"));
        assert!(!passwords.verify("e", b"secret"));
    }

    #[test]
    fn names_that_a_file_cannot_have_are_known() {
        for name in ["alice", "a b", "é", "$SYS", "a#b"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", " a", "a ", "a:b", "#a", "a\nb", "a\0", "\u{feff}a"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
