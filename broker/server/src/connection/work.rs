//! One read, worked through: parse under the session's lock, carry out the steps without it, answer under it again.

use std::{cell::RefCell, sync::Arc};

use primer_mqtt::{
    ReasonCode, Violation,
    codec::{self, Decoded, packet::Outcome, packet::Packet},
    session::Step,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Ending};
use crate::{
    authentication::{Exchange, Reply},
    batch::Batch,
    limits::{BATCH_PACKETS_MAX, BURST_MAX},
    pipeline::{self, Arrival, Publisher},
    registry::Farewell,
    subscribe,
};

thread_local! {
    /// The memory of the steps of a batch, used again and again; always empty between batches.
    static STEPS: RefCell<Vec<Step<'static>>> = const { RefCell::new(Vec::new()) };
}

/// An empty list of steps in the memory of an earlier one.
fn recycle<'b>(mut steps: Vec<Step<'_>>) -> Vec<Step<'b>> {
    steps.clear();
    // Nothing is converted; collecting in place is how the allocation changes its lifetime without `unsafe`.
    steps.into_iter().map(|_| Step::Nothing).collect()
}

const fn arrival<'s, 'a>(step: &'s Step<'a>) -> Option<Arrival<'s, 'a>> {
    match step {
        Step::Publish { incoming, token } => Some(Arrival { incoming, token: *token }),
        _ => None,
    }
}

/// How many of the first steps go together: publishes of one topic and QoS. One that is retained goes alone: the
/// retained store has to change before its message is routed, and after the one before it was.
fn burst_len(steps: &[Step<'_>]) -> usize {
    let Some(first) = steps.first().and_then(arrival).map(|arrival| arrival.incoming) else { return 1 };
    let goes_along = |step: &&Step<'_>| {
        arrival(step).is_some_and(|Arrival { incoming, .. }| {
            !incoming.retain && incoming.qos == first.qos && *incoming.topic == *first.topic
        })
    };
    let along = if first.retain { 0 } else { steps.iter().skip(1).take(BURST_MAX - 1).take_while(goes_along).count() };
    1 + along
}

struct Parsed {
    used: usize,
    /// The rest begins with an incomplete packet.
    is_drained: bool,
    violation: Option<Violation>,
}

#[derive(Default)]
struct Tally {
    packets: u64,
    publishes: u64,
    payload_bytes: u64,
    /// Packets that the machine answered at once.
    answers: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Works through whole packets; answers how many bytes they took.
    pub(super) fn work(&mut self, bytes: &[u8]) -> Result<usize, Ending> {
        let hub = Arc::clone(&self.hub);
        let mut batch = Batch::of_read(&hub, bytes);
        self.cell.set_heard(batch.now_ms);
        self.has_heard = true;
        let mut used = 0;
        let mut tally = Tally::default();
        let result = loop {
            let mut steps = recycle(STEPS.take());
            let parsed = self.parse(bytes.get(used..).unwrap_or_default(), &mut steps, &mut tally, batch.now_ms);
            used += parsed.used;
            let mut result = self.carry_out(&mut batch, &steps);
            STEPS.set(recycle(steps));
            if result.is_ok()
                && let Some(violation) = parsed.violation
            {
                result = Err(self.violated(&violation));
            }
            if result.is_err() || parsed.is_drained {
                break result;
            }
        };
        self.submit(&mut batch);
        batch.finish(&hub);
        hub.counters.packets_received.add(tally.packets);
        hub.counters.packets_sent.add(tally.answers);
        hub.counters.publishes_received.add(tally.publishes);
        hub.counters.publish_bytes_received.add(tally.payload_bytes);
        self.slow_down(tally.publishes, used as u64);
        result.map(|()| used)
    }

