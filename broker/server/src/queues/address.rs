//! What topics and filters of queues name.
//!
//! ```text
//! $queue/NAME                consume in the default group
//! $share/GROUP/$queue/NAME   consume in a group
//! $dead/NAME                 consume the dead letters of a queue; with $share/GROUP/ as above
//! $browse/NAME               look into a queue, oldest message first
//! $browse/NAME/from/POSITION the same from a position on
//! $browse/NAME/from/TIME     the same, of what was published since (RFC 3339 in UTC: 2026-11-28T18:30:00Z)
//! ```
//! `$queue/FILTER` where no queue is meant is a shared subscription, as EMQX 4 has it: with a wildcard, or while nobody
//! has made, defined or used a queue of that name. In the second case it consumes from the queue as well, as soon as
//! there is one.

use primer::{DEFAULT_GROUP, name};
use primer_core::topic;

/// The prefix of queues.
pub(crate) const QUEUE: &str = "$queue/";

/// The group of the shared subscriptions that `$queue/FILTER` stands for.
pub(crate) const EMQX_GROUP: &str = "$queue";

/// The prefix of looks into queues.
pub(crate) const BROWSE: &str = "$browse/";

/// Where a look begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Position(u64),
    /// In milliseconds since 1970.
    Time(u64),
}

/// What a filter names, if it is one of queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address<'a> {
    /// Consume.
    Queue {
        /// The queue's name.
        name: &'a str,
        /// The group.
        group: &'a str,
        /// Whether it may be a shared subscription instead.
        may_be_shared: bool,
    },
    /// Look.
    Browse {
        /// The queue's name.
        name: &'a str,
        /// Where to begin.
        from: Start,
    },
    /// A shared subscription and nothing else.
    Shared,
    /// It begins as one of these, and names nothing.
    Wrong,
}

/// What a filter names, as the client wrote it; `None` for a filter of topics.
pub(crate) fn of(whole: &str) -> Option<Address<'_>> {
    let (group, filter) = match topic::split_shared(whole) {
        Ok(Some((group, filter))) => (Some(group), filter),
        _ => (None, whole),
    };
    if !filter.starts_with('$') {
        return None;
    }
    if let Some(rest) = filter.strip_prefix(BROWSE) {
        return Some(if group.is_some() { Address::Wrong } else { browse(rest) });
    }
    let name = filter.strip_prefix(QUEUE).or_else(|| filter.starts_with(name::DEAD).then_some(filter))?;
    let may_be_shared = group.is_none() && filter.starts_with(QUEUE);
    Some(match name::check(name) {
        Ok(()) => Address::Queue { name, group: group.unwrap_or(DEFAULT_GROUP), may_be_shared },
        Err(_) if may_be_shared && topic::check_filter(name).is_ok() => Address::Shared,
        Err(_) => Address::Wrong,
    })
}

fn browse(rest: &str) -> Address<'_> {
    let (name, from) = rest.rsplit_once("/from/").unwrap_or((rest, "0"));
    let start = from.parse().map(Start::Position).ok().or_else(|| unix_ms(from).map(Start::Time));
    match (name::check(name), start) {
        (Ok(()), Some(from)) => Address::Browse { name, from },
        _ => Address::Wrong,
    }
}

/// The name by which the right to publish to a topic is asked for: dead letters have one name, however they are
/// addressed.
pub(crate) fn own_name(topic: &str) -> &str {
    topic.strip_prefix(QUEUE).filter(|rest| rest.starts_with(name::DEAD)).unwrap_or(topic)
}

/// The topic of a queue, by which the right to consume from it is asked for.
pub(crate) fn own_topic(queue: &str) -> String {
    if queue.starts_with(name::DEAD) { queue.to_owned() } else { format!("{QUEUE}{queue}") }
}

/// A time as RFC 3339 has it, in UTC, to the second or its thousandths, in milliseconds since 1970.
fn unix_ms(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by: char| -> Option<[u64; 3]> {
        let all: Option<Vec<u64>> = text.split(by).map(|part| part.parse().ok()).collect();
        all?.try_into().ok()
    };
    let (time, millis) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let is_in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && millis.len() <= 3;
    if !is_in_range {
        return None;
    }
    // Days from 1970 by the civil calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second;
    let thousandths: u64 = format!("{millis:0<3}").parse().ok()?;
    Some(seconds * 1000 + thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_queues_groups_and_looks() {
        let queue = |name, group, may_be_shared| Some(Address::Queue { name, group, may_be_shared });
        for (filter, wanted) in [
            ("a/b", None),
            ("$SYS/#", None),
            ("$share/g/a", None),
            ("$queue/jobs", queue("jobs", "default", true)),
            ("$queue/a/b", queue("a/b", "default", true)),
            ("$share/g/$queue/jobs", queue("jobs", "g", false)),
            ("$dead/jobs", queue("$dead/jobs", "default", false)),
            ("$queue/$dead/jobs", queue("$dead/jobs", "default", true)),
            ("$share/g/$dead/jobs", queue("$dead/jobs", "g", false)),
            ("$queue/a/+", Some(Address::Shared)),
            ("$queue/#", Some(Address::Shared)),
            ("$queue//a", Some(Address::Shared)),
            ("$share/g/$queue/a/+", Some(Address::Wrong)),
            ("$queue/", Some(Address::Wrong)),
            ("$dead/a/#", Some(Address::Wrong)),
            ("$browse/jobs", Some(Address::Browse { name: "jobs", from: Start::Position(0) })),
            ("$browse/$dead/jobs/from/17", Some(Address::Browse { name: "$dead/jobs", from: Start::Position(17) })),
            ("$browse/jobs/from/x", Some(Address::Wrong)),
            ("$browse/+", Some(Address::Wrong)),
        ] {
            assert_eq!(of(filter), wanted, "{filter}");
        }
    }

    #[test]
    fn a_queue_has_one_name_to_ask_for() {
        assert_eq!(own_name("$queue/$dead/jobs"), "$dead/jobs");
        for topic in ["$queue/jobs", "$dead/jobs", "a/$queue/$dead/x", "$queue/a/$dead/x"] {
            assert_eq!(own_name(topic), topic);
        }
        assert_eq!((own_topic("a/b"), own_topic("$dead/a")), ("$queue/a/b".to_owned(), "$dead/a".to_owned()));
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00.5Z", Some(951_825_600_500)),
            ("2024-02-29T23:59:59.999Z", Some(1_709_251_199_999)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400_000)),
            ("2026-11-28T18:30:00", None),
            ("2026-13-28T18:30:00Z", None),
            ("2026-11-28T24:30:00Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(unix_ms(text), wanted, "{text}");
        }
        let wanted = Some(Address::Browse { name: "a/b", from: Start::Time(0) });
        assert_eq!(of("$browse/a/b/from/1970-01-01T00:00:00Z"), wanted);
    }
}
