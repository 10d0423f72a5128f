//! One call of a rule. What it needs is kept from call to call in a seat: the scope, Rhai's cache of where functions
//! are, and what native functions reach. A rule has as many seats as it was ever called at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rhai::{Caches, Dynamic, EvalAltResult, GlobalRuntimeState, Module, Position, Scope, Shared, Stmt};

use crate::{
    call::{Call, CallHandle},
    failure::{Failure, FailureReason, Fault},
    message::Msg,
    meter,
    natives::Outcome,
    output::Verdict,
    rule::{Called, How, Rule, Trace},
    shard::shard,
    state::RuleState,
};

/// Bytes of a variable's value in a trace.
const VALUE_BYTES_MAX: usize = 1_024;

/// The compiled function of a rule.
pub(crate) struct Function {
    /// The name of its parameter.
    pub(crate) parameter: String,
    /// What it has of the file's variables, copied when the file was loaded, and constant.
    pub(crate) captured: Vec<(String, Dynamic)>,
    pub(crate) body: Vec<Stmt>,
    /// The functions of its file.
    pub(crate) library: Shared<Module>,
    /// The constants of its file, as Rhai keeps them for `global::`.
    pub(crate) constants: Option<Constants>,
    pub(crate) source: rhai::ImmutableString,
}

/// What Rhai has under `global::`.
#[expect(clippy::disallowed_types, reason = "the lock is Rhai's")]
pub(crate) type Constants = Shared<rhai::Locked<std::collections::BTreeMap<rhai::ImmutableString, Dynamic>>>;

/// See the module's description.
pub(crate) struct Seat {
    scope: Scope<'static>,
    caches: Caches,
    call: Arc<Mutex<Call>>,
    /// The handle of `call`, for the engine.
    tag: Dynamic,
}

impl Seat {
    fn new() -> Self {
        let call = Arc::new(Mutex::new(Call::idle()));
        let tag = Dynamic::from(CallHandle(Arc::clone(&call)));
        Self { scope: Scope::new(), caches: Caches::new(), call, tag }
    }
}

/// See [`Rule::call`].
pub(crate) fn call(rule: &Rule, message: &Msg, state: &mut RuleState, how: How) -> Called {
    let failed = |failure, ran: Option<Ran>| {
        let (took, operations, trace) = ran.map_or_else(Default::default, |ran| (ran.took, ran.operations, ran.trace));
        let (outputs, changes) = (Vec::new(), Vec::new());
        Called { result: Err(failure), message: message.clone(), outputs, changes, took, operations, trace }
    };
    let origin = &message.content().origin;
    if origin.hops >= rule.limits.hops {
        let text = format!("the message has gone through {} rules", origin.hops);
        return failed(Failure::new(FailureReason::Hops, Position::NONE, text), None);
    }
    let mut seat = rule.seats[shard()].lock().pop().unwrap_or_else(Seat::new);
    state.begin();
    {
        let mut call = seat.call.lock();
        call.begin(how.now_unix_ms, rule.stage(), origin, &rule.limits);
        std::mem::swap(&mut call.state, state);
    }
    let mut ran = run(rule, &mut seat, message, how);
    let mut call = seat.call.lock();
    call.release_captured();
    std::mem::swap(&mut call.state, state);
    let result = match call.failed.take() {
        Some((Fault(reason, text), at)) => Err(Failure::new(reason, at, text)),
        None => std::mem::replace(&mut ran.result, Ok((Verdict::Ok, message.clone()))),
    };
    let (verdict, changed) = match result {
        Ok(ended) => ended,
        Err(failure) => {
            // What the engine had in hand may be half done: the seat goes.
            state.rollback();
            return failed(failure, Some(ran));
        }
    };
    let outputs = std::mem::take(&mut call.outputs);
    drop(call);
    rule.seats[shard()].lock().push(seat);
    Called {
        result: Ok(verdict),
        message: changed,
        outputs,
        changes: state.changes(),
        took: ran.took,
        operations: ran.operations,
        trace: ran.trace,
    }
}

