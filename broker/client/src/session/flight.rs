//! Publishes of QoS 1 and 2 between their being given and their being done, in order.

use std::collections::VecDeque;

use primer_mqtt::codec::packet::QoS;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) mid: u16,
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) stage: Stage,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not sent on any connection.
    Waiting,
    /// Sent on a connection that was lost, to a broker that still knows the session.
    Again,
    /// Sent on this connection.
    Sent,
    /// QoS 2: the broker has it, and is told to let it go.
    Released,
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub(super) struct Flights {
    list: VecDeque<Flight>,
    /// Those that were sent and are not done.
    open: usize,
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn has(&self, mid: u16) -> bool {
        self.list.iter().any(|flight| flight.mid == mid)
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.open < self.list.len()
    }

    pub(super) fn push(&mut self, flight: Flight) {
        self.list.push_back(flight);
    }

    /// The next to send, if the window has room, and whether it was sent before. It has to be put back.
    pub(super) fn start_next(&mut self, window: usize) -> Option<(Flight, bool)> {
        if self.open >= window {
            return None;
        }
        let at = self.list.iter().position(|flight| matches!(flight.stage, Stage::Waiting | Stage::Again))?;
        let mut flight = self.list.remove(at)?;
        let is_again = flight.stage == Stage::Again;
        flight.stage = Stage::Sent;
        self.open += 1;
        Some((flight, is_again))
    }

    /// Puts back what [`start_next`](Self::start_next) gave, behind those that were sent before it.
    pub(super) fn put_back(&mut self, flight: Flight) {
        let is_waiting = |flight: &Flight| matches!(flight.stage, Stage::Waiting | Stage::Again);
        let at = self.list.iter().position(is_waiting).unwrap_or(self.list.len());
        self.list.insert(at, flight);
    }

    /// QoS 2: the broker has it. `false` for one that is not on its way.
    pub(super) fn release(&mut self, mid: u16) -> bool {
        let found = self.list.iter_mut().find(|flight| flight.mid == mid && flight.qos == QoS::ExactlyOnce);
        let Some(flight) = found.filter(|flight| matches!(flight.stage, Stage::Sent | Stage::Released)) else {
            return false;
        };
        flight.stage = Stage::Released;
        flight.payload = Vec::new();
        true
    }

    /// It is done. `false` for one that is not on its way at this QoS.
    pub(super) fn remove(&mut self, mid: u16, qos: QoS) -> bool {
        let is_it = |flight: &Flight| flight.mid == mid && flight.qos == qos && flight.stage != Stage::Waiting;
        let Some(at) = self.list.iter().position(is_it) else { return false };
        self.list.remove(at);
        self.open = self.open.saturating_sub(1);
        true
    }

    /// After a connection was lost and the next has begun. Where the broker knows the session all go on from where they
    /// were; else they begin anew, and those that it had are done, which are given back.
    pub(super) fn rewind(&mut self, session_present: bool) -> Vec<u16> {
        let mut done = Vec::new();
        self.list.retain_mut(|flight| {
            match flight.stage {
                Stage::Sent | Stage::Again if session_present => flight.stage = Stage::Again,
                Stage::Sent | Stage::Again => flight.stage = Stage::Waiting,
                Stage::Released if !session_present => {
                    done.push(flight.mid);
                    return false;
                }
                Stage::Released | Stage::Waiting => {}
            }
            true
        });
        self.open = self.list.iter().filter(|flight| flight.stage == Stage::Released).count();
        done
    }

    /// Those whose PUBREL has to be sent again.
    pub(super) fn released(&self) -> Vec<u16> {
        self.list.iter().filter(|flight| flight.stage == Stage::Released).map(|flight| flight.mid).collect()
    }
}
