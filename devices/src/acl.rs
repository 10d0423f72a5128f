//! An ACL file, as mosquitto has it: what clients may read and write.
//!
//! ```text
//! # for clients without a user name
//! topic read public/#
//!
//! user alice
//! topic readwrite alice/#
//! topic deny alice/secret/+
//!
//! # for everybody
//! pattern write sensor/%u/data
//! pattern readwrite device/%c/#
//! ```
//! - `topic [read|write|readwrite|deny] TOPIC` is a rule for the user above it; before the first `user`, for clients
//!   without a user name. Without an access it is `readwrite`. TOPIC may have wildcards, and spaces where there is an
//!   access.
//! - `pattern` is the same for everybody, wherever it stands; `%c` is the client identifier, `%u` the user name.
//! - What no rule allows is not allowed. `deny` wins over all that allows, whichever of them stands first.
//! - A topic that begins with `$` needs a rule that is written with `$` at its start.
//! - A rule with `%c` or `%u` allows nothing to a client whose name there holds `+`, `#` or `/`: such a name would make
//!   the rule wider than it was meant. A `deny` with it stays in force, wider or not.
//! - Lines that begin with `#` and blank ones are skipped.
//!
//! In three things this is stricter than mosquitto, where a `pattern deny` does not hold against a `topic` rule of
//! the user, where a name with `/` may stand for two levels, and where `%c` may become the `$` of a topic. In one it
//! is less so: there a `+` or `#` in either name takes all patterns away, also those that the name does not stand in.

mod filter;
mod filters;

use std::{borrow::Cow, collections::BTreeMap};

use primer_core::topic::{self, TopicError};

use self::filters::Filters;
use crate::limits::{FILE_BYTES_MAX, RULE_LEVELS_MAX};

/// Characters of a line that an error shows.
const SHOWN_CHARS_MAX: usize = 200;

/// Characters that a name must not have to stand in a pattern that allows something.
const WIDE: [char; 3] = ['+', '#', '/'];

/// Why an ACL file is refused. Nothing of it is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AclError {
    /// It is too long.
    #[error("the ACL file has more than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// A line is wrong.
    #[error("line {line}: `{text}`: {why}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The line, or its beginning.
        text: String,
        /// What is wrong with it.
        why: RuleError,
    },
}

/// What is wrong with a line of an ACL file, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The bytes are no text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// The first word is none that is known.
    #[error("a line begins with `user`, `topic`, `pattern` or `#`")]
    Word,
    /// `user` without a name.
    #[error("the name of the user is missing: write `user NAME`")]
    NoUser,
    /// A rule without a topic.
    #[error("the topic is missing: write `topic [read|write|readwrite|deny] TOPIC`")]
    NoTopic,
    /// The access is none that is known.
    #[error("`{0}` is no access: write read, write, readwrite or deny before a topic that has spaces")]
    Access(String),
    /// The topic is no filter.
    #[error("the topic {0}")]
    Topic(#[from] TopicError),
    /// The topic has too many levels.
    #[error("the topic has more than {RULE_LEVELS_MAX} levels")]
    TooDeep,
}

/// Whom a right is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// The client identifier.
    pub client_id: &'a str,
    /// The user name, if there is one.
    pub username: Option<&'a str>,
}

/// How much of what a filter matches may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// Nothing of it.
    None,
    /// Perhaps some: each topic has to be asked about.
    Some,
    /// All of it.
    All,
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Both,
    Deny,
}

