//! The Rhai engines, one a stage: the same functions, and limits of their own.
//!
//! Files cannot be imported, nor texts run as scripts; `print` goes to the trace. What the program registers comes last
//! and may replace what is here, but for the limits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rhai::{Dynamic, Engine, EvalAltResult, EvalContext, module_resolvers::DummyModuleResolver};

use crate::{
    call::{CallHandle, KNOWN},
    host::Host,
    limits::{FUNCTIONS_PER_FILE_MAX, Limits},
    lookup,
    message::{Msg, Stage},
    meter,
    natives::{Outcome, SECTIONS},
    output::Verdict,
    rule,
    state::StateHandle,
    values::{self, Number},
};

/// Names that every script has beside its own variables.
pub(crate) const CONSTANTS: [(&str, &str); 3] = [
    ("ok", "The verdict that the message is done with; at stage `ingress`, that it goes on."),
    ("drop", "The verdict that the message ends here."),
    ("state", "What the rule remembers from message to message."),
];

/// The engines of both stages.
#[derive(Debug)]
pub(crate) struct Engines {
    pub(crate) group: Arc<Engine>,
    pub(crate) ingress: Arc<Engine>,
    pub(crate) catalogue: Catalogue,
}

/// Which functions there are: the names, each with the numbers of arguments.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) functions: BTreeMap<String, BTreeSet<usize>>,
}

impl Engines {
    pub(crate) fn new(host: &Host) -> Self {
        let group = built(host, Stage::Group);
        let ingress = built(host, Stage::Ingress);
        Self { catalogue: Catalogue::of(&group), group: Arc::new(group), ingress: Arc::new(ingress) }
    }

    pub(crate) fn of(&self, stage: Stage) -> &Arc<Engine> {
        match stage {
            Stage::Group => &self.group,
            Stage::Ingress => &self.ingress,
        }
    }
}

impl Catalogue {
    fn of(engine: &Engine) -> Self {
        let mut functions: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let infos = engine.collect_fn_metadata(
            None,
            |info| Some((info.namespace.to_string(), info.metadata.name.to_string(), info.metadata.num_params)),
            true,
        );
        for (namespace, name, arguments) in infos {
            let name = if namespace.is_empty() { name } else { format!("{namespace}::{name}") };
            functions.entry(name).or_default().insert(arguments);
        }
        Self { functions }
    }
}

/// An engine that has the types of this crate by their names in scripts.
pub(crate) fn with_types(mut engine: Engine) -> Engine {
    engine.register_type_with_name::<Msg>("Message");
    engine.register_type_with_name::<Outcome>("Verdict");
    engine.register_type_with_name::<StateHandle>("State");
    engine.register_type_with_name::<Number>("Number");
    engine
}

fn built(host: &Host, stage: Stage) -> Engine {
    let mut engine = with_types(Engine::new());
    engine.set_module_resolver(DummyModuleResolver::new());
    for symbol in ["eval", "import", "export"] {
        engine.disable_symbol(symbol);
    }
    for section in SECTIONS.iter() {
        engine.register_global_module(section.module.clone());
    }
    values::register(&mut engine);
    engine.register_global_module(lookup::module(host.tables()).into());
    engine.register_global_module(rule::module());
    engine.register_fn("sleep", |_: i64| asleep());
    engine.register_fn("sleep", |_: f64| asleep());
    for registration in host.registrations() {
        registration(&mut engine);
    }
    hook(&mut engine);
    bound(&mut engine, host.limits_of(stage));
    engine
}

/// Rhai's own `sleep` would hold up the thread.
fn asleep() -> Result<(), Box<EvalAltResult>> {
    Err("rules do not sleep: end with retry(delay), or enqueue with a delay".into())
}

fn bound(engine: &mut Engine, limits: &Limits) {
    engine
        .set_max_call_levels(limits.call_depth)
        .set_max_expr_depths(limits.expression_depth, limits.expression_depth)
        .set_max_functions(FUNCTIONS_PER_FILE_MAX)
        .set_max_modules(0)
        .set_max_operations(0)
        .set_max_string_size(limits.string_bytes)
        .set_max_array_size(limits.array_len)
        .set_max_map_size(limits.map_len)
        .set_max_variables(limits.variables);
}

#[expect(deprecated, reason = "Rhai marks what may change so; there is no other way to these hooks")]
fn hook(engine: &mut Engine) {
    engine.on_progress(meter::on_progress);
    engine.on_print(meter::on_print);
    engine.on_debug(|text, _, at| meter::on_print(&format!("{at:?}: {text}")));
    engine.on_var(|name, index, mut context| {
        let (is_variable, is_captured) = on_read(name, index, &context)?;
        if is_captured && let Some(variable) = context.scope_mut().get_mut(name) {
            variable.set_tag(KNOWN);
        }
        Ok(if is_variable { None } else { constant(name) })
    });
    engine.on_def_var(|is_run, _, context| if is_run { on_variable(&context) } else { Ok(true) });
}

/// A name is read: whether it is a variable of the scope, and one that closures have captured and nobody knew of. The
/// `index` counts from the end of the scope, from 1; it is 0 when Rhai does not know it.
fn on_read(
    name: &str,
    index: usize,
    context: &EvalContext<'_, '_, '_, '_, '_, '_>,
) -> Result<(bool, bool), Box<EvalAltResult>> {
    let scope = context.scope();
    let variable = match index.checked_sub(1) {
        Some(index) => scope.iter_raw().nth(index),
        None => scope.iter_raw().find(|(known, ..)| *known == name),
    };
    let variable = variable.map(|(_, _, value)| value);
    let is_variable = index > 0 || variable.is_some();
    let Some(handle) = context.tag().read_lock::<CallHandle>() else { return Ok((is_variable, false)) };
    let Some(mut call) = handle.0.try_lock() else { return Ok((is_variable, false)) };
    call.read_variable(context.call_level(), variable, scope)?;
    Ok((is_variable, variable.map_or(Ok(false), |value| call.keep_captured(value))?))
}

/// The constants resolve here and not in the scope, so that closures and named functions have them too.
fn constant(name: &str) -> Option<Dynamic> {
    match name {
        "ok" => Some(Dynamic::from(Outcome(Verdict::Ok))),
        "drop" => Some(Dynamic::from(Outcome(Verdict::Drop))),
        "state" => Some(Dynamic::from(StateHandle)),
        _ => None,
    }
}

/// Counts the variables of all functions that are in each other: Rhai counts those of one.
fn on_variable(context: &EvalContext<'_, '_, '_, '_, '_, '_>) -> Result<bool, Box<EvalAltResult>> {
    let Some(handle) = context.tag().read_lock::<CallHandle>() else { return Ok(true) };
    let Some(mut call) = handle.0.try_lock() else { return Ok(true) };
    call.count_variables(context.call_level(), context.scope().len() + 1)?;
    Ok(true)
}
