//! Tables: small named maps that a program keeps beside its queues, over restarts if the node has a data directory. All
//! of a table is in memory, and in each picture of the store's state: they are for cursors, settings and counters.
//!
//! A table is a queue of the store without messages, named `t` and its name; its entries are the queue's.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use crate::{
    inner::Inner,
    journal::{Change, Draft, Group, Move, QueueId, State},
    node::Node,
};

/// Bytes of a table's name, at most.
pub const TABLE_NAME_BYTES_MAX: usize = 255;
/// Bytes of a key, at most.
pub const TABLE_KEY_BYTES_MAX: usize = 1_024;
/// Bytes of a value, at most.
pub const TABLE_VALUE_BYTES_MAX: usize = 1 << 19;
/// Bytes of all keys and values of a table, at most.
pub const TABLE_BYTES_MAX: usize = 8 << 20;

/// The first byte of a table's name in the store.
const TABLE: u8 = b't';

/// The name of a table in the store.
#[must_use]
pub fn table_name(name: &str) -> Box<[u8]> {
    [&[TABLE], name.as_bytes()].concat().into()
}

/// See [`table_name`]; `None` for anything else.
#[must_use]
pub fn read_table_name(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name.strip_prefix(&[TABLE])?).ok()
}

/// A table of a node. Cheap to clone; all clones are the same table.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = primer::Node::builder().start().await?;
/// let settings = node.table("settings");
/// settings.set("limit", Some(b"80"))?.durable().await;
/// assert_eq!(node.table("settings").get("limit").as_deref(), Some(&b"80"[..]));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Table {
    node: Node,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: Box<str>,
    /// Its number in the store.
    id: Option<QueueId>,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    entries: BTreeMap<Box<str>, Box<[u8]>>,
    bytes: usize,
}

/// The tables of a node, by name.
#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<BTreeMap<Box<str>, Arc<Shared>>>);

/// Why an entry was not put. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The key is empty or too long.
    #[error("a key of a table has 1 to {TABLE_KEY_BYTES_MAX} bytes, and this one {0}")]
    Key(usize),
    /// The value is too long.
    #[error("a value of a table has at most {TABLE_VALUE_BYTES_MAX} bytes, and this one {0}")]
    Value(usize),
    /// The table is full.
    #[error("the table {table:?} holds at most {TABLE_BYTES_MAX} bytes, and would have {bytes}")]
    Full {
        /// Which.
        table: Box<str>,
        /// With the entry.
        bytes: usize,
    },
}

/// That an entry was put. It holds in this process at once.
#[derive(Debug)]
pub struct Kept {
    node: Node,
    group: Option<Group>,
}

impl Kept {
    /// Waits until it holds in the next process as well; `false` when the disk did not take it. At once in memory.
    pub async fn durable(self) -> bool {
        match (self.group, self.node.inner.journal()) {
            (Some(group), Some(journal)) => journal.store().ended(group).await,
            _ => true,
        }
    }
}

impl Node {
    /// The table of this name, made if it is missing. A name has 1 to 255 bytes; what is beyond is cut off.
    #[must_use]
    pub fn table(&self, name: &str) -> Table {
        let shared =
            self.inner.tables.get_or_make(&self.inner, &name[..name.floor_char_boundary(TABLE_NAME_BYTES_MAX)]);
        Table { node: self.clone(), shared }
    }
}

impl Tables {
    fn get_or_make(&self, inner: &Inner, name: &str) -> Arc<Shared> {
        let mut tables = self.0.lock();
        if let Some(known) = tables.get(name) {
            return Arc::clone(known);
        }
        let id = inner.journal().map(|journal| {
            let (queue, mut draft) = (journal.store().new_queue(), Draft::default());
            draft.change(Change::Define { queue, name: table_name(name) });
            journal.store().note(draft);
            queue
        });
        let made = Arc::new(Shared { name: name.into(), id, content: Mutex::default() });
        tables.insert(name.into(), Arc::clone(&made));
        made
    }

    /// Puts tables of an earlier life back.
    pub(crate) fn restore(&self, state: &State) {
        let mut tables = self.0.lock();
        for (id, known) in state.queues() {
            let Some(name) = read_table_name(&known.name) else { continue };
            let mut content = Content::default();
            for (key, value) in &known.entries {
                if let Ok(key) = std::str::from_utf8(key) {
                    content.set(key, Some(value));
                }
            }
            let shared = Shared { name: name.into(), id: Some(id), content: Mutex::new(content) };
            tables.insert(name.into(), Arc::new(shared));
        }
    }
}

impl Content {
    fn set(&mut self, key: &str, value: Option<&[u8]>) {
        let before = match value {
            Some(value) => {
                self.bytes += key.len() + value.len();
                self.entries.insert(key.into(), value.into())
            }
            None => self.entries.remove(key),
        };
        self.bytes -= before.map_or(0, |before| key.len() + before.len());
    }
}

impl Table {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.shared.content.lock().entries.get(key).map(|value| value.to_vec())
    }

    /// Entries whose keys begin with `prefix`, in the order of their keys.
    #[must_use]
    pub fn entries(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let content = self.shared.content.lock();
        let from = content.entries.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        let all = from.take_while(|(key, _)| key.starts_with(prefix));
        all.map(|(key, value)| (key.to_string(), value.to_vec())).collect()
    }

    /// Puts an entry, or removes it.
    ///
    /// # Errors
    /// The key or the value is too long, or the table is full.
    pub fn set(&self, key: &str, value: Option<&[u8]>) -> Result<Kept, TableError> {
        self.check(key, value)?;
        self.take_in(key, value);
        let group = self.node.inner.journal().and_then(|journal| {
            let mut draft = Draft::default();
            draft.change(self.change(key, value)?);
            Some(journal.store().submit(draft))
        });
        Ok(Kept { node: self.node.clone(), group })
    }

    /// Whether an entry could be put now.
    ///
    /// # Errors
    /// It could not, and why.
    pub fn check(&self, key: &str, value: Option<&[u8]>) -> Result<(), TableError> {
        if key.is_empty() || key.len() > TABLE_KEY_BYTES_MAX {
            return Err(TableError::Key(key.len()));
        }
        let Some(value) = value else { return Ok(()) };
        if value.len() > TABLE_VALUE_BYTES_MAX {
            return Err(TableError::Value(value.len()));
        }
        let content = self.shared.content.lock();
        let before = content.entries.get(key).map_or(0, |before| key.len() + before.len());
        let bytes = content.bytes - before + key.len() + value.len();
        if bytes > TABLE_BYTES_MAX {
            return Err(TableError::Full { table: self.shared.name.clone(), bytes });
        }
        Ok(())
    }

    /// What the store has to know of an entry.
    #[must_use]
    pub fn change(&self, key: &str, value: Option<&[u8]>) -> Option<Change> {
        let (queue, key) = (self.shared.id?, key.as_bytes().into());
        Some(match value {
            Some(value) => Change::Put { queue, key, value: value.into() },
            None => Change::Remove { queue, key },
        })
    }

    /// The same, for what holds only if the rest of its draft does.
    #[must_use]
    pub fn moves(&self, key: &str, value: Option<&[u8]>) -> Option<Move> {
        let (queue, key) = (self.shared.id?, key.as_bytes().into());
        Some(match value {
            Some(value) => Move::Put { queue, key, value: value.into() },
            None => Move::Remove { queue, key },
        })
    }

    /// Takes an entry into memory that the store hears of by another way.
    pub fn take_in(&self, key: &str, value: Option<&[u8]>) {
        self.shared.content.lock().set(key, value);
    }
}
