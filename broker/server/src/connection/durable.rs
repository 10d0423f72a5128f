//! What a connection waits for: publishes and answers that are not durable yet.

use primer::{Journal, journal::Group};
use primer_core::commit::Accepted;
use primer_mqtt::ReasonCode;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{Connection, Ending};
use crate::{batch::Batch, limits::STORE_PATIENCE, pipeline, session::State};

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// The batch goes to the store; what waits for it is remembered.
    pub(super) fn submit(&mut self, batch: &mut Batch<'_>) {
        if let Some((group, ballots)) = batch.submit(&self.hub)
            && !ballots.is_empty()
        {
            self.awaiting.push_back((group, ballots));
        }
    }

    /// Acknowledges what has become durable, and lets go of what was held for it.
    pub(super) fn take_durable(&mut self) -> Result<(), Ending> {
        if self.awaiting.is_empty() && self.queue.is_none() {
            return Ok(());
        }
        let hub = std::sync::Arc::clone(&self.hub);
        let Some(journal) = hub.node.journal() else { return Ok(()) };
        let has_acks = self.count_durable(journal);
        if !has_acks && self.queue.is_none() {
            return Ok(());
        }
        let mut guard = self.cell.lock();
        let state = &mut *guard;
        let settled = if has_acks {
            state.ensure_buffer();
            pipeline::settle(&hub, &mut self.acks, state)
        } else {
            Ok(())
        };
        let released = match &mut state.durable {
            Some(durable) => {
                durable.waiting_for = None;
                durable.release(journal, &mut state.outbox)
            }
            None => Ok(()),
        };
        drop(guard);
        settled.map_err(|violation| self.violated(&violation))?;
        released.map_err(|why| Ending::told(ReasonCode::IMPLEMENTATION_SPECIFIC, Some(why.to_string())))
    }

    /// Counts what the store has answered; answers whether it was anything.
    fn count_durable(&mut self, journal: &Journal) -> bool {
        let mut has_some = false;
        while let Some((group, _)) = self.awaiting.front()
            && Accepted::by(journal, *group).is_some()
            && let Some((group, ballots)) = self.awaiting.pop_front()
        {
            if matches!(Accepted::by(journal, group), Some(Err(_))) {
                self.hub.moving.take_back_remembered(group);
            }
            for ballot in ballots {
                // One proof for each publish; the group's outcome does not change any more.
                if let Some(answer) = Accepted::by(journal, group) {
                    self.acks.answer(ballot, answer);
                    has_some = true;
                }
            }
        }
        has_some
    }

    /// Whether the client is to be read again only when the store has caught up.
    pub(super) fn is_ahead_of_the_store(&self) -> bool {
        !self.awaiting.is_empty() && self.hub.node.journal().is_some_and(|journal| journal.store().is_congested())
    }

    /// The first group that something here waits for.
    pub(super) fn waits_for(&self, state: &State) -> Option<Group> {
        if self.awaiting.is_empty() && state.durable.is_none() {
            return None;
        }
        let mine = self.awaiting.front().map(|(group, _)| *group);
        let durable = state.durable.as_ref();
        let held = durable.and_then(|durable| durable.waits_for());
        let waiting = durable.and_then(|durable| durable.waiting_for);
        mine.into_iter().chain(held).chain(waiting).min()
    }

    /// The connection ends: what it has published is settled first, so that the next one knows of it.
    pub(super) async fn await_store(&mut self) {
        let hub = std::sync::Arc::clone(&self.hub);
        let (Some((group, _)), Some(journal)) = (self.awaiting.back(), hub.node.journal()) else { return };
        let _it_may_take_longer = timeout(STORE_PATIENCE, journal.store().ended(*group)).await;
        if self.count_durable(journal) {
            let mut guard = self.cell.lock();
            let _nobody_is_there_to_be_told = pipeline::settle(&hub, &mut self.acks, &mut guard);
        }
    }
}
