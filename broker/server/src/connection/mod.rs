//! A connection that has its session, as one hand-written future: no `select!`, nothing to cancel on the hot path.
//!
//! One turn: write what waits; read at most a few times; hand each read to the session machine and carry out its
//! steps (`work`); look up retained messages; write again; sleep. What others deliver comes through the session's
//! cell, and its waker brings the connection back here.

mod durable;
pub(crate) mod finish;
mod work;

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use primer::{
    Charge,
    journal::{Group, QueueId},
};
use primer_core::commit::Ballot;
use primer_mqtt::{
    ReasonCode,
    codec::{Role, Rules},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

use crate::{
    access::Identity,
    authentication::Exchange,
    buffers,
    handshake::Admitted,
    hub::Hub,
    limits::{COURTESY_BYTES_MAX, READ_BUFFER_BYTES, READS_PER_TURN_MAX, WRITES_PER_FLUSH_MAX},
    pipeline::Acks,
    rate::Bucket,
    registry::{self, Farewell},
    replay,
    session::Cell,
};

thread_local! {
    /// The read buffer of a worker: an idle connection owns none.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER_BYTES]);
}

/// The type of PUBLISH, in the first byte of its packet.
const PUBLISH: u8 = 3;

/// How a connection ends.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) farewell: Farewell,
    /// Told to the client (5.0) before the connection is closed.
    pub(crate) tell: Option<(ReasonCode, Option<String>)>,
    /// For the log and the event.
    pub(crate) why: String,
    /// A session expiry that DISCONNECT set.
    pub(crate) session_expiry_s: Option<u32>,
}

impl Ending {
    fn lost(why: impl Into<String>) -> Self {
        Self { farewell: Farewell::WithWill, tell: None, why: why.into(), session_expiry_s: None }
    }

    fn told(reason: ReasonCode, detail: Option<String>) -> Self {
        let why = detail.clone().unwrap_or_else(|| reason.name().to_owned());
        Self { farewell: Farewell::WithWill, tell: Some((reason, detail)), why, session_expiry_s: None }
    }
}

#[derive(Debug)]
struct Limiter {
    publishes: Bucket,
    bytes: Bucket,
    pause: Pin<Box<Sleep>>,
    is_paused: bool,
}

