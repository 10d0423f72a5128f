//! Groups: each gets every message, and one of its consumers handles it.

use std::{sync::Arc, task::Waker, time::Duration};

use parking_lot::Mutex;
use primer_core::queue::{Credit, GroupId};
use tokio::time::{Instant, timeout_at};

use super::{
    ConsumeOptions, Consumer, Delivery, GroupInfo, QueueError,
    cell::QueueCell,
    consumer::{LEASE_MS, Place},
};
use crate::{journal::Change, node::Node};

/// A group of a queue. It lasts until it is [removed](Self::remove), also while nobody consumes in it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// use primer::{GroupOptions, Mode, Order};
/// let orders = node.queue("orders")?;
/// let billing = orders.group("billing")?; // gets every message
/// let once = GroupOptions { mode: Mode::AtMostOnce, order: Order::Any };
/// let screen = orders.group_with("screen", once, true)?; // and so does this one, each at most once
/// orders.push("7 pumps").await?;
/// let pulled = billing.pull(10, std::time::Duration::from_secs(1)).await?;
/// assert_eq!(pulled.len(), 1);
/// primer::Delivery::ack_all(pulled);
/// assert!(screen.consume(1)?.next().await.is_some());
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug)]
pub struct Group {
    node: Node,
    cell: Arc<QueueCell>,
    group: GroupId,
    name: Box<str>,
    /// Whoever pulled in this group by this handle, and does not now.
    puller: Mutex<Option<Arc<Place>>>,
}

/// A pull under way, also one that is cancelled: its place is there for the next one.
struct Puller<'g> {
    group: &'g Group,
    place: Arc<Place>,
}

impl Drop for Puller<'_> {
    fn drop(&mut self) {
        let _one_is_enough = self.group.puller.lock().replace(Arc::clone(&self.place));
    }
}

impl Group {
    pub(super) fn new(node: Node, cell: Arc<QueueCell>, group: GroupId, name: &str) -> Self {
        Self { node, cell, group, name: name.into(), puller: Mutex::new(None) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is.
    #[must_use]
    pub fn info(&self) -> Option<GroupInfo> {
        let state = self.cell.state.lock();
        let is_it = |(group, name, _): &(GroupId, &str, _)| *group == self.group && **name == *self.name;
        let (group, name, options) = state.machine.groups().find(is_it)?;
        Some(GroupInfo { name: name.to_owned(), options, figures: state.machine.group_figures(group) })
    }

    /// Consumes: messages come by themselves, at most `prefetch` at a time.
    ///
    /// # Errors
    /// The queue or the group is gone.
    pub fn consume(&self, prefetch: u32) -> Result<Consumer, QueueError> {
        self.consume_with(ConsumeOptions::prefetch(prefetch))
    }

    /// The same, with more to say.
    ///
    /// # Errors
    /// The queue or the group is gone.
    pub fn consume_with(&self, options: ConsumeOptions) -> Result<Consumer, QueueError> {
        let lease_ms = self.cell.state.lock().definition.lease_ms;
        self.place(options.credit(lease_ms)).map(Consumer::new)
    }

    /// Takes at most `messages_max` messages; waits for the first for at most `wait`. Empty when none came.
    ///
    /// # Errors
    /// The queue or the group is gone.
    pub async fn pull(&self, messages_max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let messages = u32::try_from(messages_max).unwrap_or(u32::MAX);
        let puller = self.puller()?;
        let place = &puller.place;
        let mut consumer = Consumer::new(Arc::clone(place));
        self.ask(place, messages);
        let end = Instant::now() + wait;
        let first = match consumer.try_next() {
            Some(first) => Some(first),
            None if wait.is_zero() && !self.is_cold() => None,
            None => {
                // Credit for what comes while it waits; what comes beyond it goes back when the consumer is dropped.
                self.set_credit_beyond(place, messages);
                timeout_at(end, consumer.next()).await.ok().flatten()
            }
        };
        let mut pulled: Vec<Delivery> = first.into_iter().collect();
        while pulled.len() < messages_max
            && !pulled.is_empty()
            && let Some(delivery) = consumer.try_next()
        {
            pulled.push(delivery);
        }
        drop(consumer); // before another pull has the place
        Ok(pulled)
    }

    /// Ends the group: what only it wanted is gone, and its consumers get an end.
    pub fn remove(self) {
        let mut wakers = Vec::new();
        self.cell.with(&self.node.inner, |state, _| {
            if state.machine.group_named(&self.name) != Some(self.group) {
                return; // somebody else was faster, and the identifier may be another group's
            }
            state.machine.remove_group(self.group);
            state.inboxes.retain(|(group, _), inbox| {
                let stays = *group != self.group;
                if !stays {
                    inbox.close(&mut wakers);
                }
                stays
            });
            if let Some(id) = state.kept.as_mut().and_then(|kept| kept.groups.remove(&self.group)) {
                state.draft.change(Change::Drop(id));
            }
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    fn place(&self, credit: Credit) -> Result<Arc<Place>, QueueError> {
        Place::join(&self.node, &self.cell, (self.group, &self.name), credit)
            .ok_or_else(|| QueueError::Unknown(self.cell.name.to_string()))
    }

    /// A place to pull at. Each pull has one of its own: two at one place would take each other's messages and wakers.
    fn puller(&self) -> Result<Puller<'_>, QueueError> {
        let idle = self.puller.lock().take();
        let idle = idle.filter(|place| self.cell.state.lock().inboxes.contains_key(&(self.group, place.consumer)));
        let place = match idle {
            Some(place) => place,
            None => {
                let lease_ms = self.cell.state.lock().definition.lease_ms;
                self.place(Credit { messages: 0, lease_ms: Some(lease_ms.unwrap_or(LEASE_MS)) })?
            }
        };
        Ok(Puller { group: self, place })
    }

    fn ask(&self, place: &Place, messages: u32) {
        self.cell.with(&self.node.inner, |state, now_ms| {
            if self.node.inner.is_stopping() {
                return; // nothing goes out any more
            }
            state.machine.pull(now_ms, self.group, place.consumer, messages);
        });
    }

    fn set_credit_beyond(&self, place: &Place, messages: u32) {
        self.cell.with(&self.node.inner, |state, _| {
            if self.node.inner.is_stopping() {
                return;
            }
            let has = state.machine.has(self.group, place.consumer);
            state.machine.set_credit(self.group, place.consumer, has.saturating_add(messages));
        });
    }

    /// Whether the next messages are being read.
    fn is_cold(&self) -> bool {
        self.cell.state.lock().is_loading
    }
}
