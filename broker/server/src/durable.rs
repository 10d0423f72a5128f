//! The part of a session that outlives the process: its queue in the store, what has changed there, what must not
//! leave before it is durable, and what is being read back.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use primer::{
    Journal,
    journal::{Change, Draft, Group, Loaded, QueueId, Store, Want, Whereabouts},
};
use primer_core::{
    backlog::{Left, Position, Stub},
    commit::{Accepted, Refused},
    message::Message,
};
use primer_mqtt::{Violation, codec::packet::Packet, session::Step};

use crate::{
    delivery::Queued,
    hub::Hub,
    limits::{LOAD_BYTES_MAX, LOAD_MESSAGES_MAX},
    schema,
    session::{Cell, State},
};

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) queue: QueueId,
    /// The session itself, for who brings back what was read.
    cell: Weak<Cell>,
    changes: Vec<Change>,
    /// Encoded packets that must not leave before their group is durable, in order.
    held: VecDeque<(Group, Vec<u8>)>,
    held_bytes: usize,
    /// What was held for an earlier connection and never left: the next one is not opened before it is durable, as what
    /// is sent again is not held back.
    unsettled: Option<Group>,
    is_loading: bool,
    /// Something was read back while the connection ran, which may have looked before.
    has_loaded: bool,
    /// Messages whose records were damaged, since they were last counted.
    damaged: u64,
    /// What is next in the queue is not durable yet, and has to be: it is with this group or a later one.
    pub(crate) waiting_for: Option<Group>,
}

impl Durable {
    pub(crate) fn new(queue: QueueId, cell: &Arc<Cell>) -> Self {
        Self {
            queue,
            cell: Arc::downgrade(cell),
            changes: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            unsettled: None,
            is_loading: false,
            has_loaded: false,
            damaged: 0,
            waiting_for: None,
        }
    }

    pub(crate) fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(crate) fn put(&mut self, key: Box<[u8]>, value: Box<[u8]>) {
        self.changes.push(Change::Put { queue: self.queue, key, value });
    }

    pub(crate) fn remove(&mut self, key: Box<[u8]>) {
        self.changes.push(Change::Remove { queue: self.queue, key });
    }

    /// The message at a position is gone; below `floor` there is none.
    pub(crate) fn gone(&mut self, position: Position, floor: Position, at: Whereabouts) {
        let at = match at {
            Whereabouts::With(ticket) => {
                let at = Store::settle(&ticket);
                if ticket.is_unwanted() {
                    return; // it is not written at all
                }
                at
            }
            other => other,
        };
        self.changes.push(Change::Gone { queue: self.queue, position: position.0, floor: floor.0, at });
    }

    /// Hands over what has changed; somebody waits for it.
    pub(crate) fn submit(&mut self, journal: &Journal) -> Group {
        journal.store().submit(self.take_draft())
    }

    /// Hands over what has changed; nobody waits for it.
    pub(crate) fn note(&mut self, journal: &Journal) {
        if !self.changes.is_empty() {
            journal.store().note(self.take_draft());
        }
    }

    fn take_draft(&mut self) -> Draft {
        let mut draft = Draft::default();
        self.move_changes(&mut draft);
        draft
    }

    /// What has changed goes into a draft.
    pub(crate) fn move_changes(&mut self, draft: &mut Draft) {
        self.changes.drain(..).for_each(|change| draft.change(change));
    }