/// See the module's description. `S` is the byte stream that the listener gave.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    pub(crate) hub: Arc<Hub>,
    stream: S,
    cell: Arc<Cell>,
    identity: Arc<Identity>,
    rules: Rules,
    /// The beginning of a packet whose end has not come.
    pending: Vec<u8>,
    /// Taken from the session and being written.
    writing: Vec<u8>,
    written: usize,
    /// The stream may keep back some of what was written.
    is_unflushed: bool,
    is_blocked: bool,
    /// Why nothing can be written any more.
    lost_because: Option<String>,
    /// The longest silence of the client, in milliseconds; 0 for any. The housekeeper brings the connection back here
    /// to ask.
    silence_ms_max: u32,
    /// Something was read since the silence was last asked for.
    has_heard: bool,
    limiter: Option<Box<Limiter>>,
    acks: Acks,
    /// Publishes that the store answers for, by the group with which they become durable.
    awaiting: VecDeque<(Group, Vec<Ballot>)>,
    /// The session's queue in the store, if the session lasts.
    queue: Option<QueueId>,
    exchange: Option<Box<Exchange>>,
    /// There are bytes in `pending` that have not been looked at: they came with CONNECT, or others come first.
    has_rest: bool,
    /// It has waited to be woken.
    was_asleep: bool,
    /// For a large packet that is being gathered.
    charge: Charge,
    has_let_go: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(hub: Arc<Hub>, stream: S, admitted: Admitted) -> Self {
        let Admitted { cell, identity, terms, mut rest } = admitted;
        rest.shrink_to_fit(); // mostly nothing came after CONNECT, and the handshake's buffer is not kept
        let now_ms = hub.node.clock.now_ms();
        let options = &hub.options;
        let limiter = (options.publish_rate_max > 0 || options.byte_rate_max > 0).then(|| {
            Box::new(Limiter {
                publishes: Bucket::new(options.publish_rate_max, now_ms),
                bytes: Bucket::new(options.byte_rate_max, now_ms),
                pause: Box::pin(sleep_until(hub.node.clock.instant(now_ms).into())),
                is_paused: false,
            })
        });
        let (silence_ms_max, queue) = {
            let state = cell.lock();
            (state.silence_ms_max, state.durable.as_ref().map(|durable| durable.queue))
        };
        let rules = Rules {
            role: Role::Server,
            version: Some(terms.version),
            max_packet_size: hub.options.protocol.packet_bytes_max,
        };
        Self {
            stream,
            cell,
            identity,
            rules,
            has_rest: !rest.is_empty(),
            was_asleep: false,
            pending: rest,
            writing: Vec::new(),
            written: 0,
            is_unflushed: false,
            is_blocked: false,
            lost_because: None,
            silence_ms_max,
            has_heard: false,
            limiter,
            acks: Acks::default(),
            awaiting: VecDeque::new(),
            queue,
            exchange: None,
            charge: Charge::default(),
            has_let_go: false,
            hub,
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        self.take_durable()?;
        self.flush(cx);
        self.asked_to_close()?;
        let wants_more = self.read_some(cx)?;
        if let Some(why) = &self.lost_because
            && !wants_more
        {
            return Err(Ending::lost(why.clone()));
        }
        self.check_silence()?;
        if !self.is_blocked {
            replay::advance(&self.hub, &self.cell);
            self.consume(cx);
        }
        self.flush(cx);
        let is_done = self.go_to_sleep(cx);
        self.was_asleep = !wants_more && is_done && self.lost_because.is_none();
        if !self.was_asleep {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Takes what queues have for the client.
    fn consume(&self, cx: &Context<'_>) {
        let mut state = self.cell.lock();
        if state.consuming.is_some() {
            state.ensure_buffer();
            state.consume(&self.hub, cx, self.hub.node.clock.now_ms());
        }
    }

    /// Writes what has been taken and takes what waits, until nothing does, the socket is full, or it is time to read
    /// again: what waits then is seen when the connection is about to sleep. An error does not end
    /// the connection here: a DISCONNECT that came before the client closed still has to be read.
    fn flush(&mut self, cx: &mut Context<'_>) {
        let mut taken = 0;
        while self.lost_because.is_none() {
            match self.write_out(cx) {
                Poll::Pending => {
                    self.forget_written();
                    self.set_blocked(true);
                    return;
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.lost_because = Some(error.to_string());
                    return;
                }
            }
            self.set_blocked(false);
            self.writing.clear();
            self.written = 0;
            let mut state = self.cell.lock();
            state.unwritten = 0;
            if state.outbox.is_empty() {
                if !state.may_pump() {
                    return;
                }
                let now_ms = self.hub.node.clock.now_ms();
                state.pump(&self.hub, now_ms);
                if state.outbox.is_empty() {
                    return;
                }
            }
            if taken == WRITES_PER_FLUSH_MAX {
                return;
            }
            taken += 1;
            std::mem::swap(&mut state.outbox, &mut self.writing);
            state.unwritten = self.writing.len();
        }
    }

    /// Writes what has been taken, to the last byte that a stream may keep back (TLS does, a socket does not).
    fn write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.writing.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::Error::other("the socket takes no more bytes"))),
                n => {
                    self.written += n;
                    self.is_unflushed = true;
                    self.hub.counters.bytes_sent.add(n as u64);
                }
            }
        }
        if self.is_unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// What has been written takes no memory while the rest waits: only the rest is charged. What is moved for it is
    /// less than what was written.
    fn forget_written(&mut self) {
        if self.written > self.writing.len() / 2 {
            self.writing.drain(..self.written);
            self.written = 0;
        }
    }

    fn set_blocked(&mut self, is_blocked: bool) {
        if is_blocked || self.is_blocked {
            let mut state = self.cell.lock();
            state.is_blocked = is_blocked;
            state.unwritten = self.writing.len() - self.written;
            self.is_blocked = is_blocked;
        }
    }

    fn asked_to_close(&self) -> Result<(), Ending> {
        let close = self.cell.lock().must_close(&self.hub);
        match close {
            None => Ok(()),
            Some(reason) => {
                if reason == ReasonCode::SESSION_TAKEN_OVER {
                    self.hub.counters.taken_over.add(1);
                }
                Err(Ending::told(reason, None))
            }
        }
    }

    /// Reads and works, a few times. Answers whether the socket may have more.
    fn read_some(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if std::mem::take(&mut self.has_rest) {
            self.work_on_pending()?;
        }
        for _ in 0..READS_PER_TURN_MAX {
            if self.has_rest {
                return Ok(true); // after the others
            }
            if self.is_paused(cx) || self.is_ahead_of_the_store() {
                return Ok(false);
            }
            match self.read_once(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(done) => done?,
            }
        }
        Ok(true)
    }

    fn read_once(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        if self.pending.len() > READ_BUFFER_BYTES / 2 {
            return self.read_large(cx);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let carried = self.pending.len();
            let (head, free) = scratch.split_at_mut(carried);
            head.copy_from_slice(&self.pending);
            let mut free = ReadBuf::new(free);
            let n = match poll_read(&mut self.stream, cx, &mut free) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(ending)) => return Poll::Ready(Err(ending)),
                Poll::Ready(Ok(n)) => n,
            };
            self.hub.counters.bytes_received.add(n as u64);
            let bytes = scratch.get(..carried + n).unwrap_or_default();
            if std::mem::take(&mut self.was_asleep) && carried == 0 && lets_others_first(bytes) {
                self.cell.set_heard(self.hub.node.clock.now_ms());
                self.has_heard = true;
                self.carry(bytes);
                self.has_rest = true;
                return Poll::Ready(Ok(()));
            }
            let used = self.work(bytes)?;
            self.carry(bytes.get(used..).unwrap_or_default());
            Poll::Ready(Ok(()))
        })
    }

    /// A packet larger than the worker's buffer is gathered in memory of the connection, as much as has come.
    fn read_large(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        let carried = self.pending.len();
        if carried > READ_BUFFER_BYTES && self.hub.node.budget.is_spent() {
            let why = "no memory for a large packet".to_owned();
            return Poll::Ready(Err(Ending::told(ReasonCode::QUOTA_EXCEEDED, Some(why))));
        }
        self.pending.resize(carried + READ_BUFFER_BYTES, 0);
        let (_, free) = self.pending.split_at_mut(carried);
        let mut free = ReadBuf::new(free);
        let n = match poll_read(&mut self.stream, cx, &mut free) {
            Poll::Ready(Ok(n)) => n,
            other => {
                self.pending.truncate(carried);
                return other.map_ok(|_| ());
            }
        };
        self.pending.truncate(carried + n);
        self.hub.counters.bytes_received.add(n as u64);
        Poll::Ready(self.work_on_pending())
    }

    fn work_on_pending(&mut self) -> Result<(), Ending> {
        let bytes = std::mem::take(&mut self.pending);
        let used = self.work(&bytes)?;
        if used == 0 {
            self.pending = bytes; // the packet goes on growing where it is
            self.charge.set(&self.hub.node.budget, self.pending.capacity());
        } else {
            self.carry(bytes.get(used..).unwrap_or_default());
        }
        Ok(())
    }

    /// Keeps the beginning of a packet for the next read, and charges it.
    fn carry(&mut self, rest: &[u8]) {
        if !rest.is_empty() || !self.pending.is_empty() || self.charge.bytes() > 0 {
            self.pending = rest.to_vec();
            self.charge.set(&self.hub.node.budget, self.pending.capacity());
        }
    }

    fn is_paused(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(limiter) = &mut self.limiter else { return false };
        if limiter.is_paused && limiter.pause.as_mut().poll(cx).is_ready() {
            limiter.is_paused = false;
            self.cell.set_heard(self.hub.node.clock.now_ms());
        }
        limiter.is_paused
    }

    fn check_silence(&mut self) -> Result<(), Ending> {
        if std::mem::take(&mut self.has_heard) || self.silence_ms_max == 0 {
            return Ok(());
        }
        if self.limiter.as_ref().is_some_and(|limiter| limiter.is_paused) {
            return Ok(()); // what the client sends during a pause is not read, and not held against it
        }
        if self.hub.node.clock.now_ms() >= self.cell.heard_at_ms() + u64::from(self.silence_ms_max) {
            return Err(Ending::told(ReasonCode::KEEP_ALIVE_TIMEOUT, None));
        }
        Ok(())
    }

    /// Leaves the waker with the session. Answers `false` when there is something to do already.
    fn go_to_sleep(&mut self, cx: &Context<'_>) -> bool {
        let mut state = self.cell.lock();
        state.waker = Some(cx.waker().clone());
        if state.durable.as_mut().is_some_and(|durable| durable.take_has_loaded()) {
            return false; // there was nobody to be woken when it came
        }
        if !self.is_blocked {
            // Asked after the flush: it may have made the room that a look-up waits for.
            if !state.outbox.is_empty() || state.can_replay() || state.can_consume() {
                return false;
            }
            // An idle connection owns no buffers.
            buffers::give(std::mem::take(&mut state.outbox));
            buffers::give(std::mem::take(&mut self.writing));
        } else {
            buffers::shrink(&mut state.outbox);
            buffers::shrink(&mut self.writing);
        }
        state.account(&self.hub);
        self.cell.note_room(&state);
        let waits_for = self.waits_for(&state);
        if state.must_close(&self.hub).is_some() {
            return false;
        }
        drop(state);
        match (waits_for, self.hub.node.journal()) {
            (Some(group), Some(journal)) => journal.store().wake_when(group, cx.waker()),
            _ => true,
        }
    }
}

/// Whether a client that has been silent publishes a little. Of connections that become readable together the runtime
/// takes the last one first; without this a SUBSCRIBE would be overtaken by a publish that was sent after it by another
/// client (docs/decisions/0025). Who publishes much is not held up.
fn lets_others_first(bytes: &[u8]) -> bool {
    bytes.len() <= COURTESY_BYTES_MAX && bytes.first().is_some_and(|first| first >> 4 == PUBLISH)
}

fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<Result<usize, Ending>> {
    match Pin::new(stream).poll_read(cx, buffer) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
            Poll::Ready(Err(Ending::lost("the client closed the connection")))
        }
        Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(Ending::lost(error.to_string()))),
    }
}

impl<S> Drop for Connection<S> {
    /// A connection that is dropped half-way (its runtime ends, or a bug made its task panic) lets go of its session
    /// all the same, or nobody could open it again.
    fn drop(&mut self) {
        self.charge.set(&self.hub.node.budget, 0);
        if !self.has_let_go {
            registry::let_go(&self.hub, &self.cell, Farewell::WithWill, None, || ());
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = Ending;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ending> {
        match self.turn(cx) {
            Ok(()) => Poll::Pending,
            Err(ending) => Poll::Ready(ending),
        }
    }
}
