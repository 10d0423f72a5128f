//! A node as a program embeds it: built, run, stopped.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use primer_core::queue::name;

use crate::{
    Journal,
    definition::Definition,
    ingress::Ingress,
    inner::Inner,
    journal::{self, Disk, Folder, FolderError, OpenError},
    queue::{self, FoundQueues, Queue, QueueCell, QueueError, QueueInfo, check_definition},
    topics::Face,
};

/// A node: queues, groups and topics in this process. Cheap to clone; all clones are the same node.
///
/// Several nodes may be in one process; nothing is global. A node runs on the tokio runtime in which it was started.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use primer::{Definition, Message, Node};
/// let node = Node::builder().queue("jobs", Definition::default()).start().await?;
/// node.publish(Message::new("21.5").topic("house/kitchen/temperature")).await?;
/// node.queue("jobs")?.push("water the plants").await?;
/// assert_eq!(node.infos().len(), 1);
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Clone)]
pub struct Node {
    pub(crate) inner: Arc<Inner>,
}

/// Not all that it holds: every handle has a node in it, and a delivery in a log would bring all queues along.
impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Node")
    }
}

/// Why a node did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store in the data directory does not open.
    #[error("cannot open the data directory {}", directory.display())]
    Store {
        /// Which.
        directory: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// A queue that was defined cannot be.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The thread that opened the store ended before it was done.
    #[error("the data directory was not opened: {0}")]
    Opening(String),
}

#[derive(Debug)]
enum Data {
    Folder(PathBuf),
    Disk(Arc<dyn Disk>),
}

/// What a node is to be. See [`Node::builder`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use primer::{Definition, Full, Node};
/// let small = Definition { messages_max: 1000, overflow: Full::DeadLetter, ..Definition::default() };
/// let node = Node::builder().memory_limit(64 << 20).queue("plant/+/alarms", small).start().await?;
/// assert_eq!(node.queue("plant/7/alarms")?.definition().messages_max, 1000);
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    data: Option<Data>,
    store: journal::Options,
    memory_bytes_max: Option<usize>,
    queues: Vec<(String, Definition)>,
}

impl Builder {
    /// Keeps queues in this directory over restarts; it is made if it is missing. Without, all is in memory.
    #[must_use]
    pub fn data_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.data = Some(Data::Folder(directory.as_ref().to_owned()));
        self
    }

    /// Keeps queues on a disk of the program's own: one that is simulated, above all.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.data = Some(Data::Disk(disk));
        self
    }

    /// How the store in the data directory is to be: its budget in bytes, when an acknowledgement counts.
    #[must_use]
    pub fn store(mut self, options: journal::Options) -> Self {
        self.store = options;
        self
    }

    /// Bytes of memory that queues may take together. 1 GiB.
    #[must_use]
    pub const fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_bytes_max = Some(bytes);
        self
    }

    /// Defines the queues whose names a pattern matches: `jobs`, `plant/+/alarms`, `plant/#`. Of several the closest
    /// counts. A pattern without wildcards is a queue that exists from the start.
    #[must_use]
    pub fn queue(mut self, pattern: impl Into<String>, definition: Definition) -> Self {
        self.queues.push((pattern.into(), definition));
        self
    }

    /// Starts the node on the present tokio runtime.
    ///
    /// # Errors
    /// A definition is wrong, or the data directory does not open.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<Node, StartError> {
        let node = Node::still(self.memory_bytes_max.unwrap_or(1 << 30));
        for (pattern, definition) in self.queues {
            node.define(&pattern, definition)?;
        }
        if let Some(data) = self.data {
            let (opening, store) = (node.clone(), self.store);
            let opened = tokio::task::spawn_blocking(move || opening.open(data, store));
            opened.await.map_err(|error| StartError::Opening(error.to_string()))??;
        }
        node.run()?;
        Ok(node)
    }
}

impl Node {
    /// A node to be.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A node that does not run yet.
    pub(crate) fn still(memory_bytes_max: usize) -> Self {
        Self { inner: Arc::new(Inner::new(memory_bytes_max)) }
    }