    /// Holds packets back until the group is durable.
    pub(crate) fn hold(&mut self, group: Group, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.held_bytes += bytes.len();
            self.held.push_back((group, bytes));
        }
    }

    pub(crate) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// The first group that something is held for.
    pub(crate) fn waits_for(&self) -> Option<Group> {
        self.held.front().map(|(group, _)| *group)
    }

    /// Lets go of what is durable now.
    ///
    /// # Errors
    /// The store could not make it durable: the connection has to end, and the exchange begins anew on the next one.
    pub(crate) fn release(&mut self, journal: &Journal, out: &mut Vec<u8>) -> Result<(), Refused> {
        while let Some((group, _)) = self.held.front()
            && let Some(answer) = Accepted::by(journal, *group)
        {
            answer.map(drop)?;
            if let Some((_, bytes)) = self.held.pop_front() {
                self.held_bytes -= bytes.len();
                out.extend_from_slice(&bytes);
            }
        }
        Ok(())
    }

    /// Whether something was read back since the last call.
    pub(crate) fn take_has_loaded(&mut self) -> bool {
        std::mem::take(&mut self.has_loaded)
    }

    /// Messages whose records were damaged, since the last call.
    pub(crate) fn take_damaged(&mut self) -> u64 {
        std::mem::take(&mut self.damaged)
    }

    /// Whether something is not durable that an earlier connection waited for.
    pub(crate) fn is_unsettled(&self, journal: &Journal) -> bool {
        self.unsettled.is_some_and(|group| journal.store().outcome(group) != Some(true))
    }

    /// A connection begins, and all that an earlier one waited for is durable.
    pub(crate) fn attach(&mut self) {
        self.unsettled = None;
    }

    /// The connection is gone, and what was held for it.
    pub(crate) fn detach(&mut self) {
        self.unsettled = self.held.back().map(|(group, _)| *group).or(self.unsettled);
        self.held.clear();
        self.held_bytes = 0;
        self.waiting_for = None;
    }
}

/// A message that is being read back.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// It is the next one, or behind it.
    Ready(Stub),
    /// It is in flight and has to be sent again.
    Leased { position: Position, sequence: u64, len: u32 },
}

impl Wanted {
    const fn place(&self) -> (Position, u64) {
        match self {
            Self::Ready(stub) => (stub.position, stub.reference),
            Self::Leased { position, sequence, .. } => (*position, *sequence),
        }
    }
}

impl State {
    /// Has the machine handle a packet.
    ///
    /// # Errors
    /// As the machine's.
    #[inline]
    pub(crate) fn handle<'a>(&mut self, hub: &Hub, packet: Packet<'a>) -> Result<Step<'a>, Violation> {
        let is_exactly_once = matches!(packet, Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_));
        self.receiving = match &packet {
            Packet::PubRec(ack) => Some(ack.packet_id),
            _ => None,
        };
        if let Packet::PubComp(ack) = &packet {
            self.complete(ack.packet_id);
        }
        if is_exactly_once && self.durable.is_some() {
            let has_credit = self.exactly_once(hub, packet)?;
            return Ok(if has_credit { Step::Credit } else { Step::Nothing });
        }
        self.machine.handle(packet, &mut self.outbox)
    }

    /// A packet of a QoS 2 exchange of a session that lasts: what it changes is durable before it is answered.
    /// Otherwise a process that does not know of the answer could take what comes next for something else. Answers
    /// whether a place in the window came free.
    fn exactly_once(&mut self, hub: &Hub, packet: Packet<'_>) -> Result<bool, Violation> {
        let (kind, packet_id) = match &packet {
            Packet::PubRec(ack) | Packet::PubComp(ack) => (schema::OUTBOUND, ack.packet_id),
            Packet::PubRel(ack) => (schema::INBOUND, ack.packet_id),
            _ => return Ok(false),
        };
        let key = schema::by_packet_id(kind, packet_id);
        let (is_received, is_complete) = (matches!(packet, Packet::PubRec(_)), matches!(packet, Packet::PubComp(_)));
        let mut answer = Vec::new();
        let step = self.machine.handle(packet, &mut answer)?;
        let delivered = match step {
            Step::Delivered { position, reason } => {
                self.settle(hub, position, reason);
                Some(reason)
            }
            _ => None,
        };
        let (Some(durable), Some(journal)) = (&mut self.durable, hub.node.journal()) else { return Ok(false) };
        if is_complete {
            durable.remove(key);
            durable.note(journal);
            return Ok(matches!(step, Step::Credit));
        }
        if !is_received {
            durable.remove(key);
        } else if delivered.is_some_and(|reason| !reason.is_error()) {
            durable.put(key, self.machine.last_pubrec().to_le_bytes().into());
        }
        let group = durable.submit(journal);
        durable.hold(group, answer);
        Ok(delivered.is_some())
    }

    fn count_damaged(&mut self, was_there: bool) {
        if let Some(durable) = &mut self.durable {
            durable.damaged += u64::from(was_there);
        }
    }

    /// Has the messages read that are in the store alone and can be sent next: `messages_max` of them, or those in
    /// flight that have to be sent again. One request at a time.
    pub(crate) fn load(&mut self, hub: &Hub, messages_max: usize) {
        let (Some(durable), Some(journal)) = (&mut self.durable, hub.node.journal()) else { return };
        if durable.is_loading {
            return;
        }
        let messages_max = messages_max.clamp(1, LOAD_MESSAGES_MAX);
        let mut wanted: Vec<Wanted> = Vec::new();
        if self.machine.has_resends() {
            let leased = self.queue.leased().filter(|(_, item)| item.message.is_none());
            let place = |(position, item): (Position, &Queued)| match item.at {
                Whereabouts::At { sequence, len } => Some(Wanted::Leased { position, sequence, len }),
                _ => None,
            };
            wanted.extend(leased.filter_map(place).take(LOAD_MESSAGES_MAX));
        }
        if wanted.is_empty() {
            let mut bytes = 0;
            let fitting = self.queue.to_load().take(messages_max).take_while(|stub| {
                let fits = bytes < LOAD_BYTES_MAX;
                bytes += stub.len as usize;
                fits
            });
            wanted.extend(fitting.copied().map(Wanted::Ready));
        }
        if wanted.is_empty() {
            return;
        }
        durable.is_loading = true;
        let queue = durable.queue;
        let want = |wanted: &Wanted| {
            let (position, sequence) = wanted.place();
            Want { sequence, queue, position: position.0 }
        };
        let (wants, cell) = (wanted.iter().map(want).collect(), Weak::clone(&durable.cell));
        journal.store().load(wants, move |loaded| {
            if let Some(cell) = cell.upgrade() {
                take_loaded(&cell, &wanted, loaded);
            }
        });
    }
}

