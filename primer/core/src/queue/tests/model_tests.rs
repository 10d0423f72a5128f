//! Random calls, against a model that is a list of messages and looks everything up in it.

mod acts;

use super::*;

/// How a message stands with a group.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// To be delivered; how often it was.
    Ready(u32),
    /// Until then; how often it was delivered.
    Delayed(u64, u32),
    Leased(LeaseId),
    /// It was delivered too often, which the queue has to say before the call ends.
    Dying(u32),
    Ended,
}

#[derive(Debug, Clone)]
struct Mail {
    position: Position,
    priority: u8,
    due_ms: u64,
    letter: Letter,
    /// By the serial of the group.
    states: Vec<(u64, State)>,
    is_gone: bool,
}

impl Mail {
    fn state(&mut self, serial: u64) -> Option<&mut State> {
        self.states.iter_mut().find(|(of, _)| *of == serial).map(|(_, state)| state)
    }

    fn is_leased(&self) -> bool {
        self.states.iter().any(|(_, state)| matches!(state, State::Leased(_)))
    }

    /// Higher is later.
    fn rank(&self) -> (u8, Position) {
        (u8::MAX - self.priority, self.position)
    }
}

#[derive(Debug, Clone)]
struct Crew {
    serial: u64,
    id: GroupId,
    options: GroupOptions,
}

#[derive(Debug, Clone)]
struct Worker {
    serial: u64,
    group: GroupId,
    id: ConsumerId,
    credit: Credit,
    has: u32,
}

/// A lease, live or over.
#[derive(Debug, Clone)]
struct Hold {
    serial: u64,
    given: Given,
    key: Option<u64>,
    deadline_ms: u64,
}

/// What the queue was asked to do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cause {
    Deal,
    Time,
    Push,
    Word(Position, Verdict),
    Taken(Position),
    Purge,
    Evict(u64),
    GroupGone(u64),
    FirstGroup,
    Lost(Position),
    Leaves,
}

/// See the file's description.
#[derive(Debug, Default)]
struct Model {
    now_ms: u64,
    terms: Option<Terms>,
    mails: Vec<Mail>,
    crews: Vec<Crew>,
    workers: Vec<Worker>,
    holds: Vec<Hold>,
    /// Leases that are over, and whether their consumers owe for them.
    past: Vec<(Hold, bool)>,
    serials: u64,
    counts: Counts,
    ids: Vec<(u8, u64, Position)>,
    /// What was done with before it is delivered.
    once: Option<(u64, Position)>,
}

impl Model {
    fn terms(&self) -> Terms {
        self.terms.unwrap()
    }

    fn mail(&mut self, position: Position) -> &mut Mail {
        self.mails.iter_mut().find(|mail| mail.position == position).expect("a message that was never pushed")
    }

    fn serial(&self, group: GroupId) -> u64 {
        self.crews.iter().find(|crew| crew.id == group).expect("a group that is not there").serial
    }

    fn worker(&mut self, id: ConsumerId) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    /// A delivery has come to nothing.
    fn lapse(&mut self, hold: &Hold, delay_ms: Option<u64>) {
        let (now_ms, terms) = (self.now_ms, self.terms());
        let attempt = hold.given.attempt;
        let Some(state) = self.mail(hold.given.position).state(hold.serial) else { return };
        if *state != State::Leased(hold.given.lease.unwrap()) {
            return; // it was taken out of the queue
        }
        let delay_ms = delay_ms.unwrap_or(terms.retry_delay_ms);
        *state = match delay_ms {
            _ if terms.deliveries_max > 0 && attempt >= terms.deliveries_max => State::Dying(attempt),
            0 => State::Ready(attempt),
            delay_ms => State::Delayed(now_ms + delay_ms, attempt),
        };
    }

    /// Leases and delays end.
    fn on_time(&mut self) {
        let now_ms = self.now_ms;
        let (over, live) = std::mem::take(&mut self.holds).into_iter().partition(|hold| hold.deadline_ms <= now_ms);
        self.holds = live;
        let over: Vec<Hold> = over;
        for hold in over {
            self.lapse(&hold, None);
            self.past.push((hold, true));
        }
        for (_, state) in self.mails.iter_mut().flat_map(|mail| &mut mail.states) {
            if let State::Delayed(until_ms, attempts) = *state
                && until_ms <= now_ms
            {
                *state = State::Ready(attempts);
            }
        }
    }

