//! Pushing: what a program, or a face of the node, puts into a queue.

use std::sync::Arc;

use primer_core::{
    commit::{Accepted, Committed, Notifier, Outcome, Refused},
    message::Message as Stored,
    queue::Position,
};

use super::{
    Queue,
    cell::{Offer, State, Taken},
    item::{DeadLetter, Sent, Wishes},
};
use crate::{
    definition::Definition,
    journal::{Group, QueueId, Ticket, content},
    message::{Message, MessageError},
};

/// Where a message is that was pushed. It stands for what the queue's definition promises: there is one only when that
/// is kept.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let window = primer::Definition { dedupe_window_ms: 60_000, ..primer::Definition::default() };
/// let queue = node.create_queue("readings", window)?;
/// let first = queue.push(primer::Message::new("21.5").id("meter-7:1")).await?;
/// let again = queue.push(primer::Message::new("21.5").id("meter-7:1")).await?;
/// assert!(again.is_duplicate() && again.position() == first.position());
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    position: Position,
    is_duplicate: bool,
}

impl Receipt {
    /// A receipt takes the proof.
    fn of(proof: Committed<(Position, bool)>) -> Self {
        let (position, is_duplicate) = proof.into_token();
        Self { position, is_duplicate }
    }

    /// Its place in the queue; that of the first one, for a duplicate.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Whether its identifier was known: it is in the queue once.
    #[must_use]
    pub const fn is_duplicate(&self) -> bool {
        self.is_duplicate
    }
}

/// Why a message was not taken in. Nothing of it is in the queue; it may be tried again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let queue = node.queue("jobs")?;
/// node.shutdown(std::time::Duration::ZERO).await;
/// let error = queue.push("too late").await.unwrap_err();
/// assert_eq!(error.to_string(), "the queue \"jobs\" did not take the message: the broker is stopping");
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// It is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The queue, the node or its disk does not take it.
    #[error("the queue {queue:?} did not take the message: {why}")]
    Refused {
        /// Which queue.
        queue: Arc<str>,
        /// Why.
        why: Refused,
    },
}

/// How a face offers a message to a queue.
#[derive(Debug, Default)]
pub struct Offering<'a> {
    /// Who sent it.
    pub publisher: Option<&'a Arc<str>>,
    /// The sender's user name.
    pub user: Option<&'a Arc<str>>,
    /// How it was sent.
    pub sent: Sent,
    /// What its destinations in the store share, if it is to be written.
    pub ticket: Option<&'a Arc<Ticket>>,
    /// How long it waits, if that is not in its properties.
    pub delay_ms: Option<u64>,
    /// Why it was given up, for a message that goes to dead letters.
    pub letter: Option<DeadLetter>,
}

/// What a face gets for a message that it offers.
#[derive(Debug)]
pub enum Offered {
    /// The queue has it.
    Accepted(Accepted),
    /// The queue has it, and the face writes it along with its other destinations: under this queue and position, with
    /// this note. The queue's word counts when that is durable.
    ToStore {
        /// For which queue.
        queue: QueueId,
        /// At which position.
        position: u64,
        /// With which note.
        note: Vec<u8>,
        /// The queue's word, for a definition by which it counts at once.
        at_once: Option<Accepted>,
    },
    /// It is a duplicate: it counts when what was handed over to the store before is durable.
    WithLast(Accepted),
}

/// A message on its way: it is in the queue, and its publisher waits for the store, if there is one to wait for.
pub(crate) enum Underway {
    Done(Result<Receipt, PushError>),
    Waits { notifier: Notifier<(Position, bool)>, group: Group },
}

impl Queue {
    /// Pushes a message. When this returns a receipt, the message is as safe as the queue's definition says: in memory,
    /// or on the disk.
    ///
    /// # Errors
    /// It was not taken in.
    pub async fn push(&self, message: impl Into<Message>) -> Result<Receipt, PushError> {
        let underway = self.begin_push(&message.into())?;
        self.finish_push(underway).await
    }