    /// Defines queues by pattern; see [`Builder::queue`]. Queues that exist stay as they are.
    ///
    /// # Errors
    /// The pattern or the definition cannot be one.
    pub fn define(&self, pattern: &str, definition: Definition) -> Result<(), QueueError> {
        let wrong = |why| QueueError::Name { name: pattern.to_owned(), why };
        name::check_pattern(pattern).map_err(wrong)?;
        check_definition(pattern, &definition)?;
        self.inner.registry.define(pattern, definition);
        Ok(())
    }

    /// The queue of this name. It comes into being when something is pushed into it, with the definition of the closest
    /// pattern.
    ///
    /// # Errors
    /// The name cannot be one, or there are too many queues.
    pub fn queue(&self, name: &str) -> Result<Queue, QueueError> {
        let cell = self.inner.registry.get_or_make(&self.inner, name)?;
        Ok(Queue::new(self.clone(), cell))
    }

    /// Makes a queue. One that exists with the same definition is fine.
    ///
    /// # Errors
    /// The name or the definition cannot be one, or it exists with another.
    pub fn create_queue(&self, name: &str, definition: Definition) -> Result<Queue, QueueError> {
        let cell = self.inner.registry.make(&self.inner, name, definition)?;
        Ok(Queue::new(self.clone(), cell))
    }

    /// The queue of this name, if it exists.
    #[must_use]
    pub fn find_queue(&self, name: &str) -> Option<Queue> {
        let cell = self.inner.registry.get(name).filter(|cell| cell.is_known())?;
        Some(Queue::new(self.clone(), cell))
    }

    /// Whether a queue of this name exists, or a definition names or matches it.
    #[must_use]
    pub fn knows_queue(&self, name: &str) -> bool {
        self.find_queue(name).is_some() || self.inner.registry.is_defined(name)
    }

    /// What the closest pattern says of queues of this name: what one gets that is made at its first use.
    #[must_use]
    pub fn defined_as(&self, name: &str) -> Definition {
        self.inner.registry.defined_as(name)
    }

    /// At most `queues_max` queues that exist, by name, after a name.
    #[must_use]
    pub fn queues(&self, after: Option<&str>, queues_max: usize) -> Vec<Queue> {
        let page = self.inner.registry.page(after, queues_max);
        page.into_iter().map(|cell| Queue::new(self.clone(), cell)).collect()
    }

    /// How all queues are that exist, by name.
    #[must_use]
    pub fn infos(&self) -> Vec<QueueInfo> {
        self.queues(None, usize::MAX).iter().map(Queue::info).collect()
    }

    /// The dead letters of a queue: a queue as any other, `$dead/NAME`.
    ///
    /// # Errors
    /// The name cannot be one.
    pub fn dead_letters(&self, name: &str) -> Result<Queue, QueueError> {
        self.queue(&format!("{}{name}", name::DEAD))
    }

