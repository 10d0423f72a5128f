//! Pushing: what a program, or a face of the node, puts into a queue.

use std::sync::Arc;

use primer_core::{
    commit::{Accepted, Committed, Notifier, Outcome, Refused},
    message::Message as Stored,
    queue::Position,
};

use super::{
    Queue,
    cell::{Offer, Taken},
    item::Wishes,
};
use crate::{
    journal::{Group, QueueId, Ticket, content},
    message::{Message, MessageError},
};

/// Where a message is that was pushed. It stands for what the queue's definition promises: there is one only when that
/// is kept.
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

/// A message on its way: it is in the queue, and its publisher waits for the store.
pub(crate) struct Underway {
    notifier: Notifier<(Position, bool)>,
    group: Option<Group>,
    name: Arc<str>,
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
        self.cell.with(inner, |state, now_ms| {
            let mut begun = Vec::with_capacity(built.len());
            for one in built {
                begun.push(one.map_err(PushError::from).and_then(|(message, wishes)| {
                    let ticket = state.may_keep(inner).then(Arc::<Ticket>::default);
                    let offer = Offer {
                        message: &message,
                        wishes: &wishes,
                        time_unix_ms: None,
                        ticket: ticket.as_ref(),
                        is_own: false,
                    };
                    let taken = self.cell.accept(inner, state, now_ms, &offer).map_err(|why| self.refused(why))?;
                    let note = taken.note.clone();
                    if let (Some(ticket), Some((queue, note)), Some(journal)) = (ticket, note, inner.journal()) {
                        let at = (queue, taken.position.0);
                        content::write(&mut state.draft, journal, ticket, at, &note, &message);
                    }
                    Ok(taken)
                }));
            }
            let is_kept = state.kept.is_some();
            let group = state.submit(inner).filter(|_| is_kept);
            let last = inner.journal().filter(|_| is_kept).map(|journal| journal.store().last());
            begun.into_iter().map(|one| one.map(|taken| self.underway(taken, group.or(last)))).collect()
        })
    }

    pub(crate) fn begin_push(&self, message: &Message) -> Result<Underway, PushError> {
        let mut begun = self.begin_all(std::slice::from_ref(message));
        begun.pop().unwrap_or_else(|| Err(self.refused(Refused::Stopping)))
    }

    fn underway(&self, taken: Taken, group: Option<Group>) -> Underway {
        let mut notifier = Notifier::default();
        let ballot = notifier.open((taken.position, taken.is_duplicate));
        notifier.vote(ballot, Ok(taken.accepted));
        let group = group.filter(|_| !taken.is_at_once);
        if group.is_some() {
            notifier.expect(ballot);
        }
        notifier.close(ballot);
        Underway { notifier, group, name: Arc::clone(&self.cell.name) }
    }

    /// Waits until the store has said what became of a message.
    pub(crate) async fn await_push(&self, underway: &Underway) {
        if let (Some(group), Some(journal)) = (underway.group, self.node.inner.journal()) {
            let _finish_push_asks_again = journal.store().ended(group).await;
        }
    }

    pub(crate) async fn finish_push(&self, mut underway: Underway) -> Result<Receipt, PushError> {
        self.await_push(&underway).await;
        if let (Some(group), Some(journal)) = (underway.group, self.node.inner.journal())
            && let Some(answer) = Accepted::by(journal, group)
        {
            let has_failed = answer.is_err();
            underway.notifier.answer_first(answer);
            if has_failed {
                self.cell.with(&self.node.inner, |state, _| state.machine.end_void());
            }
        }
        match underway.notifier.release() {
            Some(Outcome::Committed(proof)) => Ok(Receipt::of(proof)),
            Some(Outcome::Refused { why, .. }) => Err(PushError::Refused { queue: underway.name, why }),
            None => Err(PushError::Refused { queue: underway.name, why: Refused::DiskFailed }),
        }
    }

    /// Takes in a message of a face of the node, which writes it together with its other destinations. `publisher` is
    /// who sent it, `delay_ms` how long it waits, if that is not in its properties. What it says of
    /// priority, key, identifier and delay stands there ([`crate::QUEUE_PROPERTIES`]).
    ///
    /// # Errors
    /// The queue does not take it; nothing of it is there.
    pub fn offer(
        &self,
        message: &Stored,
        publisher: Option<&Arc<str>>,
        ticket: Option<&Arc<Ticket>>,
        delay_ms: Option<u64>,
    ) -> Result<Offered, Refused> {
        let inner = &self.node.inner;
        self.cell.with(inner, |state, now_ms| {
            let mut wishes = Wishes::of(message, publisher, &state.definition);
            wishes.delay_ms = delay_ms.unwrap_or(wishes.delay_ms);
            let ticket = ticket.filter(|_| state.may_keep(inner));
            let offer = Offer { message, wishes: &wishes, time_unix_ms: None, ticket, is_own: false };
            let Taken { position, accepted, note, is_at_once, is_duplicate } =
                self.cell.accept(inner, state, now_ms, &offer)?;
            Ok(match note {
                Some((queue, note)) => {
                    Offered::ToStore { queue, position: position.0, note, at_once: is_at_once.then_some(accepted) }
                }
                None if is_duplicate && state.kept.is_some() => Offered::WithLast(accepted),
                None => Offered::Accepted(accepted),
            })
        })
    }

    fn refused(&self, why: Refused) -> PushError {
        self.node.inner.drops.add(crate::drops::reason_of(why), 1);
        PushError::Refused { queue: Arc::clone(&self.cell.name), why }
    }
}
