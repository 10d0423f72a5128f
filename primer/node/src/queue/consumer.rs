//! Consumers: who is given messages, and what may be said of them.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use primer_core::queue::{ConsumerId, Credit, GroupId, LeaseId, Position, Stale, Verdict};

use super::{
    DeadLetter,
    cell::QueueCell,
    envelope::Envelope,
    inbox::{Inbox, Parcel},
    item::Wishes,
    record::RULE,
};
use crate::{
    drops::Reason,
    journal::{Group as Committed, QueueId},
    node::Node,
};

/// A consumer's place in its group. It is given up when the consumer and all of its deliveries are gone.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) node: Node,
    pub(crate) cell: Arc<QueueCell>,
    pub(crate) group: GroupId,
    pub(crate) consumer: ConsumerId,
    pub(crate) inbox: Arc<Inbox>,
}

impl Place {
    /// Joins a group, which is told by its identifier and its name: one that was removed may have left its identifier
    /// to another.
    pub(crate) fn join(
        node: &Node,
        cell: &Arc<QueueCell>,
        (group, name): (GroupId, &str),
        credit: Credit,
    ) -> Option<Arc<Self>> {
        let (consumer, inbox) = cell.attach(&node.inner, (group, name), credit)?;
        Some(Arc::new(Self { node: node.clone(), cell: Arc::clone(cell), group, consumer, inbox }))
    }

    fn settle(&self, position: Position, lease: LeaseId, verdict: Verdict) -> Result<(), Stale> {
        self.cell
            .with(&self.node.inner, |state, now_ms| state.machine.settle(now_ms, self.group, position, lease, verdict))
    }

    /// Parcels that nobody has looked at go back, and this time does not count. Where once is enough they cannot: they
    /// are gone, and counted.
    fn send_back(&self, parcels: impl Iterator<Item = Parcel>) {
        let unseen: Vec<Parcel> = parcels.collect();
        if unseen.is_empty() {
            return;
        }
        let gone = unseen.iter().filter(|parcel| parcel.lease.is_none()).count();
        self.node.inner.drops.add(Reason::Abandoned, gone as u64);
        self.cell.with(&self.node.inner, |state, now_ms| {
            for parcel in unseen.iter().rev() {
                if let Some(lease) = parcel.lease {
                    let verdict = Verdict::Release;
                    let _it_may_be_over = state.machine.settle(now_ms, self.group, parcel.position, lease, verdict);
                }
            }
        });
    }

    fn set_credit(&self, messages: u32) {
        self.cell.with(&self.node.inner, |state, _| state.machine.set_credit(self.group, self.consumer, messages));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.send_back(self.inbox.take().into_iter());
        self.cell.with(&self.node.inner, |state, now_ms| {
            state.machine.detach(now_ms, self.group, self.consumer);
            state.inboxes.remove(&(self.group, self.consumer));
        });
    }
}

/// How a consumer takes messages.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// use std::time::Duration;
/// use primer::ConsumeOptions;
/// let jobs = node.queue("jobs")?;
/// let long = ConsumeOptions { lease: Some(Duration::from_secs(3600)), ..ConsumeOptions::prefetch(1) };
/// let worker = jobs.group("default")?.consume_with(long)?;
/// assert_eq!(worker.queue(), "jobs");
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumeOptions {
    /// Messages that it may have at a time, those that wait in its buffer included; at least 1.
    pub prefetch: u32,
    /// How long it may have each before it goes to another consumer. `None`: what the queue's definition says, or a
    /// minute.
    pub lease: Option<Duration>,
    /// Whether it may have them for as long as it is there, unless the queue's definition says otherwise.
    pub keeps_leases: bool,
}

impl ConsumeOptions {
    /// So many messages at a time, with the queue's lease.
    #[must_use]
    pub const fn prefetch(prefetch: u32) -> Self {
        Self { prefetch, lease: None, keeps_leases: false }
    }