    /// Ends a queue with all that is in it; answers how many messages that were. Its dead letters stay.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn delete_queue(&self, name: &str) -> Result<usize, QueueError> {
        self.inner.registry.remove(&self.inner, name)
    }

    /// Makes the node run on the present tokio runtime: for faces, which build it themselves.
    ///
    /// # Errors
    /// A queue that is defined cannot be made.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn run(&self) -> Result<(), QueueError> {
        let runtime = tokio::runtime::Handle::current();
        self.inner.run_on(runtime.clone());
        for name in self.inner.registry.defined() {
            self.queue(&name)?;
        }
        let inner = &self.inner;
        runtime.spawn(queue::run(Arc::downgrade(inner), Arc::clone(&inner.timers), inner.clock));
        Ok(())
    }

    /// A face that has subscribers of its own gets what the program publishes.
    pub fn set_face(&self, face: Arc<dyn Face>) {
        self.inner.topics.set_face(face);
    }

    /// Has `ingress` look at each publish that comes from outside. A second one is dropped.
    pub fn set_ingress(&self, ingress: Arc<dyn Ingress>) {
        self.inner.set_ingress(ingress);
    }

    /// What looks at publishes, if it wants to see those to this topic: for faces.
    #[must_use]
    pub fn ingress_of(&self, topic: &str) -> Option<&Arc<dyn Ingress>> {
        self.inner.ingress().filter(|ingress| ingress.matches(topic))
    }

    /// The node's time.
    #[must_use]
    pub fn clock(&self) -> crate::Clock {
        self.inner.clock
    }

    /// What was not delivered, and why.
    #[must_use]
    pub fn drops(&self) -> &crate::Drops {
        &self.inner.drops
    }

    /// The durable store; `None` for a node in memory.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.inner.journal()
    }

    /// Waits until all that was changed so far holds in the next process as well; `false` when the disk did not take
    /// it. At once in memory.
    pub async fn sync(&self) -> bool {
        let Some(journal) = self.inner.journal() else { return true };
        let last = journal.store().last();
        journal.store().hurry();
        journal.store().ended(last).await
    }

    /// Gives a message of a face to the subscribers of the program; whether there was one.
    pub fn deliver(&self, message: &primer_core::message::Message) -> bool {
        self.inner.topics.deliver(message, self.inner.clock.unix_ms(), &self.inner.drops)
    }

    /// Whether anybody in the program subscribes to topics.
    #[must_use]
    pub fn has_subscribers(&self) -> bool {
        self.inner.topics.has_subscribers()
    }

    /// Hands the answer to a call over that came through a face; whether somebody waits for it.
    pub fn answer(&self, message: &primer_core::message::Message) -> bool {
        crate::calls::deliver(&self.inner.calls, message, self.inner.clock.unix_ms())
    }

    /// Puts queues of an earlier life back, before anything is pushed: for faces, which open the store themselves.
    pub fn restore(&self, found: FoundQueues, state: &journal::State) {
        self.inner.tables.restore(state);
        if let Some(journal) = self.inner.journal() {
            found.restore(&self.inner, journal, state);
        }
    }

    /// Lets go of what the store has before `below`, because its budget is spent.
    pub fn evict_below(&self, below: u64) {
        queue::evict(&self.inner, below);
    }

    /// Whether the node stops, or has stopped.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.inner.is_stopping()
    }

    /// Nothing more is taken in, and consumers and subscribers get an end.
    pub fn begin_stop(&self) {
        self.inner.begin_stop();
        self.inner.timers.nudge();
        for cell in self.inner.registry.all() {
            QueueCell::close_inboxes(&cell);
        }
        self.inner.topics.close();
    }

    /// Stops: nothing more is taken in, consumers get an end, and what they have may be acknowledged until `deadline`
    /// is up. Then the store is closed. Answers how many messages consumers still had; with a data directory they are
    /// delivered again by the next process.
    pub async fn shutdown(&self, deadline: Duration) -> usize {
        self.begin_stop();
        let end = tokio::time::Instant::now() + deadline;
        let mut leased = self.leased();
        while leased > 0 && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
            leased = self.leased();
        }
        let inner = Arc::clone(&self.inner);
        let closed = tokio::task::spawn_blocking(move || {
            if let Some(journal) = inner.journal() {
                journal.store().close();
            }
        });
        let _it_has_said_why = closed.await;
        leased
    }

    fn leased(&self) -> usize {
        self.inner.registry.all().iter().map(|cell| cell.leased()).sum()
    }

    fn open(&self, data: Data, store: journal::Options) -> Result<(), StartError> {
        let (disk, directory): (Arc<dyn Disk>, PathBuf) = match data {
            Data::Folder(directory) => (Arc::new(Folder::take(&directory, None)?), directory),
            Data::Disk(disk) => (disk, PathBuf::new()),
        };
        let clock = self.inner.clock;
        let mut found = FoundQueues::default();
        let opened = Journal::open(disk, store, clock, &mut |state, stored| {
            found.take(&clock, state, &stored);
        });
        let (journal, state, _report) = opened.map_err(|source| StartError::Store { directory, source })?;
        self.inner.keep_in(journal);
        self.restore(found, &state);
        Ok(())
    }
}
