//! Topics for programs: publish and subscribe, routed as MQTT is (4.7). What is published here reaches the subscribers
//! of the program, the queues that are bound to the topic, and the subscribers of a face (the MQTT server), if there is
//! one; and what comes over a face reaches the subscribers here.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures_core::Stream;
use parking_lot::{Mutex, RwLock};
use primer_core::{
    commit::Refused,
    message::Message as Stored,
    queue::Position,
    topic::{self, TopicError},
    trie::Trie,
};

use crate::{
    calls::{self, REPLY},
    drops::Reason,
    ingress::{Admission, Product},
    message::{Message, MessageError},
    node::Node,
    queue::{Envelope, QueueError, Sent, item::Item},
    transaction::Along,
};

/// The prefix of the topics that name a queue.
const QUEUE: &str = "$queue/";

/// Whether a topic names a queue: what is published there goes to it and nowhere else.
pub(crate) fn names_a_queue(topic: &str) -> bool {
    topic.starts_with(QUEUE) || topic.starts_with(primer_core::queue::name::DEAD)
}

/// A face that has subscribers of its own.
pub trait Face: Send + Sync + std::fmt::Debug {
    /// Publishes messages of the program to the subscribers of the face, its retained store included. What the store
    /// has to write of them goes into `along`, where there is such.
    ///
    /// # Errors
    /// A destination refused one.
    fn publish(&self, messages: &[(Stored, Sent)], along: Option<&mut Along>) -> Result<(), Refused>;
}

/// Why a message was not published. Subscribers who had room may have got it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let error = node.publish(primer::Message::new("x").topic("a/#")).await.unwrap_err();
/// assert!(error.to_string().starts_with("\"a/#\" is no topic to publish to"));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The topic names a queue that cannot be.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A queue that is bound to the topic, or a subscriber of the face, refused it.
    #[error("{topic:?} was not published: {why}")]
    Refused {
        /// The topic.
        topic: String,
        /// Why.
        why: Refused,
    },
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Envelope>,
    missed: u64,
    waker: Option<Waker>,
    is_closed: bool,
}

#[derive(Debug)]
struct Seat {
    waiting: Mutex<Waiting>,
    messages_max: usize,
}

/// The subscribers of the program.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    seats: RwLock<Trie<u64, Arc<Seat>>>,
    all: Mutex<BTreeMap<u64, Arc<Seat>>>,
    /// How many there are, to be looked at without the lock.
    count: AtomicUsize,
    next: AtomicU64,
    face: OnceLock<Arc<dyn Face>>,
}

impl Topics {
    pub(crate) fn set_face(&self, face: Arc<dyn Face>) {
        let _there_is_one = self.face.set(face);
    }

    pub(crate) fn face(&self) -> Option<&Arc<dyn Face>> {
        self.face.get()
    }

