//! What is done to the queue and its model, and what has to hold then.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Push { priority: u8, key: Option<u64>, cost: usize, ttl_ms: Option<u64>, due_ms: Option<u64>, id: Option<u8> },
    Deal,
    Settle(usize, Verdict),
    Late(usize, Verdict),
    Extend(usize, u64),
    Attach(usize, Credit),
    Detach(usize),
    Credit(usize, u32),
    Pull(usize, u32),
    AddGroup(u8, bool),
    RemoveGroup(usize),
    Tick(u64),
    Pause(bool),
    Purge,
    Remove(usize),
    Write(usize),
    Void(usize),
    Evict(u64),
    Chill(usize),
    Load,
    Answer(usize, bool),
    Taken(usize, u32),
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Ack),
        1 => prop_oneof![Just(None), (0_u64..30).prop_map(Some)].prop_map(|delay_ms| Verdict::Nack { delay_ms }),
        1 => Just(Verdict::Reject),
        1 => Just(Verdict::Release),
    ]
}

fn credit_of() -> impl Strategy<Value = Credit> {
    let lease_ms = prop_oneof![1 => Just(None), 3 => (1_u64..30).prop_map(Some)];
    (0_u32..5, lease_ms).prop_map(|(messages, lease_ms)| Credit { messages, lease_ms })
}

