//! A connection that sends exact bytes and reads whole packets.
//!
//! It knows nothing of MQTT but the fixed header, so that a test may break any rule and see what comes of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::wire::{self, Packet};
use crate::{SILENCE, TIMEOUT};

/// A blocking TCP connection with a limit on every wait.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    /// What was received and not yet taken.
    buffer: Vec<u8>,
    timeout: Duration,
}

/// What a wait for a packet ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// One whole packet.
    Packet(Vec<u8>),
    /// The end of the stream, or a reset.
    Closed,
    /// Nothing whole came in time.
    Silence,
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// When nothing accepts within [`TIMEOUT`].
    #[must_use]
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, TIMEOUT)
            .unwrap_or_else(|error| panic!("no connection to {addr}: {error}"));
        Self::over(stream)
    }

    /// Over a connection that is there already, for example one that a test accepted.
    ///
    /// # Panics
    /// When the socket does not take its options.
    #[must_use]
    #[track_caller]
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a limit on writes");
        Self { stream, buffer: Vec::new(), timeout: TIMEOUT }
    }

    /// Lets the kernel hold little of what the peer sends and nobody reads: a few KiB instead of the megabytes to which
    /// it grows by itself.
    ///
    /// # Panics
    /// When the socket does not take the option.
    #[track_caller]
    pub fn shrink_receive_buffer(&self) {
        socket2::SockRef::from(&self.stream).set_recv_buffer_size(4096).expect("SO_RCVBUF");
    }

    /// Sets how long `recv_packet`, `expect` and `expect_closed` wait.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Sends these bytes.
    ///
    /// # Panics
    /// When they cannot be sent within [`TIMEOUT`]. See `try_send` where the peer may have closed.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_send(bytes) {
            panic!("{} bytes were not sent: {error}", bytes.len());
        }
    }

    /// Sends these bytes, or tells that the peer is gone or does not read.
    ///
    /// # Errors
    /// Those of the socket; `WouldBlock` or `TimedOut` after [`TIMEOUT`].
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends these bytes one by one, each in a segment of its own as far as the kernel allows.
    ///
    /// # Panics
    /// As `send` does.
    #[track_caller]
    pub fn send_bytewise(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(std::slice::from_ref(byte));
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// The next whole packet; `None` when the peer has closed or reset the connection.
    ///
    /// # Panics
    /// When neither comes in time.
    #[track_caller]
    pub fn recv_packet(&mut self) -> Option<Vec<u8>> {
        match self.recv_within(self.timeout) {
            Received::Packet(bytes) => Some(bytes),
            Received::Closed => None,
            Received::Silence => {
                panic!("no packet within {:?}; begun: {:02x?}", self.timeout, self.buffer)
            }
        }
    }

    /// The next packet, read.
    ///
    /// # Panics
    /// When the connection is closed, no packet comes in time, or what comes is none.
    #[track_caller]
    pub fn recv(&mut self, v5: bool) -> Packet {
        match self.recv_packet() {
            Some(bytes) => wire::parse(&bytes, v5),
            None => panic!("the connection was closed where a packet was awaited"),
        }
    }

    /// What comes within a time of the caller's choice.
    ///
    /// # Panics
    /// When what comes cannot be a packet, or the socket fails in an unforeseen way.
    #[track_caller]
    pub fn recv_within(&mut self, wait: Duration) -> Received {
        let deadline = Instant::now() + wait;
        loop {
            match wire::packet_length(&self.buffer) {
                Ok(Some(length)) if length <= self.buffer.len() => {
                    return Received::Packet(self.buffer.drain(..length).collect());
                }
                Ok(_) => {}
                Err(error) => panic!("{error}: {:02x?}", self.buffer),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Silence;
            }
            match self.fill(left) {
                Filled::Some => {}
                Filled::End => return Received::Closed,
                Filled::TimedOut => return Received::Silence,
            }
        }
    }

    /// Waits for exactly these bytes, of one packet or of several.
    ///
    /// # Panics
    /// When other bytes come, or too few.
    #[track_caller]
    pub fn expect(&mut self, bytes: &[u8]) {
        let deadline = Instant::now() + self.timeout;
        while self.buffer.len() < bytes.len() && bytes.starts_with(&self.buffer) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.fill(left) != Filled::Some {
                break;
            }
        }
        let got = &self.buffer[..self.buffer.len().min(bytes.len())];
        assert!(got == bytes, "awaited {bytes:02x?}, received {got:02x?}");
        self.buffer.drain(..bytes.len());
    }

    /// Waits for the connection to be closed or reset, with nothing sent before.
    ///
    /// # Panics
    /// When a packet comes, or the connection stays open.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let packets = self.recv_until_closed();
        assert!(packets.is_empty(), "awaited a closed connection, received first {packets:02x?}");
    }

    /// Waits for the connection to be closed or reset, and gives the packets that came before.
    ///
    /// # Panics
    /// When the connection stays open.
    #[track_caller]
    pub fn recv_until_closed(&mut self) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + self.timeout;
        let mut packets = Vec::new();
        loop {
            match self.recv_within(deadline.saturating_duration_since(Instant::now())) {
                Received::Packet(bytes) => packets.push(bytes),
                Received::Closed => return packets,
                Received::Silence => {
                    panic!("the connection stayed open for {:?}; received {packets:02x?}", self.timeout)
                }
            }
        }
    }

    /// Waits for the connection to be closed, with at most one DISCONNECT or refusing CONNACK before; gives its reason.
    ///
    /// # Panics
    /// When anything else comes, or the connection stays open.
    #[track_caller]
    pub fn expect_refused(&mut self, v5: bool) -> Option<u8> {
        let packets = self.recv_until_closed();
        let last = packets.first().map(|bytes| wire::parse(bytes, v5));
        match last {
            None => None,
            Some(Packet::Disconnect { reason, .. }) if packets.len() == 1 && v5 => Some(reason),
            Some(Packet::Connack { code, session_present: false, .. }) if packets.len() == 1 && code != 0 => Some(code),
            Some(_) => panic!("awaited a refusal, received {packets:02x?}"),
        }
    }

    /// Waits for so long and makes sure that nothing came and the connection is open; [`SILENCE`] is a good length.
    ///
    /// # Panics
    /// When a packet comes or the connection is closed.
    #[track_caller]
    pub fn expect_silence(&mut self, wait: Duration) {
        match self.recv_within(wait) {
            Received::Silence => assert!(self.buffer.is_empty(), "awaited nothing, received {:02x?}", self.buffer),
            Received::Packet(bytes) => panic!("awaited nothing, received {bytes:02x?}"),
            Received::Closed => panic!("awaited nothing, but the connection was closed"),
        }
    }

    /// Makes sure that the broker still serves this connection: a PINGREQ is answered next.
    ///
    /// # Panics
    /// When another packet comes, or none.
    #[track_caller]
    pub fn expect_alive(&mut self) {
        self.send(&wire::pingreq());
        self.expect(&wire::pingresp());
        self.expect_silence(SILENCE / 20);
    }

    /// Ends the sending side and leaves the receiving side open.
    ///
    /// # Panics
    /// When the connection is gone already.
    #[track_caller]
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the sending side closes");
    }

    /// Closes with FIN, as a process that ends does.
    pub fn abort(self) {
        drop(self);
    }

    /// Closes with RST, as a machine that restarts does.
    ///
    /// # Panics
    /// When the socket does not take the option.
    #[track_caller]
    pub fn abort_rst(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        drop(self);
    }

    /// The socket, for options that this type has not.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads once into the buffer.
    #[track_caller]
    fn fill(&mut self, wait: Duration) -> Filled {
        // A zero timeout means none to the socket.
        self.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).expect("a limit on reads");
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Filled::End,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Filled::Some
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Filled::TimedOut,
                ErrorKind::Interrupted => Filled::Some,
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Filled::End,
                _ => panic!("reading from the broker: {error}"),
            },
        }
    }
}

