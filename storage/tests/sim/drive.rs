//! A workload on a store, the model of what has to be there, and the comparison.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use primer_storage::{
    Change, Draft, Group, Move, OpenError, Options, QueueId, Report, State, Store, Stored, Ticket, Whereabouts,
    draft::Destinations,
};

use super::{Folder, Op, Random, SimDisk};

pub fn small() -> Options {
    Options { budget_bytes: 36 << 20, ..Options::default() }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Queue {
    pub name: Vec<u8>,
    pub floor: u64,
    pub gone: BTreeSet<u64>,
    pub leases: BTreeMap<u64, u16>,
    pub entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Identity and length of the messages that it holds.
    pub messages: BTreeMap<u64, (u64, usize)>,
}

/// What a store has to hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    pub queues: BTreeMap<u32, Queue>,
}

/// What a store was found to hold.
#[derive(Debug)]
pub struct Found {
    pub state: State,
    pub report: Report,
    /// By queue and position: how often, and which content.
    pub messages: BTreeMap<(u32, u64), Vec<What>>,
    pub sequences: Vec<u64>,
    /// Positions of each queue as they were shown.
    pub order: BTreeMap<u32, Vec<u64>>,
}

/// Identity and length of a message, or why it is none.
pub type What = Result<(u64, usize), String>;

pub fn content(identity: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![identity as u8 ^ 0x5A; len.max(8)];
    bytes[..8].copy_from_slice(&identity.to_le_bytes());
    bytes
}

/// Which message this is, or why it is none.
pub fn identify(bytes: &[u8]) -> What {
    let (head, rest) = bytes.split_first_chunk::<8>().ok_or("it is too short")?;
    let identity = u64::from_le_bytes(*head);
    let is_whole = rest.iter().all(|byte| *byte == identity as u8 ^ 0x5A);
    if is_whole { Ok((identity, bytes.len())) } else { Err(format!("message {identity} has a wrong content")) }
}

pub fn open(disk: &SimDisk, options: &Options) -> Result<(Store, Found), OpenError> {
    let mut messages: BTreeMap<(u32, u64), Vec<_>> = BTreeMap::new();
    let (mut sequences, mut order) = (Vec::new(), BTreeMap::<u32, Vec<u64>>::new());
    let mut visit = |_: &State, stored: Stored<'_>| {
        assert_eq!(stored.note, b"note");
        messages.entry((stored.queue.0, stored.position)).or_default().push(identify(stored.content));
        order.entry(stored.queue.0).or_default().push(stored.position);
        sequences.push(stored.sequence);
    };
    let (store, state, report) = Store::open(Arc::new(disk.clone()), options.clone(), &mut visit)?;
    Ok((store, Found { state, report, messages, sequences, order }))
}

pub fn wait(store: &Store, group: Group) -> bool {
    let end = Instant::now() + Duration::from_secs(30);
    let mut ended = Box::pin(store.ended(group));
    loop {
        if let Poll::Ready(is_durable) = ended.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return is_durable;
        }
        assert!(Instant::now() < end, "a group did not come to its end: {:?}", store.figures());
        std::thread::yield_now();
    }
}

impl Found {
    /// Every content is one that was submitted, and stands where it was submitted to, once.
    pub fn assert_true(&self, driver: &Driver, says: &str) {
        for (place, what) in &self.messages {
            let known = driver.ever.get(place).copied();
            assert_eq!(what[..], [known.ok_or_else(|| "never submitted".to_owned())], "{says}: at {place:?}");
        }
    }

    /// The same but for messages that were refused and became durable all the same.
    pub fn differs_but_for(&self, model: &Model, refused: &BTreeMap<(u32, u64), (u64, usize)>) -> Option<String> {
        let mut model = model.clone();
        for ((id, position), what) in &self.messages {
            if let [Ok(message)] = what[..]
                && refused.get(&(*id, *position)) == Some(&message)
                && let Some(queue) = model.queues.get_mut(id)
            {
                queue.messages.insert(*position, message);
            }
        }
        self.differs(&model)
    }