    pub(crate) fn has_subscribers(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Gives a message to the subscribers of the program; whether there was one.
    pub(crate) fn deliver(&self, message: &Stored, unix_ms: u64, missed: &crate::Drops) -> bool {
        if !self.has_subscribers() {
            return false;
        }
        let mut seats: Vec<Arc<Seat>> = Vec::new();
        self.seats
            .read()
            .matching(message.topic(), |node| seats.extend(node.direct().map(|(_, seat)| Arc::clone(seat))));
        if seats.is_empty() {
            return false;
        }
        let envelope = Envelope::new(Arc::new(Item::plain(message.compact(), unix_ms)), Position(0));
        for seat in seats {
            let mut waiting = seat.waiting.lock();
            if waiting.messages.len() >= seat.messages_max {
                waiting.missed += 1;
                missed.add(Reason::SlowConsumer, 1);
                continue;
            }
            waiting.messages.push_back(envelope.clone());
            let waker = waiting.waker.take();
            drop(waiting);
            waker.into_iter().for_each(Waker::wake);
        }
        true
    }

    pub(crate) fn close(&self) {
        let seats: Vec<Arc<Seat>> = self.all.lock().values().cloned().collect();
        for seat in seats {
            let mut waiting = seat.waiting.lock();
            waiting.is_closed = true;
            let waker = waiting.waker.take();
            drop(waiting);
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

/// Messages of topics as they come: a [`Stream`]. What comes while its buffer is full is missed and counted: a
/// subscriber that must not miss anything consumes a queue that is bound to the topics.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = primer::Node::builder().start().await?;
/// let mut temperatures = node.subscribe("sensors/+/temp", 100)?;
/// node.publish(primer::Message::new("21.5").topic("sensors/kitchen/temp")).await?;
/// let reading = temperatures.next().await.expect("the node runs");
/// assert_eq!((reading.topic(), reading.text()), ("sensors/kitchen/temp", Some("21.5")));
/// # node.shutdown(std::time::Duration::from_secs(1)).await; Ok(()) }
/// ```
#[derive(Debug)]
pub struct Subscription {
    node: Node,
    filter: Box<str>,
    key: u64,
    seat: Arc<Seat>,
}

impl Subscription {
    /// The next message; `None` when the node is stopping. Safe to cancel.
    pub async fn next(&mut self) -> Option<Envelope> {
        std::future::poll_fn(|cx| self.poll_message(cx)).await
    }

    /// The next message, if one is there.
    pub fn try_next(&mut self) -> Option<Envelope> {
        self.seat.waiting.lock().messages.pop_front()
    }

    /// How many messages it has missed because its buffer was full.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.seat.waiting.lock().missed
    }

    fn poll_message(&self, cx: &Context<'_>) -> Poll<Option<Envelope>> {
        let mut waiting = self.seat.waiting.lock();
        if let Some(message) = waiting.messages.pop_front() {
            return Poll::Ready(Some(message));
        }
        if waiting.is_closed {
            return Poll::Ready(None);
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Stream for Subscription {
    type Item = Envelope;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Envelope>> {
        self.poll_message(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let topics = &self.node.inner.topics;
        topics.seats.write().remove(&self.filter, None, self.key);
        topics.all.lock().remove(&self.key);
        topics.count.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why a filter is none.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let error = node.subscribe("a/#/b", 10).unwrap_err();
/// assert!(error.to_string().starts_with("\"a/#/b\" is no topic filter"));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{filter:?} is no topic filter: {why}")]
pub struct FilterError {
    /// The filter.
    pub filter: String,
    /// Why.
    pub why: TopicError,
}

impl Node {
    /// Subscribes to topics; at most `messages_max` messages, at least 1, wait to be taken.
    ///
    /// # Errors
    /// The filter is none.
    pub fn subscribe(&self, filter: &str, messages_max: usize) -> Result<Subscription, FilterError> {
        let wrong = |why| FilterError { filter: filter.to_owned(), why };
        topic::check_filter(filter).map_err(wrong)?;
        let topics = &self.inner.topics;
        let key = topics.next.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat { waiting: Mutex::default(), messages_max: messages_max.max(1) });
        let inserted = topics.seats.write().insert(filter, None, key, Arc::clone(&seat));
        inserted.map_err(|_| wrong(TopicError::TooLong))?;
        topics.all.lock().insert(key, Arc::clone(&seat));
        topics.count.fetch_add(1, Ordering::AcqRel);
        Ok(Subscription { node: self.clone(), filter: filter.into(), key, seat })
    }

    /// Publishes a message to its topic: to the subscribers of the program and of the faces, and into the queues that
    /// are bound to it; to `$queue/NAME`, into that queue. When it returns, those queues have accepted it, as their
    /// definitions say. Answers whether there was anybody to get it.
    ///
    /// # Errors
    /// It is no message, or a destination refused it.
    pub async fn publish(&self, message: Message) -> Result<bool, PublishError> {
        let mut waits = Vec::new();
        let reached = self.publish_now(&message, Some(&mut waits))?;
        let topic = message.topic_or_empty().to_owned();
        for (queue, underway) in waits {
            if let Err(crate::PushError::Refused { why, .. }) = queue.finish_push(underway).await {
                return Err(PublishError::Refused { topic, why });
            }
        }
        Ok(reached)
    }

    pub(crate) fn publish_now(
        &self,
        message: &Message,
        waits: Option<&mut Vec<(crate::Queue, crate::queue::Underway)>>,
    ) -> Result<bool, PublishError> {
        let built = message.build(self.inner.clock.now_ms(), "")?;
        let Some(ingress) = self.ingress_of(built.topic()) else { return self.route(message, None, &built, waits) };
        let admission = ingress.admit(&message.arriving(&built));
        match admission {
            Admission::Pass => self.route(message, None, &built, waits),
            Admission::Refused(why) => {
                let topic = built.topic().to_owned();
                self.inner.drops.add(crate::drops::reason_of(why), 1);
                Err(PublishError::Refused { topic, why })
            }
            Admission::Changed { message, products, draft, undo } => {
                let is_dropped = message.is_none();
                let done = self.route_all(message, products, waits);
                if done.is_err() {
                    undo.run();
                    return done;
                }
                if let Some(journal) = self.inner.journal() {
                    journal.store().note(draft);
                }
                if is_dropped {
                    self.inner.drops.add(Reason::DroppedByRule, 1);
                }
                done
            }
        }
    }

    /// What has become of a publish goes where it goes; whether anybody got it. The first refusal ends it.
    fn route_all(
        &self,
        message: Option<Message>,
        products: Vec<Product>,
        mut waits: Option<&mut Vec<(crate::Queue, crate::queue::Underway)>>,
    ) -> Result<bool, PublishError> {
        // Queues first: they may refuse.
        let (queued, shown): (Vec<Product>, Vec<Product>) = products.into_iter().partition(|one| one.queue.is_some());
        let goes_on = message.map(|message| Product { queue: None, message });
        let mut reached = false;
        for Product { queue, message } in queued.into_iter().chain(goes_on).chain(shown) {
            let topic = queue.as_ref().map_or_else(String::new, |queue| format!("$queue/{queue}"));
            let built = message.build(self.inner.clock.now_ms(), &topic)?;
            reached |= self.route(&message, queue.as_deref(), &built, waits.as_deref_mut())?;
        }
        Ok(reached)
    }

    /// Gives a message to its queue, or to all who want its topic.
    fn route(
        &self,
        message: &Message,
        queue: Option<&str>,
        built: &Stored,
        mut waits: Option<&mut Vec<(crate::Queue, crate::queue::Underway)>>,
    ) -> Result<bool, PublishError> {
        let (inner, topic) = (&self.inner, built.topic());
        let refused = |why| PublishError::Refused { topic: topic.to_owned(), why };
        if queue.is_none() && topic.starts_with(REPLY) {
            return Ok(calls::deliver(&inner.calls, built, inner.clock.unix_ms()));
        }
        let mut reached = false;
        let queues = queue.map_or_else(|| self.queues_of(topic), |queue| Ok(vec![self.queue(queue)?]))?;
        for queue in queues {
            reached = true;
            match queue.begin_push(message) {
                Ok(underway) => {
                    if let Some(waits) = &mut waits {
                        waits.push((queue, underway));
                    }
                }
                Err(crate::PushError::Refused { why, .. }) => return Err(refused(why)),
                Err(crate::PushError::Message(error)) => return Err(error.into()),
            }
        }
        if queue.is_some() || names_a_queue(topic) {
            return Ok(reached);
        }
        reached |= inner.topics.deliver(built, inner.clock.unix_ms(), &inner.drops);
        if let Some(face) = inner.topics.face.get() {
            face.publish(&[(built.clone(), message.sent)], None).map_err(refused)?;
        }
        Ok(reached)
    }

    /// The queues that a publish to a topic goes to: the one that it names, or those that are bound to it.
    ///
    /// # Errors
    /// It names one that cannot be.
    pub fn queues_of(&self, topic: &str) -> Result<Vec<crate::Queue>, QueueError> {
        if let Some(name) = topic.strip_prefix(QUEUE) {
            return Ok(vec![self.queue(name)?]);
        }
        if topic.starts_with(primer_core::queue::name::DEAD) {
            return Ok(vec![self.queue(topic)?]);
        }
        let bound = self.inner.registry.bound_to(topic);
        Ok(bound.into_iter().map(|cell| crate::Queue::new(self.clone(), cell)).collect())
    }
}
