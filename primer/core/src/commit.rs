//! Proof of commitment: the only place in Primer where a [`Committed`] can come into being.
//!
//! An acknowledgement to a publisher stands for what its destinations have accepted. A destination says so with an
//! [`Accepted`], which only the machines of this crate can make; the [`Notifier`] counts the answers of each publish
//! and releases the outcomes in the order in which the publishes came in. Whoever writes an acknowledgement has to
//! hand in the [`Committed`] by value, so an answer that precedes its commit does not compile:
//!
//! ```
//! // A proof that came out of a notifier can be used up:
//! fn once(proof: primer_core::commit::Committed<u8>) -> u8 {
//!     proof.into_token()
//! }
//! ```
//!
//! ```compile_fail,E0451
//! // but it cannot be written down outside of this module,
//! let forged = primer_core::commit::Committed { token: 1_u8, reached: true };
//! ```
//!
//! ```compile_fail,E0451
//! // nor can the acceptance of a destination,
//! let forged = primer_core::commit::Accepted { _only_here: () };
//! ```
//!
//! ```compile_fail,E0599
//! // nor can a proof be copied.
//! fn twice(proof: primer_core::commit::Committed<u8>) -> [primer_core::commit::Committed<u8>; 2] {
//!     [proof.clone(), proof]
//! }
//! ```

use std::collections::VecDeque;

/// Proof that one destination has accepted a message under its own policy.
#[derive(Debug)]
#[must_use = "an acceptance that nobody counts leaves its publisher without an answer"]
pub struct Accepted {
    _only_here: (),
}

impl Accepted {
    /// For the machines of this crate that hold messages: queue, retained store, delayed store, session table.
    pub(crate) const fn new() -> Self {
        Self { _only_here: () }
    }

    /// What a durable store says of a group that was submitted to it: `None` while the group is not written.
    pub fn by<S: Durable>(store: &S, group: S::Group) -> Option<Result<Self, Refused>> {
        Some(store.outcome(group)?.map(|()| Self::new()))
    }
}

/// A store that makes what is submitted to it durable, a group at a time. Whoever implements it answers for it: an
/// acceptance comes out of its word alone.
pub trait Durable {
    /// Names what becomes durable together.
    type Group: Copy;

    /// What became of a group: `None` while it is not written.
    fn outcome(&self, group: Self::Group) -> Option<Result<(), Refused>>;
}

/// Why a destination did not accept a message. Nothing of it was stored there; the publisher may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The queue is at its high watermark and its policy is to reject.
    #[error("the queue is full")]
    QueueFull,
    /// The node's memory budget is spent.
    #[error("the node's memory budget is spent")]
    MemoryFull,
    /// The node's disk is full.
    #[error("the node's disk is full")]
    DiskFull,
    /// The node's disk budget is spent.
    #[error("the node's disk limit is used up")]
    DiskLimit,
    /// The node's disk does not take writes.
    #[error("the node's disk does not take writes")]
    DiskFailed,
    /// More is published than the node's disk takes.
    #[error("the node's disk is too slow for what is published")]
    Overloaded,
    /// A store of a bounded number of entries (retained, delayed) is full.
    #[error("the store is full")]
    StoreFull,
    /// The publisher may not publish there.
    #[error("not authorized to publish to this topic")]
    NotAuthorized,
    /// The node is stopping.
    #[error("the broker is stopping")]
    Stopping,
    /// The topic names no place that can be published to.
    #[error("this topic cannot be published to")]
    InvalidTopic,
    /// The queue was deleted.
    #[error("the queue was deleted")]
    Deleted,
    /// A mapping rule refused it, with this reason code of MQTT 5.0.
    #[error("a rule refused the message")]
    ByRule(u8),
}

/// Proof that every destination of a publish (or of a session's opening) has accepted it. Not `Clone`: one proof,
/// one acknowledgement.
#[derive(Debug)]
#[must_use = "a proof that is not turned into an acknowledgement leaves the publisher waiting"]
pub struct Committed<T> {
    token: T,
    reached: bool,
}

impl<T> Committed<T> {
    /// What was committed.
    pub const fn token(&self) -> &T {
        &self.token
    }

    /// Whether any destination existed at all (MQTT 5.0 tells the publisher: 0x10, no matching subscribers).
    #[must_use]
    pub const fn reached(&self) -> bool {
        self.reached
    }

    /// Uses the proof up.
    pub fn into_token(self) -> T {
        self.token
    }
}

/// The end of one publish.
#[derive(Debug)]
pub enum Outcome<T> {
    /// All destinations have accepted it.
    Committed(Committed<T>),
    /// At least one has not; the first refusal is told.
    Refused {
        /// What was refused.
        token: T,
        /// By whom and why.
        why: Refused,
    },
}

/// One publish that waits for its destinations. Valid for the notifier that opened it, until it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot(u64);

impl Ballot {
    /// The ballot that was opened `n` after this one.
    #[must_use]
    pub const fn after(self, n: usize) -> Self {
        Self(self.0 + n as u64)
    }
}

#[derive(Debug)]
struct Open<T> {
    token: T,
    /// Answers still to come.
    waiting: u32,
    refused: Option<Refused>,
    reached: bool,
    closed: bool,
}

/// Counts the answers of one publisher's messages and releases the outcomes in order.
///
/// Invariant: an outcome is released only when its ballot is closed, no answer is outstanding, and everything opened
/// before it has been released.
#[derive(Debug)]
pub struct Notifier<T> {
    open: VecDeque<Open<T>>,
    /// The ballot at the front of `open`.
    first: u64,
}

