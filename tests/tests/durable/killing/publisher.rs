//! A publisher that numbers its messages and keeps what is not acknowledged: after a reconnect it sends that again
//! before anything new, in its order [MQTT-4.4.0-1] [MQTT-4.6.0-1], a PUBREL where the PUBREC had come.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use primer_harness::Version;
use primer_harness::wire::{self, Ack, Packet};

use super::Course;
use super::ledger::payload_of;
use super::link::{Came, Link, Patience, lasting};

/// Messages under way at a time.
const WINDOW: usize = 12;

/// A rest after each turn: the backlog of those who are away is read at each start, and a debug build takes its time.
const REST: Duration = Duration::from_millis(35);

/// How long answers are waited for before more is sent.
const BREATH: Duration = Duration::from_millis(4);

/// How long it takes to have all acknowledged, once nobody is killed any more.
const FINISH: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Publisher {
    id: &'static str,
    version: Version,
    qos: u8,
    next: u64,
    last_pid: u16,
    /// Sent, and neither acknowledged nor refused, in the order of sending.
    under_way: VecDeque<(u16, u64)>,
    /// Refused by a broker that stopped: to be published anew.
    refused: BTreeSet<u64>,
    late: BTreeSet<u64>,
    /// PUBREC has come, PUBCOMP has not; in the order of the PUBRECs.
    released: VecDeque<u16>,
    acknowledged: BTreeSet<u64>,
    was_connected: bool,
    connections: u64,
    again: u64,
}

/// What a publisher has had acknowledged: the messages below `count`.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) id: &'static str,
    pub(super) qos: u8,
    pub(super) count: u64,
    pub(super) connections: u64,
    /// Packets that were sent a second time.
    pub(super) again: u64,
    /// Messages that were refused once: what was under way behind them was sent again before them.
    pub(super) late: BTreeSet<u64>,
}

impl Publisher {
    pub(super) fn new(id: &'static str, version: Version, qos: u8) -> Self {
        Self {
            id,
            version,
            qos,
            next: 0,
            last_pid: 0,
            under_way: VecDeque::new(),
            refused: BTreeSet::new(),
            late: BTreeSet::new(),
            released: VecDeque::new(),
            acknowledged: BTreeSet::new(),
            was_connected: false,
            connections: 0,
            again: 0,
        }
    }

    /// Publishes until the course is over and everything is acknowledged.
    pub(super) fn run(mut self, addr: SocketAddr, course: &Course) -> Sent {
        let mut patience = None;
        while !self.is_done(course) && !course.is_broken() {
            if course.is_over.load(Ordering::Relaxed) {
                patience.get_or_insert_with(|| Patience::new(FINISH)).check(|| format!("not done: {self:?}"));
            }
            match Link::open(addr, &lasting(self.version, self.id)) {
                Some(mut link) => self.serve(&mut link, course),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        assert_eq!(self.acknowledged.len() as u64, self.next, "{}", self.id);
        let Self { id, qos, next: count, connections, again, late, .. } = self;
        Sent { id, qos, count, connections, again, late }
    }

    fn is_done(&self, course: &Course) -> bool {
        course.is_over.load(Ordering::Relaxed)
            && self.under_way.is_empty()
            && self.released.is_empty()
            && self.refused.is_empty()
    }

    /// One connection, to its end.
    fn serve(&mut self, link: &mut Link, course: &Course) {
        assert!(link.session_present || !self.was_connected, "the session of {} is gone", self.id);
        self.was_connected = true;
        self.connections += 1;
        if !self.send_again(link) {
            return;
        }
        let patience = Patience::new(FINISH);
        while !self.is_done(course) && !course.is_broken() {
            if !self.send_new(link, course) || !self.take_answers(link) {
                return;
            }
            std::thread::sleep(REST);
            if self.under_way.len() >= WINDOW {
                patience.check(|| format!("{} waits for its acknowledgements: {self:?}", self.id));
            }
        }
    }

    fn send_again(&mut self, link: &mut Link) -> bool {
        self.again += (self.released.len() + self.under_way.len()) as u64;
        let releases = self.released.iter().map(|pid| wire::pubrel(*pid));
        let publishes = self.under_way.iter().map(|(pid, number)| self.packet(*pid, *number).dup().build());
        let all: Vec<u8> = releases.chain(publishes).flatten().collect();
        all.is_empty() || link.send(&all)
    }

    fn packet(&self, pid: u16, number: u64) -> wire::Publish {
        wire::publish(self.version, &format!("kill/{}", self.id), &payload_of(number)).qos(self.qos, pid)
    }

    fn send_new(&mut self, link: &mut Link, course: &Course) -> bool {
        while self.under_way.len() < WINDOW {
            let number = match self.refused.pop_first() {
                Some(number) => number,
                None if course.is_over.load(Ordering::Relaxed) => return true,
                None => {
                    self.next += 1;
                    self.next - 1
                }
            };
            let pid = self.free_pid();
            self.under_way.push_back((pid, number));
            if !link.send(&self.packet(pid, number).build()) {
                return false;
            }
        }
        true
    }

    fn free_pid(&mut self) -> u16 {
        loop {
            self.last_pid = self.last_pid.checked_add(1).unwrap_or(1);
            let pid = self.last_pid;
            if !self.released.contains(&pid) && self.under_way.iter().all(|(used, _)| *used != pid) {
                return pid;
            }
        }
    }

    /// Takes what answers there are; answers whether the connection stands.
    fn take_answers(&mut self, link: &mut Link) -> bool {
        loop {
            match link.recv(BREATH) {
                Came::Nothing => return true,
                Came::End | Came::Packet(Packet::Disconnect { .. }) => return false,
                Came::Packet(Packet::Ack { kind, pid, reason, .. }) => {
                    if !self.take(link, kind, pid, reason) {
                        return false;
                    }
                }
                Came::Packet(other) => panic!("{} received {other:02x?}", self.id),
            }
            if self.under_way.len() < WINDOW / 2 {
                return true;
            }
        }
    }

    fn take(&mut self, link: &mut Link, kind: Ack, pid: u16, reason: u8) -> bool {
        if kind == Ack::Pubcomp {
            // 0x92: the broker had released it, and the answer was lost with it.
            assert!(matches!(reason, 0 | 0x92), "{} PUBCOMP {reason:#04x}", self.id);
            self.released.retain(|released| *released != pid);
            return true;
        }
        let wanted = if self.qos == 1 { Ack::Puback } else { Ack::Pubrec };
        assert_eq!(kind, wanted, "{}", self.id);
        let Some(at) = self.under_way.iter().position(|(used, _)| *used == pid) else {
            panic!("{} received {kind:?} for {pid}, which it does not use", self.id);
        };
        let Some((_, number)) = self.under_way.remove(at) else { return true };
        if reason >= 0x80 {
            assert_eq!(reason, 0x83, "{} was refused, and not by a broker that stops", self.id);
            self.refused.insert(number);
            self.late.insert(number);
            return true;
        }
        self.acknowledged.insert(number);
        if self.qos == 1 {
            return true;
        }
        self.released.push_back(pid);
        link.send(&wire::pubrel(pid))
    }
}