    /// Why this is not what the model says; `None` when it is.
    pub fn differs(&self, model: &Model) -> Option<String> {
        let known: Vec<u32> = self.state.queues().map(|(id, _)| id.0).collect();
        let wanted: Vec<u32> = model.queues.keys().copied().collect();
        if known != wanted {
            return Some(format!("queues {known:?}, not {wanted:?}"));
        }
        for (id, queue) in &model.queues {
            let Some(state) = self.state.queue(QueueId(*id)) else { return Some(format!("no queue {id}")) };
            let leases: Vec<_> = state.leases.iter().map(|(position, tag)| (*position, *tag)).collect();
            let wanted: Vec<_> = queue.leases.iter().map(|(position, tag)| (*position, *tag)).collect();
            if leases != wanted || state.floor() != queue.floor || *state.name != *queue.name {
                return Some(format!("queue {id}: leases {leases:?}, not {wanted:?}; floor {}", state.floor()));
            }
            let entries: BTreeMap<Vec<u8>, Vec<u8>> =
                state.entries.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            if entries != queue.entries {
                return Some(format!("queue {id}: entries {entries:?}, not {:?}", queue.entries));
            }
            if let Some(gone) = queue.gone.iter().find(|position| state.holds(**position)) {
                return Some(format!("queue {id} holds {gone}"));
            }
            if let Some(held) = queue.messages.keys().find(|position| !state.holds(**position)) {
                return Some(format!("queue {id} does not hold {held}"));
            }
        }
        let wanted =
            model.queues.iter().flat_map(|(id, queue)| queue.messages.iter().map(move |(p, m)| ((*id, *p), m)));
        let mut known = self.messages.iter();
        for (place, message) in wanted {
            match known.next() {
                Some((found, what)) if *found == place && what[..] == [Ok(*message)] => {}
                other => return Some(format!("message {message:?} at {place:?}: found {other:?}")),
            }
        }
        known.next().map(|(place, _)| format!("{place:?} should not be there"))
    }

    /// Everything is shown in the order in which it was committed.
    pub fn assert_order(&self) {
        assert!(self.sequences.is_sorted(), "not in the order of the commits");
        for (queue, positions) in &self.order {
            assert!(positions.is_sorted(), "queue {queue}: {positions:?}");
        }
    }
}

/// How much of what a random workload does.
#[derive(Debug, Clone)]
pub struct Profile {
    pub messages: u64,
    pub bytes: usize,
    /// One message in so many has several rows.
    pub long_in: u64,
    pub long_bytes: usize,
    /// Messages that a queue keeps back.
    pub backlog: usize,
}

/// From where a message was moved, the message, and its lease.
type Moved = ((u32, u64), (u64, usize), Option<u16>);

/// Drives a store and the model along.
#[derive(Debug)]
pub struct Driver {
    pub disk: SimDisk,
    pub store: Store,
    /// After each draft that was handed over, beginning with none.
    pub models: Vec<Model>,
    pub where_is: BTreeMap<(u32, u64), Arc<Ticket>>,
    /// Messages that were refused: a commit that failed may have become durable all the same.
    pub refused: BTreeMap<(u32, u64), (u64, usize)>,
    /// All messages that were ever submitted.
    pub ever: BTreeMap<(u32, u64), (u64, usize)>,
    /// What was moved by the draft that is gathered.
    moved: Vec<Moved>,
    next_position: BTreeMap<u32, u64>,
    next_identity: u64,
    draft: Draft,
    model: Model,
}