/// On the store's thread: what was read goes into the queue, and the connection goes on with it.
fn take_loaded(cell: &Cell, wanted: &[Wanted], loaded: Vec<Loaded>) {
    let mut state = cell.lock();
    // What cannot be read now stays where it is, and is asked for again.
    for (wanted, loaded) in wanted.iter().zip(loaded).filter(|(_, loaded)| !loaded.is_unreadable) {
        let item = loaded.message.and_then(|message| read(wanted, &message.note, &message.content));
        match (wanted, item) {
            (Wanted::Ready(stub), Some(item)) => state.queue.fill(stub.position, item),
            (Wanted::Ready(stub), None) => {
                let was_there = state.queue.lose(stub.position);
                state.count_damaged(was_there);
            }
            (Wanted::Leased { position, .. }, Some(item)) => {
                if let Some(leased) = state.queue.get_mut(*position) {
                    *leased = item;
                }
            }
            (Wanted::Leased { position, .. }, None) => {
                let was_there = state.take_out(*position).is_some();
                state.count_damaged(was_there);
            }
        }
    }
    if let Some(durable) = &mut state.durable {
        durable.is_loading = false;
        durable.has_loaded = true;
    }
    state.wake();
}

fn read(wanted: &Wanted, note: &[u8], content: &[u8]) -> Option<Queued> {
    let mut item = Queued::blank();
    schema::read_note(note, &mut item)?;
    let (expires_at_ms, sequence, len) = match wanted {
        Wanted::Ready(stub) => (stub.expires_at_ms, stub.reference, stub.len),
        Wanted::Leased { sequence, len, .. } => (primer_core::message::NEVER_MS, *sequence, *len),
    };
    let message = Message::new(&schema::parts(content, expires_at_ms)?);
    item.cost = crate::delivery::cost(message.len(), &item.ids);
    item.expires_at_ms = expires_at_ms;
    item.message = Some(message);
    item.at = Whereabouts::At { sequence, len };
    Some(item)
}

/// Where a message is that has left its queue.
pub(crate) fn whereabouts(left: Left<Queued>) -> Whereabouts {
    match left {
        Left::Item(item) => item.at,
        Left::Stub(stub) => Whereabouts::At { sequence: stub.reference, len: stub.len },
    }
}
