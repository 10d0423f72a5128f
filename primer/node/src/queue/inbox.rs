//! What a consumer was given and has not taken yet. The queue fills it under its own lock; the consumer empties it.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use primer_core::queue::{LeaseId, Position};

use super::item::Shared;

/// A message on its way to a consumer.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// `None` where once is enough.
    pub(crate) lease: Option<LeaseId>,
    pub(crate) position: Position,
    pub(crate) attempt: u32,
    pub(crate) item: Shared,
}

#[derive(Debug, Default)]
struct State {
    parcels: VecDeque<Parcel>,
    waker: Option<Waker>,
    is_closed: bool,
}

/// See the module's description. It is bounded by the consumer's credit.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
}

impl Inbox {
    /// Adds a parcel; the waker is to be woken when the queue's lock is free again.
    pub(crate) fn put(&self, parcel: Parcel, wakers: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        state.parcels.push_back(parcel);
        wakers.extend(state.waker.take());
    }

    /// Nothing comes any more: the queue has ended, or the node is stopping.
    pub(crate) fn close(&self, wakers: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        state.is_closed = true;
        wakers.extend(state.waker.take());
    }

    /// Takes everything that is there in exchange for an empty `into`; `Ready(false)` when nothing will come.
    pub(crate) fn poll_take(&self, cx: &Context<'_>, into: &mut VecDeque<Parcel>) -> Poll<bool> {
        let mut state = self.state.lock();
        if state.parcels.is_empty() {
            if state.is_closed {
                return Poll::Ready(false);
            }
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                empty => *empty = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        std::mem::swap(&mut state.parcels, into);
        Poll::Ready(true)
    }

    /// Takes everything that is there.
    pub(crate) fn take(&self) -> VecDeque<Parcel> {
        std::mem::take(&mut self.state.lock().parcels)
    }
}
