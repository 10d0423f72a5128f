//! Consume, transform, produce: what comes of messages and their acknowledgement, in one commit.
//!
//! With a data directory all of a transaction is durable or nothing of it: a process that ends at any moment leaves a
//! message either to be delivered again, or done with and all that came of it in its queues, once. What is pushed can
//! be consumed when it was handed over to the store, and before it is durable; a transaction that acknowledges it
//! waits until then. Until it is handed over, which [`Transaction::commit`] does, its queue delivers nothing.
//!
//! Where a queue is in memory there is nothing that could come back, and its part counts at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use primer_core::{
    message::{Message as Stored, NEVER_MS, Parts},
    properties::{self, Properties, Property},
    queue::Position,
};

use crate::{
    calls::{self, REPLY},
    drops::Reason,
    ingress::Product,
    journal::{Draft, Group, Move, Ticket, Whereabouts},
    node::Node,
    queue::{Delivery, QueueCell, QueueKey, REASON, Riding, Sent, Wishes},
    table::{Table, TableError},
    topics::{PublishError, names_a_queue},
};

/// Bytes of the reason that a dead letter carries.
const REASON_BYTES_MAX: usize = 1_024;

/// How often is looked whether a message is durable: some seconds.
const ROUNDS_MAX: usize = 5_000;

/// What goes along with a commit: what is written, and who is told when it was handed over.
#[derive(Default)]
pub struct Along {
    /// What is written.
    pub draft: Draft,
    told: Vec<Box<dyn FnOnce(Group) + Send>>,
}

impl std::fmt::Debug for Along {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Along").field("draft", &self.draft).finish_non_exhaustive()
    }
}

impl Along {
    /// Has `tell` called with the group that the draft has joined.
    pub fn when_handed_over(&mut self, tell: impl FnOnce(Group) + Send + 'static) {
        self.told.push(Box::new(tell));
    }

    fn append(&mut self, other: Self) {
        self.draft.append(other.draft);
        self.told.extend(other.told);
    }
}

/// Messages, acknowledgements and entries of tables that become durable together.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use primer::{Message, Product};
/// # let node = primer::Node::builder().start().await?;
/// let orders = node.queue("orders")?;
/// orders.push("7 pumps").await?;
/// let order = orders.consume(1)?.next().await.expect("it is there");
/// let mut step = node.transaction();
/// let invoice = Message::new(format!("invoice for {}", order.text().unwrap_or("?")));
/// step.produce(&[Product { queue: Some("invoices".to_owned()), message: invoice }])?;
/// step.ack(order);
/// step.commit().await.expect("the disk takes it");
/// assert_eq!(node.queue("invoices")?.info().messages, 1);
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug)]
pub struct Transaction {
    node: Node,
    along: Along,
    acked: Vec<Delivery>,
    pushed: Vec<Pushed>,
    /// What subscribers get when it is committed.
    published: Vec<(Stored, Sent)>,
    /// Dead letters that are gone when it is committed.
    ended: u64,
    entries: Vec<Entry>,
}

/// A message that was pushed. Nothing of its queue is delivered until the draft is handed over: what came of it in
/// another transaction could be durable before it is.
#[derive(Debug)]
struct Pushed {
    cell: Arc<QueueCell>,
    position: Position,
    is_held: bool,
}

/// An entry of a table that is put, or removed.
type Entry = (Table, String, Option<Vec<u8>>);

/// The disk did not take a transaction: nothing of it holds. The deliveries are here again; dropped, they are delivered
/// again.
///
/// ```
/// # async fn work(step: primer::Transaction) {
/// if let Err(failed) = step.commit().await {
///     eprintln!("{failed}: {} messages come again", failed.deliveries.len());
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the disk did not take the transaction")]
pub struct NotCommitted {
    /// What was to be acknowledged.
    pub deliveries: Vec<Delivery>,
}

