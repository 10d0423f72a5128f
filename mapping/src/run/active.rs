//! The rules that are active, and how others take their place: all at once, or not at all. A script that is wrong
//! leaves the version before it where it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
};

use primer::TableError;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Shared, group,
    ingress::Guards,
    library::{From, Library},
    member::Member,
    place::{self, Place},
};
use crate::{
    load_error::{LoadError, LoadErrors},
    message::Stage,
    ruleset::Ruleset,
};

/// What is said of a change that the table of the scripts has no room for.
pub(crate) const UNKEPT: &str = "a script is not kept: it acts, and the next start does not know of it";

/// A script that somebody wants to be another one.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) wish: Wish,
}

/// What it is to be.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    /// This text.
    Text(String, From),
    /// A version of it.
    Version(u32, String),
    /// Nothing: somebody has said so.
    Gone,
    /// Nothing: its file is gone.
    FileGone,
}

/// What has come of candidates.
#[derive(Debug, Default)]
pub(crate) struct Switched {
    /// With the numbers of their versions.
    pub(crate) loaded: Vec<(String, u32)>,
    pub(crate) removed: Vec<String>,
    pub(crate) failed: Vec<(String, String)>,
    /// What holds in this process alone, and why.
    pub(crate) unkept: Option<TableError>,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) library: Library,
    pub(crate) ruleset: Arc<Ruleset>,
    runners: BTreeMap<String, Runner>,
    /// Those that were there last, also of rules that are gone: one that comes back while the last batch is under way
    /// has the same state.
    known: BTreeMap<String, Weak<Member>>,
}

/// A rule of stage `group` at work.
#[derive(Debug)]
struct Runner {
    place: Place,
    member: Arc<Member>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Candidate {
    fn text(&self) -> Option<&str> {
        match &self.wish {
            Wish::Text(text, _) | Wish::Version(_, text) => Some(text),
            Wish::Gone | Wish::FileGone => None,
        }
    }
}

impl Active {
    pub(crate) fn new(library: Library) -> Self {
        Self { library, ruleset: Arc::default(), runners: BTreeMap::new(), known: BTreeMap::new() }
    }

    /// Loads what is stored, as the first thing. A script that cannot be loaded any more is left out: it may need what
    /// the program does not register now.
    pub(crate) fn begin(&mut self, shared: &Arc<Shared>) {
        let mut texts = self.library.active();
        let mut left_out = BTreeSet::new();
        let ruleset = loop {
            let errors = match load(shared, &texts) {
                Ok(ruleset) => break ruleset,
                Err(errors) => errors,
            };
            let wrong: BTreeSet<String> = errors.0.iter().map(|error| error.file.clone()).collect();
            let before = texts.len();
            for name in wrong {
                if let Some(text) = texts.remove(&name) {
                    let why = told(&errors, &name);
                    tracing::error!(script = name, "a stored script is not loaded:\n{why}");
                    self.fail_file(&name, &text, &why);
                    left_out.insert(name);
                }
            }
            if texts.len() == before {
                texts.clear(); // the errors name nobody: nothing can be said of any of them
            }
        };
        self.put(shared, ruleset);
        if left_out.is_empty() {
            let places: Vec<&Place> = self.runners.values().map(|runner| &runner.place).collect();
            place::tidy(&shared.node, &places);
        }
    }

    /// Whether candidates could be active, and which rules those are then.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check(&self, shared: &Shared, candidates: &[Candidate]) -> Result<Ruleset, LoadErrors> {
        load(shared, &self.texts_with(candidates))
    }

