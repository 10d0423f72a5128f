//! What was dropped, in the log: a line when it begins, and one a minute as long as it goes on.

use std::{collections::BTreeMap, time::Duration};

use primer::drops::Reason;
use tokio::time::Instant;

use crate::hub::Hub;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(60);

/// What is dropped in the ordinary course, at the word of whoever set a time to live, gives up a queue, or lets a rule
/// do so; and what is told in lines of its own.
const UNTOLD: &[Reason] = &[
    Reason::Expired,
    Reason::Offline,
    Reason::SessionEnded,
    Reason::Stopping,
    Reason::NotAuthorized,
    Reason::NotReadable,
    Reason::ByRule,
    Reason::DroppedByRule,
    Reason::InvalidTopic,
    Reason::RejectedByConsumer,
];

/// What the log knows of it.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    told: Vec<u64>,
    last: Option<Instant>,
}

impl Dropped {
    /// Says what has been dropped since the last line, if it is time for one.
    pub(crate) fn tell(&mut self, hub: &Hub, now: Instant) {
        if self.last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            return;
        }
        let counts: Vec<u64> = Reason::ALL.iter().map(|reason| hub.node.drops.get(*reason)).collect();
        let before = |at: usize| self.told.get(at).copied().unwrap_or(0);
        let told = Reason::ALL.iter().enumerate().filter(|(_, reason)| !UNTOLD.contains(reason));
        let news = told.map(|(at, reason)| (counts[at].saturating_sub(before(at)), reason.name()));
        let news: Vec<_> =
            news.filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
        if !news.is_empty() {
            let (news, most) = (news.join(", "), hardest_hit(hub));
            tracing::warn!("Messages were dropped: {news}{most}. $SYS/broker/drops/# counts them");
            self.last = Some(now);
        }
        self.told = counts;
    }
}

/// The session that has lost the most, if any has.
fn hardest_hit(hub: &Hub) -> String {
    let mut sums = BTreeMap::new();
    for (client_id, _, messages) in hub.session_drops.all().into_iter().filter(|one| !UNTOLD.contains(&one.1)) {
        *sums.entry(client_id).or_insert(0) += messages;
    }
    let most = sums.into_iter().max_by_key(|(_, messages)| *messages);
    most.map_or_else(String::new, |(client_id, _)| format!(", most of session {client_id:?}"))
}
