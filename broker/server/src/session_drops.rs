//! What each session has dropped, by reason: a counter for the node alone does not say whose messages they were.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use primer::drops::Reason;

use crate::limits::SESSIONS_SHOWN_MAX;

/// Bounded: sessions beyond the bound are counted together, as `...`. A session that ends takes its counters along.
#[derive(Debug, Default)]
pub(crate) struct SessionDrops {
    counts: Mutex<BTreeMap<Arc<str>, BTreeMap<Reason, u64>>>,
}

impl SessionDrops {
    pub(crate) fn add(&self, client_id: &Arc<str>, reason: Reason, messages: u64) {
        if messages == 0 {
            return;
        }
        let mut counts = self.counts.lock();
        // A topic has to be made of it.
        let is_shown = !client_id.contains(['+', '#', '\0']) && !client_id.is_empty();
        let fits = counts.len() < SESSIONS_SHOWN_MAX || counts.contains_key(client_id);
        let name = if is_shown && fits { Arc::clone(client_id) } else { Arc::from("...") };
        *counts.entry(name).or_default().entry(reason).or_default() += messages;
    }

    pub(crate) fn forget(&self, client_id: &str) {
        self.counts.lock().remove(client_id);
    }

    pub(crate) fn all(&self) -> Vec<(Arc<str>, Reason, u64)> {
        let counts = self.counts.lock();
        let each = counts.iter().flat_map(|(client_id, reasons)| reasons.iter().map(move |count| (client_id, count)));
        each.map(|(client_id, (reason, messages))| (Arc::clone(client_id), *reason, *messages)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_beyond_the_bound_are_counted_together() {
        let drops = SessionDrops::default();
        for n in 0..SESSIONS_SHOWN_MAX + 5 {
            drops.add(&format!("c{n}").into(), Reason::Expired, 1);
        }
        drops.add(&"a/+".into(), Reason::Expired, 2);
        drops.add(&"c0".into(), Reason::QueueOverflow, 7);
        drops.add(&"c0".into(), Reason::QueueFull, 0);
        let all = drops.all();
        let of = |name: &str| all.iter().filter(|(id, ..)| **id == *name).map(|one| (one.1, one.2)).collect::<Vec<_>>();
        assert_eq!(of("..."), [(Reason::Expired, 7)]);
        assert_eq!(of("c0"), [(Reason::QueueOverflow, 7), (Reason::Expired, 1)]);
        drops.forget("c0");
        assert!(drops.all().iter().all(|(id, ..)| **id != *"c0"));
    }
}
