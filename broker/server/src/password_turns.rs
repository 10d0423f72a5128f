//! Turns at passwords: how many attempts of an address are looked at at a time, in which order, and after which wait.
//!
//! `primer_devices::Guesses` says how long; here one waits. Attempts of a lane that has not failed too often are looked
//! at a few at a time, those of one that has one after another, in the order in which they came.

use std::{hash::BuildHasher, net::IpAddr, sync::Arc, time::Duration};

use hashbrown::HashMap;
use parking_lot::Mutex;
use primer_devices::{Guesses, Lane, limits::FAILURES_FREE};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use crate::hub::Hub;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    guesses: Mutex<Guesses>,
    /// Where attempts of a lane wait, as long as there are some.
    gates: Mutex<HashMap<Lane, Arc<Semaphore>>>,
}

/// An attempt that is being looked at. Dropped without an outcome it tells nothing: neither that a password was right
/// nor that it was wrong.
#[derive(Debug)]
pub(crate) struct Turn<'h> {
    hub: &'h Hub,
    lane: Lane,
    ip: IpAddr,
    user: u64,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits for a turn. The caller bounds the time.
    pub(crate) async fn wait<'h>(&'h self, hub: &'h Hub, ip: IpAddr, username: &str) -> Turn<'h> {
        let user = hub.hasher.hash_one(username);
        let lane = self.guesses.lock().lane(ip, user);
        // Made before the first wait: one that is given up there takes its gate along.
        let mut turn = Turn { hub, lane, ip, user, permit: None };
        let gate = Arc::clone(
            self.gates.lock().entry(lane).or_insert_with(|| Arc::new(Semaphore::new(FAILURES_FREE as usize))),
        );
        loop {
            let is_slowed = self.guesses.lock().is_slowed(lane, hub.node.clock.now_ms());
            let permits = if is_slowed { FAILURES_FREE } else { 1 };
            turn.permit = Arc::clone(&gate).acquire_many_owned(permits).await.ok();
            let wait_ms = {
                let (guesses, now_ms) = (self.guesses.lock(), hub.node.clock.now_ms());
                if guesses.is_slowed(lane, now_ms) && !is_slowed {
                    turn.permit = None; // others have failed meanwhile
                    continue;
                }
                guesses.wait_ms(lane, now_ms)
            };
            if wait_ms > 0 {
                tracing::info!("Client connection from {ip} waits {wait_ms} ms: wrong passwords before");
                sleep(Duration::from_millis(wait_ms)).await;
            }
            return turn;
        }
    }
}

impl Turn<'_> {
    /// The password was right.
    pub(crate) fn was_right(self) {
        self.hub.turns.guesses.lock().succeeded(self.ip, self.user, self.hub.node.clock.now_ms());
    }

    /// The password was wrong.
    pub(crate) fn was_wrong(self) {
        self.hub.turns.guesses.lock().failed(self.lane, self.hub.node.clock.now_ms());
    }
}

impl Drop for Turn<'_> {
    /// The last of a lane takes the gate away.
    fn drop(&mut self) {
        self.permit = None;
        let mut gates = self.hub.turns.gates.lock();
        if gates.get(&self.lane).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(&self.lane);
        }
    }
}
