//! SIGHUP: all files are read again, and what a running broker can take is taken. A file that is wrong changes nothing
//! of what it is about.

use primer::Node;
use primer_broker::{Broker, access::Guard};
use primer_config::{Difference, Flags, Settings};

use super::{access, log::Level};
use crate::config;

/// What is told of the change.
pub(super) struct Running<'b> {
    pub(super) broker: &'b Broker,
    pub(super) guard: &'b Guard,
    pub(super) node: &'b Node,
    pub(super) level: &'b Level,
    /// What it was started with.
    pub(super) started: &'b Settings,
}

impl Running<'_> {
    /// Reads the configuration, the files that it names, and takes them; answers whether the configuration was in
    /// order. It blocks as long as the disk does.
    pub(super) fn reload(&self, settings: &mut Settings, flags: &Flags) -> bool {
        let new = match config::load(flags) {
            Ok(new) => new,
            Err(error) => {
                tracing::error!("the configuration is wrong and stays as it was:\n{error}");
                return false;
            }
        };
        if settings.asks_for_passwords() && !new.asks_for_passwords() && !new.says_allow_anonymous() {
            tracing::error!(
                "the configuration names no users any more, which would let anybody in, and stays as it was: if that \
                 is meant, write access.allow_anonymous = true"
            );
            return false;
        }
        for (pattern, definition) in &new.broker.queues {
            if let Err(error) = self.node.define(pattern, definition.clone()) {
                tracing::error!(%error, "the queues {pattern} stay as they were");
            }
        }
        self.level.set(&new.log);
        let has_access = self.reload_access(&new);
        let is_whole = self.reload_certificates() && has_access;
        // What is said has happened. What needs a restart is said until there is one.
        let is_taken =
            |difference: &&Difference| difference.is_live && (has_access || !difference.name.starts_with("access."));
        for difference in settings.differences(&new).iter().filter(is_taken) {
            tracing::info!("{}: {}", difference.name, difference.says);
        }
        for difference in self.started.differences(&new).iter().filter(|difference| !difference.is_live) {
            tracing::warn!("{}: {}; it needs a restart", difference.name, difference.says);
        }
        for warning in &new.warnings {
            tracing::warn!("{warning}");
        }
        if is_whole {
            tracing::info!("Reloaded; {}", self.guard.loaded());
        } else {
            tracing::warn!("Reloaded in part: see the errors above");
        }
        if has_access {
            *settings = new; // else what has changed is compared again the next time
        }
        true
    }

    fn reload_access(&self, new: &Settings) -> bool {
        let options = access::options(&new.access);
        let loaded = options.and_then(|options| self.guard.reload_with(options).map_err(anyhow::Error::from));
        match loaded {
            Ok(_) => {
                self.broker.access_changed();
                true
            }
            Err(error) => {
                tracing::error!("who may connect, and what they may do, stays as it was: {error:#}");
                false
            }
        }
    }

    fn reload_certificates(&self) -> bool {
        let mut is_whole = true;
        for (listener, outcome) in self.broker.reload_certificates() {
            match outcome {
                Ok(true) => tracing::info!(listener, "serves new certificates"),
                Ok(false) => {}
                Err(error) => {
                    is_whole = false;
                    tracing::error!(
                        listener,
                        "the certificates cannot be used, so those before are served on: {error}"
                    );
                }
            }
        }
        is_whole
    }
}