    /// Makes candidates active, all that can be together.
    pub(crate) fn switch(&mut self, shared: &Arc<Shared>, mut candidates: Vec<Candidate>) -> Switched {
        let mut switched = Switched::default();
        let ruleset = loop {
            let errors = match self.check(shared, &candidates) {
                Ok(ruleset) => break Some(ruleset),
                Err(errors) => errors,
            };
            let is_wrong =
                |one: &Candidate| one.text().is_some() && errors.0.iter().any(|error| error.file == one.name);
            let (wrong, rest): (Vec<Candidate>, Vec<Candidate>) = candidates.into_iter().partition(is_wrong);
            candidates = rest;
            for one in &wrong {
                self.fail(one, told(&errors, &one.name), &mut switched);
            }
            if wrong.is_empty() {
                candidates = self.one_by_one(shared, candidates, &mut switched);
                break self.check(shared, &candidates).ok();
            }
        };
        if let Some(ruleset) = ruleset
            && !candidates.is_empty()
        {
            for one in candidates {
                self.accept(shared, one, &mut switched);
            }
            self.put(shared, ruleset);
        }
        switched
    }

    /// Where an error names none of the candidates: those that can be active in their order.
    fn one_by_one(&mut self, shared: &Shared, candidates: Vec<Candidate>, switched: &mut Switched) -> Vec<Candidate> {
        let mut accepted: Vec<Candidate> = Vec::new();
        for one in candidates {
            accepted.push(one);
            if let Err(errors) = self.check(shared, &accepted)
                && let Some(one) = accepted.pop()
            {
                self.fail(&one, errors.to_string(), switched);
            }
        }
        accepted
    }

    fn texts_with(&self, candidates: &[Candidate]) -> BTreeMap<String, String> {
        let mut texts = self.library.active();
        for one in candidates {
            match (one.text(), &one.wish) {
                (Some(text), _) => drop(texts.insert(one.name.clone(), text.to_owned())),
                (None, Wish::FileGone) if !self.library.ends_with_its_file(&one.name) => {}
                (None, _) => drop(texts.remove(&one.name)),
            }
        }
        texts
    }

    fn fail(&mut self, one: &Candidate, why: String, switched: &mut Switched) {
        if let Wish::Text(text, From::File) = &one.wish {
            let (name, text) = (one.name.clone(), text.clone());
            self.fail_file(&name, &text, &why);
        }
        switched.failed.push((one.name.clone(), why));
    }

    fn accept(&mut self, shared: &Shared, one: Candidate, switched: &mut Switched) {
        let Candidate { name, wish } = one;
        let (number, kept) = match wish {
            Wish::Text(text, from) => {
                let (number, kept) = self.library.add(&name, &text, from, shared.node.clock().unix_ms());
                (Some(number), kept)
            }
            Wish::Version(number, _) => (Some(number), self.library.activate(&name, Some(number))),
            Wish::Gone => (None, self.library.activate(&name, None)),
            Wish::FileGone => (None, self.library.unseen(&name)),
        };
        match number {
            Some(number) => switched.loaded.push((name, number)),
            None => switched.removed.push(name),
        }
        if let Err(error) = kept {
            tracing::error!(%error, "{UNKEPT}");
            switched.unkept = Some(error);
        }
    }

    /// A file that could not be read.
    pub(crate) fn unreadable(&mut self, name: &str, why: &str) {
        self.fail_file(name, why, why);
    }

    /// The rules of a set take the place of those before them.
    fn put(&mut self, shared: &Arc<Shared>, ruleset: Ruleset) {
        let ruleset = Arc::new(ruleset);
        let mut members = Vec::with_capacity(ruleset.rules().len());
        for rule in ruleset.rules() {
            let known = self.known.get(rule.id()).and_then(Weak::upgrade);
            let member = known.unwrap_or_else(|| Arc::new(Member::new(&shared.node, rule)));
            member.becomes(rule);
            members.push(member);
        }
        members.iter().for_each(|member| member.history.lock().share(members.len()));
        self.known.retain(|_, member| member.strong_count() > 0);
        self.known.extend(members.iter().map(|member| (member.id.to_string(), Arc::downgrade(member))));
        let mut gone = std::mem::take(&mut self.runners);
        for (rule, member) in ruleset.rules().iter().zip(&members) {
            let Some(place) = Place::of(rule) else { continue };
            let stays = gone.remove(rule.id()).filter(|runner| {
                let stays = runner.place.is_same(&place) && !runner.task.is_finished();
                if !stays {
                    runner.end(shared, Some(&place));
                }
                stays
            });
            let runner = match stays {
                Some(runner) => {
                    if let Err(error) = place.prepare(&shared.node) {
                        tracing::error!(rule = rule.id(), %error, "the queue of a rule stays as it was");
                    }
                    Runner { place, ..runner }
                }
                None => Runner::start(shared, place, Arc::clone(member)),
            };
            self.runners.insert(rule.id().to_owned(), runner);
        }
        let is_guarding = ruleset.has_ingress();
        *shared.guards.current.write() = Arc::new(Guards { ruleset: Arc::clone(&ruleset), members });
        shared.guards.is_any.store(is_guarding, std::sync::atomic::Ordering::Release);
        for runner in gone.into_values() {
            runner.end(shared, None);
        }
        for warning in ruleset.warnings() {
            tracing::warn!("{warning}");
        }
        self.ruleset = ruleset;
    }

