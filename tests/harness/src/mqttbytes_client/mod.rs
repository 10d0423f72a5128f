//! A thin client over the crate mqttbytes, for load and as a second opinion on the format.
//!
//! It sends valid packets only, keeps a window of unacknowledged messages and counts what arrives: each message has the
//! number of its publisher and its place in that publisher's sequence at the front of its payload.

mod tally;
mod v311;
mod v5;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mqttbytes::{Error, QoS};

pub use self::tally::{Stamp, Tally};
use crate::{TIMEOUT, Version};

/// The largest packet that it reads.
const PACKET_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much it gathers before it writes.
const WRITE_BYTES: usize = 64 * 1024;

/// A connection.
#[derive(Debug)]
pub struct LoadClient {
    stream: TcpStream,
    version: Version,
    input: BytesMut,
    output: BytesMut,
}

/// What to publish.
#[derive(Clone, Debug)]
pub struct Load {
    /// The topic of all messages.
    pub topic: String,
    /// The number of the publisher, which goes into each message.
    pub publisher: u32,
    /// The place of the first message in the sequence.
    pub first: u64,
    /// How many messages.
    pub count: u64,
    /// 0 to 2.
    pub qos: u8,
    /// How many messages may be unacknowledged at once (QoS 1 and 2), 1 to 65,535.
    pub window: u16,
    /// How long each payload is; at least the stamp's length.
    pub payload_bytes: usize,
}

/// A packet that came, as far as a load client looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Connack {
        accepted: bool,
        session_present: bool,
    },
    Publish {
        qos: u8,
        pid: u16,
        payload: Bytes,
    },
    Puback(u16),
    Pubrec(u16),
    Pubrel(u16),
    Pubcomp(u16),
    Suback {
        refused: bool,
    },
    /// What the broker has no cause to send to this client, as mqttbytes shows it.
    Other(String),
}

