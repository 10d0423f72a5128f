//! An engine with everything that values, functions, state and tables give to scripts, and a call for it.

use std::sync::Arc;

use parking_lot::Mutex;
use rhai::{Dynamic, Engine, Scope};

use crate::{
    call::{Call, CallHandle},
    functions,
    limits::Limits,
    lookup::{self, Lookups},
    message::Stage,
    state::{self, RuleState, StateHandle},
    values,
};

/// A rule's surroundings.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) lookups: Arc<Lookups>,
    call: Arc<Mutex<Call>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_state(RuleState::new(1_000, 1 << 20))
    }

    pub(crate) fn with_state(state: RuleState) -> Self {
        let (mut engine, lookups) = (Engine::new(), Arc::new(Lookups::default()));
        engine.set_max_string_size(1000).set_max_array_size(1000).set_max_map_size(1000).set_max_expr_depths(64, 64);
        values::register(&mut engine);
        for (_, module) in functions::modules() {
            engine.register_global_module(module.into());
        }
        engine.register_global_module(state::module().into());
        engine.register_global_module(lookup::module(&lookups).into());
        let mut call = Call::idle();
        call.begin(1_000_000, Stage::Group, &Arc::default(), &Limits::GROUP);
        call.state = state;
        let call = Arc::new(Mutex::new(call));
        engine.set_default_tag(Dynamic::from(CallHandle(Arc::clone(&call))));
        Self { engine, lookups, call }
    }

    pub(crate) fn set_now(&self, now_unix_ms: u64) {
        self.call.lock().now_unix_ms = now_unix_ms;
    }

    pub(crate) fn with_rule_state<R>(&self, act: impl FnOnce(&mut RuleState) -> R) -> R {
        act(&mut self.call.lock().state)
    }

    pub(crate) fn eval(&self, script: &str) -> Result<Dynamic, String> {
        let mut scope = Scope::new();
        scope.push_constant("state", StateHandle);
        self.engine.eval_with_scope::<Dynamic>(&mut scope, script).map_err(|error| error.to_string())
    }

    /// What a script answers, as JSON, or its error.
    pub(crate) fn json(&self, script: &str) -> String {
        match self.eval(script) {
            Ok(value) => match values::to_json(&value) {
                Ok(json) => String::from_utf8_lossy(&json).into_owned(),
                Err(error) => error.to_string(),
            },
            Err(error) => error,
        }
    }
}