struct Ran {
    result: Result<(Verdict, Msg), Failure>,
    took: Duration,
    operations: u64,
    trace: Option<Trace>,
}

fn run(rule: &Rule, seat: &mut Seat, message: &Msg, how: How) -> Ran {
    let function = &rule.function;
    let mut global = rule.engine.new_global_runtime_state();
    global.lib.push(function.library.clone());
    global.constants.clone_from(&function.constants);
    global.source = Some(function.source.clone());
    global.tag = std::mem::take(&mut seat.tag);
    seat.scope.clear();
    for (name, value) in &function.captured {
        seat.scope.push_constant_dynamic(name.as_str(), value.clone());
    }
    seat.scope.push_dynamic(function.parameter.as_str(), Dynamic::from(message.clone()));
    let begun = Instant::now();
    let guard = meter::enter(rule.limits.operations, rule.limits.wall, begun);
    let ended = catch_unwind(AssertUnwindSafe(|| evaluate(rule, seat, &mut global)));
    let prints = if how.is_traced { guard.prints() } else { Vec::new() };
    let (operations, over) = (guard.operations(), guard.over());
    drop(guard);
    seat.tag = std::mem::take(&mut global.tag);
    let trace = how.is_traced.then(|| Trace { variables: variables(function, &seat.scope), prints });
    let result = match (ended, over) {
        (Ok(Ok(_)), Some(reason)) => Err(Failure::new(reason, Position::NONE, reason.told())),
        (Ok(Ok(value)), None) => verdict(function, &seat.scope, value),
        (Ok(Err(error)), _) => Err(Failure::of(&error)),
        (Err(panic), _) => Err(Failure::new(FailureReason::Panic, Position::NONE, panic_text(panic.as_ref()))),
    };
    seat.scope.clear();
    Ran { result, took: begun.elapsed(), operations, trace }
}

#[expect(deprecated, reason = "the other ways to call a function make Rhai's cache anew each time")]
fn evaluate(rule: &Rule, seat: &mut Seat, global: &mut GlobalRuntimeState) -> Result<Dynamic, Box<EvalAltResult>> {
    rule.engine.eval_statements_raw(global, &mut seat.caches, &mut seat.scope, &rule.function.body)
}

/// The verdict, and the message as it is now: the parameter, or what the function returned.
fn verdict(function: &Function, scope: &Scope<'_>, value: Dynamic) -> Result<(Verdict, Msg), Failure> {
    let wrong = |text: String| Failure::new(FailureReason::Result, Position::NONE, text);
    let verdict = if value.is::<Outcome>() {
        value.cast::<Outcome>().0
    } else if value.is::<Msg>() {
        return Ok((Verdict::Ok, value.cast::<Msg>()));
    } else {
        // A semicolon does not take the value of the last statement away: `state.incr("n");` has one.
        Verdict::Ok
    };
    // Rhai's order is from the last: variables that the function has made come before.
    let parameter = scope.iter_raw().nth(scope.len() - 1 - function.captured.len());
    let changed = parameter.and_then(|(_, _, value)| value.read_lock::<Msg>().map(|message| message.clone()));
    match changed {
        Some(message) => Ok((verdict, message)),
        None => Err(wrong(format!("{} is not a message any more", function.parameter))),
    }
}

fn variables(function: &Function, scope: &Scope<'_>) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = scope
        .iter()
        .skip(function.captured.len())
        .map(|(name, _, value)| {
            let mut text = shown_variable(&value);
            text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX));
            (name.to_owned(), text)
        })
        .collect();
    // A variable that another of its name hides cannot be seen by the script either.
    let mut at = 0;
    while at < all.len() {
        if all[at + 1..].iter().any(|(name, _)| *name == all[at].0) {
            all.remove(at);
        } else {
            at += 1;
        }
    }
    all
}

fn shown_variable(value: &Dynamic) -> String {
    if let Some(message) = value.read_lock::<Msg>() {
        return message.to_string();
    }
    if let Some(outcome) = value.read_lock::<Outcome>() {
        return outcome.to_string();
    }
    format!("{value:?}")
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a function of the program panicked: {}", text.unwrap_or("it does not say why"))
}