impl Access {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            "readwrite" => Some(Self::Both),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }

    const fn allows(self, right: Right) -> bool {
        match self {
            Self::Both => true,
            Self::Read => matches!(right, Right::Read),
            Self::Write => matches!(right, Right::Write),
            Self::Deny => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    Read,
    Write,
}

/// The rules of one user, or those of everybody that name nobody.
#[derive(Debug, Clone, Default)]
struct Rules {
    read: Filters,
    write: Filters,
    deny: Filters,
}

impl Rules {
    fn insert(&mut self, access: Access, filter: &str) {
        if access == Access::Deny {
            return self.deny.insert(filter);
        }
        if access.allows(Right::Read) {
            self.read.insert(filter);
        }
        if access.allows(Right::Write) {
            self.write.insert(filter);
        }
    }

    const fn of(&self, right: Right) -> &Filters {
        match right {
            Right::Read => &self.read,
            Right::Write => &self.write,
        }
    }
}

/// A rule that has `%c` or `%u`.
#[derive(Debug, Clone)]
struct Pattern {
    access: Access,
    text: Box<str>,
}

impl Pattern {
    fn has_names(text: &str) -> bool {
        text.contains("%c") || text.contains("%u")
    }

    /// The rule as a filter for this client; `None` where it is none of the client's.
    fn of(&self, client: Client<'_>) -> Option<Cow<'_, str>> {
        let is_grant = self.access != Access::Deny;
        let mut text = Cow::Borrowed(&*self.text);
        let (has_id, has_user) = (text.contains("%c"), text.contains("%u"));
        let username = if has_user { client.username? } else { "" };
        if is_grant && ((has_id && client.client_id.contains(WIDE)) || (has_user && username.contains(WIDE))) {
            return None;
        }
        if has_id || has_user {
            text = Cow::Owned(substitute(&text, client.client_id, username));
        }
        Some(text)
    }

    /// The same for a rule that allows something, where that may be a matter of `asked`.
    fn grant(&self, client: Client<'_>, right: Right, asked: &str) -> Option<Cow<'_, str>> {
        let is_apart = asked.starts_with('$') && !self.text.starts_with('$');
        if !self.access.allows(right) || is_apart { None } else { self.of(client) }
    }

    fn deny(&self, client: Client<'_>) -> Option<Cow<'_, str>> {
        if self.access == Access::Deny { self.of(client) } else { None }
    }
}

/// Puts the names in, in one go: what looks like `%u` in a client identifier is none.
fn substitute(text: &str, client_id: &str, username: &str) -> String {
    let mut out = String::with_capacity(text.len() + client_id.len() + username.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (name, after) = match after.as_bytes().first() {
            Some(b'c') => (client_id, after.get(1..)),
            Some(b'u') => (username, after.get(1..)),
            _ => ("%", Some(after)),
        };
        out.push_str(name);
        rest = after.unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The rules of an ACL file. An empty file allows nobody anything.
#[derive(Debug, Clone, Default)]
pub struct Acl {
    /// Of clients without a user name.
    nameless: Rules,
    users: BTreeMap<Box<str>, Rules>,
    /// Patterns in which no name stands.
    everybody: Rules,
    patterns: Vec<Pattern>,
    rules: usize,
}

impl Acl {
    /// Reads an ACL file.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(file: &[u8]) -> Result<Self, AclError> {
        if file.len() > FILE_BYTES_MAX {
            return Err(AclError::TooLong);
        }
        let mut acl = Self::default();
        let mut user: Option<&str> = None;
        for (index, bytes) in file.split(|byte| *byte == b'\n').enumerate() {
            let wrong = |text: &str, why| {
                let text = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
                AclError::Line { line: index + 1, text, why }
            };
            let text =
                std::str::from_utf8(bytes).map_err(|_| wrong(&String::from_utf8_lossy(bytes), RuleError::NotUtf8))?;
            let text = if index == 0 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text }.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            acl.read_line(text, &mut user).map_err(|why| wrong(text, why))?;
        }
        Ok(acl)
    }

    fn read_line<'f>(&mut self, text: &'f str, user: &mut Option<&'f str>) -> Result<(), RuleError> {
        let (word, rest) = cut(text);
        match word {
            "user" if rest.is_empty() => Err(RuleError::NoUser),
            "user" => {
                *user = Some(rest);
                Ok(())
            }
            "topic" => {
                let (access, filter) = rule(rest)?;
                let rules = match user {
                    Some(name) => self.users.entry((*name).into()).or_default(),
                    None => &mut self.nameless,
                };
                rules.insert(access, filter);
                self.rules += 1;
                Ok(())
            }
            "pattern" => {
                let (access, filter) = rule(rest)?;
                if Pattern::has_names(filter) {
                    self.patterns.push(Pattern { access, text: filter.into() });
                } else {
                    self.everybody.insert(access, filter);
                }
                self.rules += 1;
                Ok(())
            }
            _ => Err(RuleError::Word),
        }
    }

    /// How much of what a filter matches this client may read. Without the share prefix of a shared subscription.
    /// `Some` where it is not sure.
    #[must_use]
    pub fn reading(&self, client: Client<'_>, filter: &str) -> Reading {
        let denies = || self.patterns.iter().filter_map(|pattern| pattern.deny(client));
        let grants = || self.patterns.iter().filter_map(|pattern| pattern.grant(client, Right::Read, filter));
        let rules = || self.rules_of(client);
        let is_denied = rules().any(|rules| rules.deny.cover(filter)) || denies().any(|it| filter::covers(&it, filter));
        let is_any_allowed =
            || rules().any(|rules| rules.read.overlap(filter)) || grants().any(|it| filter::overlap(&it, filter));
        if is_denied || !is_any_allowed() {
            return Reading::None;
        }
        let is_any_denied =
            rules().any(|rules| rules.deny.overlap(filter)) || denies().any(|it| filter::overlap(&it, filter));
        let is_allowed =
            || rules().any(|rules| rules.read.cover(filter)) || grants().any(|it| filter::covers(&it, filter));
        if is_any_denied || !is_allowed() { Reading::Some } else { Reading::All }
    }

    /// Whether this client may get what is published to this topic.
    #[must_use]
    pub fn may_read(&self, client: Client<'_>, topic: &str) -> bool {
        self.may(client, Right::Read, topic)
    }

    /// Whether this client may publish to this topic.
    #[must_use]
    pub fn may_write(&self, client: Client<'_>, topic: &str) -> bool {
        self.may(client, Right::Write, topic)
    }

    /// How many rules there are.
    #[must_use]
    pub const fn rules(&self) -> usize {
        self.rules
    }

    fn may(&self, client: Client<'_>, right: Right, topic: &str) -> bool {
        let is_denied = self.rules_of(client).any(|rules| rules.deny.match_topic(topic))
            || self.patterns.iter().filter_map(|it| it.deny(client)).any(|it| topic::matches(&it, topic));
        let is_allowed = || {
            self.rules_of(client).any(|rules| rules.of(right).match_topic(topic))
                || self
                    .patterns
                    .iter()
                    .filter_map(|it| it.grant(client, right, topic))
                    .any(|it| topic::matches(&it, topic))
        };
        !is_denied && is_allowed()
    }

    fn rules_of(&self, client: Client<'_>) -> impl Iterator<Item = &Rules> {
        let own = match client.username {
            Some(name) => self.users.get(name),
            None => Some(&self.nameless),
        };
        own.into_iter().chain([&self.everybody])
    }
}

/// The first word, and what stands behind it.
fn cut(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim())
}

/// `[ACCESS] TOPIC`. A word that stands alone is a topic, also if it is one of the accesses.
fn rule(text: &str) -> Result<(Access, &str), RuleError> {
    let (access, filter) = match cut(text) {
        ("", _) => return Err(RuleError::NoTopic),
        (filter, "") => (Access::Both, filter),
        (word, filter) => (Access::parse(word).ok_or_else(|| RuleError::Access(word.to_owned()))?, filter),
    };
    topic::check_filter(filter)?;
    if filter.split('/').count() > RULE_LEVELS_MAX {
        return Err(RuleError::TooDeep);
    }
    Ok((access, filter))
}

#[cfg(test)]
mod tests;