    /// Rules whose queue somebody has deleted get another one.
    pub(crate) fn revive(&mut self, shared: &Arc<Shared>) {
        let ended: Vec<String> = self
            .runners
            .iter()
            .filter(|(_, runner)| runner.task.is_finished() && !*runner.stop.borrow())
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            if let Some(Runner { place, member, .. }) = self.runners.remove(&id) {
                self.runners.insert(id, Runner::start(shared, place, member));
            }
        }
    }

    /// All rules of stage `group` are told to stop; what they wait for then.
    pub(crate) fn stop(&mut self) -> Vec<JoinHandle<()>> {
        let runners = std::mem::take(&mut self.runners);
        let stopped = runners.into_values().map(|runner| {
            runner.stop.send_replace(true);
            runner.task
        });
        stopped.collect()
    }

    fn fail_file(&mut self, name: &str, text: &str, why: &str) {
        let kept = self.library.fail(name, text, From::File, why);
        self.note(kept);
    }

    fn note(&self, kept: Result<(), TableError>) {
        if let Err(error) = kept {
            tracing::error!(%error, "{UNKEPT}");
        }
    }
}

impl Runner {
    fn start(shared: &Arc<Shared>, place: Place, member: Arc<Member>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = match place.take(&shared.node) {
            Ok(consumer) => {
                shared.runtime.spawn(group::run(Arc::clone(shared), Arc::clone(&member), consumer, stopped))
            }
            Err(error) => {
                let why = format!("it gets no messages of the queue {:?}: {error}", place.queue);
                let before = member.last_failure.lock().replace(why.clone());
                if before.as_ref() != Some(&why) {
                    tracing::error!(rule = &*member.id, "{why}"); // it is tried again and again
                }
                shared.runtime.spawn(std::future::ready(()))
            }
        };
        Self { place, member, stop, task }
    }

    /// It stops, and leaves its place, unless it goes on in the same queue and group.
    fn end(&self, shared: &Shared, next: Option<&Place>) {
        self.stop.send_replace(true);
        let goes_on = next.is_some_and(|next| next.queue == self.place.queue && next.group == self.place.group);
        if !goes_on {
            self.place.leave(&shared.node);
        }
    }
}

/// What is wrong with one script.
fn told(errors: &LoadErrors, name: &str) -> String {
    let of_it: Vec<LoadError> = errors.0.iter().filter(|error| error.file == name).cloned().collect();
    LoadErrors(of_it).to_string()
}

/// Compiles scripts, and sees that the node has a place for each rule.
fn load(shared: &Shared, texts: &BTreeMap<String, String>) -> Result<Ruleset, LoadErrors> {
    let files: Vec<(&String, &String)> = texts.iter().collect();
    let ruleset = Ruleset::load(&shared.host, &files)?;
    let mut errors = Vec::new();
    for rule in ruleset.rules().iter().filter(|rule| rule.stage() == Stage::Group) {
        if let Some(Err(why)) = Place::of(rule).map(|place| place.check(&shared.node)) {
            let text = texts.get(rule.file()).map_or("", String::as_str);
            let message = format!("rule {:?}: {why}", rule.id());
            errors.push(LoadError::at_line(rule.file(), text, rule.line(), message));
        }
    }
    if errors.is_empty() { Ok(ruleset) } else { Err(LoadErrors(errors)) }
}