impl Driver {
    pub fn new(disk: &SimDisk, options: &Options) -> Self {
        let (store, found) = open(disk, options).expect("an empty disk");
        assert_eq!(found.messages.len(), 0);
        Self {
            disk: disk.clone(),
            store,
            models: vec![Model::default()],
            where_is: BTreeMap::new(),
            refused: BTreeMap::new(),
            ever: BTreeMap::new(),
            moved: Vec::new(),
            next_position: BTreeMap::new(),
            next_identity: 1,
            draft: Draft::default(),
            model: Model::default(),
        }
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    pub fn define(&mut self) -> u32 {
        let queue = self.store.new_queue();
        let name = format!("queue {}", queue.0).into_bytes();
        self.draft.change(Change::Define { queue, name: name.as_slice().into() });
        self.model.queues.insert(queue.0, Queue { name, ..Queue::default() });
        queue.0
    }

    pub fn drop_queue(&mut self, id: u32) {
        self.draft.change(Change::Drop(QueueId(id)));
        for position in self.model.queues.remove(&id).expect("it is there").messages.into_keys() {
            let at = Store::settle(&self.where_is[&(id, position)]);
            self.draft.change(Change::Settle(at));
        }
    }

    pub fn message(&mut self, queues: &[u32], len: usize) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket::new());
        let mut destinations = Destinations::default();
        let identity = self.next_identity;
        self.next_identity += 1;
        let content = content(identity, len);
        for id in queues {
            let position = self.next_position.entry(*id).or_default();
            ticket.add();
            destinations.push(QueueId(*id), *position, b"note");
            let queue = self.model.queues.get_mut(id).expect("it is there");
            queue.messages.insert(*position, (identity, content.len()));
            self.ever.insert((*id, *position), (identity, content.len()));
            self.where_is.insert((*id, *position), Arc::clone(&ticket));
            *position += 1;
        }
        self.draft.message(Arc::clone(&ticket), &destinations, None, &[&content]);
        ticket
    }

    pub fn gone(&mut self, id: u32, position: u64) {
        let queue = self.model.queues.get_mut(&id).expect("it is there");
        queue.messages.remove(&position);
        queue.leases.remove(&position);
        let moved = self.moved.iter().filter(|((from, _), ..)| *from == id).map(|((_, position), ..)| *position);
        let floor = queue.messages.keys().copied().chain(moved).min().unwrap_or(self.next_position[&id]);
        queue.gone.insert(position);
        queue.floor = queue.floor.max(floor);
        queue.gone = queue.gone.split_off(&queue.floor);
        queue.leases = queue.leases.split_off(&queue.floor);
        let at = Store::settle(&self.where_is[&(id, position)]);
        self.draft.change(Change::Gone { queue: QueueId(id), position, floor, at });
    }

    /// A message goes to another queue, if that is durable.
    pub fn move_on(&mut self, id: u32, position: u64, to: u32) {
        let queue = self.model.queues.get_mut(&id).expect("it is there");
        let message = queue.messages.remove(&position).expect("it is there");
        self.moved.push(((id, position), message, queue.leases.remove(&position)));
        queue.gone.insert(position);
        let at = Whereabouts::With(Arc::clone(&self.where_is[&(id, position)]));
        self.draft.when_durable(Move::Gone { queue: QueueId(id), position, at });
        self.message(&[to], message.1);
    }

    pub fn lease(&mut self, id: u32, position: u64, tag: u16) {
        self.model.queues.get_mut(&id).expect("it is there").leases.insert(position, tag);
        self.draft.change(Change::Lease { queue: QueueId(id), position, tag });
    }

    pub fn put(&mut self, id: u32, key: &[u8], value: &[u8]) {
        self.model.queues.get_mut(&id).expect("it is there").entries.insert(key.to_vec(), value.to_vec());
        self.draft.change(Change::Put { queue: QueueId(id), key: key.into(), value: value.into() });
    }

    pub fn remove(&mut self, id: u32, key: &[u8]) {
        self.model.queues.get_mut(&id).expect("it is there").entries.remove(key);
        self.draft.change(Change::Remove { queue: QueueId(id), key: key.into() });
    }

    /// Hands over what was gathered and waits for it.
    pub fn submit(&mut self) -> bool {
        self.models.push(self.model.clone());
        let drafts = self.models.len() - 1;
        self.disk.say(Op::Submitted(drafts));
        let is_durable = wait(&self.store, self.store.submit(std::mem::take(&mut self.draft)));
        if is_durable {
            self.disk.say(Op::Durable(drafts));
            self.moved.clear();
        } else {
            self.take_back();
        }
        is_durable
    }

    /// Messages that were withdrawn are not there, and what was to go with them has stayed; changes stay.
    fn take_back(&mut self) {
        for ((id, position), message, lease) in std::mem::take(&mut self.moved) {
            let queue = self.model.queues.get_mut(&id).expect("it is there");
            queue.gone.remove(&position);
            // What came in the same draft was never written.
            if self.where_is[&(id, position)].written().is_some() {
                queue.messages.insert(position, message);
            } else {
                self.refused.insert((id, position), message);
            }
            queue.leases.extend(lease.map(|tag| (position, tag))); // a change: it stays whatever becomes of the message
        }
        for (id, queue) in &mut self.model.queues {
            let withdrawn = |position: &u64| self.where_is[&(*id, *position)].is_withdrawn();
            let (gone, held) = std::mem::take(&mut queue.messages).into_iter().partition(|(p, _)| withdrawn(p));
            queue.messages = held;
            self.refused.extend(BTreeMap::into_iter(gone).map(|(position, message)| ((*id, position), message)));
        }
    }

    /// One draft of everything. The queue with the lowest number keeps what it gets.
    pub fn random_step(&mut self, random: &mut Random, profile: &Profile) {
        while self.model.queues.len() < 3 || (self.model.queues.len() < 6 && random.below(12) == 0) {
            self.define();
        }
        if self.model.queues.len() > 4 && random.below(12) == 0 {
            let last = *self.model.queues.keys().nth(1 + random.below(3) as usize).expect("there are more");
            self.drop_queue(last);
        }
        let ids: Vec<u32> = self.model.queues.keys().copied().collect();
        for _ in 0..profile.messages {
            let some = 1 + random.below(ids.len() as u64 - 1) as usize;
            let mut to = vec![ids[some]];
            if random.below(4) == 0 {
                to.push(ids[1 + some % (ids.len() - 1)]);
                to.dedup();
            }
            if random.below(4 * profile.messages) == 0 {
                to.push(ids[0]);
            }
            let is_long = random.below(profile.long_in) == 0;
            self.message(&to, if is_long { profile.long_bytes } else { profile.bytes });
        }
        for id in &ids[1..] {
            let held: Vec<u64> = self.model.queues[id].messages.keys().copied().collect();
            for position in held.iter().take(held.len().saturating_sub(profile.backlog)) {
                self.gone(*id, *position);
            }
            let some = held.len().saturating_sub(1 + random.below(profile.backlog as u64 + 1) as usize);
            if let Some(position) = held.get(some).filter(|p| self.model.queues[id].messages.contains_key(p)) {
                if random.below(2) == 0 { self.gone(*id, *position) } else { self.lease(*id, *position, 7) }
            }
        }
        let (from, to) = (ids[1], ids[2]);
        let last = self.model.queues[&from].messages.keys().next_back().copied();
        if let Some(position) = last.filter(|_| random.below(3) == 0) {
            self.move_on(from, position, to);
        }
        let (id, key) = (ids[random.below(ids.len() as u64) as usize], [random.below(5) as u8]);
        if random.below(4) == 0 { self.remove(id, &key) } else { self.put(id, &key, &random.next().to_le_bytes()) }
    }
}

/// Opens what a crash has left and compares it: it has to be what the model was after some draft that was handed over,
/// at or after the last that was reported durable.
pub fn check_crash(folder: Folder, models: &[Model], durable: usize, submitted: usize, says: &str) {
    let disk = SimDisk::of(folder);
    let (store, found) = open(&disk, &small()).unwrap_or_else(|error| panic!("{says}: {error}"));
    assert!(found.report.files_damaged() == 0 && found.report.damaged == 0, "{says}: {:?}", found.report);
    found.assert_order();
    let mut why = Vec::new();
    let is_right = (durable..=submitted).any(|at| match found.differs(&models[at]) {
        None => true,
        Some(differs) => {
            why.push(format!("after {at}: {differs}"));
            false
        }
    });
    assert!(is_right, "{says}: {durable} durable, {submitted} submitted; {why:#?}");
    drop(store);
}
