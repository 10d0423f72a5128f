//! Every message that ends without a delivery is counted here by its reason. Nothing is dropped silently.

use std::sync::atomic::{AtomicU64, Ordering};

use primer_core::commit::Refused;

macro_rules! reasons {
    ($($variant:ident, $name:literal, $text:literal;)*) => {
        /// Why a message was not delivered.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = $text] $variant,)*
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in metrics and `$SYS` topics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    QueueOverflow, "queue_overflow", "Trimmed from a queue at its high watermark.";
    QueueFull, "queue_full", "Refused by a queue at its high watermark; the publisher was told.";
    Expired, "expired", "Its time to live passed before it could be delivered.";
    SlowConsumer, "slow_consumer", "QoS 0 to a consumer whose buffer was full.";
    Offline, "offline", "QoS 0 to a session without a connection.";
    TooLarge, "too_large", "Larger than the consumer's maximum packet size.";
    MemoryFull, "memory_full", "The node's memory budget was spent.";
    DiskFull, "disk_full", "The node's disk budget was spent, or its disk full; the publisher was told.";
    DiskFailed, "disk_failed", "The node's disk did not take it; the publisher was told.";
    Overloaded, "overloaded", "More was published than the node's disk takes; the publisher was told.";
    Evicted, "evicted", "Trimmed from a queue because the node's disk budget was spent.";
    Damaged, "damaged", "Its record on the disk was damaged.";
    StoreFull, "store_full", "The retained or the delayed store was full.";
    NotAuthorized, "not_authorized", "The publisher may not publish to the topic.";
    NotReadable, "not_readable", "The consumer may not read the topic, or not any more.";
    RejectedByConsumer, "rejected_by_consumer", "The consumer answered with an error.";
    NoConsumer, "no_consumer", "Every member of its share group was gone.";
    SessionEnded, "session_ended", "Its session ended before it could be delivered.";
    Stopping, "stopping", "The node was stopping; the publisher was told.";
    ByRule, "refused_by_rule", "A mapping rule refused it; the publisher was told.";
    DroppedByRule, "dropped_by_rule", "A mapping rule dropped it.";
    Abandoned, "abandoned", "Given at most once to a consumer that ended before it took it up.";
    InvalidTopic, "invalid_topic", "The topic names no place that can be published to.";
}

/// The reason of a refusal.
#[must_use]
pub const fn reason_of(why: Refused) -> Reason {
    match why {
        Refused::QueueFull => Reason::QueueFull,
        Refused::MemoryFull => Reason::MemoryFull,
        Refused::NotAuthorized => Reason::NotAuthorized,
        Refused::InvalidTopic | Refused::Deleted => Reason::InvalidTopic,
        Refused::Stopping => Reason::Stopping,
        Refused::ByRule(_) => Reason::ByRule,
        Refused::DiskFull | Refused::DiskLimit => Reason::DiskFull,
        Refused::DiskFailed => Reason::DiskFailed,
        Refused::Overloaded => Reason::Overloaded,
        _ => Reason::StoreFull,
    }
}

/// Counters by reason.
#[derive(Debug, Default)]
pub struct Drops {
    counts: [AtomicU64; Reason::ALL.len()],
}

impl Drops {
    /// Counts `messages` dropped for `reason`.
    pub fn add(&self, reason: Reason, messages: u64) {
        if messages > 0
            && let Some(count) = self.counts.get(reason as usize)
        {
            count.fetch_add(messages, Ordering::Relaxed);
        }
    }

    /// Messages dropped for `reason` since the start.
    #[must_use]
    pub fn get(&self, reason: Reason) -> u64 {
        self.counts.get(reason as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Messages dropped since the start.
    #[must_use]
    pub fn total(&self) -> u64 {
        Reason::ALL.iter().map(|reason| self.get(*reason)).sum()
    }
}