    pub(crate) fn credit(self, definition_lease_ms: Option<u64>) -> Credit {
        let own = self.lease.map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).max(1));
        let lease_ms = own.or(definition_lease_ms).or((!self.keeps_leases).then_some(LEASE_MS));
        Credit { messages: self.prefetch.max(1), lease_ms }
    }
}

/// A lease where nobody says how long it is.
pub(crate) const LEASE_MS: u64 = 60_000;

/// Messages of a queue as they come: a [`Stream`] of [`Delivery`], with [`next`](Self::next) for those who need no
/// stream. Dropping it gives back what it was given and nobody has taken; deliveries that were taken stay valid.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let jobs = node.queue("jobs")?;
/// jobs.push_all(&["a".into(), "b".into(), "c".into()]).await;
/// let mut worker = jobs.consume(10)?;
/// let batch = worker.next_batch(10).await;
/// assert_eq!(batch.len(), 3);
/// primer::Delivery::ack_all(batch);
/// assert!(worker.try_next().is_none());
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug)]
pub struct Consumer {
    place: Arc<Place>,
    taken: VecDeque<Parcel>,
}

impl Consumer {
    pub(crate) const fn new(place: Arc<Place>) -> Self {
        Self { place, taken: VecDeque::new() }
    }

    /// The next message; `None` when the queue has ended or the node is stopping. Safe to cancel.
    pub async fn next(&mut self) -> Option<Delivery> {
        std::future::poll_fn(|cx| self.poll_next_delivery(cx)).await
    }

    /// Whatever is there, at most `messages_max`; waits while nothing is. Empty when the queue has ended or the node is
    /// stopping. Safe to cancel.
    pub async fn next_batch(&mut self, messages_max: usize) -> Vec<Delivery> {
        let Some(first) = self.next().await else { return Vec::new() };
        let mut batch = Vec::with_capacity(messages_max.min(self.taken.len() + 1));
        batch.push(first);
        while batch.len() < messages_max
            && let Some(parcel) = self.taken.pop_front()
        {
            batch.push(self.deliver(parcel));
        }
        batch
    }

    /// The next message, if one is there.
    pub fn try_next(&mut self) -> Option<Delivery> {
        if self.taken.is_empty() {
            self.taken = self.place.inbox.take();
            self.free_credit();
        }
        let parcel = self.taken.pop_front()?;
        Some(self.deliver(parcel))
    }

    /// The next message, for those who write futures by hand.
    pub fn poll_next_delivery(&mut self, cx: &Context<'_>) -> Poll<Option<Delivery>> {
        if self.taken.is_empty() {
            match self.place.inbox.poll_take(cx, &mut self.taken) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(false) => return Poll::Ready(None),
                Poll::Ready(true) => self.free_credit(),
            }
        }
        let parcel = self.taken.pop_front();
        Poll::Ready(parcel.map(|parcel| self.deliver(parcel)))
    }

    /// The name of the queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.place.cell.name
    }

    /// Whether the queue was deleted: nothing comes any more.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.place.cell.state.lock().is_ended
    }

    fn deliver(&self, parcel: Parcel) -> Delivery {
        Delivery::new(&self.place, parcel)
    }

    /// What was taken out of the inbox and has no lease is the consumer's: its credit is free for more.
    fn free_credit(&self) {
        let once = self.taken.iter().filter(|parcel| parcel.lease.is_none()).count();
        if let Ok(once @ 1..) = u32::try_from(once) {
            let Place { node, cell, group, consumer, .. } = &*self.place;
            cell.with(&node.inner, |state, _| state.machine.taken(*group, *consumer, once));
        }
    }
}

impl Stream for Consumer {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.poll_next_delivery(cx)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.place.set_credit(0);
        let waiting = self.place.inbox.take();
        self.place.send_back(std::mem::take(&mut self.taken).into_iter().chain(waiting));
    }
}

