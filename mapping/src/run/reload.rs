//! The directory, and what it has become: scripts that are new, others, or gone.

use std::sync::Arc;

use super::{
    Shared,
    active::{Candidate, Wish},
    folder::Texts,
    library::From,
};

/// What a look at the directory has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Scripts that act now as they are there.
    pub loaded: Vec<String>,
    /// Scripts that are not there any more.
    pub removed: Vec<String>,
    /// Scripts that are wrong, and why: what was there before them goes on.
    pub failed: Vec<(String, String)>,
}

/// Reads the directory if it has changed, and nobody is writing there.
pub(crate) fn if_changed(shared: &Arc<Shared>) -> Reloaded {
    let is_ready = {
        let mut folder = shared.folder.lock();
        let Some(folder) = folder.as_mut() else { return Reloaded::default() };
        match folder.is_ready() {
            Ok(is_ready) => is_ready,
            Err(error) => {
                let file = folder.directory().display().to_string();
                return Reloaded { failed: vec![(file, error.to_string())], ..Reloaded::default() };
            }
        }
    };
    if !is_ready {
        return Reloaded::default();
    }
    tables(shared);
    now(shared, false)
}

/// Reads the directory; with `again` also what was wrong before, although it is the same.
pub(crate) fn now(shared: &Arc<Shared>, again: bool) -> Reloaded {
    let texts = {
        let mut folder = shared.folder.lock();
        let Some(folder) = folder.as_mut() else { return Reloaded::default() };
        match folder.read() {
            Ok(texts) => texts,
            Err(error) => {
                let file = folder.directory().display().to_string();
                return Reloaded { failed: vec![(file, error.to_string())], ..Reloaded::default() };
            }
        }
    };
    take_in(shared, texts, again)
}

/// The same on a thread where that holds nobody up.
pub(crate) async fn beside(shared: &Arc<Shared>) -> Reloaded {
    let its = Arc::clone(shared);
    let reloaded = tokio::task::spawn_blocking(move || {
        tables(&its);
        let mut reloaded = now(&its, true);
        reloaded.failed.extend(its.table_errors.lock().clone());
        reloaded
    });
    reloaded.await.unwrap_or_else(|_| Reloaded {
        failed: vec![(String::new(), "reading the directory has panicked".to_owned())],
        ..Reloaded::default()
    })
}

fn take_in(shared: &Arc<Shared>, texts: Texts, again: bool) -> Reloaded {
    let mut active = shared.active.lock();
    let mut failed = Vec::new();
    let gone = active.library.files().into_iter().filter(|name| !texts.contains_key(name));
    let mut candidates: Vec<Candidate> = gone.map(|name| Candidate { name, wish: Wish::FileGone }).collect();
    for (name, text) in texts {
        let was_wrong = again && active.library.error(&name).is_some();
        match text {
            Ok(text) if was_wrong || active.library.is_new(&name, &text) => {
                candidates.push(Candidate { name, wish: Wish::Text(text, From::File) });
            }
            Ok(_it_is_known) => {}
            Err(why) => {
                if was_wrong || active.library.is_new(&name, &why) {
                    active.unreadable(&name, &why);
                    failed.push((name, why));
                }
            }
        }
    }
    if candidates.is_empty() {
        return Reloaded { failed, ..Reloaded::default() };
    }
    let switched = active.switch(shared, candidates);
    failed.extend(switched.failed);
    Reloaded { loaded: switched.loaded.into_iter().map(|(name, _)| name).collect(), removed: switched.removed, failed }
}

/// Reads the tables that have changed.
pub(crate) fn tables(shared: &Shared) {
    // That the directory cannot be read is said where scripts are.
    for reload in shared.lookups.reload_if_changed().into_iter().filter(|reload| !reload.table.is_empty()) {
        let file = reload.file.display().to_string();
        let mut errors = shared.table_errors.lock();
        errors.remove(&file);
        match reload.result {
            Ok(Some(rows)) => tracing::info!(table = reload.table, rows, "a table for rules is read"),
            Ok(None) => tracing::info!(table = reload.table, "a table for rules is gone"),
            Err(error) => {
                tracing::error!("{file}: {error}; rules go on with the table as it was, if there was one");
                errors.insert(file, error.to_string());
            }
        }
    }
}

/// Says in the log what has come of it.
pub(crate) fn tell(reloaded: &Reloaded) {
    let Reloaded { loaded, removed, failed } = reloaded;
    if !loaded.is_empty() {
        tracing::info!("Rules are loaded: {}", loaded.join(", "));
    }
    if !removed.is_empty() {
        tracing::info!("Rules are gone: {}", removed.join(", "));
    }
    for (name, why) in failed {
        tracing::error!("{name} is not loaded, and what was there before it goes on:\n{why}");
    }
}
