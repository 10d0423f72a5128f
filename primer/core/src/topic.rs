//! Topic names and topic filters: what is allowed, and what matches what (MQTT 5.0, 4.7; MQTT 3.1.1, 4.7).
//!
//! Pure functions over `&str`. The text is UTF-8 already; here it is checked for what UTF-8 allows and MQTT does not.

/// The longest topic name or filter, in bytes [MQTT-4.7.3-3].
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Why a text is not a topic name or not a topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// [MQTT-4.7.3-1]
    #[error("is empty [MQTT-4.7.3-1]")]
    Empty,
    /// [MQTT-4.7.3-2]
    #[error("holds U+0000 [MQTT-4.7.3-2]")]
    Nul,
    /// [MQTT-4.7.3-3]
    #[error("is longer than 65,535 bytes [MQTT-4.7.3-3]")]
    TooLong,
    /// [MQTT-4.7.1-1]
    #[error("is a topic name and holds a wildcard character [MQTT-4.7.1-1]")]
    Wildcard,
    /// [MQTT-4.7.1-2]; 4.7.1-1 in MQTT 5.0
    #[error("has a '#' that is not the whole last level [MQTT-4.7.1-2]")]
    MultiLevel,
    /// [MQTT-4.7.1-3]; 4.7.1-2 in MQTT 5.0
    #[error("has a '+' that is not a whole level [MQTT-4.7.1-3]")]
    SingleLevel,
    /// [MQTT-4.8.2-1], [MQTT-4.8.2-2]
    #[error("is a shared subscription without a share name and a filter [MQTT-4.8.2-1]")]
    Share,
}

/// Checks that `topic` may be published to.
///
/// # Errors
/// Says which rule the text breaks.
pub fn check_topic(topic: &str) -> Result<(), TopicError> {
    check_text(topic)?;
    if holds_any(topic, [b'+', b'#']) {
        return Err(TopicError::Wildcard);
    }
    Ok(())
}

/// Checks that `filter` may be subscribed to; a shared filter (`$share/GROUP/FILTER`) with its share name.
///
/// # Errors
/// Says which rule the text breaks.
pub fn check_filter(filter: &str) -> Result<(), TopicError> {
    check_text(filter)?;
    split_shared(filter)?;
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(TopicError::MultiLevel);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::SingleLevel);
        }
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong);
    }
    if holds_any(text, [0]) {
        return Err(TopicError::Nul);
    }
    Ok(())
}

/// Whether the text holds one of these bytes. Topics are short: looking at all of it, some bytes at a time, is quicker
/// than a search that can stop.
fn holds_any<const N: usize>(text: &str, wanted: [u8; N]) -> bool {
    text.bytes().fold(false, |found, byte| found | wanted.iter().fold(false, |is, one| is | (byte == *one)))
}

/// Splits `$share/GROUP/FILTER` into its group and its filter; `None` for a filter that is not shared.
///
/// # Errors
/// [`TopicError::Share`] when the group or the filter is missing, or the group holds a wildcard (MQTT 5.0, 4.8.2).
pub fn split_shared(filter: &str) -> Result<Option<(&str, &str)>, TopicError> {
    let Some(rest) = filter.strip_prefix("$share/") else {
        return Ok(None);
    };
    match rest.split_once('/') {
        Some((group, inner)) if !group.is_empty() && !inner.is_empty() && !group.contains(['+', '#']) => {
            Ok(Some((group, inner)))
        }
        _ => Err(TopicError::Share),
    }
}

/// Whether a valid, unshared `filter` matches a valid `topic`. Topics that begin with `$` are not matched by a
/// filter that begins with a wildcard [MQTT-4.7.2-1].
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = topic.split('/');
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level == "#" {
            return true;
        }
        match names.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
        if levels.peek() == Some(&"#") {
            return true; // `a/#` matches `a` too (4.7.1.2)
        }
    }
    names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_filters_are_told_apart() {
        for good in ["a", "/", "//", "é", "$é", "a b", "$SYS/x", "a//b"] {
            check_topic(good).unwrap();
            check_filter(good).unwrap();
        }
        assert_eq!(check_topic(""), Err(TopicError::Empty));
        assert_eq!(check_topic("a\0"), Err(TopicError::Nul));
        assert_eq!(check_topic("a/+"), Err(TopicError::Wildcard));
        assert_eq!(check_topic(&"x".repeat(65_536)), Err(TopicError::TooLong));
        for bad in ["a/#/b", "#/", "a#", "##"] {
            assert_eq!(check_filter(bad), Err(TopicError::MultiLevel), "{bad}");
        }
        for bad in ["a+/b", "++", "+a"] {
            assert_eq!(check_filter(bad), Err(TopicError::SingleLevel), "{bad}");
        }
        for bad in ["$share/", "$share/g", "$share/g/", "$share//x", "$share/+/x", "$share/a#/x"] {
            assert_eq!(check_filter(bad), Err(TopicError::Share), "{bad}");
        }
        assert_eq!(split_shared("$share/g//x"), Ok(Some(("g", "/x"))));
    }

    #[test]
    fn wildcards_match_as_the_specification_says() {
        for (filter, topic) in [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("sport/#", "sport"),
            ("#", "a/b"),
            ("+", "a"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("sport/+", "sport/"),
            ("$SYS/#", "$SYS/broker"),
            ("+/#", "a"),
        ] {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in
            [("sport/+", "sport"), ("+", "/finance"), ("#", "$SYS/x"), ("+/x", "$SYS/x"), ("a/b", "a/b/"), ("a", "A")]
        {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }
}
