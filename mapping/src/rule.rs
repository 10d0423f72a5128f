//! A rule: what `rule(...)` in a script says, and the compiled function. A call of it is in `seat`.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use primer_core::{queue::name, topic};
use rhai::{Dynamic, Engine, EvalAltResult, FnPtr, Map, Module, NativeCallContext, Position, Shared};

use crate::{
    failure::Failure,
    limits::{Limits, RULES_PER_FILE_MAX},
    message::{Msg, Stage},
    options::{Delivery, RuleOptions},
    output::{Output, Verdict},
    seat::{self, Function, Seat},
    shard::SHARDS,
    state::{RuleState, StateChange},
};

/// The longest identifier.
const ID_BYTES_MAX: usize = 64;

/// Where a rule's messages come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// Publishes to topics that match this filter.
    Topic(String),
    /// The queue of this name, `$dead/NAME` included.
    Queue(String),
}

/// How a rule is called.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// The time that the script has, in milliseconds since 1970.
    pub now_unix_ms: u64,
    /// Whether to answer with a [`Trace`] and what was printed.
    pub is_traced: bool,
}

/// What a call showed of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// The variables of the rule's function at its end, each with its value in words.
    pub variables: Vec<(String, String)>,
    /// What `print` and `debug` were given.
    pub prints: Vec<String>,
}

/// What came of a call.
#[derive(Debug)]
pub struct Called {
    /// The verdict, or why there is none.
    pub result: Result<Verdict, Failure>,
    /// The message as the rule left it; after a failure as it came.
    pub message: Msg,
    /// The outputs; none after a failure.
    pub outputs: Vec<Output>,
    /// The changes of the rule's state; none after a failure.
    pub changes: Vec<StateChange>,
    /// How long it took.
    pub took: Duration,
    /// Operations of Rhai that the call took.
    pub operations: u64,
    /// When it was asked for.
    pub trace: Option<Trace>,
}

/// A rule that can be called. Calls on several threads do not wait for each other.
pub struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) source: Source,
    pub(crate) options: RuleOptions,
    pub(crate) limits: Limits,
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
    pub(crate) engine: Arc<Engine>,
    pub(crate) function: Function,
    pub(crate) uses_state: bool,
    pub(crate) seats: [Mutex<Vec<Seat>>; SHARDS],
}

impl Rule {
    /// Its identifier, the only one of that name in its rule set.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its messages come from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where it stands.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.options.stage
    }

    /// What it says of itself.
    #[must_use]
    pub fn options(&self) -> &RuleOptions {
        &self.options
    }

    /// The limits of its calls.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The file that it is in.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line there, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether none of its messages comes again.
    #[must_use]
    pub fn has_each_once(&self) -> bool {
        self.options.mode == Delivery::AtMostOnce
    }

    /// Whether its file says `state` anywhere.
    #[must_use]
    pub fn uses_state(&self) -> bool {
        self.uses_state
    }

    /// Whether the rule is meant for a message: by its topic, or the queue that it comes from.
    #[must_use]
    pub fn is_match(&self, message: &Msg) -> bool {
        match &self.source {
            Source::Topic(filter) => topic::matches(filter, &message.content().topic),
            Source::Queue(queue) => message.content().origin.queue.as_deref() == Some(queue),
        }
    }

    /// Calls the rule with a message, whether it matches or not. What the call changes of `state` stays there when it
    /// ends well ([`Called::changes`] can be reverted), and is undone when it fails.
    #[must_use]
    pub fn call(&self, message: &Msg, state: &mut RuleState, how: How) -> Called {
        seat::call(self, message, state, how)
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule")
            .field("id", &self.id)
            .field("source", &self.source)
            .field("options", &self.options)
            .field("at", &format_args!("{}:{}", self.file, self.line))
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Reads what a script says.
    ///
    /// # Errors
    /// Says why it is none.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let queue = |queue: &str| match name::check(queue) {
            Ok(()) => Ok(Self::Queue(queue.to_owned())),
            Err(error) => Err(format!("the queue {queue:?}: {error}")),
        };
        if let Some(name) = text.strip_prefix("$queue/").or_else(|| text.strip_prefix("queue ")) {
            return queue(name.trim());
        }
        if text.starts_with(name::DEAD) {
            return queue(text);
        }
        if let Some(log) = text.strip_prefix("$log/").or_else(|| text.strip_prefix("log ")) {
            return Err(format!("logs do not exist yet, and so not {:?}: use a queue", log.trim()));
        }
        topic::check_filter(text).map_err(|error| format!("the source {text:?} {error}"))?;
        if let Some(own) = ["$share/", "$CONTROL/", "$delayed/"].iter().find(|own| text.starts_with(**own)) {
            return Err(format!("the source {text:?}: rules cannot stand on {own}..."));
        }
        Ok(Self::Topic(text.to_owned()))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topic(filter) => f.write_str(filter),
            Self::Queue(queue) if queue.starts_with(name::DEAD) => f.write_str(queue),
            Self::Queue(queue) => write!(f, "$queue/{queue}"),
        }
    }
}

