//! What topics and filters of queues name.
//!
//! ```text
//! $queue/NAME                consume in the default group
//! $share/GROUP/$queue/NAME   consume in a group
//! $dead/NAME                 consume the dead letters of a queue; with $share/GROUP/ as above
//! $browse/NAME               look into a queue, oldest message first
//! $browse/NAME/from/POSITION the same from a position on
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

const BROWSE: &str = "$browse/";

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
        from: u64,
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
    match (name::check(name), from.parse()) {
        (Ok(()), Ok(from)) => Address::Browse { name, from },
        _ => Address::Wrong,
    }
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
            ("$browse/jobs", Some(Address::Browse { name: "jobs", from: 0 })),
            ("$browse/$dead/jobs/from/17", Some(Address::Browse { name: "$dead/jobs", from: 17 })),
            ("$browse/jobs/from/x", Some(Address::Wrong)),
            ("$browse/+", Some(Address::Wrong)),
        ] {
            assert_eq!(of(filter), wanted, "{filter}");
        }
    }
}