/// A packet to send.
enum Command<'a> {
    Connect { id: &'a str, clean: bool },
    Subscribe { pid: u16, filter: &'a str, qos: QoS },
    Publish { pid: u16, topic: &'a str, payload: Bytes, qos: QoS },
    Puback(u16),
    Pubrec(u16),
    Pubrel(u16),
    Pubcomp(u16),
    Disconnect,
}

impl Load {
    /// A thousand messages of 64 bytes with QoS 1 and a window of 100.
    #[must_use]
    pub fn to(topic: &str) -> Self {
        let topic = topic.to_owned();
        Self { topic, publisher: 0, first: 0, count: 1000, qos: 1, window: 100, payload_bytes: 64 }
    }
}

impl LoadClient {
    /// Connects with 3.1.1 or 5.0, and no keep alive; without `clean`, with a session that never expires.
    ///
    /// # Panics
    /// When the broker refuses, as for all calls of this type.
    #[must_use]
    #[track_caller]
    pub fn connect(addr: SocketAddr, version: Version, id: &str, clean: bool) -> Self {
        let stream = TcpStream::connect_timeout(&addr, TIMEOUT).expect("a connection to the broker");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a limit on writes");
        let mut client = Self { stream, version, input: BytesMut::new(), output: BytesMut::new() };
        client.send(Command::Connect { id, clean });
        client.flush();
        match client.next(TIMEOUT) {
            Some(Event::Connack { accepted: true, .. }) => client,
            other => panic!("{id} was refused: {other:?}"),
        }
    }

    /// Subscribes to one filter and waits for the SUBACK. Messages that come before it are lost to the caller, so
    /// subscribe before publishing.
    #[track_caller]
    pub fn subscribe(&mut self, filter: &str, qos: u8) {
        self.send(Command::Subscribe { pid: u16::MAX, filter, qos: qos_of(qos) });
        self.flush();
        loop {
            match self.next(TIMEOUT) {
                Some(Event::Suback { refused: false }) => return,
                Some(Event::Publish { .. }) => {}
                other => panic!("{filter} was not subscribed to: {other:?}"),
            }
        }
    }

    /// Publishes the load, waits until all of it is acknowledged, and tells how long it took.
    #[track_caller]
    pub fn publish_many(&mut self, load: &Load) -> Duration {
        let begun = Instant::now();
        let qos = qos_of(load.qos);
        let window = if load.qos == 0 { u64::MAX } else { u64::from(load.window.max(1)) };
        let (mut sent, mut done) = (0, 0);
        while done < load.count {
            while sent < load.count && sent - done < window {
                // Identifiers are used in turn, so that none comes back while one of the window has it.
                let pid = if load.qos == 0 { 0 } else { u16::try_from(sent % 65_534).expect("below 65,534") + 1 };
                let stamp = Stamp { publisher: load.publisher, place: load.first + sent };
                let payload = stamp.payload(load.payload_bytes);
                self.send(Command::Publish { pid, topic: &load.topic, payload, qos });
                sent += 1;
            }
            self.flush();
            done += if load.qos == 0 { sent - done } else { self.take_acks() };
        }
        begun.elapsed()
    }

    /// Receives and acknowledges until `count` messages came or none came for `idle`, and counts them.
    #[track_caller]
    pub fn receive_many(&mut self, count: u64, idle: Duration) -> Tally {
        let mut tally = Tally::default();
        while tally.received() < count {
            let Some(event) = self.next(idle) else { break };
            match event {
                Event::Publish { qos, pid, payload } => {
                    tally.note(Stamp::of(&payload));
                    match qos {
                        1 => self.send(Command::Puback(pid)),
                        2 => self.send(Command::Pubrec(pid)),
                        _ => {}
                    }
                }
                Event::Pubrel(pid) => self.send(Command::Pubcomp(pid)),
                other => panic!("awaited messages, received {other:?}"),
            }
        }
        self.flush();
        tally
    }

    /// Says DISCONNECT and closes.
    #[track_caller]
    pub fn disconnect(mut self) {
        self.send(Command::Disconnect);
        self.flush();
    }

    /// Waits for at least one finished handshake and counts those that are there.
    #[track_caller]
    fn take_acks(&mut self) -> u64 {
        let mut finished = 0;
        loop {
            match self.next(TIMEOUT) {
                Some(Event::Puback(_) | Event::Pubcomp(_)) => finished += 1,
                Some(Event::Pubrec(pid)) => self.send(Command::Pubrel(pid)),
                Some(other) => panic!("awaited acknowledgements, received {other:?}"),
                None => panic!("no acknowledgement within {TIMEOUT:?}"),
            }
            if finished > 0 && self.input.is_empty() {
                return finished;
            }
        }
    }

    /// The next packet; `None` when none comes in time. What is to be sent is sent before a wait.
    #[track_caller]
    fn next(&mut self, wait: Duration) -> Option<Event> {
        let deadline = Instant::now() + wait;
        loop {
            let decoded = match self.version {
                Version::V5 => v5::decode(&mut self.input, PACKET_BYTES_MAX),
                Version::V31 | Version::V311 => v311::decode(&mut self.input, PACKET_BYTES_MAX),
            };
            match decoded {
                Ok(event) => return Some(event),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("mqttbytes cannot read what the broker sent: {error:?}: {:02x?}", self.input),
            }
            self.flush();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.fill(left) {
                return None;
            }
        }
    }

    /// Reads once; false when nothing came in time.
    #[track_caller]
    fn fill(&mut self, wait: Duration) -> bool {
        self.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).expect("a limit on reads");
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => panic!("the broker closed the connection"),
            Ok(count) => {
                self.input.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => false,
            Err(error) => panic!("reading from the broker: {error}"),
        }
    }

    #[track_caller]
    fn send(&mut self, command: Command<'_>) {
        let encoded = match self.version {
            Version::V5 => v5::encode(command, &mut self.output),
            Version::V31 | Version::V311 => v311::encode(command, &mut self.output),
        };
        encoded.expect("mqttbytes writes a valid packet");
        if self.output.len() >= WRITE_BYTES {
            self.flush();
        }
    }

    #[track_caller]
    fn flush(&mut self) {
        self.stream.write_all(&self.output).expect("the broker reads");
        self.output.clear();
    }
}

fn qos_of(number: u8) -> QoS {
    match number {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        _ => panic!("there is no QoS {number}"),
    }
}