/// A rule as the script says it, before it is compiled.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(crate) id: String,
    pub(crate) source: Source,
    pub(crate) options: Option<Map>,
    pub(crate) function: FnPtr,
    pub(crate) at: Position,
}

/// The rules of the file that is being loaded, as the engine knows them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collector(pub(crate) Arc<Mutex<Vec<Declared>>>);

/// The functions that are for the file itself.
pub(crate) fn module() -> Shared<Module> {
    Shared::new(rhai::exported_module!(declarations))
}

fn declare(
    ctx: &NativeCallContext<'_>,
    id: &str,
    source: &str,
    options: Option<Map>,
    function: FnPtr,
) -> Result<(), Box<EvalAltResult>> {
    let collector = ctx.tag().and_then(Dynamic::read_lock::<Collector>);
    let collector = collector.ok_or("rule() is for the file itself: a rule cannot make rules")?;
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.chars().all(is_valid) {
        return Err(format!(
            "the identifier {:?} is not one: 1 to {ID_BYTES_MAX} of A-Z a-z 0-9 . _ -",
            &id[..id.floor_char_boundary(80)]
        )
        .into());
    }
    let source = Source::read(source).map_err(|error| format!("rule {id:?}: {error}"))?;
    let mut rules = collector.0.lock();
    if rules.len() >= RULES_PER_FILE_MAX {
        return Err(format!("a file has at most {RULES_PER_FILE_MAX} rules").into());
    }
    rules.push(Declared { id: id.to_owned(), source, options, function, at: ctx.call_position() });
    Ok(())
}

#[rhai::plugin::export_module]
#[expect(unreachable_pub, reason = "the macro exports what is pub")]
pub(crate) mod declarations {
    use rhai::{ImmutableString, plugin::*};

    use super::*;

    /// Makes a rule: its identifier (1 to 64 of `A-Z a-z 0-9 . _ -`), its source (a topic filter, or `$queue/NAME`, or
    /// `$dead/NAME`), and the function that is called with each message.
    #[rhai_fn(name = "rule", return_raw)]
    pub fn rule(
        ctx: NativeCallContext,
        id: ImmutableString,
        source: ImmutableString,
        function: FnPtr,
    ) -> Result<(), Box<EvalAltResult>> {
        declare(&ctx, &id, &source, None, function)
    }

    /// The same with options.
    #[rhai_fn(name = "rule", return_raw)]
    pub fn rule_with(
        ctx: NativeCallContext,
        id: ImmutableString,
        source: ImmutableString,
        options: Map,
        function: FnPtr,
    ) -> Result<(), Box<EvalAltResult>> {
        declare(&ctx, &id, &source, Some(options), function)
    }
}