impl Node {
    /// A transaction with nothing in it.
    #[must_use]
    pub fn transaction(&self) -> Transaction {
        let (acked, pushed, published) = (Vec::new(), Vec::new(), Vec::new());
        Transaction {
            node: self.clone(),
            along: Along::default(),
            acked,
            pushed,
            published,
            ended: 0,
            entries: Vec::new(),
        }
    }
}

impl Transaction {
    /// Pushes and publishes messages: all, or none where a queue refuses one. Subscribers of MQTT who refuse are not
    /// waited for: that is counted.
    ///
    /// # Errors
    /// One of them is no message, or a queue refused it: nothing of this call is left in queues.
    pub fn produce(&mut self, products: &[Product]) -> Result<(), PublishError> {
        self.take(products, None)
    }

    /// All that comes of a message: what was made of it, and its acknowledgement; with `why_dead` it goes to the dead
    /// letters of its queue, as with [`bury`](Self::bury).
    ///
    /// # Errors
    /// A queue refused something: nothing of this call is left in queues, and the delivery is here again.
    pub fn finish(
        &mut self,
        delivery: Delivery,
        products: &[Product],
        why_dead: Option<&str>,
    ) -> Result<(), (Delivery, PublishError)> {
        match self.take(products, why_dead.map(|why| (&delivery, why))) {
            Ok(()) => {
                self.ack(delivery);
                Ok(())
            }
            Err(error) => Err((delivery, error)),
        }
    }

    fn take(&mut self, products: &[Product], dead: Option<(&Delivery, &str)>) -> Result<(), PublishError> {
        let mut step = Step::default();
        let mut published = Vec::new();
        let mut taken = products.iter().try_for_each(|product| step.push(&self.node, product, &mut published));
        if let Some((delivery, why)) = dead {
            taken = taken.and_then(|()| step.bury(&self.node, delivery, why));
        }
        if let Err(error) = taken {
            step.take_back(&self.node);
            return Err(error);
        }
        // Nobody can refuse any more.
        self.published.append(&mut published);
        self.along.append(step.along);
        self.pushed.append(&mut step.pushed);
        self.ended += step.ended;
        Ok(())
    }

    /// A message is done with when all of this is durable. Until then its consumer has it.
    pub fn ack(&mut self, delivery: Delivery) {
        if let Some((queue, position)) = delivery.in_store() {
            self.along.draft.when_durable(Move::Gone { queue, position: position.0, at: Whereabouts::Nowhere });
        }
        self.acked.push(delivery);
    }

    /// A message goes to the dead letters of its queue when all of this is durable; `why` is kept with it. Dead letters
    /// have none of their own: there it ends.
    ///
    /// # Errors
    /// The dead letters do not take it; the delivery is here again.
    pub fn bury(&mut self, delivery: Delivery, why: &str) -> Result<(), (Delivery, PublishError)> {
        self.finish(delivery, &[], Some(why))
    }

    /// Puts an entry into a table, or removes it.
    ///
    /// # Errors
    /// The key or the value is too long, or the table is full.
    pub fn set(&mut self, table: &Table, key: &str, value: Option<Vec<u8>>) -> Result<(), TableError> {
        table.check(key, value.as_deref())?;
        if let Some(change) = table.moves(key, value.as_deref()) {
            self.along.draft.when_durable(change);
        }
        self.entries.push((table.clone(), key.to_owned(), value));
        Ok(())
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acked.is_empty()
            && self.pushed.is_empty()
            && self.published.is_empty()
            && self.entries.is_empty()
            && self.along.draft.is_empty()
    }