impl<T> Default for Notifier<T> {
    fn default() -> Self {
        Self { open: VecDeque::new(), first: 0 }
    }
}

impl<T> Notifier<T> {
    /// Opens a ballot for a publish whose destinations are about to be worked out.
    pub fn open(&mut self, token: T) -> Ballot {
        self.open.push_back(Open { token, waiting: 0, refused: None, reached: false, closed: false });
        Ballot(self.first + self.open.len() as u64 - 1)
    }

    /// Notes a destination that needs no proof: a live subscriber without a durable session.
    pub fn reach(&mut self, ballot: Ballot) {
        if let Some(open) = self.find(ballot) {
            open.reached = true;
        }
    }

    /// Counts the answer of a destination that answered at once.
    pub fn vote(&mut self, ballot: Ballot, answer: Result<Accepted, Refused>) {
        self.reach(ballot);
        self.vote_silently(ballot, answer);
    }

    /// Counts the answer of a destination that is no subscriber, as the retained store.
    pub fn vote_silently(&mut self, ballot: Ballot, answer: Result<Accepted, Refused>) {
        if let (Some(open), Err(why)) = (self.find(ballot), answer) {
            open.refused.get_or_insert(why);
        }
    }

    /// Notes a destination that will [`answer`](Self::answer) later.
    pub fn expect(&mut self, ballot: Ballot) {
        if let Some(open) = self.find(ballot) {
            open.waiting += 1;
        }
    }

    /// Counts the answer of an expected destination. Whether that is a subscriber was said [before](Self::reach).
    pub fn answer(&mut self, ballot: Ballot, answer: Result<Accepted, Refused>) {
        if let Some(open) = self.find(ballot) {
            assert!(open.waiting > 0, "an answer came that nobody expected");
            open.waiting -= 1;
        }
        self.vote_silently(ballot, answer);
    }

    /// The same for the oldest publish.
    pub fn answer_first(&mut self, answer: Result<Accepted, Refused>) {
        self.answer(Ballot(self.first), answer);
    }

    /// Says that all destinations of the publish are known.
    pub fn close(&mut self, ballot: Ballot) {
        if let Some(open) = self.find(ballot) {
            open.closed = true;
        }
    }

    /// The next outcome, in the order of [`open`](Self::open); `None` when the oldest ballot still waits.
    pub fn release(&mut self) -> Option<Outcome<T>> {
        let front = self.open.front()?;
        if !front.closed || front.waiting > 0 {
            return None;
        }
        let Open { token, refused, reached, .. } = self.open.pop_front()?;
        self.first += 1;
        Some(match refused {
            None => Outcome::Committed(Committed { token, reached }),
            Some(why) => Outcome::Refused { token, why },
        })
    }

    /// How many ballots have not been released.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether every ballot has been released.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn find(&mut self, ballot: Ballot) -> Option<&mut Open<T>> {
        let index = usize::try_from(ballot.0.checked_sub(self.first)?).ok()?;
        self.open.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(outcome: Option<Outcome<u32>>) -> u32 {
        match outcome {
            Some(Outcome::Committed(proof)) => proof.into_token(),
            other => panic!("no proof: {other:?}"),
        }
    }

    #[test]
    fn nothing_is_released_before_its_ballot_is_closed_and_answered() {
        let mut notifier = Notifier::default();
        let ballot = notifier.open(7);
        notifier.expect(ballot);
        assert!(notifier.release().is_none());
        notifier.close(ballot);
        assert!(notifier.release().is_none(), "the destination has not answered");
        notifier.answer(ballot, Ok(Accepted::new()));
        assert_eq!(committed(notifier.release()), 7);
        assert!(notifier.is_empty());
    }

    #[test]
    fn outcomes_leave_in_the_order_in_which_the_publishes_came() {
        let mut notifier = Notifier::default();
        let (slow, fast) = (notifier.open(1), notifier.open(2));
        notifier.expect(slow);
        notifier.close(slow);
        notifier.vote(fast, Ok(Accepted::new()));
        notifier.close(fast);
        assert!(notifier.release().is_none(), "the second overtook the first");
        notifier.answer(slow, Ok(Accepted::new()));
        assert_eq!(committed(notifier.release()), 1);
        assert_eq!(committed(notifier.release()), 2);
    }

    #[test]
    fn one_refusal_outweighs_every_acceptance() {
        let mut notifier = Notifier::default();
        let ballot = notifier.open(1);
        notifier.vote(ballot, Ok(Accepted::new()));
        notifier.vote(ballot, Err(Refused::QueueFull));
        notifier.vote(ballot, Err(Refused::MemoryFull));
        notifier.close(ballot);
        assert!(matches!(notifier.release(), Some(Outcome::Refused { token: 1, why: Refused::QueueFull })));
    }

    #[test]
    fn a_publish_that_nobody_wants_is_committed_and_says_so() {
        let mut notifier = Notifier::default();
        for reached in [false, true] {
            let ballot = notifier.open(());
            if reached {
                notifier.reach(ballot);
            }
            notifier.close(ballot);
            match notifier.release() {
                Some(Outcome::Committed(proof)) => assert_eq!(proof.reached(), reached),
                other => panic!("{other:?}"),
            }
        }
    }
}
