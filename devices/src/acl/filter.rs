//! How two topic filters lie to each other. What a filter matches is in [`primer_core::topic::matches`], and `$` counts
//! here as it does there: a filter that begins with a wildcard has nothing to do with topics that begin with `$`.
//!
//! Loops, not recursions: names of clients make filters of any depth.

/// Whether a filter that begins with a wildcard stands before one, or a topic, that begins with `$`.
fn is_apart(filter: &str, other: &str) -> bool {
    filter.starts_with(['+', '#']) && other.starts_with('$')
}

/// Whether there is a topic that both match.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    if is_apart(one, other) || is_apart(other, one) {
        return false;
    }
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(a), Some(b)) if a == "+" || b == "+" || a == b => {}
            _ => return false,
        }
    }
}

/// Whether `rule` matches every topic that `filter` matches.
pub(super) fn covers(rule: &str, filter: &str) -> bool {
    if is_apart(rule, filter) {
        return false;
    }
    let (mut rule, mut filter) = (rule.split('/'), filter.split('/'));
    loop {
        match (rule.next(), filter.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || (a == "+" && b != "#") => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_overlap_where_a_topic_matches_both() {
        for (one, other) in [
            ("a", "a"),
            ("a/+", "+/b"),
            ("a/#", "a"),
            ("#", "a/b"),
            ("a/+/c", "a/b/#"),
            ("$SYS/#", "$SYS/+/x"),
            ("+/#", "#"),
        ] {
            assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
        }
        for (one, other) in
            [("a", "b"), ("a/+", "a"), ("a/b", "+"), ("#", "$SYS/x"), ("+/x", "$SYS/x"), ("a/b/#", "a/c/#")]
        {
            assert!(!overlap(one, other) && !overlap(other, one), "{one} {other}");
        }
    }

    #[test]
    fn a_rule_covers_what_matches_no_more() {
        for (rule, filter) in [
            ("a", "a"),
            ("a/#", "a"),
            ("a/#", "a/#"),
            ("a/#", "a/+/b"),
            ("#", "+/a/#"),
            ("+/a", "+/a"),
            ("+", "a"),
            ("$SYS/#", "$SYS/#"),
        ] {
            assert!(covers(rule, filter), "{rule} {filter}");
        }
        for (rule, filter) in
            [("a", "+"), ("+", "#"), ("a/+", "a/#"), ("#", "$SYS/#"), ("a/b/#", "a/#"), ("+/b", "+/+"), ("a", "a/#")]
        {
            assert!(!covers(rule, filter), "{rule} {filter}");
        }
    }
}
