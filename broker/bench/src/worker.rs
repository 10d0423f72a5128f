//! A worker thread: sockets and the clock for its share of the clients, on mio.
//!
//! One round: connect what may connect, send what is due, wait, read what came, let publishers go on, write. No
//! decisions about MQTT are made here.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, event::Event, net::TcpStream};

use crate::{
    client::Client,
    clock::{Clock, timer::Timer},
    limits::{CONNECTING_MAX, READ_BYTES, READS_PER_EVENT_MAX, ROUND_MAX},
    pace::Pace,
    shared::{Phase, Shared},
    tally::Tally,
};

/// A client and its socket.
struct Seat {
    client: Client,
    stream: Option<TcpStream>,
    /// The beginning of a packet.
    pending: Vec<u8>,
    written: usize,
    is_blocked: bool,
    is_dirty: bool,
    /// The socket may have more to read.
    has_more: bool,
    counted_ready: bool,
    failed: bool,
    written_at_ns: u64,
}

/// See the module's description.
pub(crate) struct Worker {
    index: usize,
    poll: Poll,
    timer: Timer,
    seats: Vec<Seat>,
    /// In the order of their waves.
    to_connect: std::vec::IntoIter<usize>,
    next_to_connect: Option<usize>,
    connecting: usize,
    publishers: Vec<usize>,
    dirty: Vec<usize>,
    more: Vec<usize>,
    scratch: Vec<u8>,
    tally: Tally,
    shared: Arc<Shared>,
    pace: Option<Pace>,
    phase: Phase,
    next_ping_ns: u64,
    address: SocketAddr,
    clock: Clock,
}

/// What a worker leaves behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) tally: Tally,
    pub(crate) clients: Vec<Client>,
}

const WAKE: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);

impl Worker {
    pub(crate) fn new(
        index: usize,
        clients: Vec<Client>,
        tally: Tally,
        pace: Option<Pace>,
        shared: &Arc<Shared>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        shared.mailbox(index).open(mio::Waker::new(poll.registry(), WAKE)?);
        let timer = Timer::new(poll.registry(), TIMER)?;
        let publishers = (0..clients.len()).filter(|at| clients[*at].publishing.is_some()).collect();
        let mut order: Vec<usize> = (0..clients.len()).collect();
        order.sort_by_key(|at| clients[*at].plan.wave);
        let mut to_connect = order.into_iter();
        let next_to_connect = to_connect.next();
        let seat = |client| Seat {
            client,
            stream: None,
            pending: Vec::new(),
            written: 0,
            is_blocked: false,
            is_dirty: false,
            has_more: false,
            counted_ready: false,
            failed: false,
            written_at_ns: 0,
        };
        Ok(Self {
            index,
            poll,
            timer,
            seats: clients.into_iter().map(seat).collect(),
            to_connect,
            next_to_connect,
            connecting: 0,
            publishers,
            dirty: Vec::new(),
            more: Vec::new(),
            scratch: vec![0; READ_BYTES],
            tally,
            pace,
            phase: Phase::Connect,
            next_ping_ns: 0,
            address: shared.address,
            clock: shared.clock,
            shared: Arc::clone(shared),
        })
    }

