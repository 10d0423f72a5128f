//! One schedule: who takes part, what they do, and what they hold the queue to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::super::*;

const STEPS: u64 = 45;

/// A message as the store has it.
#[derive(Debug, Clone)]
struct Record {
    letter: Letter,
    priority: u8,
    due_ms: Option<u64>,
}

/// What is written to the store.
#[derive(Debug)]
enum Entry {
    Put(u64, Record, Option<(u8, u64)>),
    /// A group is done with a message; all are, where none is named.
    Done(Option<usize>, u64, u64, Fate),
    Delete(u64),
    Attempt(usize, u64, u32),
    Forget(u8),
    /// What was delivered at-most-once goes out behind its [`Entry::Done`].
    HandOver(Given),
}

#[derive(Debug, Default)]
struct Store {
    records: BTreeMap<u64, Record>,
    done: BTreeSet<(usize, u64)>,
    attempts: BTreeMap<(usize, u64), u32>,
    ids: BTreeMap<u8, (u64, u64)>,
    next: u64,
    /// Not durable.
    log: std::collections::VecDeque<Entry>,
}

#[derive(Debug)]
struct Worker {
    id: ConsumerId,
    has: Vec<Given>,
    /// It says nothing any more.
    hangs: bool,
}

#[derive(Debug)]
struct Crew {
    id: GroupId,
    options: GroupOptions,
    workers: Vec<Worker>,
}

/// A message that a group is not done with, in this life.
#[derive(Debug, Clone, Copy)]
struct Open {
    letter: u64,
    priority: u8,
    key: Option<u64>,
    is_scheduled: bool,
}

/// See the file's description.
pub(super) struct World {
    dice: Dice,
    now_ms: u64,
    terms: Terms,
    queue: Queue<Letter>,
    store: Store,
    crews: Vec<Crew>,
    past: Vec<Given>,
    reading: Vec<Stub>,
    letters: u64,
    /// What the queue has not ended for a group, by position.
    open: Vec<BTreeMap<u64, Open>>,
    due_ms: BTreeMap<u64, u64>,
    /// Letters whose publishers were told that they are safe.
    told: BTreeSet<u64>,
    /// Group and letter of what is durably over.
    over: BTreeSet<(usize, u64)>,
    /// Of that, what a consumer's word ended.
    confirmed: BTreeSet<(usize, u64)>,
    /// The same before it is durable: it does not outlive a crash.
    settled: BTreeSet<(usize, u64)>,
    handed: BTreeSet<(usize, u64)>,
    trace: Option<String>,
}

macro_rules! note {
    ($world:expr, $($text:tt)*) => {
        if let Some(trace) = &mut $world.trace {
            writeln!(trace, $($text)*).unwrap();
        }
    };
}