    /// Pushes messages, in order, and waits for them together: cheaper than one by one. Answers for each; one that is
    /// refused does not keep the others from being pushed.
    pub async fn push_all(&self, messages: &[Message]) -> Vec<Result<Receipt, PushError>> {
        let begun = self.begin_all(messages);
        let mut receipts = Vec::with_capacity(begun.len());
        for underway in begun {
            receipts.push(match underway {
                Ok(underway) => self.finish_push(underway).await,
                Err(error) => Err(error),
            });
        }
        receipts
    }

    /// Puts messages into the queue under one lock.
    pub(crate) fn begin_all(&self, messages: &[Message]) -> Vec<Result<Underway, PushError>> {
        let inner = &self.node.inner;
        let definition = Arc::clone(&self.cell.state.lock().definition);
        let (now_ms, topic) = (inner.clock.now_ms(), self.default_topic());
        let built: Vec<Result<(Stored, Wishes), MessageError>> = messages
            .iter()
            .map(|message| {
                let built = message.build(now_ms, &topic)?;
                let wishes = message.wishes(&built, &definition);
                Ok((built, wishes))
            })
            .collect();
        let unix_ms = inner.clock.unix_ms();
        self.cell.with(inner, |state, now_ms| {
            let mut begun = Vec::with_capacity(built.len());
            for one in built {
                begun.push(
                    one.map_err(PushError::from)
                        .and_then(|(message, wishes)| self.take_in(state, (now_ms, unix_ms), message, wishes)),
                );
            }
            let is_kept = state.kept.is_some();
            let group = state.submit(inner).filter(|_| is_kept);
            let last = inner.journal().filter(|_| is_kept).map(|journal| journal.store().last());
            let mut notifier = Notifier::default(); // in whose memory those that need not wait have their turns
            let each = begun.into_iter();
            each.map(|one| one.map(|taken| self.underway(taken, group.or(last), &mut notifier))).collect()
        })
    }

    /// Puts one message into the queue, and its record into the draft.
    fn take_in(
        &self,
        state: &mut State,
        (now_ms, unix_ms): (u64, u64),
        message: Stored,
        wishes: Wishes,
    ) -> Result<Taken, PushError> {
        let inner = &self.node.inner;
        let ticket = state.may_keep(inner).then(Arc::<Ticket>::default);
        let copy = ticket.is_some().then(|| message.clone());
        let offer = Offer { message, wishes, unix_ms, time_unix_ms: None, ticket: ticket.as_ref(), is_own: false };
        let mut taken = self.cell.accept(inner, state, now_ms, offer).map_err(|why| self.refused(why))?;
        if let (Some(ticket), Some(copy), Some((queue, note)), Some(journal)) =
            (ticket, copy, taken.note.take(), inner.journal())
        {
            let at = (queue, taken.position.0);
            content::write(&mut state.draft, journal, ticket, at, &note, &copy);
        }
        Ok(taken)
    }

    pub(crate) fn begin_push(&self, message: &Message) -> Result<Underway, PushError> {
        let mut begun = self.begin_all(std::slice::from_ref(message));
        begun.pop().unwrap_or_else(|| Err(self.refused(Refused::Stopping)))
    }

    fn underway(&self, taken: Taken, group: Option<Group>, notifier: &mut Notifier<(Position, bool)>) -> Underway {
        let group = group.filter(|_| !taken.is_at_once);
        let mut own = Notifier::default();
        let notifier = if group.is_some() { &mut own } else { notifier };
        let ballot = notifier.open((taken.position, taken.is_duplicate));
        notifier.vote(ballot, Ok(taken.accepted));
        if group.is_some() {
            notifier.expect(ballot);
        }
        notifier.close(ballot);
        match group {
            Some(group) => Underway::Waits { notifier: own, group },
            None => Underway::Done(self.receipt(notifier)),
        }
    }

    /// Waits until the store has said what became of a message.
    pub(crate) async fn await_push(&self, underway: &Underway) {
        if let (Underway::Waits { group, .. }, Some(journal)) = (underway, self.node.inner.journal()) {
            let _finish_push_asks_again = journal.store().ended(*group).await;
        }
    }

