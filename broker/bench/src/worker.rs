//! A worker thread: sockets and the clock for its share of the clients, on mio.
//!
//! One round: connect what may connect, send what is due, wait, read what came, let publishers go on, write. No
//! decisions about MQTT are made here.

mod socket;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use self::socket::Seat;
use crate::{
    client::Client,
    clock::{Clock, timer::Timer},
    limits::{CATCH_UP_MAX, CONNECTING_MAX, DUE_PER_ROUND_MAX, READ_BYTES, ROUND_MAX, UNREAD_BYTES_MAX},
    pace::Pace,
    shared::{Phase, Shared},
    stage::ns,
    tally::Tally,
};

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
    /// When publishers give up what is late, once the load is over.
    give_up_ns: u64,
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
        Ok(Self {
            index,
            poll,
            timer,
            seats: clients.into_iter().map(Seat::new).collect(),
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
            give_up_ns: 0,
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
            let is_idle = self.more.is_empty() && self.dirty.is_empty();
            match self.poll.poll(&mut events, Some(if is_idle { ROUND_MAX } else { Duration::ZERO })) {
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
                Phase::Load => self.begin_load(now_ns),
                Phase::Drain => self.give_up_ns = now_ns.saturating_add(ns(CATCH_UP_MAX)),
                Phase::Connect | Phase::End => {}
            }
        }
        if self.phase == Phase::Drain {
            self.drain(now_ns);
        }
        if now_ns >= self.next_ping_ns {
            self.next_ping_ns = now_ns + 250_000_000;
            self.keep_alive(now_ns);
        }
    }

    fn begin_load(&mut self, now_ns: u64) {
        let (from_ns, to_ns) = self.shared.measured();
        self.tally.latencies.measure(from_ns, to_ns);
        self.tally.acknowledgements.measure(from_ns, to_ns);
        if let Some(pace) = &mut self.pace {
            pace.begin(now_ns);
        } else {
            (0..self.publishers.len()).for_each(|n| self.produce(self.publishers[n], now_ns));
        }
    }

    /// The load is over. What was due until then is sent, if it can be soon; then each publisher asks the broker
    /// whether it has taken everything.
    fn drain(&mut self, now_ns: u64) {
        let is_over = now_ns >= self.give_up_ns;
        let load_end_ns = self.shared.measured().1;
        if let Some(pace) = &self.pace {
            let missed = pace.missed(load_end_ns);
            if missed > 0 && !is_over {
                return; // `send_due` goes on
            }
            self.tally.unsent = self.tally.unsent.saturating_add(missed);
            self.pace = None;
        }
        for n in 0..self.publishers.len() {
            let at = self.publishers[n];
            let Seat { client, failed, .. } = &mut self.seats[at];
            let Some(publishing) = client.publishing.as_mut().filter(|_| !*failed) else { continue };
            if (is_over || !publishing.is_late()) && publishing.say_farewell(&mut self.tally) {
                client.ping();
                self.mark(at);
            }
        }
    }

    fn keep_alive(&mut self, now_ns: u64) {
        for at in 0..self.seats.len() {
            let seat = &mut self.seats[at];
            let Some(idle_ns) = seat.client.ping_after_ns() else { continue };
            let is_idle = seat.client.out.is_empty() && now_ns > seat.written_at_ns.saturating_add(idle_ns);
            if is_idle && seat.client.is_ready() && seat.stream.is_some() {
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
                    seat.is_connecting = true;
                    self.connecting += 1;
                }
                Err(error) => self.fail_io(at, "connecting", &error),
            }
        }
        Ok(())
    }

    /// Open loop: hands out what is due, and sets the timer for what is next. Not all at once: a rate that the machine
    /// cannot make must not keep it from its sockets.
    fn send_due(&mut self, now_ns: u64) -> io::Result<()> {
        let until_ns = match self.phase {
            Phase::Load => now_ns,
            Phase::Drain => now_ns.min(self.shared.measured().1.saturating_sub(1)),
            Phase::Connect | Phase::End => return Ok(()),
        };
        let Some(mut pace) = self.pace.take() else { return Ok(()) };
        for _ in 0..DUE_PER_ROUND_MAX {
            let Some((turn, due_ns)) = pace.next_due(until_ns) else { break };
            let at = self.publishers[turn % self.publishers.len()];
            let Seat { client, failed, .. } = &mut self.seats[at];
            if let Some(publishing) = client.publishing.as_mut().filter(|_| !*failed) {
                publishing.due(due_ns, &mut client.out, &mut self.tally);
                self.mark(at);
            } else {
                self.tally.unsent += 1;
            }
        }
        self.timer.arm(pace.next_ns().saturating_sub(now_ns))?;
        self.pace = Some(pace);
        Ok(())
    }

    fn after_read(&mut self, at: usize, now_ns: u64) {
        let seat = &mut self.seats[at];
        if seat.client.is_ready() && !seat.counted_ready {
            seat.counted_ready = true;
            seat.is_connecting = false;
            self.connecting -= 1;
            self.shared.count_ready(seat.client.plan.wave, now_ns);
        }
        if seat.client.publishing.is_none() && seat.client.out.len() - seat.written > UNREAD_BYTES_MAX {
            return self.fail(at, "the broker does not read what it is answered");
        }
        self.produce(at, now_ns);
        self.mark(at);
    }

    fn produce(&mut self, at: usize, now_ns: u64) {
        let seat = &mut self.seats[at];
        if seat.failed || seat.stream.is_none() {
            return;
        }
        let Client { publishing: Some(publishing), out, .. } = &mut seat.client else { return };
        if publishing.is_late() {
            publishing.catch_up(out, &mut self.tally); // in an open loop, and until it is given up
        } else if self.phase == Phase::Load && self.pace.is_none() {
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
        totals.refused.store(self.tally.refused, Ordering::Relaxed);
        totals.received.store(self.tally.received, Ordering::Relaxed);
        totals.drained.store(self.tally.drained, Ordering::Relaxed);
    }
}