impl World {
    pub(super) fn new(seed: u64, is_traced: bool) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let overflow = [Overflow::Reject, Overflow::DropOldest, Overflow::DeadLetter];
        let terms = Terms {
            messages_max: 3 + dice.below(20) as usize,
            bytes_max: 10 + dice.below(60) as usize,
            overflow: dice.pick(&overflow).unwrap(),
            deliveries_max: dice.below(5) as u32,
            retry_delay_ms: dice.below(3) * dice.below(15),
            dedupe_window_ms: dice.below(2) * 60,
        };
        let groups = 1 + dice.below(3) as usize;
        let crews = (0..groups).map(|_| {
            let mode = if dice.one_in(3) { Mode::AtMostOnce } else { Mode::AtLeastOnce };
            let order = if dice.one_in(2) { Order::ByKey } else { Order::Any };
            Crew { id: GroupId(0), options: GroupOptions { mode, order }, workers: Vec::new() }
        });
        let crews = crews.collect();
        let mut world = Self {
            dice,
            now_ms: 0,
            terms,
            queue: queue(terms),
            store: Store::default(),
            crews,
            past: Vec::new(),
            reading: Vec::new(),
            letters: 0,
            open: Vec::new(),
            due_ms: BTreeMap::new(),
            told: BTreeSet::new(),
            over: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            settled: BTreeSet::new(),
            handed: BTreeSet::new(),
            trace: is_traced.then(String::new),
        };
        note!(world, "{terms:?}");
        world.start();
        world
    }

    /// Shows a schedule that failed.
    pub(super) fn take_trace(&mut self) -> String {
        self.trace.take().unwrap_or_default()
    }

    pub(super) fn run(&mut self) {
        for _ in 0..STEPS {
            match self.dice.below(100) {
                0..30 => self.publish(),
                30..62 => self.consume(),
                62..74 => self.pass_time(),
                74..84 => self.commit(),
                84..90 => self.come_or_go(),
                90..96 => self.tend_memory(),
                96..98 => self.crash(),
                _ => self.rule(),
            }
            self.look();
        }
        self.finish();
    }

    /// Builds the queue out of what is durable.
    fn start(&mut self) {
        self.queue = queue(self.terms);
        (self.open, self.due_ms) = (Vec::new(), BTreeMap::new());
        for (n, crew) in self.crews.iter_mut().enumerate() {
            crew.id = self.queue.add_group(&n.to_string(), crew.options, false).unwrap().0;
            self.open.push(BTreeMap::new());
        }
        for (position, record) in &self.store.records {
            let Letter { id, cost, expires_at_ms, key, .. } = record.letter;
            let (position, cost) = (*position, cost as u32);
            let stub = Stub { position: Position(position), reference: id, len: 1, cost, expires_at_ms };
            let done = &self.store.done;
            let wants = |group: GroupId| !done.contains(&(usize::from(group.0), position));
            self.queue.restore(record.priority, record.due_ms, &stub, wants);
            self.due_ms.extend(record.due_ms.map(|due_ms| (position, due_ms)));
            for (n, open) in self.open.iter_mut().enumerate().filter(|(n, _)| !done.contains(&(*n, position))) {
                let is_scheduled = record.due_ms.is_some() && !self.store.attempts.contains_key(&(n, position));
                open.insert(position, Open { letter: id, priority: record.priority, key, is_scheduled });
            }
        }
        for ((n, position), attempts) in &self.store.attempts {
            self.queue.restore_attempts(self.crews[*n].id, Position(*position), *attempts);
        }
        for (id, (position, until_ms)) in &self.store.ids {
            self.queue.restore_id(*until_ms, &[*id], Position(*position));
        }
        self.queue.skip_to(Position(self.store.next));
    }

    fn crash(&mut self) {
        note!(self, "crash, {} entries are lost", self.store.log.len());
        self.store.log.clear();
        self.reading.clear();
        self.past.clear();
        self.settled = self.confirmed.clone();
        self.crews.iter_mut().for_each(|crew| crew.workers.clear());
        self.now_ms += self.dice.below(30);
        self.start();
    }

    fn publish(&mut self) {
        let dice = &mut self.dice;
        let key = (!dice.one_in(4)).then(|| dice.below(3));
        let expires_at_ms = if dice.one_in(6) { self.now_ms + dice.below(60) } else { u64::MAX };
        let due_ms = dice.one_in(8).then(|| self.now_ms + dice.below(40));
        let (priority, cost) = (4 + dice.below(2) as u8, 1 + dice.below(5) as usize);
        let id = dice.one_in(3).then(|| dice.below(4) as u8);
        let letter = Letter { key, cost, expires_at_ms, ..letter(self.letters) };
        self.letters += 1;
        let id_bytes = id.map(|id| [id]);
        let id_bytes = id_bytes.as_ref().map(<[u8; 1]>::as_slice);
        match self.queue.push(self.now_ms, priority, due_ms, id_bytes, letter.clone()) {
            Ok(Pushed::New(position, _)) => {
                note!(self, "{} published at {} of key {key:?}", letter.id, position.0);
                let until_ms = self.now_ms + self.terms.dedupe_window_ms;
                let id = id.filter(|_| self.terms.dedupe_window_ms > 0);
                if let Some(id) = id {
                    let known = self.store.ids.get(&id);
                    assert!(known.is_none_or(|(_, until_ms)| *until_ms <= self.now_ms), "taken in twice");
                }
                let open = Open { letter: letter.id, priority, key, is_scheduled: due_ms.is_some() };
                self.open.iter_mut().for_each(|all| assert!(all.insert(position.0, open).is_none()));
                self.due_ms.extend(due_ms.map(|due_ms| (position.0, due_ms)));
                self.keep_events(); // what was trimmed for it comes before it in the log
                let record = Record { letter, priority, due_ms };
                self.store.log.push_back(Entry::Put(position.0, record, id.map(|id| (id, until_ms))));
            }
            Ok(Pushed::Duplicate(position, _)) => note!(self, "{} is a duplicate of {}", letter.id, position.0),
            Err(why) => note!(self, "{} is refused: {why:?}", letter.id),
        }
    }

    fn consume(&mut self) {
        let n = self.dice.below(self.crews.len() as u64) as usize;
        let crew = &mut self.crews[n];
        if crew.workers.is_empty() {
            return;
        }
        let at = self.dice.below(crew.workers.len() as u64) as usize;
        let worker = &mut crew.workers[at];
        if worker.hangs || worker.has.is_empty() {
            return;
        }
        let given = worker.has.remove(self.dice.below(worker.has.len() as u64) as usize);
        let verdict = match self.dice.below(12) {
            0 => Verdict::Nack { delay_ms: None },
            1 => Verdict::Nack { delay_ms: Some(self.dice.below(30)) },
            2 => Verdict::Reject,
            3 => Verdict::Release,
            4 => {
                worker.hangs = self.dice.one_in(3);
                worker.has.push(given);
                return;
            }
            _ => Verdict::Ack,
        };
        self.say(n, given, verdict);
    }

    fn say(&mut self, n: usize, given: Given, verdict: Verdict) {
        let answer = given.settle(&mut self.queue, self.now_ms, verdict);
        note!(self, "{verdict:?} of {} by group {n}: {answer:?}", given.id);
        self.past.push(given);
        if verdict == Verdict::Ack && answer.is_ok() {
            self.settled.insert((n, given.id));
        }
    }

    /// Time passes; not everybody wakes up in time.
    fn pass_time(&mut self) {
        self.now_ms += match self.queue.next_deadline_ms() {
            Some(next_ms) if self.dice.one_in(2) => next_ms.saturating_sub(self.now_ms).min(50),
            _ => self.dice.below(25),
        };
        note!(self, "it is {}", self.now_ms);
        self.queue.on_time(self.now_ms);
        if self.dice.one_in(4)
            && let Some(given) = self.dice.pick(&self.past)
        {
            note!(self, "a late word");
            self.say(usize::from(given.group.0), given, Verdict::Ack);
        }
    }

    fn come_or_go(&mut self) {
        let n = self.dice.below(self.crews.len() as u64) as usize;
        let crew = &mut self.crews[n];
        if crew.workers.len() >= 3 || (!crew.workers.is_empty() && self.dice.one_in(3)) {
            let worker = crew.workers.remove(self.dice.below(crew.workers.len() as u64) as usize);
            self.queue.detach(self.now_ms, crew.id, worker.id);
            note!(self, "{:?} leaves group {n}", worker.id);
            self.past.extend(worker.has);
            return;
        }
        let lease_ms = (!self.dice.one_in(4)).then(|| 1 + self.dice.below(30));
        let credit = Credit { messages: self.dice.below(5) as u32, lease_ms };
        let id = self.queue.attach(crew.id, credit).unwrap();
        crew.workers.push(Worker { id, has: Vec::new(), hangs: false });
        note!(self, "{id:?} comes to group {n} with {credit:?}");
    }

    fn tend_memory(&mut self) {
        if self.dice.one_in(3) {
            self.queue.chill_to(self.dice.below(3) as usize);
        }
        self.reading.extend(self.queue.take_to_load());
        let messages = 1 + self.dice.below(5);
        self.read(messages);
    }

    fn read(&mut self, messages: u64) {
        for _ in 0..messages.min(self.reading.len() as u64) {
            let stub = self.reading.remove(0);
            let record = self.store.records.get(&stub.position.0);
            if self.dice.one_in(40) {
                self.queue.lose(stub.position);
            } else if let Some(record) = record {
                self.queue.fill(stub.position, record.letter.clone());
            } else {
                let is_open = self.open.iter().any(|open| open.contains_key(&stub.position.0));
                assert!(!is_open, "{stub:?} is asked for, and is not in the store");
            }
        }
    }

    fn rule(&mut self) {
        let n = self.dice.below(self.crews.len() as u64) as usize;
        let messages = self.dice.below(4) as u32;
        let crew = &self.crews[n];
        let worker = crew.workers.first().map(|worker| worker.id);
        match self.dice.below(6) {
            0 => self.queue.pause(),
            1 | 2 => self.queue.resume(),
            3 => worker.into_iter().for_each(|id| self.queue.set_credit(crew.id, id, messages)),
            4 => worker.into_iter().for_each(|id| self.queue.pull(self.now_ms, crew.id, id, messages)),
            _ => {
                let position = Position(self.dice.below(self.queue.next_position().0 + 1));
                self.queue.remove_one(position);
            }
        }
    }

    /// The queue is dealt from, and what has happened is carried out.
    fn look(&mut self) {
        self.keep_events();
        if self.dice.one_in(4) {
            return; // several calls may come before the next deal
        }
        self.queue.deal(self.now_ms);
        self.keep_events();
    }

    fn keep_events(&mut self) {
        for event in self.queue.take_events() {
            match event {
                Event::Deliver { group, consumer, lease, position, attempt, item } => {
                    self.deliver(Given { group, consumer, lease, position, attempt, id: item.id });
                }
                Event::Done { group, position, fate, .. } => self.end(Some(usize::from(group.0)), position.0, fate),
                Event::Gone { group, position, fate, .. } => {
                    let n = group.map(|group| usize::from(group.0));
                    self.end(n, position.0, fate);
                    for (of, open) in self.open.iter().enumerate() {
                        assert!(!open.contains_key(&position.0), "group {of} still wants {}", position.0);
                    }
                    self.store.log.push_back(Entry::Delete(position.0));
                }
            }
        }
        for id in self.queue.take_forgotten_ids() {
            self.store.log.push_back(Entry::Forget(id[0]));
        }
    }

    fn end(&mut self, group: Option<usize>, position: u64, fate: Fate) {
        note!(self, "{position} is over for {group:?}: {fate:?}");
        let groups = group.map_or(0..self.crews.len(), |n| n..n + 1);
        for n in groups {
            let Some(open) = self.open[n].remove(&position) else {
                assert!(group.is_none(), "it was over before");
                continue;
            };
            self.store.log.push_back(Entry::Done(Some(n), position, open.letter, fate));
        }
    }

    fn deliver(&mut self, given: Given) {
        let n = usize::from(given.group.0);
        note!(
            self,
            "{} at {} to {:?} of group {n}, attempt {}",
            given.id,
            given.position.0,
            given.consumer,
            given.attempt
        );
        let what = (n, given.id);
        assert!(!self.settled.contains(&what), "it was acknowledged");
        assert!(self.terms.deliveries_max == 0 || given.attempt <= self.terms.deliveries_max, "too often");
        let due_ms = self.due_ms.get(&given.position.0);
        assert!(given.attempt > 1 || due_ms.is_none_or(|due_ms| *due_ms <= self.now_ms), "before its time");
        let crew = &mut self.crews[n];
        let worker = crew.workers.iter_mut().find(|worker| worker.id == given.consumer).expect("it has left");
        if crew.options.mode == Mode::AtMostOnce {
            assert!(!self.open[n].contains_key(&given.position.0), "it is not over");
            self.store.log.push_back(Entry::HandOver(given));
            return;
        }
        worker.has.push(given);
        let mine = *self.open[n].get(&given.position.0).expect("it is over");
        assert_eq!(mine.letter, given.id);
        if given.attempt > 1 {
            self.store.log.push_back(Entry::Attempt(n, given.position.0, given.attempt));
        }
        if crew.options.order == Order::ByKey && mine.key.is_some() {
            for (position, other) in self.open[n].range(..given.position.0) {
                let is_alike = other.key == mine.key && other.priority == mine.priority && !other.is_scheduled;
                assert!(!is_alike, "{position} of the same key was to come before");
            }
        }
    }

    /// Some of the log becomes durable, and the outside is told.
    fn commit(&mut self) {
        let entries = self.dice.below(self.store.log.len() as u64 + 1);
        for _ in 0..entries {
            let entry = self.store.log.pop_front().unwrap();
            self.write(entry);
        }
        self.queue.end_void();
    }

    fn write(&mut self, entry: Entry) {
        match entry {
            Entry::Put(position, record, id) => {
                self.store.next = self.store.next.max(position + 1);
                let letter = record.letter.clone();
                if self.dice.one_in(30) {
                    note!(self, "{} is refused by the store", letter.id);
                    letter.is_void.set(true);
                    if let Some((id, _)) = id {
                        self.queue.unremember(&[id], Position(position));
                    }
                    return;
                }
                letter.reference.set(Some(letter.id));
                self.store.records.insert(position, record);
                self.store.ids.extend(id.map(|(id, until_ms)| (id, (position, until_ms))));
                note!(self, "{} is told", letter.id);
                self.told.insert(letter.id);
            }
            Entry::Done(group, position, letter, fate) => {
                let n = group.unwrap();
                if self.store.records.contains_key(&position) {
                    self.store.done.insert((n, position));
                }
                self.over.insert((n, letter));
                if fate == Fate::Acked && self.settled.contains(&(n, letter)) {
                    note!(self, "{letter} of group {n} is confirmed");
                    self.confirmed.insert((n, letter));
                }
            }
            Entry::Delete(position) => {
                self.store.records.remove(&position);
                self.store.done.retain(|(_, of)| *of != position);
                self.store.attempts.retain(|(_, of), _| *of != position);
            }
            Entry::Attempt(n, position, attempt) => {
                if self.store.records.contains_key(&position) {
                    self.store.attempts.insert((n, position), attempt);
                }
            }
            Entry::Forget(id) => {
                self.store.ids.remove(&id);
            }
            Entry::HandOver(given) => {
                let n = usize::from(given.group.0);
                note!(self, "{} is handed over", given.id);
                assert!(self.handed.insert((n, given.id)), "it was handed over twice");
                self.queue.taken(given.group, given.consumer, 1);
            }
        }
    }

    /// Everybody who is stuck leaves, somebody who works comes, and everything has to come to an end.
    fn finish(&mut self) {
        note!(self, "the end");
        self.queue.resume();
        for n in 0..self.crews.len() {
            let crew = &mut self.crews[n];
            for worker in crew.workers.drain(..) {
                self.queue.detach(self.now_ms, crew.id, worker.id);
            }
            let id = self.queue.attach(crew.id, Credit { messages: 2, lease_ms: Some(1_000) }).unwrap();
            crew.workers.push(Worker { id, has: Vec::new(), hangs: false });
        }
        self.keep_events();
        let mut rounds = 0;
        while !self.queue.is_empty() || !self.store.log.is_empty() {
            rounds += 1;
            assert!(rounds < 500, "it is stuck: {:?}", self.queue);
            self.now_ms += 20;
            self.queue.on_time(self.now_ms);
            self.queue.deal(self.now_ms);
            self.reading.extend(self.queue.take_to_load());
            self.read(u64::MAX);
            self.queue.deal(self.now_ms);
            self.keep_events();
            for n in 0..self.crews.len() {
                for given in std::mem::take(&mut self.crews[n].workers[0].has) {
                    self.say(n, given, Verdict::Ack);
                }
            }
            self.keep_events();
            while let Some(entry) = self.store.log.pop_front() {
                self.write(entry);
            }
            self.queue.end_void();
            self.keep_events();
        }
        check(&self.queue);
        let store = &self.store;
        assert!(store.records.is_empty() && store.done.is_empty(), "it is kept: {:?}", (&store.records, &store.done));
        for (letter, n) in self.told.iter().flat_map(|letter| (0..self.crews.len()).map(move |n| (letter, n))) {
            assert!(self.over.contains(&(n, *letter)), "{letter} was told to be safe, and group {n} never got it");
        }
        for (n, letter) in &self.over {
            let is_once = self.crews[*n].options.mode == Mode::AtMostOnce;
            assert!(is_once || !self.handed.contains(&(*n, *letter)));
        }
    }
}