    fn settle(&mut self, hold: &Hold, verdict: Verdict) -> Result<(), Stale> {
        if let Some(at) = self.holds.iter().position(|one| one.given.lease == hold.given.lease) {
            self.holds.remove(at);
            self.past.push((hold.clone(), false));
            self.worker(hold.given.consumer).unwrap().has -= 1;
            match verdict {
                Verdict::Nack { delay_ms } => self.lapse(hold, delay_ms),
                Verdict::Release => {
                    let attempt = hold.given.attempt;
                    if let Some(state @ State::Leased(_)) = self.mail(hold.given.position).state(hold.serial) {
                        *state = State::Ready(attempt - 1);
                    }
                }
                Verdict::Ack | Verdict::Reject => {}
            }
            return Ok(());
        }
        let Some((_, owes)) = self.past.iter_mut().find(|(one, _)| one.given.lease == hold.given.lease) else {
            return Err(Stale);
        };
        if std::mem::take(owes)
            && let Some(worker) = self.worker(hold.given.consumer)
        {
            worker.has -= 1;
        }
        let state = self.mail(hold.given.position).state(hold.serial).map(|state| *state);
        let is_free = matches!(state, Some(State::Ready(_) | State::Delayed(..)));
        if verdict == Verdict::Ack && is_free { Ok(()) } else { Err(Stale) }
    }

    /// Takes what the queue says has happened, if it may have.
    fn take(&mut self, events: Vec<Event<Letter>>, cause: Cause) {
        for event in events {
            match event {
                Event::Deliver { group, consumer, lease, position, attempt, item } => {
                    assert_eq!(cause, Cause::Deal);
                    self.delivered(Given { group, consumer, lease, position, attempt, id: item.id });
                }
                Event::Done { group, position, fate, left, .. } => {
                    let serial = self.serial(group);
                    assert_eq!(left.is_some(), matches!(fate, Fate::Dead(_)));
                    self.ended(serial, position, fate, cause);
                    assert!(self.mail(position).states.iter().any(|(_, state)| *state != State::Ended));
                }
                Event::Gone { group, position, fate, .. } => {
                    match group {
                        Some(group) => {
                            let serial = self.serial(group);
                            self.ended(serial, position, fate, cause);
                        }
                        None => self.ended_for_all(position, fate, cause),
                    }
                    let mail = self.mail(position);
                    assert!(!std::mem::replace(&mut mail.is_gone, true), "it is gone twice");
                    assert!(mail.states.iter().all(|(_, state)| *state == State::Ended), "a group still wants it");
                    self.count(fate);
                }
            }
        }
        assert!(self.once.is_none(), "what was done with was not delivered");
        let all = self.mails.iter().flat_map(|mail| &mail.states);
        assert!(all.map(|(_, state)| state).all(|state| !matches!(state, State::Dying(_))), "it lives on");
    }

    fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Acked => self.counts.acked += 1,
            Fate::Expired => self.counts.expired += 1,
            Fate::Trimmed => self.counts.trimmed += 1,
            Fate::Evicted => self.counts.evicted += 1,
            Fate::Removed => self.counts.removed += 1,
            Fate::Lost => self.counts.lost += 1,
            Fate::Void | Fate::Dead(_) => {}
        }
    }

    /// A group is done with a message.
    fn ended(&mut self, serial: u64, position: Position, fate: Fate, cause: Cause) {
        let now_ms = self.now_ms;
        let is_once = self.crews.iter().any(|crew| crew.serial == serial && crew.options.mode == Mode::AtMostOnce);
        self.counts.dead += u64::from(matches!(fate, Fate::Dead(_)));
        let mail = self.mail(position);
        let expires_at_ms = mail.letter.expires_at_ms;
        let state = mail.state(serial).expect("a group that never wanted it");
        let before = std::mem::replace(state, State::Ended);
        assert_ne!(before, State::Ended, "a group is done with it twice");
        match (fate, cause) {
            (Fate::Acked, Cause::Deal) => {
                assert!(is_once && matches!(before, State::Ready(_)));
                self.once = Some((serial, position));
            }
            (Fate::Acked, Cause::Word(of, Verdict::Ack))
            | (Fate::Dead(Death::Rejected), Cause::Word(of, Verdict::Reject)) => assert_eq!(of, position),
            (Fate::Dead(Death::Deliveries), Cause::Word(..) | Cause::Time | Cause::Leaves) => {
                assert!(matches!(before, State::Dying(_)), "{before:?}");
            }
            (Fate::Expired, _) => {
                assert!(now_ms > expires_at_ms && !matches!(before, State::Leased(_)));
            }
            (Fate::Removed, Cause::GroupGone(of)) => assert_eq!(of, serial),
            _ => panic!("{fate:?} after {cause:?}"),
        }
    }

    /// A message is taken out.
    fn ended_for_all(&mut self, position: Position, fate: Fate, cause: Cause) {
        let now_ms = self.now_ms;
        let mail = self.mail(position).clone();
        let is_leased = mail.is_leased();
        match (fate, cause) {
            (Fate::Expired, _) => assert!(now_ms > mail.letter.expires_at_ms && !is_leased),
            (Fate::Void, _) => assert!(mail.letter.is_void.get()),
            (Fate::Lost, Cause::Lost(of)) => assert_eq!(of, position),
            (Fate::Trimmed | Fate::Dead(Death::Overflow), Cause::Push) => {
                self.counts.dead += u64::from(fate != Fate::Trimmed);
                let others = self.mails.iter().filter(|other| !other.is_gone && !other.is_leased());
                for other in others {
                    assert!(now_ms <= other.letter.expires_at_ms, "an expired one was to go first");
                    let is_first = (mail.priority, position) <= (other.priority, other.position);
                    assert!(is_first, "{other:?} was to go before");
                }
                assert!(!is_leased);
            }
            (Fate::Removed, Cause::Purge) => assert!(!is_leased),
            (Fate::Removed, Cause::Taken(of)) => assert!(!is_leased && of == position),
            (Fate::Removed, Cause::FirstGroup) => assert!(mail.states.is_empty()),
            (Fate::Evicted, Cause::Evict(below)) => {
                assert!(!is_leased && mail.letter.reference.get().is_some_and(|reference| reference < below));
            }
            _ => panic!("{fate:?} after {cause:?}"),
        }
        self.mail(position).states.iter_mut().for_each(|(_, state)| *state = State::Ended);
    }

    fn delivered(&mut self, given: Given) {
        let (now_ms, serial) = (self.now_ms, self.serial(given.group));
        let options = self.crews.iter().find(|crew| crew.serial == serial).unwrap().options;
        let worker = self.worker(given.consumer).expect("a consumer that is not there");
        assert_eq!(worker.serial, serial, "a consumer of another group");
        assert!(worker.has < worker.credit.messages, "more than its credit");
        worker.has += 1;
        let lease_ms = worker.credit.lease_ms;
        self.counts.delivered += 1;
        self.counts.redelivered += u64::from(given.attempt > 1);
        if options.mode == Mode::AtMostOnce {
            assert_eq!((self.once.take(), given.lease), (Some((serial, given.position)), None));
            assert_eq!(given.attempt, 1, "more than once");
        }
        let mail = self.mail(given.position);
        let (rank, key) = (mail.rank(), mail.letter.key);
        assert_eq!(mail.letter.id, given.id, "it is another");
        assert!(!mail.letter.is_void.get() && now_ms <= mail.letter.expires_at_ms);
        assert!(given.attempt > 1 || mail.due_ms <= now_ms, "before its time");
        let state = mail.state(serial).expect("a group that does not want it");
        if let Some(lease) = given.lease {
            assert_eq!(*state, State::Ready(given.attempt - 1));
            *state = State::Leased(lease);
            let deadline_ms = lease_ms.map_or(u64::MAX, |lease_ms| now_ms + lease_ms);
            let key = key.filter(|_| options.order == Order::ByKey);
            if let Some(key) = key {
                let mut others = self.holds.iter().filter(|hold| hold.serial == serial);
                assert!(others.all(|hold| hold.key != Some(key)), "two of a key are on their way");
            }
            self.holds.push(Hold { serial, given, key, deadline_ms });
        } else {
            *state = State::Ended;
        }
        self.check_turn(serial, options, rank, key);
    }

    /// Nothing that was to come before has been left out.
    fn check_turn(&self, serial: u64, options: GroupOptions, rank: (u8, Position), key: Option<u64>) {
        for mail in self.mails.iter().filter(|mail| !mail.is_gone && mail.rank() < rank) {
            let Some((_, state)) = mail.states.iter().find(|(of, _)| *of == serial) else { continue };
            let is_alive = self.now_ms <= mail.letter.expires_at_ms && !mail.letter.is_void.get();
            let is_ready = matches!(state, State::Ready(attempts) if *attempts > 0 || mail.due_ms <= self.now_ms);
            match options.order {
                Order::Any => assert!(!is_ready || !is_alive, "{mail:?} was to come before"),
                Order::ByKey => {
                    let is_of_key = key.is_some() && mail.letter.key == key && mail.rank().0 == rank.0;
                    let is_open = *state != State::Ended && is_alive && mail.due_ms == 0;
                    assert!(!is_of_key || !is_open, "{mail:?} was to come before");
                }
            }
        }
    }
}
