//! Delayed messages whose hour has come: out of the delayed store, into the queues of those who want them.
//!
//! With a journal that is one commit. While the journal takes nothing they wait; should the commit fail, they are held
//! again, as their publishers were told that they are kept.

use primer::{drops::Reason, journal::Group};

use crate::{
    batch::{Batch, Publication},
    hub::{Hub, Later},
    pipeline,
};

/// Messages that are published in one turn before others have theirs.
const TURN_MAX: usize = 1024;

/// What was published and is not durable yet.
#[derive(Debug, Default)]
pub(crate) struct Moving(Vec<(Group, Vec<Later>)>);

/// Whether what is due can be published now.
pub(crate) fn may_publish(hub: &Hub) -> bool {
    hub.node.journal().is_none_or(|journal| journal.admits().is_ok())
}

impl Moving {
    /// Publishes what is due.
    pub(crate) fn publish_due(&mut self, hub: &Hub, batch: &mut Batch<'_>) {
        if !may_publish(hub) {
            return; // the store calls when it does
        }
        let mut moved = Vec::new();
        for _ in 0..TURN_MAX {
            let due = hub.node.delayed.pop_due(&hub.node.budget, batch.now_ms);
            let Some(mut later) = due else { break };
            if let (Some(kept), Some(journal)) = (later.kept.take(), hub.node.journal()) {
                batch.draft.change(kept.gone(journal.delayed.id));
            }
            if later.message.is_expired(batch.now_ms) {
                hub.node.drops.add(Reason::Expired, 1);
                continue;
            }
            let publication = Publication::of_message(&later.message, later.qos, later.retain, batch.now_ms);
            pipeline::publish_own(hub, batch, &publication);
            moved.push(later);
        }
        if let Some((group, _nobody_waits)) = batch.submit(hub).filter(|_| !moved.is_empty()) {
            self.0.push((group, moved));
        }
    }

    /// Looks at what was published: what did not become durable is held again.
    pub(crate) fn look(&mut self, hub: &Hub, batch: &mut Batch<'_>) {
        let Some(journal) = hub.node.journal() else { return };
        self.0.retain_mut(|(group, moved)| match journal.store().outcome(*group) {
            None => true,
            Some(true) => false,
            Some(false) => {
                moved.retain(|later| pipeline::hold_again(hub, batch, later).is_err());
                !moved.is_empty()
            }
        });
    }
}
