//! Rules on a node: which are active, what they are given, and what becomes of what they say.
//!
//! ```text
//! files, commands -> library (versions) -> active (one rule set) -> ingress: within each publish
//!                                                                -> group:   a consumer of a queue each
//! ```

mod active;
mod commands;
mod convert;
mod folder;
mod group;
mod history;
mod ingress;
mod library;
mod member;
mod place;
mod reload;
mod rest;
mod stats;
mod trace;
pub mod view;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use primer::Node;
use tokio::runtime::Handle;

pub use self::reload::Reloaded;
use self::{
    active::Active,
    folder::Folder,
    ingress::{Gate, Guarding},
    library::Library,
    member::Member,
    trace::Tracers,
};
use crate::{host::Host, lookup::Lookups};

/// What the queues of rules on topics begin with.
pub const OWN_QUEUES: &str = "rules/";
/// The name under which commands about rules are taken: `$CONTROL/rules/v1`.
pub const COMMANDS: &str = "rules";
/// The table of the scripts.
const SCRIPTS: &str = "rules";
/// How often the directory is looked at. A change is taken in when two looks have seen the same.
const LOOK: Duration = Duration::from_millis(500);

/// The rules of a node. Dropping it ends them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use primer::{Message, Node};
/// use primer_mapping::{Host, Mapping};
/// let node = Node::builder().start().await?;
/// let rules = Mapping::start(&node, Host::new(), None);
/// rules.apply("heat", r#"
///     rule("overheat", "sensors/+/temp", |msg| {
///         if msg.json.celsius > 80.0 { enqueue("alarms", msg); }
///         ok
///     });
/// "#).await?;
/// node.publish(Message::new(r#"{"celsius": 81.5}"#).topic("sensors/7/temp")).await?;
/// let alarm = node.queue("alarms")?.consume(1)?.next().await.expect("the node runs");
/// assert_eq!(alarm.text(), Some(r#"{"celsius": 81.5}"#));
/// rules.stop().await;
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug)]
pub struct Mapping {
    shared: Arc<Shared>,
    watch: tokio::task::JoinHandle<()>,
}

/// What all rules of a node have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) node: Node,
    host: Host,
    lookups: Arc<Lookups>,
    /// What is wrong with files of tables, by file.
    table_errors: Mutex<BTreeMap<String, String>>,
    pub(crate) tracers: Arc<Tracers>,
    guards: Arc<Guarding>,
    active: Mutex<Active>,
    folder: Mutex<Option<Folder>>,
    runtime: Handle,
}

impl Shared {
    /// What the node has of each rule that is active.
    fn members(&self) -> Vec<Arc<Member>> {
        self.guards.current.read().members.clone()
    }

    fn member(&self, id: &str) -> Result<Arc<Member>, String> {
        let members = self.members();
        let found = members.iter().find(|member| *member.id == *id).cloned();
        found.ok_or_else(|| {
            let known: Vec<&str> = members.iter().map(|member| &*member.id).take(20).collect();
            let known =
                if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
            format!("there is no rule {id:?}: {known}")
        })
    }
}

impl Mapping {
    /// Loads what the node has kept of scripts, then those of the directory, if there is one, and has them act. What is
    /// wrong with a script is told in the log and by the commands, and the others act.
    ///
    /// To be called before the node's faces let anybody in: rules of stage `ingress` then see the first publish.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(node: &Node, host: Host, directory: Option<PathBuf>) -> Self {
        let lookups = match &directory {
            Some(directory) => Arc::new(Lookups::in_directory(directory.clone())),
            None => Arc::clone(host.tables()),
        };
        let guards = Arc::new(Guarding::default());
        let tracers = Arc::new(Tracers::default());
        let library = Library::open(node.table(SCRIPTS));
        let shared = Arc::new(Shared {
            node: node.clone(),
            host: host.lookups(Arc::clone(&lookups)),
            lookups,
            table_errors: Mutex::default(),
            tracers: Arc::clone(&tracers),
            guards: Arc::clone(&guards),
            active: Mutex::new(Active::new(library)),
            folder: Mutex::new(directory.map(Folder::new)),
            runtime: Handle::current(),
        });
        reload::tables(&shared);
        shared.active.lock().begin(&shared);
        reload::tell(&reload::now(&shared, true));
        node.set_ingress(Arc::new(Gate { clock: node.clock(), guards, tracers }));
        node.set_commands(COMMANDS, Arc::new(commands::Taker(Arc::downgrade(&shared))));
        let watch = tokio::spawn(watch(Arc::downgrade(&shared)));
        Self { shared, watch }
    }

    /// Has a script act from now on, as a new version. It holds over restarts, and until its file, if it has one,
    /// changes.
    ///
    /// # Errors
    /// What is wrong with it, or with it beside the others: then all is as it was.
    pub async fn apply(&self, name: &str, text: &str) -> Result<(), String> {
        commands::apply(&self.shared, name, text, false).await.map(drop)
    }

    /// Looks at the directory now; scripts that were wrong are tried again.
    pub async fn reload(&self) -> Reloaded {
        let reloaded = reload::beside(&self.shared).await;
        reload::tell(&reloaded);
        reloaded
    }

    /// Ends what rules of stage `group` do, when what they have in hand is committed. Those of stage `ingress` act
    /// until this is dropped.
    pub async fn stop(&self) {
        self.watch.abort();
        let stopping = self.shared.active.lock().stop();
        for task in stopping {
            let _a_panic_was_told = task.await;
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.watch.abort();
        drop(self.shared.active.lock().stop());
        self.shared.guards.clear();
    }
}

/// Looks at the directory now and then, until the rules end.
async fn watch(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(shared) = shared.upgrade() else { break };
        let looked = tokio::task::spawn_blocking(move || {
            if shared.node.is_stopping() {
                return;
            }
            reload::tell(&reload::if_changed(&shared));
            shared.active.lock().revive(&shared);
        });
        if looked.await.is_err() {
            tracing::error!("looking at the directory of the rules has panicked");
        }
    }
}