    /// Under the session's lock: decodes, runs the machine, keeps what is left to do as steps.
    fn parse<'b>(&self, bytes: &'b [u8], steps: &mut Vec<Step<'b>>, tally: &mut Tally, now_ms: u64) -> Parsed {
        let mut parsed = Parsed { used: 0, is_drained: false, violation: None };
        let mut guard = self.cell.lock();
        let state = &mut *guard;
        state.ensure_buffer();
        let mut got_credit = false;
        while steps.len() < BATCH_PACKETS_MAX {
            let rest = bytes.get(parsed.used..).unwrap_or_default();
            let (packet, len) = match codec::decode(rest, &self.rules) {
                Ok(Decoded::Packet { packet, len }) => (packet, len),
                Ok(Decoded::Incomplete { .. }) => {
                    parsed.is_drained = true;
                    break;
                }
                Err(violation) => {
                    parsed.violation = Some(violation);
                    break;
                }
            };
            if matches!(packet, Packet::PingReq) && !steps.is_empty() {
                break; // what came before it is answered before it
            }
            parsed.used += len;
            tally.packets += 1;
            match &packet {
                Packet::Publish(publish) => {
                    tally.publishes += 1;
                    tally.payload_bytes += publish.payload.len() as u64;
                }
                Packet::PingReq | Packet::PubRec(_) | Packet::PubRel(_) => tally.answers += 1,
                _ => {}
            }
            match state.handle(&self.hub, packet) {
                Ok(Step::Nothing) => {}
                Ok(Step::Credit) => got_credit = true,
                Ok(Step::Delivered { position, reason }) => {
                    got_credit = true;
                    state.settle(&self.hub, position, reason);
                }
                Ok(step) => {
                    let is_last = matches!(step, Step::Disconnect { .. });
                    steps.push(step);
                    if is_last {
                        break;
                    }
                }
                Err(violation) => {
                    parsed.violation = Some(violation);
                    break;
                }
            }
        }
        if got_credit {
            state.pump(&self.hub, now_ms); // which hands over what has changed as well
            self.cell.note_room(state);
        }
        if state.never_reads(&self.hub) && parsed.violation.is_none() {
            self.hub.counters.slow_closed.add(1);
            let detail = "the client causes answers and does not read them";
            parsed.violation = Some(Violation::with(ReasonCode::QUOTA_EXCEEDED, "MQTT5 4.13.1", detail));
        }
        parsed
    }

    /// Without a lock: routes publishes, changes subscriptions; then answers what has been decided.
    fn carry_out(&mut self, batch: &mut Batch<'_>, steps: &[Step<'_>]) -> Result<(), Ending> {
        let mut ending = None;
        let mut rest = steps;
        while let Some(step) = rest.first()
            && ending.is_none()
        {
            let burst = burst_len(rest);
            match step {
                Step::Publish { .. } => {
                    let arrivals: Vec<Arrival<'_, '_>> = rest.iter().take(burst).filter_map(arrival).collect();
                    let from = Publisher { cell: &self.cell, identity: &self.identity, queue: self.queue };
                    pipeline::publish(&self.hub, batch, &mut self.acks, &from, &arrivals);
                }
                Step::Subscribe(packet) => subscribe::subscribe(&self.hub, &self.cell, &self.identity, packet),
                Step::Unsubscribe(packet) => subscribe::unsubscribe(&self.hub, &self.cell, packet),
                Step::Authenticate(outcome) => ending = self.authenticate_again(outcome).err(),
                Step::Disconnect { with_will, session_expiry_s } => {
                    let farewell = if *with_will { Farewell::WithWill } else { Farewell::Clean };
                    let why = "the client said goodbye".to_owned();
                    ending = Some(Ending { farewell, tell: None, why, session_expiry_s: *session_expiry_s });
                }
                Step::Nothing | Step::Credit | Step::Delivered { .. } => {}
            }
            rest = rest.get(burst..).unwrap_or_default();
        }
        self.abandon(rest);
        if !self.acks.is_empty() {
            let mut state = self.cell.lock();
            if let Err(violation) = pipeline::settle(&self.hub, &mut self.acks, &mut state) {
                drop(state);
                ending.get_or_insert_with(|| self.violated(&violation));
            }
        }
        ending.map_or(Ok(()), Err)
    }

    /// The connection ends before these steps: their publishes are as if they had not come.
    fn abandon(&self, steps: &[Step<'_>]) {
        for step in steps {
            if let Step::Publish { token: Some(token), .. } = step {
                self.cell.lock().machine.abandon(*token);
            }
        }
    }

    pub(super) fn violated(&self, violation: &Violation) -> Ending {
        self.hub.counters.violations.add(1);
        Ending::told(violation.reason, Some(format!("{} [{}]", violation.detail, violation.clause)))
    }

    /// A step of a re-authentication (MQTT 5.0, 4.12.1). Other packets go on meanwhile.
    fn authenticate_again(&mut self, outcome: &Outcome<'_>) -> Result<(), Ending> {
        let ended = |reason| Ending::told(reason, Some("re-authentication".to_owned()));
        let method = self.cell.lock().machine.authentication_method().unwrap_or_default().to_owned();
        match outcome.reason {
            ReasonCode::RE_AUTHENTICATE => {
                self.exchange = Some(Box::new(Exchange::begin(&self.hub, &method).map_err(ended)?));
            }
            ReasonCode::CONTINUE_AUTHENTICATION if self.exchange.is_some() => {}
            _ => return Err(ended(ReasonCode::PROTOCOL_ERROR)),
        }
        let Some(exchange) = &mut self.exchange else { return Ok(()) };
        let data = outcome.properties.authentication_data().unwrap_or_default();
        let (reason, data) = match exchange.step(&self.hub, data).map_err(ended)? {
            Reply::Continue(data) => (ReasonCode::CONTINUE_AUTHENTICATION, data),
            Reply::Done(username, data) => {
                if self.identity.username.as_ref() != Some(&username) {
                    return Err(ended(ReasonCode::NOT_AUTHORIZED)); // nobody becomes somebody else half-way
                }
                self.exchange = None;
                (ReasonCode::SUCCESS, data)
            }
        };
        let mut state = self.cell.lock();
        let state = &mut *state;
        state.machine.continue_authentication(reason, Some(&data), &mut state.outbox);
        Ok(())
    }

    /// Charges the read against the connection's rates, and pauses the next one where it went too fast.
    fn slow_down(&mut self, publishes: u64, bytes: u64) {
        let Some(limiter) = &mut self.limiter else { return };
        let now_ms = self.hub.node.clock.now_ms();
        let wait_ms = limiter.publishes.spend(publishes, now_ms).max(limiter.bytes.spend(bytes, now_ms));
        if wait_ms > 0 {
            limiter.is_paused = true;
            limiter.pause.as_mut().reset(self.hub.node.clock.instant(now_ms + wait_ms).into());
        }
    }
}
