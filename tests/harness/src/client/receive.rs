//! The receiving side of the client: reading, acknowledging, and waiting for one packet among others.

use std::time::{Duration, Instant};

use super::Client;
use crate::TIMEOUT;
use crate::raw::Received;
use crate::wire::{self, Ack, Packet, Publish};

/// What one step of reading did.
enum Step {
    Message,
    Other,
    Closed,
    Silence,
}

impl Client {
    /// The next message, or `None` when none comes in time or the connection is closed.
    #[track_caller]
    pub fn recv_publish(&mut self, timeout: Duration) -> Option<Publish> {
        let deadline = Instant::now() + timeout;
        while self.messages.is_empty() {
            match self.step(deadline) {
                Step::Message | Step::Other => {}
                Step::Closed | Step::Silence => break,
            }
        }
        self.messages.pop_front()
    }

    /// The next message.
    ///
    /// # Panics
    /// When none comes within [`TIMEOUT`].
    #[track_caller]
    pub fn recv(&mut self) -> Publish {
        match self.recv_publish(TIMEOUT) {
            Some(message) => message,
            None => panic!("no message within {TIMEOUT:?}; {}", self.state()),
        }
    }

    /// The next `count` messages.
    ///
    /// # Panics
    /// When one of them does not come within [`TIMEOUT`] of the one before.
    #[track_caller]
    pub fn recv_publishes(&mut self, count: usize) -> Vec<Publish> {
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            match self.recv_publish(TIMEOUT) {
                Some(message) => messages.push(message),
                None => panic!("{} of {count} messages came; {}", messages.len(), self.state()),
            }
        }
        messages
    }

    /// Makes sure that no message comes within this time; [`crate::SILENCE`] is a good length.
    ///
    /// # Panics
    /// When one comes.
    #[track_caller]
    pub fn expect_no_publish(&mut self, wait: Duration) {
        if let Some(message) = self.recv_publish(wait) {
            panic!("awaited no message, received {message:02x?}");
        }
    }

    /// Makes sure that no message was sent before the answer to a PINGREQ: quicker than waiting, and enough wherever
    /// the broker routes before it answers.
    ///
    /// # Panics
    /// When one came.
    #[track_caller]
    pub fn expect_no_publish_before_ping(&mut self) {
        self.ping();
        assert!(self.messages.is_empty(), "awaited no message, received {:02x?}", self.messages);
    }

    /// The next packet that is no message and no step of an acknowledgement which the client carries out itself.
    #[track_caller]
    pub fn recv_other(&mut self, timeout: Duration) -> Option<Packet> {
        let deadline = Instant::now() + timeout;
        while self.others.is_empty() {
            match self.step(deadline) {
                Step::Message | Step::Other => {}
                Step::Closed | Step::Silence => break,
            }
        }
        self.others.pop_front()
    }

    /// Waits for a packet that is no message, and keeps the others.
    ///
    /// # Panics
    /// When it does not come within [`TIMEOUT`], or the connection is closed.
    #[track_caller]
    pub fn await_other(&mut self, is_it: impl Fn(&Packet) -> bool) -> Packet {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(packet) = self.others.iter().position(&is_it).and_then(|at| self.others.remove(at)) {
                return packet;
            }
            match self.step(deadline) {
                Step::Message | Step::Other => {}
                Step::Closed => panic!("the connection was closed where an answer was awaited; {}", self.state()),
                Step::Silence => panic!("no answer within {TIMEOUT:?}; {}", self.state()),
            }
        }
    }

    /// Waits for the connection to be closed and gives the reason of the DISCONNECT before, if there was one. Messages
    /// that came before it are kept.
    ///
    /// # Panics
    /// When it stays open.
    #[track_caller]
    pub fn expect_closed(&mut self) -> Option<u8> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.step(deadline) {
                Step::Message | Step::Other => {}
                Step::Closed => break,
                Step::Silence => panic!("the connection stayed open for {TIMEOUT:?}; {}", self.state()),
            }
        }
        let is_disconnect = |packet: &Packet| matches!(packet, Packet::Disconnect { .. });
        self.others.iter().find(|packet| is_disconnect(packet)).and_then(Packet::reason)
    }

    /// Reads one packet, acknowledges it if that is the client's part, and puts it where it belongs.
    #[track_caller]
    fn step(&mut self, deadline: Instant) -> Step {
        if self.closed {
            return Step::Closed;
        }
        let bytes = match self.raw.recv_within(deadline.saturating_duration_since(Instant::now())) {
            Received::Packet(bytes) => bytes,
            Received::Silence => return Step::Silence,
            Received::Closed => {
                self.closed = true;
                return Step::Closed;
            }
        };
        let packet = wire::parse(&bytes, self.version.is_v5());
        assert!(packet.is_from_a_server(self.version), "no server may send {packet:02x?}");
        match packet {
            Packet::Publish(message) => {
                self.take_message(message);
                Step::Message
            }
            Packet::Ack { kind: Ack::Pubrel, pid, .. } if self.auto_ack => {
                self.unreleased.remove(&pid);
                self.answer(&wire::pubcomp(pid));
                Step::Other
            }
            other => {
                self.others.push_back(other);
                Step::Other
            }
        }
    }

    fn take_message(&mut self, message: Publish) {
        let mut is_new = true;
        match (self.auto_ack, message.qos, message.pid) {
            (true, 1, Some(pid)) => self.answer(&wire::puback(pid)),
            (true, 2, Some(pid)) => {
                is_new = self.unreleased.insert(pid);
                self.answer(&wire::pubrec(pid));
            }
            _ => {}
        }
        if is_new {
            self.messages.push_back(message);
        }
    }

    /// Sends an acknowledgement; that the broker is gone by then shows at the next read.
    fn answer(&mut self, bytes: &[u8]) {
        let _ = self.raw.try_send(bytes);
    }

    fn state(&self) -> String {
        let closed = if self.closed { "closed" } else { "open" };
        format!("the connection is {closed}, kept are {:02x?} and {:02x?}", self.messages, self.others)
    }
}