    /// Waits until all of it is durable; in memory it is at once. Not to be cancelled: what is on its way stays so, and
    /// the messages would be delivered again all the same.
    ///
    /// # Errors
    /// The disk did not take it.
    pub async fn commit(mut self) -> Result<(), NotCommitted> {
        let node = self.node.clone();
        if !await_sources(&node, &self.acked).await {
            // Dropping it takes back what it has pushed.
            return Err(NotCommitted { deliveries: std::mem::take(&mut self.acked) });
        }
        node.show(&std::mem::take(&mut self.published), &mut self.along);
        let group = match node.inner.journal() {
            Some(journal) if !self.along.draft.is_empty() => {
                let group = journal.store().submit(std::mem::take(&mut self.along.draft));
                self.along.told.drain(..).for_each(|tell| tell(group));
                Some(group)
            }
            _ => None,
        };
        let acked = std::mem::take(&mut self.acked);
        let pushed = std::mem::take(&mut self.pushed);
        let_go(&node, &pushed);
        if let (Some(group), Some(journal)) = (group, node.inner.journal())
            && !journal.store().ended(group).await
        {
            end_refused(&node, &pushed);
            return Err(NotCommitted { deliveries: acked });
        }
        Delivery::ack_all(acked);
        node.inner.drops.add(Reason::RejectedByConsumer, self.ended);
        self.entries.drain(..).for_each(|(table, key, value)| table.take_in(&key, value.as_deref()));
        Ok(())
    }
}

