//! A client's socket: reads, writes, and what becomes of a client whose socket fails.

use std::io::{self, Read, Write};

use mio::{event::Event, net::TcpStream};

use super::{WAKE, Worker};
use crate::{
    client::Client,
    limits::{READ_BYTES, READS_PER_EVENT_MAX},
};

/// A client and its socket.
pub(super) struct Seat {
    pub(super) client: Client,
    pub(super) stream: Option<TcpStream>,
    /// The beginning of a packet.
    pub(super) pending: Vec<u8>,
    pub(super) written: usize,
    pub(super) is_blocked: bool,
    pub(super) is_dirty: bool,
    /// The socket may have more to read.
    pub(super) has_more: bool,
    /// The other side has closed: that is behind the last data, and no further event says so.
    pub(super) is_closing: bool,
    pub(super) is_connecting: bool,
    pub(super) counted_ready: bool,
    pub(super) failed: bool,
    pub(super) written_at_ns: u64,
}

impl Seat {
    pub(super) const fn new(client: Client) -> Self {
        Self {
            client,
            stream: None,
            pending: Vec::new(),
            written: 0,
            is_blocked: false,
            is_dirty: false,
            has_more: false,
            is_closing: false,
            is_connecting: false,
            counted_ready: false,
            failed: false,
            written_at_ns: 0,
        }
    }
}

impl Worker {
    pub(super) fn on_event(&mut self, event: &Event) {
        if event.token() == WAKE || event.token() == self.timer.token() {
            return; // that it woke the poll is all
        }
        let at = event.token().0;
        if event.is_writable() && self.seats[at].is_blocked {
            self.seats[at].is_blocked = false;
            self.mark(at);
        }
        self.seats[at].is_closing |= event.is_read_closed() || event.is_error();
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(at);
        }
    }

    /// Reads what the socket has, a few times; a short read has emptied it, unless its end has come with the last data.
    pub(super) fn read(&mut self, at: usize) {
        for _ in 0..READS_PER_EVENT_MAX {
            let seat = &mut self.seats[at];
            let Some(stream) = &mut seat.stream else { return };
            let carried = seat.pending.len();
            let room = READ_BYTES.max(carried); // twice as much each time: a large packet is copied a few times only
            if self.scratch.len() < carried + room {
                self.scratch.resize(carried + room, 0);
            }
            self.scratch[..carried].copy_from_slice(&seat.pending);
            seat.pending.clear();
            let n = match stream.read(&mut self.scratch[carried..carried + room]) {
                Ok(0) if seat.client.is_connected() => return self.fail(at, "the broker closed the connection"),
                Ok(0) => return self.fail(at, "the broker closed the connection and did not answer CONNECT"),
                Ok(n) => n,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    seat.pending.extend_from_slice(&self.scratch[..carried]);
                    return;
                }
                Err(error) => return self.fail_io(at, "reading", &error),
            };
            let now_ns = self.clock.now_ns();
            let bytes = &self.scratch[..carried + n];
            match seat.client.take_in(bytes, now_ns, &mut self.tally) {
                Ok(used) => seat.pending.extend_from_slice(&bytes[used..]),
                Err(why) => return self.fail(at, &why),
            }
            self.after_read(at, now_ns);
            if n < room && !self.seats[at].is_closing {
                return;
            }
        }
        if !self.seats[at].has_more {
            self.seats[at].has_more = true;
            self.more.push(at);
        }
    }

    pub(super) fn flush(&mut self, at: usize, now_ns: u64) {
        let seat = &mut self.seats[at];
        let Some(stream) = &mut seat.stream else { return };
        while !seat.is_blocked && seat.written < seat.client.out.len() {
            match stream.write(&seat.client.out[seat.written..]) {
                Ok(n) => seat.written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => seat.is_blocked = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // Why the broker has closed may be among what it sent last.
                    seat.is_closing = true;
                    self.read(at);
                    return self.fail_io(at, "writing", &error);
                }
            }
            seat.written_at_ns = now_ns;
        }
        if seat.is_blocked && seat.written > READ_BYTES {
            seat.client.out.drain(..std::mem::take(&mut seat.written));
        }
        if seat.written == seat.client.out.len() {
            seat.client.out.clear();
            seat.written = 0;
            if seat.client.publishing.is_none() {
                seat.client.out = Vec::new(); // thousands of idle clients own no buffers
            }
        }
    }

    pub(super) fn fail_io(&mut self, at: usize, doing: &str, error: &io::Error) {
        let hint = match error.kind() {
            io::ErrorKind::AddrNotAvailable => ": no local port is free, of which one address has about 28,000",
            _ if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => ": see `ulimit -n`",
            _ => "",
        };
        let doing = if self.seats[at].client.is_connected() { doing } else { "connecting" };
        self.fail(at, &format!("{doing}, {}: {error}{hint}", self.address));
    }

    pub(super) fn fail(&mut self, at: usize, why: &str) {
        let seat = &mut self.seats[at];
        if seat.failed {
            return;
        }
        seat.failed = true;
        if let Some(mut stream) = seat.stream.take() {
            let _ = self.poll.registry().deregister(&mut stream); // it is closed with the stream in any case
        }
        if std::mem::take(&mut seat.is_connecting) {
            self.connecting -= 1;
        }
        (seat.client.out, seat.pending) = (Vec::new(), Vec::new());
        if let Some(publishing) = &mut seat.client.publishing {
            publishing.leave(&mut self.tally);
        }
        self.tally.fault(why);
        self.shared.count_failed(why);
    }
}