    /// Runs until the coordinator ends the run.
    pub(crate) fn run(mut self) -> io::Result<Done> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now_ns = self.clock.now_ns();
            self.follow_phase(now_ns);
            if self.phase == Phase::End {
                break;
            }
            self.connect_some(now_ns)?;
            self.send_due(now_ns)?;
            self.flush_dirty(now_ns);
            self.report();
            let wait = if self.more.is_empty() && self.dirty.is_empty() { ROUND_MAX } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => other?,
            }
            for at in std::mem::take(&mut self.more) {
                self.seats[at].has_more = false;
                self.read(at);
            }
            for event in &events {
                self.on_event(event);
            }
            self.resume();
        }
        self.say_good_bye();
        self.report();
        Ok(Done { tally: self.tally, clients: self.seats.into_iter().map(|seat| seat.client).collect() })
    }

    fn follow_phase(&mut self, now_ns: u64) {
        let phase = self.shared.phase();
        if phase != self.phase {
            self.phase = phase;
            match phase {
                Phase::Load => {
                    let (from_ns, to_ns) = self.shared.measured();
                    self.tally.latencies.measure(from_ns, to_ns);
                    self.tally.acknowledgements.measure(from_ns, to_ns);
                    if let Some(pace) = &mut self.pace {
                        pace.begin(now_ns);
                    } else {
                        (0..self.publishers.len()).for_each(|n| self.produce(self.publishers[n], now_ns));
                    }
                }
                Phase::Drain => {
                    for n in 0..self.publishers.len() {
                        let at = self.publishers[n];
                        let seat = &mut self.seats[at];
                        if seat.client.publishing.as_mut().is_some_and(|publishing| publishing.begin_drain()) {
                            seat.client.ping();
                            self.mark(at);
                        }
                    }
                }
                Phase::Connect | Phase::End => {}
            }
        }
        if now_ns >= self.next_ping_ns {
            self.next_ping_ns = now_ns + 1_000_000_000;
            self.keep_alive(now_ns);
        }
    }

    fn keep_alive(&mut self, now_ns: u64) {
        let Some(idle_ns) = self.shared.ping_after_ns else { return };
        for at in 0..self.seats.len() {
            let seat = &mut self.seats[at];
            if seat.client.is_ready() && seat.stream.is_some() && now_ns > seat.written_at_ns + idle_ns {
                seat.client.ping();
                self.mark(at);
            }
        }
    }

    fn connect_some(&mut self, now_ns: u64) -> io::Result<()> {
        while let Some(at) = self.next_to_connect {
            let seat = &mut self.seats[at];
            if self.connecting >= CONNECTING_MAX || !self.shared.may_connect(seat.client.plan.wave, now_ns) {
                return Ok(());
            }
            self.next_to_connect = self.to_connect.next();
            match TcpStream::connect(self.address) {
                Ok(mut stream) => {
                    self.poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
                    let _ = stream.set_nodelay(true); // a socket that does not take it is slower, not wrong
                    seat.stream = Some(stream);
                    seat.client.connect();
                    seat.is_blocked = true; // until the socket says that it is connected
                    self.connecting += 1;
                }
                Err(error) => self.fail(at, &format!("connecting to {}: {error}", self.address)),
            }
        }
        Ok(())
    }

    /// Open loop: hands out what is due, and sets the timer for what is next.
    fn send_due(&mut self, now_ns: u64) -> io::Result<()> {
        if self.phase != Phase::Load || self.publishers.is_empty() {
            return Ok(());
        }
        let Some(mut pace) = self.pace.take() else { return Ok(()) };
        while let Some((turn, due_ns)) = pace.next_due(now_ns) {
            let at = self.publishers[turn % self.publishers.len()];
            let Seat { client, failed, .. } = &mut self.seats[at];
            if let Some(publishing) = client.publishing.as_mut().filter(|_| !*failed) {
                publishing.due(due_ns, &mut client.out, &mut self.tally);
                self.mark(at);
            }
        }
        self.timer.arm(pace.next_ns().saturating_sub(now_ns))?;
        self.pace = Some(pace);
        Ok(())
    }

    fn on_event(&mut self, event: &Event) {
        if event.token() == WAKE || event.token() == self.timer.token() {
            return; // that it woke the poll is all
        }
        let at = event.token().0;
        if event.is_writable() && self.seats[at].is_blocked {
            self.seats[at].is_blocked = false;
            self.mark(at);
        }
        if event.is_readable() || event.is_read_closed() {
            self.read(at);
        }
    }

    /// Reads what the socket has, a few times; a short read has emptied it.
    fn read(&mut self, at: usize) {
        for _ in 0..READS_PER_EVENT_MAX {
            let seat = &mut self.seats[at];
            let Some(stream) = &mut seat.stream else { return };
            let carried = seat.pending.len();
            if self.scratch.len() < carried + READ_BYTES {
                self.scratch.resize(carried + READ_BYTES, 0);
            }
            self.scratch[..carried].copy_from_slice(&seat.pending);
            seat.pending.clear();
            let room = READ_BYTES.max(carried);
            let n = match stream.read(&mut self.scratch[carried..carried + room]) {
                Ok(0) => return self.fail(at, "the broker closed the connection"),
                Ok(n) => n,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    seat.pending.extend_from_slice(&self.scratch[..carried]);
                    return;
                }
                Err(error) => return self.fail(at, &format!("reading: {error}")),
            };
            let now_ns = self.clock.now_ns();
            let bytes = &self.scratch[..carried + n];
            match seat.client.take_in(bytes, now_ns, &mut self.tally) {
                Ok(used) => seat.pending.extend_from_slice(&bytes[used..]),
                Err(why) => return self.fail(at, &why),
            }
            self.after_read(at, now_ns);
            if n < room {
                return;
            }
        }
        if !self.seats[at].has_more {
            self.seats[at].has_more = true;
            self.more.push(at);
        }
    }

    fn after_read(&mut self, at: usize, now_ns: u64) {
        let seat = &mut self.seats[at];
        if seat.client.is_ready() && !seat.counted_ready {
            seat.counted_ready = true;
            self.connecting = self.connecting.saturating_sub(1);
            self.shared.count_ready(seat.client.plan.wave, now_ns);
        }
        self.produce(at, now_ns);
        self.mark(at);
    }

    fn produce(&mut self, at: usize, now_ns: u64) {
        let seat = &mut self.seats[at];
        if self.phase != Phase::Load || seat.failed || seat.stream.is_none() {
            return;
        }
        let Client { publishing: Some(publishing), out, .. } = &mut seat.client else { return };
        if self.pace.is_some() {
            publishing.catch_up(out, &mut self.tally);
        } else {
            publishing.produce(now_ns, out, &mut self.tally);
        }
        self.mark(at);
    }

    fn mark(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        if !seat.is_dirty && !seat.client.out.is_empty() {
            seat.is_dirty = true;
            self.dirty.push(at);
        }
    }

    /// Lets publishers go on whose window is free again, here or in another worker.
    fn resume(&mut self) {
        let now_ns = self.clock.now_ns();
        for (worker, at) in std::mem::take(&mut self.tally.resumed) {
            if worker == self.index {
                self.go_on(at, now_ns);
            } else {
                self.shared.mailbox(worker).put(at);
            }
        }
        for at in self.shared.mailbox(self.index).take() {
            self.go_on(at, now_ns);
        }
        self.shared.wake_marked(self.index);
    }

    fn go_on(&mut self, at: usize, now_ns: u64) {
        if let Some(publishing) = &mut self.seats[at].client.publishing {
            publishing.go_on();
        }
        self.produce(at, now_ns);
    }

    fn flush_dirty(&mut self, now_ns: u64) {
        // A publisher that is not bounded by its subscribers goes on as long as the socket takes it, in turns.
        for at in std::mem::take(&mut self.dirty) {
            self.seats[at].is_dirty = false;
            self.flush(at, now_ns);
            if self.seats[at].client.out.is_empty() {
                self.produce(at, now_ns);
            }
        }
    }

    fn flush(&mut self, at: usize, now_ns: u64) {
        let seat = &mut self.seats[at];
        let Some(stream) = &mut seat.stream else { return };
        while !seat.is_blocked && seat.written < seat.client.out.len() {
            match stream.write(&seat.client.out[seat.written..]) {
                Ok(n) => seat.written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => seat.is_blocked = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.fail(at, &format!("writing: {error}")),
            }
            seat.written_at_ns = now_ns;
        }
        if seat.written == seat.client.out.len() {
            seat.client.out.clear();
            seat.written = 0;
            if seat.client.publishing.is_none() {
                seat.client.out = Vec::new(); // thousands of idle clients own no buffers
            }
        }
    }

    fn fail(&mut self, at: usize, why: &str) {
        let seat = &mut self.seats[at];
        if seat.failed {
            return;
        }
        seat.failed = true;
        if let Some(mut stream) = seat.stream.take() {
            let _ = self.poll.registry().deregister(&mut stream); // it is closed with the stream in any case
        }
        if !seat.counted_ready {
            self.connecting = self.connecting.saturating_sub(1);
        }
        self.tally.fault(why);
        self.shared.count_failed(why);
    }

    fn say_good_bye(&mut self) {
        for at in 0..self.seats.len() {
            if self.seats[at].stream.is_some() {
                self.seats[at].client.disconnect();
                self.flush(at, 0);
            }
        }
    }

    fn report(&self) {
        let totals = self.shared.totals(self.index);
        totals.sent.store(self.tally.sent, Ordering::Relaxed);
        totals.acknowledged.store(self.tally.acknowledged, Ordering::Relaxed);
        totals.received.store(self.tally.received - self.tally.foreign, Ordering::Relaxed);
        totals.drained.store(self.tally.drained, Ordering::Relaxed);
    }
}