    pub(crate) async fn finish_push(&self, underway: Underway) -> Result<Receipt, PushError> {
        self.await_push(&underway).await;
        let (mut notifier, group) = match underway {
            Underway::Done(receipt) => return receipt,
            Underway::Waits { notifier, group } => (notifier, group),
        };
        if let Some(journal) = self.node.inner.journal()
            && let Some(answer) = Accepted::by(journal, group)
        {
            let has_failed = answer.is_err();
            notifier.answer_first(answer);
            if has_failed {
                self.cell.with(&self.node.inner, |state, _| state.machine.end_void());
            }
        }
        self.receipt(&mut notifier)
    }

    fn receipt(&self, notifier: &mut Notifier<(Position, bool)>) -> Result<Receipt, PushError> {
        let queue = || Arc::clone(&self.cell.name);
        match notifier.release() {
            Some(Outcome::Committed(proof)) => Ok(Receipt::of(proof)),
            Some(Outcome::Refused { why, .. }) => Err(PushError::Refused { queue: queue(), why }),
            None => Err(PushError::Refused { queue: queue(), why: Refused::DiskFailed }),
        }
    }

    /// Takes in a message of a face of the node, which writes it together with its other destinations. What it says of
    /// priority, key, identifier and delay stands in its properties ([`crate::QUEUE_PROPERTIES`]).
    ///
    /// # Errors
    /// The queue does not take it; nothing of it is there.
    pub fn offer(&self, message: &Stored, how: Offering<'_>) -> Result<Offered, Refused> {
        let Offering { publisher, user, sent, ticket, delay_ms, letter } = how;
        self.offer_as(message, ticket, |definition| {
            let mut wishes = Wishes::of(message, publisher, definition);
            wishes.delay_ms = delay_ms.unwrap_or(wishes.delay_ms);
            (wishes.extra.user, wishes.extra.sent) = (user.cloned(), sent);
            if letter.is_some() {
                // It is here because it could not be elsewhere: what it says of a queue was not meant for this one.
                (wishes.delay_ms, wishes.extra.id, wishes.extra.dead) = (0, None, letter);
            }
            wishes
        })
    }

    /// The same for a message of the program, which says itself how it is to be queued; `built` is what it was
    /// [made into](Message::stored).
    ///
    /// # Errors
    /// The queue does not take it; nothing of it is there.
    pub fn offer_message(
        &self,
        message: &Message,
        built: &Stored,
        ticket: Option<&Arc<Ticket>>,
    ) -> Result<Offered, Refused> {
        self.offer_as(built, ticket, |definition| message.wishes(built, definition))
    }

    fn offer_as(
        &self,
        message: &Stored,
        ticket: Option<&Arc<Ticket>>,
        wishes: impl FnOnce(&Definition) -> Wishes,
    ) -> Result<Offered, Refused> {
        let inner = &self.node.inner;
        self.cell.with(inner, |state, now_ms| {
            let wishes = wishes(&state.definition);
            let ticket = ticket.filter(|_| state.may_keep(inner));
            let message = message.compact();
            let unix_ms = inner.clock.unix_ms();
            let offer = Offer { message, wishes, unix_ms, time_unix_ms: None, ticket, is_own: false };
            let Taken { position, accepted, note, is_at_once, is_duplicate } =
                self.cell.accept(inner, state, now_ms, offer)?;
            Ok(match note {
                Some((queue, note)) => {
                    Offered::ToStore { queue, position: position.0, note, at_once: is_at_once.then_some(accepted) }
                }
                None if is_duplicate && state.kept.is_some() => Offered::WithLast(accepted),
                None => Offered::Accepted(accepted),
            })
        })
    }

    /// Whether a message of so many bytes (topic, properties, payload) would be refused now, because the queue is full.
    #[must_use]
    pub fn would_refuse(&self, bytes: usize) -> bool {
        let cost = super::item::cost(bytes);
        self.cell.with(&self.node.inner, |state, now_ms| state.machine.would_refuse(now_ms, cost))
    }

    fn refused(&self, why: Refused) -> PushError {
        self.node.inner.drops.add(crate::drops::reason_of(why), 1);
        PushError::Refused { queue: Arc::clone(&self.cell.name), why }
    }
}