/// The lease of a message is over: its time was up and it may have gone to another consumer. What was to be said of it
/// has not counted.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// use std::time::Duration;
/// let short = primer::Definition { lease_ms: Some(1), ..primer::Definition::default() };
/// let jobs = node.create_queue("jobs", short)?;
/// jobs.push("a").await?;
/// let (mut slow, mut other) = (jobs.consume(1)?, jobs.consume(1)?);
/// let job = slow.next().await.expect("it is there");
/// let again = other.next().await.expect("its time is up");
/// assert_eq!(job.ack().unwrap_err(), primer::LeaseOver);
/// again.ack()?;
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease of this message is over; it may have been delivered to another consumer")]
pub struct LeaseOver;

/// A message that a consumer has until it says what is to become of it.
///
/// Dropping it without a word is a [`nack`](Self::nack): a handler that panics or returns early loses nothing. In a
/// group that is at-most-once there is nothing to say, and nothing happens.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// use std::time::Duration;
/// let jobs = node.queue("jobs")?;
/// jobs.push("paint the fence").await?;
/// let mut worker = jobs.consume(1)?;
/// let job = worker.next().await.expect("it is there");
/// job.extend(Duration::from_secs(600))?; // it takes longer
/// job.nack(Duration::ZERO)?; // it did not work: again
/// let job = worker.next().await.expect("it comes again");
/// assert_eq!((job.text(), job.attempt()), (Some("paint the fence"), 2));
/// job.ack()?;
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a delivery that is dropped is delivered again"]
pub struct Delivery {
    place: Arc<Place>,
    envelope: Envelope,
    lease: Option<LeaseId>,
    attempt: u32,
}

/// That something was said of a message. It holds in this process at once; see [`durable`](Self::durable).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let jobs = node.queue("jobs")?;
/// jobs.push("a").await?;
/// let job = jobs.consume(1)?.next().await.expect("it is there");
/// assert!(job.ack()?.durable().await); // in memory there is nothing to wait for
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug)]
pub struct Settled {
    node: Node,
    group: Option<Committed>,
}

impl Settled {
    /// Waits until it holds in the next process as well; `false` when the disk did not take it, and the message may be
    /// delivered once more after a restart. At once for a queue in memory.
    pub async fn durable(self) -> bool {
        match (self.group, self.node.inner.journal()) {
            (Some(group), Some(journal)) => {
                journal.store().hurry();
                journal.store().ended(group).await
            }
            _ => true,
        }
    }
}

impl Delivery {
    fn new(place: &Arc<Place>, parcel: Parcel) -> Self {
        let Parcel { lease, position, attempt, item } = parcel;
        let envelope = Envelope::new(item.0, position);
        Self { place: Arc::clone(place), envelope, lease, attempt }
    }

    /// It is done with.
    ///
    /// # Errors
    /// The lease is over and somebody else has the message.
    pub fn ack(mut self) -> Result<Settled, LeaseOver> {
        self.say(Verdict::Ack)
    }

    /// Acknowledges many at once, of one queue or several: cheaper than one by one. Answers how many leases were over.
    pub fn ack_all(deliveries: impl IntoIterator<Item = Self>) -> usize {
        let mut all: Vec<Self> = deliveries.into_iter().collect();
        let mut over = 0;
        for same in all.chunk_by_mut(|a, b| Arc::ptr_eq(&a.place, &b.place)) {
            let Some(place) = same.first().map(|first| Arc::clone(&first.place)) else { continue };
            over += place.cell.with(&place.node.inner, |state, now_ms| {
                let ack = |delivery: &mut Self| {
                    let Some(lease) = delivery.lease.take() else { return false };
                    let position = delivery.envelope.position();
                    state.machine.settle(now_ms, place.group, position, lease, Verdict::Ack).is_err()
                };
                same.iter_mut().map(ack).filter(|is_over| *is_over).count()
            });
        }
        over
    }

    /// It is to be delivered again after `delay`, or at once.
    ///
    /// # Errors
    /// The lease is over: it is delivered again anyway.
    pub fn nack(mut self, delay: Duration) -> Result<Settled, LeaseOver> {
        let delay_ms = Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        self.say(Verdict::Nack { delay_ms })
    }

