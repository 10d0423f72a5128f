//! A broker under load that is killed again and again: nothing that it acknowledged is lost, QoS 2 is exactly once,
//! and every publisher's order is kept.
//!
//! Publishers and subscribers run on threads of their own, with sessions that last and state that outlives their
//! connections, as 4.4 wants it. `PRIMER_KILL_SEED` replays the moments of a run, `PRIMER_KILL_ROUNDS` makes a longer
//! one.

mod ledger;
mod link;
mod publisher;
mod random;
mod subscriber;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use primer_harness::{Broker, Version};

use self::ledger::Received;
use self::publisher::{Publisher, Sent};
use self::random::Random;
use self::subscriber::{Habit, Subscriber};
use crate::fixture::{Stop, broker_with, end};

/// What the threads of a run share.
#[derive(Debug, Default)]
struct Course {
    /// Publishers begin nothing new.
    is_over: AtomicBool,
    /// Everybody ends, as something has failed.
    is_broken: AtomicBool,
    /// Subscribers have received all when they have so much; 0 while that is not known.
    published: AtomicU64,
}

impl Course {
    fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }
}

/// A test that fails in the middle ends the threads that the scope waits for.
struct BreakOnPanic<'c>(&'c Course);

impl Drop for BreakOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.is_broken.store(true, Ordering::Relaxed);
        }
    }
}

/// How a run goes.
struct Plan {
    name: &'static str,
    args: &'static [&'static str],
    rounds: u64,
    /// The longest that a broker lives.
    life: Duration,
    /// Each of so many rounds ends with SIGTERM.
    term_each: u64,
    /// Fewer messages a round prove nothing.
    messages_min: u64,
}

const PUBLISHERS: [(&str, Version, u8); 4] =
    [("p1-311", Version::V311, 1), ("p1-5", Version::V5, 1), ("p2-311", Version::V311, 2), ("p2-5", Version::V5, 2)];

const SUBSCRIBERS: [(&str, Version, u8, Habit); 7] = [
    ("away-1", Version::V5, 1, Habit::Away),
    ("away-2", Version::V5, 2, Habit::Away),
    ("away-2-311", Version::V311, 2, Habit::Away),
    ("here-1", Version::V311, 1, Habit::Here),
    ("here-2", Version::V5, 2, Habit::Here),
    ("now-1", Version::V5, 1, Habit::NowAndThen),
    ("now-2", Version::V311, 2, Habit::NowAndThen),
];

#[test]
fn nothing_acknowledged_is_lost_and_nothing_exactly_once_comes_twice_over_kill_9() {
    let rounds = number("PRIMER_KILL_ROUNDS").unwrap_or(60);
    run(&Plan {
        name: "group",
        args: &["--sync", "group"],
        rounds,
        life: Duration::from_millis(400),
        term_each: 8,
        messages_min: 20,
    });
}

#[test]
fn the_same_with_a_commit_for_each_message_and_with_a_gather_window() {
    let life = Duration::from_millis(300);
    run(&Plan { name: "each", args: &["--sync", "each"], rounds: 10, life, term_each: 5, messages_min: 5 });
    run(&Plan { name: "gather", args: &["--gather", "20"], rounds: 10, life, term_each: 5, messages_min: 5 });
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[track_caller]
fn run(plan: &Plan) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
    let seed = number("PRIMER_KILL_SEED").unwrap_or(now);
    println!("{}: PRIMER_KILL_SEED={seed}", plan.name);
    let begun = Instant::now();
    let mut random = Random::new(seed);
    let mut broker = broker_with(plan.args);
    let addr = broker.addr();
    let course = Course::default();
    let broken = BreakOnPanic(&course);
    let (sent, received) = std::thread::scope(|scope| {
        let _broken = BreakOnPanic(broken.0);
        let subscribers: Vec<_> = SUBSCRIBERS
            .map(|(id, version, qos, habit)| Subscriber::new(id, version, qos, habit, random.fork()))
            .into_iter()
            .map(|mut subscriber| {
                subscriber.subscribe(addr);
                let course = &course;
                scope.spawn(move || subscriber.run(addr, course))
            })
            .collect();
        let publishers: Vec<_> = PUBLISHERS
            .map(|(id, version, qos)| Publisher::new(id, version, qos))
            .into_iter()
            .map(|publisher| {
                let course = &course;
                scope.spawn(move || publisher.run(addr, course))
            })
            .collect();
        kill_again_and_again(plan, &mut broker, &mut random, &course);
        course.is_over.store(true, Ordering::Relaxed);
        let sent: Vec<Sent> = publishers.into_iter().map(|thread| join(thread, &course)).collect();
        course.published.store(sent.iter().map(|sent| sent.count).sum(), Ordering::Relaxed);
        let received: Vec<Received> = subscribers.into_iter().map(|thread| join(thread, &course)).collect();
        (sent, received)
    });
    report(plan, &sent, &received, begun.elapsed());
}

fn join<T>(thread: ScopedJoinHandle<'_, T>, course: &Course) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(panic) => {
            course.is_broken.store(true, Ordering::Relaxed);
            std::panic::resume_unwind(panic);
        }
    }
}

fn kill_again_and_again(plan: &Plan, broker: &mut Broker, random: &mut Random, course: &Course) {
    for round in 1..=plan.rounds {
        if course.is_broken() {
            return;
        }
        std::thread::sleep(random.below_duration(plan.life));
        if round.is_multiple_of(plan.term_each) {
            end(broker, Stop::Term);
        } else {
            broker.kill9();
        }
        if random.below(6) == 0 {
            broker.begin_again(); // and it does not come far: recovery must bear it too
            std::thread::sleep(random.below_duration(Duration::from_millis(80)));
            broker.kill9();
        }
        broker.start_again();
    }
}

fn report(plan: &Plan, sent: &[Sent], received: &[Received], took: Duration) {
    let mut faults = Vec::new();
    let (mut delivered, mut twice) = (0, 0);
    for one in received {
        for publisher in sent {
            let verdict = one.judge(publisher);
            delivered += verdict.delivered;
            twice += verdict.twice;
            faults.extend(verdict.faults);
        }
    }
    let count: u64 = sent.iter().map(|sent| sent.count).sum();
    let connections: u64 = sent.iter().map(|sent| sent.connections).sum();
    let again: u64 = sent.iter().map(|sent| sent.again).sum();
    println!(
        "{}: {} rounds, {count} published and acknowledged ({again} packets sent again), {delivered} delivered to {} \
         subscribers, {} faults, {twice} copies at QoS 1, {connections} connections of publishers, {:.1} s",
        plan.name,
        plan.rounds,
        received.len(),
        faults.len(),
        took.as_secs_f64()
    );
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(count > plan.rounds * plan.messages_min, "{count} messages in {} rounds prove nothing", plan.rounds);
}
