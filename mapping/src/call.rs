//! The call that runs: what native functions reach through Rhai's tag.

use std::sync::Arc;

use parking_lot::Mutex;
use rhai::{Dynamic, EvalAltResult, NativeCallContext, Position, Scope};

use crate::{
    failure::{FailureReason, Fault},
    footprint::{self, Footprint, Weighed},
    limits::Limits,
    message::{Msg, Origin, Stage},
    meter,
    output::{Output, Target},
    state::RuleState,
};

/// Variables that closures capture in a call. Each is kept until the call ends.
const CAPTURED_MAX: usize = 16_384;
/// Captured variables between two measurements of all of them.
const CAPTURED_A_MEASUREMENT: usize = 64;
/// How Rhai's tag says of a shared variable that the call knows it.
pub(crate) const KNOWN: i32 = 0x5ea7;

/// Bytes after which a native function has the clock looked at before the script goes on.
const BYTES_A_LOOK: usize = 64 << 10;

/// What a call has and makes.
#[derive(Debug)]
pub(crate) struct Call {
    /// The time at which the call began, in milliseconds since 1970.
    pub(crate) now_unix_ms: u64,
    /// The rule's state.
    pub(crate) state: RuleState,
    pub(crate) stage: Stage,
    pub(crate) origin: Arc<Origin>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) failed: Option<(Fault, Position)>,
    fan_out: usize,
    memory_left: usize,
    variables_max: usize,
    memory_max: usize,
    footprint: Footprint,
    /// The variables of each function that is in another, as last seen.
    variables: Vec<usize>,
    /// The variables that closures have captured: a closure that is in one which it captures would never be freed.
    captured: Vec<Dynamic>,
}

/// How the call is known to the engine.
#[derive(Debug, Clone)]
pub(crate) struct CallHandle(pub(crate) Arc<Mutex<Call>>);

impl Call {
    pub(crate) fn idle() -> Self {
        Self {
            now_unix_ms: 0,
            state: RuleState::new(0, 0),
            stage: Stage::Group,
            origin: Arc::default(),
            outputs: Vec::new(),
            failed: None,
            fan_out: 0,
            memory_left: 0,
            variables_max: 0,
            memory_max: 0,
            footprint: Footprint::default(),
            variables: Vec::new(),
            captured: Vec::new(),
        }
    }

    /// Begins anew.
    pub(crate) fn begin(&mut self, now_unix_ms: u64, stage: Stage, origin: &Arc<Origin>, limits: &Limits) {
        self.now_unix_ms = now_unix_ms;
        self.stage = stage;
        self.origin = Arc::clone(origin);
        self.outputs.clear();
        self.failed = None;
        self.fan_out = limits.fan_out;
        self.memory_left = limits.memory_bytes;
        self.variables_max = limits.variables;
        self.memory_max = limits.memory_bytes;
        self.footprint.clear();
        self.variables.clear();
    }

    /// Notes how many variables the function at a level has.
    ///
    /// # Errors
    /// All functions that are in each other have more than they may.
    pub(crate) fn count_variables(&mut self, level: usize, count: usize) -> Result<(), Box<EvalAltResult>> {
        self.variables.resize(level + 1, 0);
        self.variables[level] = count;
        if self.variables.iter().sum::<usize>() > self.variables_max {
            return Err(EvalAltResult::ErrorTooManyVariables(Position::NONE).into());
        }
        Ok(())
    }

    /// A variable is read: see [`Footprint::read`].
    ///
    /// # Errors
    /// The variables hold more than they may; no script can catch this.
    pub(crate) fn read_variable(
        &mut self,
        level: usize,
        variable: Option<&Dynamic>,
        scope: &Scope<'_>,
    ) -> Result<(), Box<EvalAltResult>> {
        match self.footprint.read(level, variable, scope, self.memory_max) {
            Weighed::Fine => Ok(()),
            Weighed::Slowly => {
                meter::look_soon();
                Ok(())
            }
            Weighed::TooMuch(what) => Err(too_much(what)),
        }
    }

