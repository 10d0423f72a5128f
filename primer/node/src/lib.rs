//! Primer: a message queue that a program embeds. Queues with groups of consumers, publish and subscribe by topic,
//! requests and answers; in memory, or in a directory that outlives the process. It knows no protocol and opens no
//! socket.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = primer::Node::builder().start().await?;
//! let jobs = node.queue("jobs")?;
//! jobs.push("print 7 pages").await?; // when this returns, the queue has it
//! let mut worker = jobs.consume(10)?;
//! let job = worker.next().await.expect("the node runs");
//! job.ack()?; // without this it would be delivered again
//! # node.shutdown(std::time::Duration::from_secs(1)).await; Ok(()) }
//! ```
//!
//! A face of the node, as the MQTT server is one, adds what its protocol needs by [`Plane`].

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

mod budget;
mod calls;
mod clock;
mod commands;
mod definition;
mod delayed;
pub mod drops;
mod fields;
mod ingress;
mod inner;
pub mod journal;
mod message;
mod node;
mod plane;
mod queue;
mod retained;
mod routes;
mod table;
mod topics;
mod transaction;

pub use primer_core::{
    commit::Refused,
    queue::{Counts, GroupFigures, GroupOptions, Mode, Order, Position, Standing, name},
};

pub use self::{
    budget::{Budget, Charge},
    calls::{CallError, REPLY},
    clock::Clock,
    commands::{Carrying, Commands},
    definition::{Definition, DefinitionError, Full, Keeping, KeyOf},
    delayed::DelayedStore,
    drops::Drops,
    fields::Fields,
    ingress::{Admission, Arriving, Ingress, Product, Undo},
    journal::Journal,
    message::{MESSAGE_BYTES_MAX, Message, MessageError, QUEUE_PROPERTIES},
    node::{Builder, Node, StartError},
    plane::{NodeOptions, Plane},
    queue::{
        Browse, ConsumeOptions, Consumer, DEFAULT_GROUP, DeadLetter, Delivery, Envelope, FoundQueues, From, Group,
        GroupInfo, LeaseOver, Moved, Offered, Offering, Page, Publisher, PushError, Queue, QueueError, QueueInfo,
        Receipt, Seen, Sent, Settled,
    },
    retained::{Kept, Published, RetainedPage, RetainedStore},
    routes::{Routes, SubscriberKey},
    table::{TABLE_BYTES_MAX, TABLE_KEY_BYTES_MAX, TABLE_NAME_BYTES_MAX, TABLE_VALUE_BYTES_MAX, Table, TableError},
    topics::{Face, FilterError, PublishError, Subscription},
    transaction::{Along, NotCommitted, Transaction},
};
