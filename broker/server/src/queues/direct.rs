//! What the broker sends to one client and nobody else, whatever that has subscribed to: what a look into a queue
//! shows, and the answers to commands. QoS 0, in the order of sending, and no faster than the client reads.

use std::{sync::Arc, time::Duration};

use primer_core::message::NEVER_MS;
use primer_mqtt::codec::packet::QoS;

use crate::{
    batch::{Batch, Burst, Publication},
    hub::Hub,
    session::{Cell, Wish},
};

/// How long the broker waits for a client that does not read.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// A client as it is connected now. Who takes the session over is somebody else, and gets nothing.
#[derive(Debug, Clone)]
pub(crate) struct Direct {
    hub: Arc<Hub>,
    cell: Arc<Cell>,
    connection: u32,
}

impl Direct {
    pub(crate) fn to(hub: &Arc<Hub>, cell: &Arc<Cell>) -> Self {
        let connection = cell.lock().connection;
        Self { hub: Arc::clone(hub), cell: Arc::clone(cell), connection }
    }

    /// Waits until the client has read what it was sent; `false` when it does not, or is gone.
    pub(crate) async fn has_room(&self) -> bool {
        let end = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < end {
            match self.room() {
                Some(true) => return true,
                Some(false) => tokio::time::sleep(PAUSE).await,
                None => return false,
            }
        }
        false
    }

    /// Whether there is room for more now; `None` when the client is gone.
    fn room(&self) -> Option<bool> {
        let state = self.cell.lock();
        let is_held = state.durable.as_ref().is_some_and(|durable| durable.waits_for().is_some());
        let is_there = state.connected.is_some() && !state.ended && state.connection == self.connection;
        is_there.then(|| !is_held && state.backlog() < self.hub.options.outbox_bytes_max / 4)
    }

    /// The largest packet that the client takes.
    pub(crate) fn packet_bytes_max(&self) -> usize {
        self.cell.lock().machine.packet_bytes_max().map_or(usize::MAX, |bytes| bytes as usize)
    }

    pub(crate) fn send(&self, topic: &str, forward: &[u8], payload: &[u8]) {
        let publication = Publication {
            topic,
            forward,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at_ms: NEVER_MS,
            expiry_s: None,
            from: None,
            publisher: None,
            user: None,
            shared_retain: false,
        };
        let mut batch = Batch::begin(&self.hub);
        batch.next_burst();
        let wish = Wish { qos: QoS::AtMostOnce, retain: false, ids: &[], share: None, is_direct: true };
        self.cell.deliver(&self.hub, &mut batch, &wish, Burst::one(&publication), 0..1, |_, _| ());
        batch.finish(&self.hub);
    }
}