    /// Keeps a variable that closures have captured, if it is one that is not kept yet; whether it is.
    ///
    /// # Errors
    /// There are more than may be kept, or they hold more; no script can catch this.
    pub(crate) fn keep_captured(&mut self, value: &Dynamic) -> Result<bool, Box<EvalAltResult>> {
        if !value.is_shared() || value.tag() == KNOWN || value.is_read_only() {
            return Ok(false);
        }
        if self.captured.len() >= CAPTURED_MAX {
            return Err(too_much("closures capture more variables than allowed"));
        }
        self.captured.push(value.clone());
        if self.captured.len().is_multiple_of(CAPTURED_A_MEASUREMENT) {
            let mut bytes = 0_usize;
            for value in &self.captured {
                bytes = bytes.saturating_add(footprint::weight(value, self.memory_max).map_err(too_much)?);
            }
            if bytes > self.memory_max {
                return Err(too_much("what closures capture holds more bytes than allowed"));
            }
        }
        Ok(true)
    }

    /// The call is over: nothing is in what closures have captured, so that none holds itself.
    pub(crate) fn release_captured(&mut self) {
        for mut value in self.captured.drain(..) {
            let held = value.write_lock::<Dynamic>().map(|mut inner| std::mem::take(&mut *inner));
            drop(held); // what is in it is freed when it is not locked
        }
    }

    /// Counts bytes that a native function makes.
    ///
    /// # Errors
    /// The call has made more than it may; it fails also when the script catches this.
    pub(crate) fn charge(&mut self, bytes: usize, at: Position) -> Result<(), Box<EvalAltResult>> {
        if bytes >= BYTES_A_LOOK {
            meter::look_soon();
        }
        match self.memory_left.checked_sub(bytes) {
            Some(left) => {
                self.memory_left = left;
                Ok(())
            }
            None => Err(self.fail(FailureReason::Size, "the call makes more bytes than allowed".into(), at)),
        }
    }

    /// Has the call fail with this reason, whatever the script does about the error.
    pub(crate) fn fail(&mut self, reason: FailureReason, message: String, at: Position) -> Box<EvalAltResult> {
        let fault = Fault(reason, message);
        if self.failed.is_none() {
            self.failed = Some((fault.clone(), at));
        }
        fault.raise()
    }

    /// Adds an output. It goes on with one hop more than what the rule was called with.
    pub(crate) fn output(
        &mut self,
        target: Target,
        mut message: Msg,
        at: Position,
    ) -> Result<&mut Output, Box<EvalAltResult>> {
        if self.outputs.len() >= self.fan_out {
            let text = format!("the call has more than {} outputs", self.fan_out);
            return Err(self.fail(FailureReason::FanOut, text, at));
        }
        self.charge(message.content().payload.len() + message.content().topic.len(), at)?;
        let hops = self.origin.hops.saturating_add(1);
        let origin = &mut message.content_mut().origin;
        if origin.hops != hops {
            let next = self.outputs.last().map(|last| &last.message.content().origin);
            *origin = match next {
                Some(next) if Arc::ptr_eq(origin, &self.origin) && next.hops == hops => Arc::clone(next),
                _ => Arc::new(Origin { hops, ..Origin::clone(origin) }),
            };
        }
        let index = self.outputs.len();
        self.outputs.push(Output { target, message, delay: None });
        Ok(&mut self.outputs[index])
    }
}

/// Ends the call, whatever the script does about the error.
fn too_much(what: &str) -> Box<EvalAltResult> {
    let fault = Fault(FailureReason::Size, what.into());
    EvalAltResult::ErrorTerminated(Dynamic::from(fault), Position::NONE).into()
}

/// Acts on the call that runs. `act` must not call back into the engine.
///
/// # Errors
/// There is no call: the script is being loaded. Or another native function has it.
pub(crate) fn with_call<R>(
    ctx: &NativeCallContext<'_>,
    act: impl FnOnce(&mut Call) -> R,
) -> Result<R, Box<EvalAltResult>> {
    let handle = ctx.tag().and_then(Dynamic::read_lock::<CallHandle>);
    let Some(handle) = handle else {
        return Err(
            format!("{} is for within a rule: there is no message yet while a file is loaded", ctx.fn_name()).into()
        );
    };
    match handle.0.try_lock() {
        Some(mut call) => Ok(act(&mut call)),
        None => Err(format!("{} was called by a function that has the call", ctx.fn_name()).into()),
    }
}

/// Counts bytes that a native function makes; nothing while a file is loaded.
///
/// # Errors
/// See [`Call::charge`].
pub(crate) fn charge(ctx: &NativeCallContext<'_>, bytes: usize) -> Result<(), Box<EvalAltResult>> {
    match ctx.tag().and_then(Dynamic::read_lock::<CallHandle>) {
        Some(_) => with_call(ctx, |call| call.charge(bytes, ctx.call_position()))?,
        None => Ok(()),
    }
}
