//! The `$SYS` tree, in mosquitto's names, and a few of EMQX's (`$SYS/brokers/...`).

pub(crate) mod dropped;
mod queues;
pub(crate) mod store;

use std::collections::BTreeMap;

use primer::drops::Reason;
use tokio::time::Instant;

use crate::{batch::Batch, hub::Hub};

/// A total whose rate is published as a load: events a minute, averaged over 1, 5 and 15 minutes.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    last: u64,
    averages: [f64; 3],
}

/// The publisher of `$SYS`.
#[derive(Debug)]
pub(crate) struct Sys {
    next: Instant,
    loads: BTreeMap<&'static str, Load>,
    loaded_at_ms: u64,
    /// What was published last: a value that has not changed is not published again.
    published: BTreeMap<String, String>,
}

impl Sys {
    pub(crate) fn new(hub: &Hub) -> Self {
        let now_ms = hub.node.clock.now_ms();
        Self { next: Instant::now(), loads: BTreeMap::new(), loaded_at_ms: now_ms, published: BTreeMap::new() }
    }

    /// When to publish next; never, when it is turned off.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Publishes what has changed.
    pub(crate) fn publish(&mut self, hub: &Hub, batch: &mut Batch) {
        if hub.options.sys_interval.is_zero() {
            const YEAR: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);
            self.next = Instant::now() + YEAR;
            return;
        }
        self.next = Instant::now() + hub.options.sys_interval;
        let mut values = totals(hub);
        values.extend(store::values(hub));
        values.extend(queues::values(hub));
        values.extend(emqx(hub));
        values.extend(self.loads(hub, batch.now_ms));
        for (topic, value) in values {
            if self.published.get(&topic) != Some(&value) {
                hub.publish_text(batch, &format!("$SYS/{topic}"), value.as_bytes(), true);
                self.published.insert(topic, value);
            }
        }
    }

    fn loads(&mut self, hub: &Hub, now_ms: u64) -> Vec<(String, String)> {
        let c = &hub.counters;
        let minutes = (now_ms.saturating_sub(self.loaded_at_ms)) as f64 / 60_000.0;
        self.loaded_at_ms = now_ms;
        if minutes <= 0.0 {
            return Vec::new();
        }
        let totals = [
            ("messages/received", c.packets_received.get()),
            ("messages/sent", c.packets_sent.get() + c.publishes_sent.get()),
            ("publish/received", c.publishes_received.get()),
            ("publish/sent", c.publishes_sent.get()),
            ("publish/dropped", hub.node.drops.total()),
            ("bytes/received", c.bytes_received.get()),
            ("bytes/sent", c.bytes_sent.get()),
            ("sockets", c.sockets.get()),
            ("connections", c.connects.get()),
        ];
        let mut values = Vec::new();
        for (name, total) in totals {
            let load = self.loads.entry(name).or_default();
            let rate = total.saturating_sub(load.last) as f64 / minutes;
            load.last = total;
            for ((average, window), label) in
                load.averages.iter_mut().zip([1.0, 5.0, 15.0]).zip(["1min", "5min", "15min"])
            {
                let decay = (-minutes / window).exp();
                *average = rate + (*average - rate) * decay;
                values.push((format!("broker/load/{name}/{label}"), format!("{average:.2}")));
            }
        }
        values
    }
}

fn totals(hub: &Hub) -> Vec<(String, String)> {
    let c = &hub.counters;
    let sessions = hub.registry.all();
    let (mut connected, mut stored, mut stored_bytes) = (0, 0, 0);
    for cell in &sessions {
        let state = cell.lock();
        connected += u64::from(state.connected.is_some());
        stored += state.queue.len();
        stored_bytes += state.queue.bytes();
    }
    let total = sessions.len() as u64;
    let (subscriptions, shared) = {
        let trie = hub.node.routes.read();
        (trie.len(), trie.shared_len())
    };
    let retained = hub.node.retained.len();
    let dropped = hub.node.drops.total();
    let values = [
        ("version", format!("primer version {}", env!("CARGO_PKG_VERSION"))),
        ("uptime", format!("{} seconds", hub.uptime().as_secs())),
        ("clients/total", total.to_string()),
        ("clients/connected", connected.to_string()),
        ("clients/active", connected.to_string()),
        ("clients/disconnected", (total - connected).to_string()),
        ("clients/inactive", (total - connected).to_string()),
        ("clients/maximum", hub.connections.max().to_string()),
        ("clients/expired", c.sessions_expired.get().to_string()),
        ("connections/socket/count", hub.connections.get().to_string()),
        ("messages/received", c.packets_received.get().to_string()),
        ("messages/sent", (c.packets_sent.get() + c.publishes_sent.get()).to_string()),
        ("messages/stored", (stored + retained).to_string()),
        ("store/messages/count", (stored + retained).to_string()),
        ("store/messages/bytes", (stored_bytes + hub.node.retained.bytes()).to_string()),
        ("publish/messages/received", c.publishes_received.get().to_string()),
        ("publish/messages/sent", c.publishes_sent.get().to_string()),
        ("publish/messages/dropped", dropped.to_string()),
        ("publish/bytes/received", c.publish_bytes_received.get().to_string()),
        ("publish/bytes/sent", c.publish_bytes_sent.get().to_string()),
        ("bytes/received", c.bytes_received.get().to_string()),
        ("bytes/sent", c.bytes_sent.get().to_string()),
        ("subscriptions/count", subscriptions.to_string()),
        ("shared_subscriptions/count", shared.to_string()),
        ("retained messages/count", retained.to_string()),
        ("heap/current", hub.node.budget.used().to_string()),
        ("heap/maximum", hub.node.budget.peak().to_string()),
        ("connections/refused", c.refused_connects.get().to_string()),
        ("connections/shed", c.shed_connections.get().to_string()),
        ("connections/taken_over", c.taken_over.get().to_string()),
        ("connections/violations", c.violations.get().to_string()),
        ("connections/slow_closed", c.slow_closed.get().to_string()),
        ("delayed/count", hub.node.delayed.len().to_string()),
    ];
    let drops = Reason::ALL.iter().map(|r| (format!("broker/drops/{}", r.name()), hub.node.drops.get(*r).to_string()));
    values.into_iter().map(|(name, value)| (format!("broker/{name}"), value)).chain(drops).collect()
}

fn emqx(hub: &Hub) -> Vec<(String, String)> {
    let node = &hub.options.node_name;
    vec![
        ("brokers".to_owned(), node.clone()),
        (format!("brokers/{node}/version"), env!("CARGO_PKG_VERSION").to_owned()),
        (format!("brokers/{node}/uptime"), (hub.uptime().as_secs() * 1000).to_string()),
        (format!("brokers/{node}/sysdescr"), "Primer, a distributed message queue and MQTT broker".to_owned()),
        (format!("brokers/{node}/datetime"), hub.node.clock.unix_ms().to_string()),
    ]
}
