//! A consumer in a group, which acknowledges, says no now and then, or goes in the middle of what it has.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use primer_harness::raw::Received;
use primer_harness::wire::{self, Ack, Packet, ack_with};
use primer_harness::{Raw, Version};

use super::Course;
use super::ledger::Ledger;
use super::publisher::connect;
use super::random::Random;

/// What a consumer does beside acknowledging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    Steady,
    /// It goes without a word, with messages in its hands.
    Dies,
    /// It answers with an error code now and then.
    Fails,
}

#[derive(Debug)]
pub(super) struct Consumer {
    id: &'static str,
    version: Version,
    qos: u8,
    group: &'static str,
    habit: Habit,
    random: Random,
}

impl Consumer {
    pub(super) const fn new(
        id: &'static str,
        version: Version,
        qos: u8,
        group: &'static str,
        habit: Habit,
        random: Random,
    ) -> Self {
        Self { id, version, qos, group, habit, random }
    }

    pub(super) fn run(mut self, addr: SocketAddr, course: &Course, ledger: &Ledger) {
        while !course.is_drained.load(Ordering::Relaxed) {
            if self.serve(addr, course, ledger).is_none() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// One connection, to its end.
    fn serve(&mut self, addr: SocketAddr, course: &Course, ledger: &Ledger) -> Option<()> {
        let mut raw = connect(addr, self.version, &wire::connect(self.version, self.id))?;
        let filter = format!("$share/{}/$queue/jobs", self.group);
        raw.try_send(&wire::subscribe(self.version, 1, &[(&filter, self.qos)])).ok()?;
        let mut left = 20 + self.random.below(200);
        while !course.is_drained.load(Ordering::Relaxed) {
            let message = match raw.recv_within(Duration::from_millis(100)) {
                Received::Packet(bytes) => match wire::parse(&bytes, self.version.is_v5()) {
                    Packet::Publish(message) => message,
                    Packet::Ack { kind: Ack::Pubrel, pid, .. } => {
                        raw.try_send(&wire::pubcomp(pid)).ok()?;
                        continue;
                    }
                    _ => continue,
                },
                Received::Silence => continue,
                Received::Closed => return None,
            };
            let text = message.text();
            ledger.came(self.group, &text);
            left -= 1;
            if left == 0 {
                if self.habit == Habit::Dies {
                    raw.abort();
                    ledger.note_break(Some(self.id));
                    return Some(());
                }
                left = 200;
            }
            self.answer(&mut raw, ledger, message.pid.unwrap_or_default(), message.qos, &text)?;
        }
        Some(())
    }

    fn answer(&mut self, raw: &mut Raw, ledger: &Ledger, pid: u16, qos: u8, text: &str) -> Option<()> {
        let kind = match qos {
            0 => return Some(()),
            1 => Ack::Puback,
            _ => Ack::Pubrec,
        };
        if self.habit == Habit::Fails && self.random.below(12) == 0 {
            // 0x99: to the dead letters at once.
            let reason = if self.random.below(6) == 0 { 0x99 } else { 0x83 };
            return raw.try_send(&ack_with(kind, pid, reason, None)).ok();
        }
        raw.try_send(&if qos == 1 { wire::puback(pid) } else { wire::pubrec(pid) }).ok()?;
        ledger.acked(self.group, self.id, text);
        Some(())
    }
}
