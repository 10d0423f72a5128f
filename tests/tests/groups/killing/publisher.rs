//! A publisher that numbers its messages. It does not know what became of one whose acknowledgement did not come, and
//! does not send it again: a queue may have it, and may not.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use primer_harness::raw::Received;
use primer_harness::wire::{self, Ack, Packet};
use primer_harness::{Raw, TIMEOUT, Version};

use super::Course;
use super::ledger::Ledger;

/// Messages under way at a time.
const WINDOW: u64 = 10;

#[derive(Debug)]
pub(super) struct Publisher {
    id: &'static str,
    version: Version,
    qos: u8,
    topic: &'static str,
    next: u64,
}

/// Connects; `None` when the broker is not there.
pub(super) fn connect(addr: SocketAddr, version: Version, connect: &wire::Connect) -> Option<Raw> {
    let stream = std::net::TcpStream::connect_timeout(&addr, TIMEOUT).ok()?;
    let mut raw = Raw::over(stream);
    raw.try_send(&connect.build()).ok()?;
    match raw.recv_within(TIMEOUT) {
        Received::Packet(bytes) => match wire::parse(&bytes, version.is_v5()) {
            Packet::Connack { code: 0, .. } => Some(raw),
            _ => None,
        },
        _ => None,
    }
}

impl Publisher {
    pub(super) const fn new(id: &'static str, version: Version, qos: u8, topic: &'static str) -> Self {
        Self { id, version, qos, topic, next: 0 }
    }

    pub(super) fn run(mut self, addr: SocketAddr, course: &Course, ledger: &Ledger) {
        while !course.is_over.load(Ordering::Relaxed) {
            let Some(mut raw) = connect(addr, self.version, &wire::connect(self.version, self.id)) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            while !course.is_over.load(Ordering::Relaxed) && self.window(&mut raw, ledger) {
                std::thread::sleep(Duration::from_millis(15));
            }
        }
    }

    /// Publishes some and takes their acknowledgements; answers whether the broker is there.
    fn window(&mut self, raw: &mut Raw, ledger: &Ledger) -> bool {
        let first = self.next;
        self.next += WINDOW;
        let mut bytes = Vec::new();
        for number in first..self.next {
            ledger.note_sent();
            let filling = if number % 61 == 0 { 20_000 } else { number * 37 % 200 };
            let text = format!("{} {number} {}", self.id, "x".repeat(filling as usize));
            let pid = 1 + (number % 1_000) as u16;
            bytes.extend(wire::publish(self.version, self.topic, text.as_bytes()).qos(self.qos, pid).build());
        }
        if raw.try_send(&bytes).is_err() {
            return false;
        }
        let mut open = WINDOW;
        while open > 0 {
            let Received::Packet(bytes) = raw.recv_within(TIMEOUT) else { return false };
            let Packet::Ack { kind, pid, reason, .. } = wire::parse(&bytes, self.version.is_v5()) else { return false };
            assert!(reason < 0x80, "{} was refused: {reason:#x}", self.id);
            let number = (first..self.next).find(|number| 1 + (number % 1_000) as u16 == pid).expect("one of these");
            match kind {
                Ack::Puback | Ack::Pubrec => ledger.acknowledged(self.id, number),
                _ => {}
            }
            if kind == Ack::Pubrec {
                if raw.try_send(&wire::pubrel(pid)).is_err() {
                    return false;
                }
                continue;
            }
            open -= 1;
        }
        true
    }
}