fn pushed() -> impl Strategy<Value = Act> {
    let key = prop_oneof![1 => Just(None), 3 => (0_u64..3).prop_map(Some)];
    let ttl_ms = prop_oneof![4 => Just(None), 1 => (0_u64..40).prop_map(Some)];
    let due_ms = prop_oneof![4 => Just(None), 1 => (0_u64..30).prop_map(Some)];
    let id = prop_oneof![3 => Just(None), 1 => (0_u8..4).prop_map(Some)];
    (3_u8..6, key, 1_usize..4, ttl_ms, due_ms, id).prop_map(|(priority, key, cost, ttl_ms, due_ms, id)| Act::Push {
        priority,
        key,
        cost,
        ttl_ms,
        due_ms,
        id,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let n = 0_usize..16;
    let storing = prop_oneof![
        2 => n.clone().prop_map(Act::Write),
        1 => n.clone().prop_map(Act::Void),
        1 => (0_u64..20).prop_map(Act::Evict),
        2 => (0_usize..4).prop_map(Act::Chill),
        2 => Just(Act::Load),
        4 => (n.clone(), prop::bool::weighted(0.1)).prop_map(|(n, is_lost)| Act::Answer(n, is_lost)),
    ];
    let consuming = prop_oneof![
        8 => (n.clone(), verdict()).prop_map(|(n, verdict)| Act::Settle(n, verdict)),
        1 => (n.clone(), verdict()).prop_map(|(n, verdict)| Act::Late(n, verdict)),
        1 => (n.clone(), 0_u64..40).prop_map(|(n, lease_ms)| Act::Extend(n, lease_ms)),
        2 => (n.clone(), credit_of()).prop_map(|(n, credit)| Act::Attach(n, credit)),
        1 => n.clone().prop_map(Act::Detach),
        1 => (n.clone(), 0_u32..5).prop_map(|(n, messages)| Act::Credit(n, messages)),
        1 => (n.clone(), 0_u32..4).prop_map(|(n, messages)| Act::Pull(n, messages)),
        2 => (n.clone(), 1_u32..4).prop_map(|(n, messages)| Act::Taken(n, messages)),
    ];
    let ruling = prop_oneof![
        3 => (0_u8..4, prop::bool::weighted(0.2)).prop_map(|(kind, from_now)| Act::AddGroup(kind, from_now)),
        1 => n.clone().prop_map(Act::RemoveGroup),
        1 => any::<bool>().prop_map(Act::Pause),
        1 => Just(Act::Purge),
        1 => n.prop_map(Act::Remove),
    ];
    prop_oneof![
        8 => pushed(),
        6 => Just(Act::Deal),
        3 => (1_u64..20).prop_map(Act::Tick),
        12 => consuming,
        3 => storing,
        2 => ruling,
    ]
}

/// The queue, its model, and what is being read.
struct Pair {
    queue: Queue<Letter>,
    model: Model,
    reading: Vec<Stub>,
}

impl Pair {
    fn take(&mut self, cause: Cause) {
        let events = self.queue.take_events();
        self.model.take(events, cause);
    }

    fn push(&mut self, priority: u8, due_ms: Option<u64>, id: Option<u8>, letter: &Letter) {
        let now_ms = self.model.now_ms;
        let known = id.and_then(|id| {
            let known = self.model.ids.iter().rfind(|(known, until_ms, _)| *known == id && *until_ms > now_ms)?;
            // One that its store has refused is as if it had not been.
            let is_void = |mail: &Mail| mail.position == known.2 && !mail.is_gone && mail.letter.is_void.get();
            (!self.model.mails.iter().any(is_void)).then_some(known.2)
        });
        let (len, bytes) = (self.queue.len(), self.queue.bytes());
        let id_bytes = id.map(|id| [id]);
        let pushed =
            self.queue.push(now_ms, priority, due_ms, id_bytes.as_ref().map(<[u8; 1]>::as_slice), letter.clone());
        self.take(Cause::Push);
        let terms = self.model.terms();
        match pushed {
            Ok(Pushed::Duplicate(position, _)) => {
                assert_eq!(Some(position), known);
                self.model.counts.duplicates += 1;
            }
            Ok(Pushed::New(position, _)) => {
                assert_eq!(known, None, "it was known");
                let mut states: Vec<(u64, State)> = Vec::new();
                states.extend(self.model.crews.iter().map(|crew| (crew.serial, State::Ready(0))));
                let due_ms = due_ms.filter(|due_ms| *due_ms > now_ms).unwrap_or(0);
                let letter = letter.clone();
                assert!(self.model.mails.last().is_none_or(|last| last.position < position));
                self.model.mails.push(Mail { position, priority, due_ms, letter, states, is_gone: false });
                self.model.counts.pushed += 1;
                if let Some(id) = id.filter(|_| terms.dedupe_window_ms > 0) {
                    self.model.ids.push((id, now_ms + terms.dedupe_window_ms, position));
                }
                assert!(self.queue.len() <= terms.messages_max && self.queue.bytes() <= terms.bytes_max);
            }
            Err(_) => {
                self.model.counts.refused += 1;
                let was_full = len >= terms.messages_max || bytes + letter.cost > terms.bytes_max;
                assert!(was_full && terms.messages_max > 0, "it was refused without need");
            }
        }
    }

    fn settle(&mut self, hold: &Hold, verdict: Verdict) {
        let expected = self.model.settle(hold, verdict);
        let Given { group, position, lease, .. } = hold.given;
        let settled = self.queue.settle(self.model.now_ms, group, position, lease.unwrap(), verdict);
        assert_eq!(settled, expected);
        self.take(Cause::Word(position, verdict));
        if settled.is_ok() && verdict == Verdict::Ack {
            let state = self.model.mail(position).state(hold.serial);
            assert!(state.is_none_or(|state| *state == State::Ended), "it was acknowledged and lives on");
        }
    }

    fn deal(&mut self) {
        self.queue.on_time(self.model.now_ms);
        self.model.on_time();
        self.take(Cause::Time);
        self.check_time();
        self.queue.deal(self.model.now_ms);
        self.take(Cause::Deal);
        if !self.queue.is_paused() {
            self.check_rest();
        }
    }

    fn check_time(&self) {
        let now_ms = self.model.now_ms;
        let mut live = self.model.mails.iter().filter(|mail| !mail.is_gone);
        assert!(live.all(|mail| now_ms <= mail.letter.expires_at_ms || mail.is_leased()), "it has expired");
        assert!(self.queue.next_deadline_ms().is_none_or(|next_ms| next_ms > now_ms), "a deadline has passed");
    }

    /// Where nothing can be done any more, nothing that could be dealt is left.
    fn check_rest(&self) {
        for crew in &self.model.crews {
            let its = || self.model.workers.iter().filter(|worker| worker.serial == crew.serial);
            let is_free = |worker: &Worker| worker.has < worker.credit.messages;
            if its().count() == 0 || !its().any(is_free) {
                continue;
            }
            let is_any = crew.options.order == Order::Any;
            let held: Vec<u64> = (self.model.holds.iter())
                .filter(|hold| hold.serial == crew.serial)
                .filter_map(|hold| hold.key)
                .chain(self.queue.groups[usize::from(crew.id.0)].iter().flat_map(|group| group.waits.keys_held()))
                .collect();
            if !is_any && !its().all(is_free) {
                continue;
            }
            let ready = self.model.mails.iter().find(|mail| {
                let state = mail.states.iter().find(|(of, _)| *of == crew.serial).map(|(_, state)| *state);
                let is_due =
                    matches!(state, Some(State::Ready(attempts)) if attempts > 0 || mail.due_ms <= self.model.now_ms);
                let is_held = !is_any && mail.letter.key.is_some_and(|key| held.contains(&key));
                is_due && !mail.is_gone && !is_held
            });
            let waits_for_store = !self.queue.to_load.is_empty();
            assert!(ready.is_none() || waits_for_store, "{ready:?} could have been dealt");
        }
    }

    fn check(&self) {
        check(&self.queue);
        let live = || self.model.mails.iter().filter(|mail| !mail.is_gone);
        assert_eq!(self.queue.len(), live().count());
        assert_eq!(self.queue.bytes(), live().map(|mail| mail.letter.cost).sum::<usize>());
        assert_eq!(*self.queue.counts(), self.model.counts);
        for crew in &self.model.crews {
            let figures = self.queue.group_figures(crew.id);
            let states = || live().flat_map(|mail| &mail.states).filter(|(of, _)| *of == crew.serial);
            assert_eq!(figures.pending, states().filter(|(_, state)| *state != State::Ended).count());
            assert_eq!(figures.leased, self.model.holds.iter().filter(|hold| hold.serial == crew.serial).count());
            let delayed = states().filter(|(_, state)| matches!(state, State::Delayed(..))).count();
            assert!(figures.waiting >= delayed, "scheduled ones count as well");
            let workers = self.model.workers.iter().filter(|worker| worker.serial == crew.serial);
            assert_eq!(figures.consumers, workers.count());
        }
    }

    fn add_group(&mut self, kind: u8, from_now: bool) {
        let mode = if kind & 1 == 0 { Mode::AtLeastOnce } else { Mode::AtMostOnce };
        let options = GroupOptions { mode, order: if kind & 2 == 0 { Order::Any } else { Order::ByKey } };
        let is_first = self.model.crews.is_empty();
        let (id, is_new) = self.queue.add_group(&kind.to_string(), options, from_now).unwrap();
        if !is_new {
            assert!(self.model.crews.iter().any(|crew| crew.id == id && crew.options == options));
            return;
        }
        let serial = self.model.serials;
        self.model.serials += 1;
        if is_first && from_now {
            self.take(Cause::FirstGroup);
        }
        self.model.crews.push(Crew { serial, id, options });
        if !from_now {
            for mail in self.model.mails.iter_mut().filter(|mail| !mail.is_gone) {
                mail.states.push((serial, State::Ready(0)));
            }
        }
    }

    fn remove_group(&mut self, n: usize) {
        let Some(crew) = self.model.crews.get(n).cloned() else { return };
        self.queue.remove_group(crew.id);
        if self.model.crews.len() == 1 {
            self.model.mails.iter_mut().filter(|mail| !mail.is_gone).for_each(|mail| mail.states.clear());
        }
        self.take(Cause::GroupGone(crew.serial));
        for mail in &mut self.model.mails {
            let state = mail.states.iter().find(|(of, _)| *of == crew.serial);
            assert!(state.is_none_or(|(_, state)| *state == State::Ended), "it was not told");
            mail.states.retain(|(of, _)| *of != crew.serial);
        }
        self.model.crews.remove(n);
        self.model.workers.retain(|worker| worker.serial != crew.serial);
        let (over, live) =
            std::mem::take(&mut self.model.holds).into_iter().partition(|hold| hold.serial == crew.serial);
        self.model.holds = live;
        let over: Vec<Hold> = over;
        self.model.past.extend(over.into_iter().map(|hold| (hold, false)));
    }

    fn attach(&mut self, n: usize, credit: Credit) {
        let Some(crew) = self.model.crews.get(n) else { return };
        let id = self.queue.attach(crew.id, credit).unwrap();
        self.model.workers.push(Worker { serial: crew.serial, group: crew.id, id, credit, has: 0 });
    }

    fn detach(&mut self, n: usize) {
        if n >= self.model.workers.len() {
            return;
        }
        let worker = self.model.workers.remove(n);
        self.queue.detach(self.model.now_ms, worker.group, worker.id);
        for (hold, owes) in &mut self.model.past {
            *owes &= hold.given.consumer != worker.id;
        }
        let (over, live) =
            std::mem::take(&mut self.model.holds).into_iter().partition(|hold| hold.given.consumer == worker.id);
        self.model.holds = live;
        let over: Vec<Hold> = over;
        for hold in over {
            self.model.lapse(&hold, None);
            self.model.past.push((hold, false));
        }
        self.take(Cause::Leaves);
    }

    fn pull(&mut self, n: usize, messages: u32) {
        self.deal();
        let Some(worker) = self.model.workers.get_mut(n) else { return };
        let (group, id, credit) = (worker.group, worker.id, worker.credit.messages);
        let owes: u32 = (self.model.past.iter_mut())
            .map(|(hold, owes)| u32::from(hold.given.consumer == id && std::mem::take(owes)))
            .sum();
        worker.has -= owes;
        worker.credit.messages = worker.has + messages;
        self.queue.pull(self.model.now_ms, group, id, messages);
        self.take(Cause::Deal);
        self.model.worker(id).unwrap().credit.messages = credit;
    }

    fn answer(&mut self, n: usize, is_lost: bool) {
        if n >= self.reading.len() {
            return;
        }
        let stub = self.reading.remove(n);
        if is_lost {
            self.queue.lose(stub.position);
        } else {
            let letter = self.model.mail(stub.position).letter.clone();
            self.queue.fill(stub.position, letter);
        }
        self.take(Cause::Lost(stub.position));
    }

    fn store(&mut self, act: &Act) {
        match *act {
            Act::Write(n) | Act::Void(n) => {
                let mut open = self.model.mails.iter().filter(|mail| {
                    mail.letter.reference.get().is_none() && !mail.letter.is_void.get() && !mail.is_gone
                });
                let Some(mail) = open.nth(n) else { return };
                if let Act::Void(_) = act {
                    mail.letter.is_void.set(true);
                } else {
                    mail.letter.reference.set(Some(mail.letter.id));
                }
            }
            Act::Evict(below) => {
                self.queue.evict_below(below);
                self.take(Cause::Evict(below));
            }
            Act::Chill(hot_max) => self.queue.chill_to(hot_max),
            Act::Load => self.reading.extend(self.queue.take_to_load()),
            Act::Answer(n, is_lost) => self.answer(n, is_lost),
            _ => unreachable!("the others are taken before"),
        }
    }

    fn apply(&mut self, act: &Act, serial: u64) {
        let now_ms = self.model.now_ms;
        match *act {
            Act::Push { priority, key, cost, ttl_ms, due_ms, id } => {
                let expires_at_ms = ttl_ms.map_or(u64::MAX, |ttl_ms| now_ms + ttl_ms);
                let letter = Letter { key, cost, expires_at_ms, ..letter(serial) };
                self.push(priority, due_ms.map(|due_ms| now_ms + due_ms), id, &letter);
            }
            Act::Deal => self.deal(),
            Act::Settle(n, verdict) => {
                if let Some(hold) = self.model.holds.get(n).cloned() {
                    self.settle(&hold, verdict);
                }
            }
            Act::Late(n, verdict) => {
                if let Some((hold, _)) = self.model.past.iter().rev().nth(n).cloned() {
                    self.settle(&hold, verdict);
                }
            }
            Act::Extend(n, lease_ms) => {
                let Some(hold) = self.model.holds.get_mut(n) else { return };
                if hold.deadline_ms != u64::MAX {
                    hold.deadline_ms = now_ms + lease_ms;
                }
                let Given { group, position, lease, .. } = hold.given;
                assert_eq!(self.queue.extend(now_ms, group, position, lease.unwrap(), lease_ms), Ok(()));
            }
            Act::Attach(n, credit) => self.attach(n % 4, credit),
            Act::Detach(n) => self.detach(n),
            Act::Credit(n, messages) => {
                let Some(worker) = self.model.workers.get_mut(n) else { return };
                worker.credit.messages = messages;
                self.queue.set_credit(worker.group, worker.id, messages);
            }
            Act::Pull(n, messages) => self.pull(n, messages),
            Act::AddGroup(kind, from_now) => self.add_group(kind, from_now),
            Act::RemoveGroup(n) => self.remove_group(n),
            Act::Tick(by_ms) => {
                self.model.now_ms += by_ms;
                self.deal();
            }
            Act::Pause(true) => self.queue.pause(),
            Act::Pause(false) => self.queue.resume(),
            Act::Purge => {
                self.queue.purge();
                self.take(Cause::Purge);
            }
            Act::Remove(n) => {
                let Some(position) = self.model.mails.iter().rev().nth(n).map(|mail| mail.position) else { return };
                self.queue.remove_one(position);
                self.take(Cause::Taken(position));
            }
            Act::Taken(n, messages) => {
                let Some(worker) = self.model.workers.get_mut(n) else { return };
                if self
                    .model
                    .crews
                    .iter()
                    .any(|crew| crew.serial == worker.serial && crew.options.mode == Mode::AtMostOnce)
                {
                    worker.has = worker.has.saturating_sub(messages);
                    self.queue.taken(worker.group, worker.id, messages);
                }
            }
            Act::Write(_) | Act::Void(_) | Act::Evict(_) | Act::Chill(_) | Act::Load | Act::Answer(..) => {
                self.store(act);
            }
        }
    }

    /// With consumers that acknowledge everything, every group comes to the end of the queue.
    fn drain(&mut self) {
        self.queue.resume();
        for n in 0..self.model.crews.len() {
            self.apply(&Act::Attach(n, Credit { messages: 2, lease_ms: None }), 0);
        }
        for _ in 0..2_000 {
            self.model.now_ms += 25;
            for n in 0..self.model.workers.len() {
                self.apply(&Act::Taken(n, u32::MAX), 0);
            }
            self.deal();
            self.store(&Act::Load);
            while !self.reading.is_empty() {
                self.answer(0, false);
            }
            while let Some(hold) = self.model.holds.first().cloned() {
                self.settle(&hold, Verdict::Ack);
            }
            if self.queue.is_empty() {
                break;
            }
        }
        self.check();
        assert!(self.queue.is_empty() || self.model.crews.is_empty(), "it is stuck: {:?}", self.queue);
    }
}

fn terms() -> impl Strategy<Value = Terms> {
    let overflow = prop_oneof![Just(Overflow::Reject), Just(Overflow::DropOldest), Just(Overflow::DeadLetter)];
    let retry_delay_ms = prop_oneof![Just(0_u64), 1_u64..30];
    (1_usize..16, 4_usize..40, overflow, 0_u32..4, retry_delay_ms, 0_u64..40).prop_map(
        |(messages_max, bytes_max, overflow, deliveries_max, retry_delay_ms, dedupe_window_ms)| Terms {
            messages_max,
            bytes_max,
            overflow,
            deliveries_max,
            retry_delay_ms,
            dedupe_window_ms,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every message is, for every group, delivered until it is done with or accounted for, in the promised order,
    /// within the consumers' credit; the figures agree at each step; and in the end the queue is empty.
    #[test]
    fn a_queue_is_what_its_model_says(
        acts in prop::collection::vec(act(), 0..150),
        terms in terms(),
        groups in prop::collection::vec(0_u8..4, 0..3),
    ) {
        let model = Model { terms: Some(terms), ..Model::default() };
        let mut pair = Pair { queue: queue(terms), model, reading: Vec::new() };
        for (n, kind) in groups.into_iter().enumerate() {
            pair.add_group(kind, false);
            pair.apply(&Act::Attach(n, credit(3)), 0);
        }
        for (act, serial) in acts.iter().zip(0..) {
            pair.apply(act, serial);
            pair.check();
        }
        pair.drain();
    }
}
