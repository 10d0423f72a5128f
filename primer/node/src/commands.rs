//! Commands that a part of a node takes over the node's faces: over MQTT they are `$CONTROL/NAME/v1`.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use parking_lot::RwLock;
use serde_json::Value;

use crate::{fields::Fields, node::Node};

/// What carries out a command, in time.
pub type Carrying<'c> = Pin<Box<dyn Future<Output = Result<Value, String>> + Send + 'c>>;

/// Who takes commands. What a command changes is durable when it has been carried out.
pub trait Commands: Send + Sync + std::fmt::Debug {
    /// Carries a command out; the answer takes about `room` bytes at most. An error is a sentence for people.
    fn carry_out<'c>(&'c self, command: &'c str, fields: Fields, room: usize) -> Carrying<'c>;
}

/// Who takes which commands.
#[derive(Debug, Default)]
pub(crate) struct Commanded(RwLock<BTreeMap<Box<str>, Arc<dyn Commands>>>);

impl Node {
    /// Has `commands` take the commands of this name.
    pub fn set_commands(&self, name: &str, commands: Arc<dyn Commands>) {
        self.inner.commanded.0.write().insert(name.into(), commands);
    }

    /// Who takes the commands of this name: for faces.
    #[must_use]
    pub fn commands(&self, name: &str) -> Option<Arc<dyn Commands>> {
        self.inner.commanded.0.read().get(name).cloned()
    }
}