/// Waits until messages are durable that were given to consumers before they were: what comes of one must not be there
/// without it, as it comes again then. `false` when the disk did not take one of them.
async fn await_sources(node: &Node, deliveries: &[Delivery]) -> bool {
    if node.inner.journal().is_none() {
        return true;
    }
    // What comes once is not in the store any more: it was done with before its consumer had it.
    let leased = deliveries.iter().filter(|delivery| delivery.in_store().is_some());
    let mut underway: Vec<&Ticket> = leased.filter_map(|delivery| delivery.envelope().ticket()).collect();
    for round in 0..ROUNDS_MAX {
        if underway.iter().any(|ticket| ticket.is_withdrawn()) {
            return false;
        }
        underway.retain(|ticket| ticket.written().is_none() && !ticket.is_unwanted());
        if underway.is_empty() {
            return true;
        }
        node.sync().await;
        // Whoever publishes it may not have handed it over yet: that is a matter of microseconds.
        if round > 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    true // whoever was to hand it over has ended in a panic: it will be in no next process
}

impl Drop for Transaction {
    /// Without a commit nothing of it holds.
    fn drop(&mut self) {
        if !self.pushed.is_empty() {
            let (along, pushed) = (std::mem::take(&mut self.along), std::mem::take(&mut self.pushed));
            Step { along, pushed, ended: 0 }.take_back(&self.node);
        }
    }
}

/// One call of [`Transaction::produce`].
#[derive(Default)]
struct Step {
    along: Along,
    pushed: Vec<Pushed>,
    /// Dead letters that were given up.
    ended: u64,
}

impl Step {
    fn push(
        &mut self,
        node: &Node,
        product: &Product,
        published: &mut Vec<(Stored, Sent)>,
    ) -> Result<(), PublishError> {
        let inner = &node.inner;
        let Product { queue, message } = product;
        let default_topic = queue.as_ref().map_or_else(String::new, |name| format!("$queue/{name}"));
        let built = message.build(inner.clock.now_ms(), &default_topic)?;
        let queues = match queue {
            Some(name) => vec![node.queue(name)?],
            None => node.queues_of(built.topic())?,
        };
        for queue in queues {
            let definition = queue.definition();
            let wishes = message.wishes(&built, &definition);
            self.push_one(node, queue.cell(), &built, &wishes)?;
        }
        if queue.is_none() && !names_a_queue(built.topic()) {
            published.push((built, message.sent));
        }
        Ok(())
    }

    fn bury(&mut self, node: &Node, delivery: &Delivery, why: &str) -> Result<(), PublishError> {
        let Some(dead) = delivery.dead_letters()? else {
            self.ended += 1;
            return Ok(());
        };
        let message = delivery.message();
        let mut properties = without_reason(message.properties());
        let why = &why[..why.floor_char_boundary(REASON_BYTES_MAX)];
        let _it_is_short_enough = properties::put(&mut properties, Property::User(REASON, why));
        let (topic, payload) = (message.topic(), message.payload());
        let parts = Parts { topic, properties: &properties, payload, expires_at_ms: NEVER_MS };
        let wishes = delivery.as_dead_letter(node.inner.clock.unix_ms());
        let riding = Riding {
            message: &Stored::new(&parts),
            wishes: &wishes,
            time_unix_ms: Some(delivery.time_unix_ms()),
            is_own: true,
            is_held: true,
        };
        self.ride(node, &dead, riding)
    }

    fn push_one(
        &mut self,
        node: &Node,
        cell: &Arc<QueueCell>,
        message: &Stored,
        wishes: &Wishes,
    ) -> Result<(), PublishError> {
        self.ride(node, cell, Riding { message, wishes, time_unix_ms: None, is_own: false, is_held: true })
    }

    fn ride(&mut self, node: &Node, cell: &Arc<QueueCell>, riding: Riding<'_>) -> Result<(), PublishError> {
        let inner = &node.inner;
        let rode = cell.push_along(inner, inner.clock.now_ms(), riding, &mut self.along.draft);
        let rode = rode.map_err(|why| PublishError::Refused { topic: riding.message.topic().to_owned(), why })?;
        if !rode.is_duplicate {
            self.pushed.push(Pushed { cell: Arc::clone(cell), position: rode.position, is_held: rode.is_held });
        }
        Ok(())
    }

    /// What was pushed is not there any more, but for what somebody has of a queue in memory.
    fn take_back(mut self, node: &Node) {
        self.along.draft.withdraw();
        end_refused(node, &self.pushed);
        for Pushed { cell, position, .. } in &self.pushed {
            cell.with(&node.inner, |state, _| state.machine.remove_one(*position));
        }
        let_go(node, &self.pushed);
    }
}

/// The properties of a message that may have been a dead letter before: the reason of last time is none of this one.
fn without_reason(properties: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(properties.len() + 64);
    for property in Properties::of(properties) {
        if !matches!(property, Property::User(REASON, _)) {
            let _they_were_short_enough = properties::put(&mut kept, property);
        }
    }
    kept
}

/// Messages that the store has not taken are gone from their queues.
fn end_refused(node: &Node, pushed: &[Pushed]) {
    for (cell, _) in by_queue(pushed) {
        cell.with(&node.inner, |state, _| state.machine.end_void());
    }
}

/// The queues are not held any more.
fn let_go(node: &Node, pushed: &[Pushed]) {
    for (cell, holds) in by_queue(pushed).filter(|(_, holds)| *holds > 0) {
        cell.let_go(&node.inner, holds);
    }
}

/// The queues, and how many of the messages hold each.
fn by_queue(pushed: &[Pushed]) -> impl Iterator<Item = (&Arc<QueueCell>, usize)> {
    let mut cells: BTreeMap<QueueKey, (&Arc<QueueCell>, usize)> = BTreeMap::new();
    for one in pushed {
        cells.entry(one.cell.key).or_insert((&one.cell, 0)).1 += usize::from(one.is_held);
    }
    cells.into_values()
}

impl Node {
    /// Gives messages to the subscribers of the program and of the face.
    fn show(&self, messages: &[(Stored, Sent)], along: &mut Along) {
        let (inner, unix_ms) = (&self.inner, self.inner.clock.unix_ms());
        let is_answer = |message: &Stored| message.topic().starts_with(REPLY);
        for (message, _) in messages {
            if is_answer(message) {
                calls::deliver(&inner.calls, message, unix_ms);
            } else {
                inner.topics.deliver(message, unix_ms, &inner.drops);
            }
        }
        let Some(face) = inner.topics.face() else { return };
        // Answers of calls are rare: what is between them goes together.
        for messages in messages.split(|(message, _)| is_answer(message)).filter(|messages| !messages.is_empty()) {
            if let Err(why) = face.publish(messages, Some(&mut *along)) {
                inner.drops.add(crate::drops::reason_of(why), 1);
            }
        }
    }
}
