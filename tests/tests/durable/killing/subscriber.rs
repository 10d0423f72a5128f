//! A subscriber that acknowledges what it gets and remembers, beyond its connections, which QoS 2 messages it has and
//! are not released yet: a second copy of one is acknowledged and not delivered (4.3.3, either method).

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use primer_harness::wire::{self, Ack, Packet, Publish};
use primer_harness::{Client, Version};

use super::Course;
use super::ledger::Received;
use super::link::{Came, Link, Patience, lasting};
use super::random::Random;

/// How long it takes to fetch everything, once nobody is killed any more.
const FINISH: Duration = Duration::from_secs(60);

/// So long nothing may come when all is there.
const QUIET: Duration = Duration::from_millis(400);

/// When a subscriber is connected, before the course is over; then all are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    Here,
    Away,
    NowAndThen,
}

#[derive(Debug)]
pub(super) struct Subscriber {
    version: Version,
    habit: Habit,
    random: Random,
    unreleased: HashSet<u16>,
    received: Received,
}

impl Subscriber {
    pub(super) fn new(id: &'static str, version: Version, qos: u8, habit: Habit, random: Random) -> Self {
        Self { version, habit, random, unreleased: HashSet::new(), received: Received::new(id, qos) }
    }

    /// Begins its session, while the broker is known to be there.
    pub(super) fn subscribe(&mut self, addr: SocketAddr) {
        let mut client = Client::open(addr, &lasting(self.version, self.received.id));
        assert_eq!(client.subscribe("kill/+", self.received.qos), self.received.qos);
        client.disconnect();
    }

    /// Receives until all is there that was published, and a moment longer.
    pub(super) fn run(mut self, addr: SocketAddr, course: &Course) -> Received {
        let mut patience = None;
        while !course.is_broken() {
            let published = course.published.load(Ordering::Relaxed);
            if published > 0 {
                let patience = patience.get_or_insert_with(|| Patience::new(FINISH));
                patience.check(|| format!("{} has {} of {published}", self.received.id, self.received.distinct()));
            } else if self.habit != Habit::Here {
                std::thread::sleep(self.random.below_duration(Duration::from_millis(200)));
                if self.habit == Habit::Away {
                    continue;
                }
            }
            let Some(mut link) = Link::open(addr, &lasting(self.version, self.received.id)) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            assert!(link.session_present, "the session of {} is gone", self.received.id);
            if self.serve(&mut link, course) {
                break;
            }
        }
        self.received
    }

    /// One connection, to its end; answers whether all is there.
    fn serve(&mut self, link: &mut Link, course: &Course) -> bool {
        let stay = Patience::new(FINISH);
        let mut packets_left = if self.habit == Habit::NowAndThen { 1 + self.random.below(300) } else { u64::MAX };
        loop {
            let published = course.published.load(Ordering::Relaxed);
            let packet = match link.recv(QUIET) {
                Came::Packet(packet) => packet,
                Came::End => return false,
                Came::Nothing if published > 0 && self.received.distinct() >= published => return true,
                Came::Nothing if course.is_broken() => return true,
                Came::Nothing => {
                    // It is idle: the publishers stand still meanwhile, or something is stuck.
                    stay.check(|| format!("{} has {} of {published}", self.received.id, self.received.distinct()));
                    continue;
                }
            };
            if !self.take(link, packet) {
                return false;
            }
            packets_left -= 1;
            if packets_left == 0 && published == 0 {
                return false; // gone without a word
            }
            packets_left = packets_left.max(1);
        }
    }

    fn take(&mut self, link: &mut Link, packet: Packet) -> bool {
        match packet {
            Packet::Publish(message) => self.take_message(link, &message),
            Packet::Ack { kind: Ack::Pubrel, pid, reason, .. } => {
                assert_eq!(reason, 0, "PUBREL to {}", self.received.id);
                self.unreleased.remove(&pid);
                link.send(&wire::pubcomp(pid))
            }
            Packet::Disconnect { .. } => false,
            other => panic!("{} received {other:02x?}", self.received.id),
        }
    }

    fn take_message(&mut self, link: &mut Link, message: &Publish) -> bool {
        let pid = message.pid.unwrap_or_default();
        if message.qos == 1 {
            self.received.add(message);
            return link.send(&wire::puback(pid));
        }
        assert_eq!(message.qos, 2, "{}", self.received.id);
        if self.unreleased.insert(pid) {
            self.received.add(message);
        } else {
            assert!(message.dup, "{}: packet identifier {pid} is in use", self.received.id);
        }
        link.send(&wire::pubrec(pid))
    }
}
