//! Names of queues and groups, and the patterns by which queues get their definitions.
//!
//! A name has levels, as a topic has: `jobs`, `plant/7/alarms`. It is case-sensitive, has 1 to 255 bytes of UTF-8, and
//! must fit into a topic and a filter: no `+`, `#`, NUL or control character, no empty level. Names that begin with `$`
//! are the node's own, but for the dead letters of a queue, `$dead/NAME`.
//!
//! A pattern is a name in which `+` stands for one level and a last `#` for any number. Of the patterns that match a
//! name the closest counts: the first level at which two differ decides, a name before `+` before `#`.

use crate::limits::NAME_BYTES_MAX;

/// The prefix of the queues of dead letters.
pub const DEAD: &str = "$dead/";

/// Why a name cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has no bytes.
    #[error("a name must not be empty")]
    Empty,
    /// It has too many.
    #[error("a name has at most {NAME_BYTES_MAX} bytes, and this one {0}")]
    TooLong(usize),
    /// A character is not allowed.
    #[error("{0:?} cannot stand in a name: + and # are wildcards, and control characters would not be seen")]
    Character(char),
    /// A level is empty.
    #[error("a level of the name is empty: / stands between levels, not first, last or twice")]
    EmptyLevel,
    /// It is the node's own.
    #[error("names that begin with $ are the node's own")]
    Reserved,
    /// Dead letters have none of their own.
    #[error("dead letters have no dead letters of their own")]
    DeadOfDead,
    /// A wildcard is not a level of its own, or `#` is not the last one.
    #[error("in a pattern + and # are levels of their own, and # is the last")]
    Wildcard,
}

/// Checks the name of a queue.
///
/// # Errors
/// It cannot be one; see the module's description.
pub fn check(name: &str) -> Result<(), NameError> {
    let plain = name.strip_prefix(DEAD).unwrap_or(name);
    if plain.starts_with(DEAD) {
        return Err(NameError::DeadOfDead);
    }
    check_group(plain)?;
    if plain.starts_with('$') {
        return Err(NameError::Reserved);
    }
    if plain.split('/').any(str::is_empty) {
        return Err(NameError::EmptyLevel);
    }
    Ok(())
}

/// Checks the name of a group: one level.
///
/// # Errors
/// It cannot be one.
pub fn check_group(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong(name.len()));
    }
    let is_wrong = |c: &char| matches!(c, '+' | '#') || c.is_control();
    name.chars().find(is_wrong).map_or(Ok(()), |wrong| Err(NameError::Character(wrong)))
}

/// Checks a pattern.
///
/// # Errors
/// It cannot be one.
pub fn check_pattern(pattern: &str) -> Result<(), NameError> {
    let levels: Vec<&str> = pattern.split('/').collect();
    for (at, level) in levels.iter().enumerate() {
        match *level {
            "#" if at + 1 < levels.len() => return Err(NameError::Wildcard),
            "+" | "#" => {}
            level if level.contains(['+', '#']) => return Err(NameError::Wildcard),
            _ => {}
        }
    }
    check(&pattern.replace(['+', '#'], "x"))
}

/// Whether a pattern matches a name. `#` matches also what is before it: `a/#` matches `a`.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut levels = name.split('/');
    for wanted in pattern.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Of the patterns that match a name, the closest.
pub fn closest<'p>(patterns: impl Iterator<Item = &'p str>, name: &str) -> Option<&'p str> {
    let kind = |level: &str| match level {
        "#" => 2_u8,
        "+" => 1,
        _ => 0,
    };
    let rank = |pattern: &str| pattern.split('/').map(kind).collect::<Vec<u8>>();
    patterns.filter(|pattern| matches(pattern, name)).min_by_key(|pattern| rank(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_say_why() {
        for good in ["jobs", "plant/7/alarms", "Ünïcode", "a b", "$dead/jobs", "x$"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = "x".repeat(256);
        let cases = [
            ("", NameError::Empty),
            (&*long, NameError::TooLong(256)),
            ("a+", NameError::Character('+')),
            ("a/#", NameError::Character('#')),
            ("a\0", NameError::Character('\0')),
            ("a\u{7f}", NameError::Character('\u{7f}')),
            ("/a", NameError::EmptyLevel),
            ("a//b", NameError::EmptyLevel),
            ("a/", NameError::EmptyLevel),
            ("$SYS/x", NameError::Reserved),
            ("$dead/", NameError::Empty),
            ("$dead/$dead/x", NameError::DeadOfDead),
        ];
        for (bad, why) in cases {
            assert_eq!(check(bad), Err(why), "{bad:?}");
        }
        assert_eq!(check_pattern("jobs/+/x/#"), Ok(()));
        assert_eq!(check_pattern("#"), Ok(()));
        assert_eq!(check_pattern("a/#/b"), Err(NameError::Wildcard));
        assert_eq!(check_pattern("a+/b"), Err(NameError::Wildcard));
    }

    #[test]
    fn the_closest_pattern_counts() {
        let patterns = ["#", "jobs/#", "jobs/+", "jobs/+/urgent", "jobs/print", "+/print"];
        let closest = |name| closest(patterns.into_iter(), name);
        assert_eq!(closest("jobs/print"), Some("jobs/print"));
        assert_eq!(closest("jobs/scan"), Some("jobs/+"));
        assert_eq!(closest("jobs/scan/urgent"), Some("jobs/+/urgent"));
        assert_eq!(closest("jobs/scan/later"), Some("jobs/#"));
        assert_eq!(closest("jobs"), Some("jobs/#"));
        assert_eq!(closest("other/print"), Some("+/print"));
        assert_eq!(closest("other"), Some("#"));
        assert_eq!(super::closest(std::iter::empty(), "x"), None);
    }
}