    /// It goes to the dead letters.
    ///
    /// # Errors
    /// The lease is over and somebody else has the message.
    pub fn reject(mut self) -> Result<Settled, LeaseOver> {
        self.say(Verdict::Reject)
    }

    /// It was not looked at: it is delivered again, and this time does not count.
    ///
    /// # Errors
    /// The lease is over: it is delivered again anyway.
    pub fn release(mut self) -> Result<Settled, LeaseOver> {
        self.say(Verdict::Release)
    }

    /// More time: the lease ends `lease` from now.
    ///
    /// # Errors
    /// The lease is over.
    pub fn extend(&self, lease: Duration) -> Result<(), LeaseOver> {
        let Some(id) = self.lease else { return Ok(()) };
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).max(1);
        let place = &self.place;
        let position = self.envelope.position();
        place
            .cell
            .with(&place.node.inner, |state, now_ms| state.machine.extend(now_ms, place.group, position, id, lease_ms))
            .map_err(|Stale| LeaseOver)
    }

    /// Answers a [call](crate::Queue::call), or whoever gave a response topic over MQTT, and acknowledges the message.
    /// Without a response topic it only acknowledges.
    ///
    /// # Errors
    /// The lease is over; the answer was sent all the same.
    pub fn reply(self, payload: impl AsRef<[u8]>) -> Result<Settled, LeaseOver> {
        crate::calls::reply(&self.place.node, &self.envelope, payload.as_ref());
        self.ack()
    }

    /// How often the message was delivered to this group, this time included.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The name of the queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.place.cell.name
    }

    /// The message itself, to be kept.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The dead letters of its queue; `None` where it is one already.
    pub(crate) fn dead_letters(&self) -> Result<Option<Arc<QueueCell>>, super::QueueError> {
        let cell = &self.place.cell;
        if cell.is_dead() {
            return Ok(None);
        }
        self.place.node.inner.registry.dead_letters_of(&cell.name).map(Some)
    }

    /// How it stands in the dead letters.
    pub(crate) fn as_dead_letter(&self, died_unix_ms: u64) -> Wishes {
        let item = self.envelope.item();
        let mut extra = item.extra.as_deref().cloned().unwrap_or_default();
        let state = self.place.cell.state.lock();
        let named = state.machine.groups().find(|(group, ..)| *group == self.place.group);
        (extra.id, extra.due_unix_ms, extra.expires_unix_ms) = (None, None, None);
        extra.dead = Some(DeadLetter {
            queue: Arc::clone(&self.place.cell.name),
            group: named.map_or("", |(_, name, _)| name).into(),
            reason: RULE,
            deliveries: self.attempt,
            died_unix_ms,
        });
        Wishes { priority: item.priority, delay_ms: 0, extra }
    }

    /// Where the store notes that the group is done with it.
    pub(crate) fn in_store(&self) -> Option<(QueueId, Position)> {
        self.lease?;
        let state = self.place.cell.state.lock();
        let queue = *state.kept.as_ref()?.groups.get(&self.place.group)?;
        Some((queue, self.envelope.position()))
    }

    fn say(&mut self, verdict: Verdict) -> Result<Settled, LeaseOver> {
        let node = self.place.node.clone();
        let Some(lease) = self.lease.take() else { return Ok(Settled { node, group: None }) };
        self.place.settle(self.envelope.position(), lease, verdict).map_err(|Stale| LeaseOver)?;
        // What was noted is in the group that comes next, or in an earlier one.
        let group = node.inner.journal().map(|journal| journal.store().last());
        Ok(Settled { node, group })
    }
}

impl std::ops::Deref for Delivery {
    type Target = Envelope;

    fn deref(&self) -> &Envelope {
        &self.envelope
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            let verdict = Verdict::Nack { delay_ms: None };
            let _it_may_be_over = self.place.settle(self.envelope.position(), lease, verdict);
        }
    }
}