/// What one read did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    Some,
    End,
    TimedOut,
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (Raw, Raw) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let near = Raw::connect(listener.local_addr().expect("its address"));
        let (far, _) = listener.accept().expect("the connection");
        (near, Raw::over(far))
    }

    #[test]
    fn packets_are_cut_at_their_lengths() {
        let (mut near, mut far) = pair();
        far.send_bytewise(&[0xd0, 0, 0x40, 2, 0, 1, 0xd0]);
        assert_eq!(near.recv_packet(), Some(vec![0xd0, 0]));
        assert_eq!(near.recv_packet(), Some(vec![0x40, 2, 0, 1]));
        assert_eq!(near.recv_within(SILENCE / 10), Received::Silence);
        far.send(&[0]);
        near.expect(&[0xd0, 0]);
        near.expect_silence(SILENCE / 10);
    }

    #[test]
    fn a_close_and_a_reset_are_both_an_end() {
        let (mut near, far) = pair();
        far.abort();
        assert_eq!(near.recv_packet(), None);
        let (mut near, far) = pair();
        far.abort_rst();
        near.expect_closed();
    }

    #[test]
    fn a_refusal_tells_its_reason() {
        let (mut near, mut far) = pair();
        far.send(&[0xe0, 2, 0x81, 0]);
        far.abort();
        assert_eq!(near.expect_refused(true), Some(0x81));
        let (mut near, mut far) = pair();
        far.send(&[0x20, 2, 0, 1]);
        far.abort();
        assert_eq!(near.expect_refused(false), Some(1));
    }

    #[test]
    #[should_panic(expected = "awaited a closed connection")]
    fn a_packet_before_the_close_is_not_let_pass() {
        let (mut near, mut far) = pair();
        far.send(&[0xd0, 0]);
        far.abort();
        near.expect_closed();
    }
}
