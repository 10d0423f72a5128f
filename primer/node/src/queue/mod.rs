//! Queues and groups as a program uses them. The semantics are those of [`primer_core::queue`]; what is here carries
//! them out.

mod browse;
mod burial;
mod carry;
mod cell;
mod consumer;
mod envelope;
mod group;
mod inbox;
pub(crate) mod item;
mod moving;
mod publisher;
mod push;
mod reading;
pub(crate) mod record;
mod registry;
mod restore;
mod timers;

use std::sync::Arc;

use primer_core::queue::{Counts, GroupFigures, GroupOptions};

pub use self::{
    browse::{Browse, From, Page, Seen},
    consumer::{ConsumeOptions, Consumer, Delivery, LeaseOver, Settled},
    envelope::Envelope,
    group::Group,
    item::{DeadLetter, Sent},
    moving::Moved,
    publisher::Publisher,
    push::{Offered, Offering, PushError, Receipt},
    registry::QueueError,
    restore::FoundQueues,
};
pub(crate) use self::{
    burial::Burials,
    carry::Riding,
    cell::{QueueCell, QueueKey},
    item::{REASON, Wishes},
    push::Underway,
    registry::{Registry, check_definition},
    timers::{Timers, evict, run},
};
use crate::{definition::Definition, node::Node};

/// The group of consumers that name none.
pub const DEFAULT_GROUP: &str = "default";

/// A queue of a node. Cheap to clone; all clones are the same queue.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = primer::Node::builder().start().await?;
/// let jobs = node.queue("jobs")?;
/// let mut worker = jobs.consume(10)?;
/// jobs.push("print 7 pages").await?;
/// let job = worker.next().await.expect("the node runs");
/// assert_eq!(job.text(), Some("print 7 pages"));
/// job.ack()?;
/// # node.shutdown(std::time::Duration::from_secs(1)).await; Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Queue {
    node: Node,
    cell: Arc<QueueCell>,
}

/// How a queue is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let jobs = node.queue("jobs")?;
/// jobs.push("a").await?;
/// let info = jobs.info();
/// assert_eq!((info.messages, info.counts.pushed, info.groups.len()), (1, 1, 0));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct QueueInfo {
    /// Its name.
    pub name: Arc<str>,
    /// What it was told.
    pub definition: Arc<Definition>,
    /// Messages in it, leased ones included.
    pub messages: usize,
    /// Their bytes, those that are not in memory included.
    pub bytes: usize,
    /// Whether nothing is delivered.
    pub is_paused: bool,
    /// Whether its messages outlive the process.
    pub is_kept: bool,
    /// What became of its messages since the process started.
    pub counts: Counts,
    /// When the oldest message was published, in milliseconds since 1970; `None` while it is not in memory, or there is
    /// none.
    pub oldest_unix_ms: Option<u64>,
    /// Its groups.
    pub groups: Vec<GroupInfo>,
}

/// How a group is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let jobs = node.queue("jobs")?;
/// let worker = jobs.consume(1)?;
/// let group = jobs.group("default")?.info().expect("it is there");
/// assert_eq!((group.figures.consumers, group.figures.pending), (1, 0));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// What it was told.
    pub options: GroupOptions,
    /// Its messages and consumers.
    pub figures: GroupFigures,
}

impl Queue {
    pub(crate) const fn new(node: Node, cell: Arc<QueueCell>) -> Self {
        Self { node, cell }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.cell.name
    }

    /// What it was told.
    #[must_use]
    pub fn definition(&self) -> Arc<Definition> {
        Arc::clone(&self.cell.state.lock().definition)
    }

    /// Gives it another definition. What it holds stays; groups and consumers that are there stay as they are.
    ///
    /// # Errors
    /// The definition cannot be one.
    pub fn redefine(&self, definition: Definition) -> Result<(), QueueError> {
        self.node.inner.registry.redefine(&self.node.inner, &self.cell, definition)
    }

    /// How it is.
    #[must_use]
    pub fn info(&self) -> QueueInfo {
        let state = self.cell.state.lock();
        let groups = state.machine.groups().map(|(group, name, options)| GroupInfo {
            name: name.to_owned(),
            options,
            figures: state.machine.group_figures(group),
        });
        QueueInfo {
            name: Arc::clone(&self.cell.name),
            definition: Arc::clone(&state.definition),
            messages: state.machine.len(),
            bytes: state.machine.bytes(),
            is_paused: state.machine.is_paused(),
            is_kept: state.kept.is_some(),
            counts: *state.machine.counts(),
            oldest_unix_ms: state.machine.first_item().map(|item| item.0.time_unix_ms),
            groups: groups.collect(),
        }
    }

    /// The group of this name, made if it is missing with the options of the queue's definition. A new group begins
    /// with what is in the queue.
    ///
    /// # Errors
    /// The name cannot be one, or there are too many groups.
    pub fn group(&self, name: &str) -> Result<Group, QueueError> {
        self.join(name, None, false)
    }

    /// The same with options of its own; for a group that exists they do nothing. `from_now`: a new group does not get
    /// what is in the queue already.
    ///
    /// # Errors
    /// The name cannot be one, or there are too many groups.
    pub fn group_with(&self, name: &str, options: GroupOptions, from_now: bool) -> Result<Group, QueueError> {
        self.join(name, Some(options), from_now)
    }

    fn join(&self, name: &str, options: Option<GroupOptions>, from_now: bool) -> Result<Group, QueueError> {
        primer_core::queue::name::check_group(name).map_err(|why| QueueError::Name { name: name.to_owned(), why })?;
        let group = self.cell.group(&self.node.inner, name, options, from_now).ok_or(QueueError::TooManyGroups)?;
        Ok(Group::new(self.node.clone(), Arc::clone(&self.cell), group, name))
    }

    /// Consumes in the default group, at most `prefetch` messages at a time.
    ///
    /// # Errors
    /// There are too many groups.
    pub fn consume(&self, prefetch: u32) -> Result<Consumer, QueueError> {
        self.group(DEFAULT_GROUP)?.consume(prefetch)
    }

    /// Nothing is delivered any more until [`resume`](Self::resume); pushes and acknowledgements go on. It lasts over
    /// restarts.
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Messages are delivered again.
    pub fn resume(&self) {
        self.set_paused(false);
    }

    fn set_paused(&self, is_paused: bool) {
        let inner = &self.node.inner;
        self.cell.with(inner, |state, _| {
            self.cell.make_known(inner, state);
            if is_paused {
                state.machine.pause();
            } else {
                state.machine.resume();
            }
            state.keep_paused();
        });
    }

    /// Takes out everything that no consumer has; answers how many messages that was.
    pub fn purge(&self) -> usize {
        self.cell.with(&self.node.inner, |state, _| state.machine.purge())
    }

    /// Whether anybody has made it, or put something into it.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.cell.is_known()
    }

    /// Whether it was deleted. One of the same name that was made since is another queue.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.cell.state.lock().is_ended
    }

    /// The node that it is a queue of.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) const fn cell(&self) -> &Arc<QueueCell> {
        &self.cell
    }

    fn default_topic(&self) -> String {
        format!("$queue/{}", self.cell.name)
    }
}
