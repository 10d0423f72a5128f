//! `$SYS/broker/queues/...`: how the queues are, and what each has dropped; and what the sessions have,
//! `$SYS/broker/sessions/CLIENT/drops/REASON`.

use primer::QueueInfo;

use crate::{hub::Hub, limits::QUEUES_SHOWN_MAX};

pub(super) fn values(hub: &Hub) -> Vec<(String, String)> {
    let infos = hub.node.queues.infos();
    let total = |of: fn(&QueueInfo) -> usize| infos.iter().map(of).sum::<usize>().to_string();
    let mut values = vec![
        ("broker/queues/count".to_owned(), infos.len().to_string()),
        ("broker/queues/messages".to_owned(), total(|info| info.messages)),
        ("broker/queues/bytes".to_owned(), total(|info| info.bytes)),
    ];
    for info in infos.iter().take(QUEUES_SHOWN_MAX) {
        let counts = &info.counts;
        let consumers: usize = info.groups.iter().map(|group| group.figures.consumers).sum();
        let figures = [
            ("messages", info.messages as u64),
            ("bytes", info.bytes as u64),
            ("consumers", consumers as u64),
            ("pushed", counts.pushed),
            ("delivered", counts.delivered),
            ("redelivered", counts.redelivered),
            ("acknowledged", counts.acked),
            ("dead", counts.dead),
            ("duplicates", counts.duplicates),
            ("drops/queue_full", counts.refused),
            ("drops/expired", counts.expired),
            ("drops/queue_overflow", counts.trimmed),
            ("drops/evicted", counts.evicted),
            ("drops/damaged", counts.lost),
        ];
        let topic = |name| format!("broker/queues/{}/{name}", info.name);
        values.extend(figures.into_iter().map(|(name, value)| (topic(name), value.to_string())));
    }
    for (client_id, reason, messages) in hub.session_drops.all() {
        values.push((format!("broker/sessions/{client_id}/drops/{}", reason.name()), messages.to_string()));
    }
    values
}
