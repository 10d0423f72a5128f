//! What native functions know of the call that they are in.

use std::sync::Arc;

use parking_lot::Mutex;
use rhai::{EvalAltResult, NativeCallContext};

use crate::state::RuleState;

/// The call.
pub(crate) struct Call {
    /// The time.
    pub(crate) now_unix_ms: u64,
    /// The rule's state.
    pub(crate) state: RuleState,
}

impl Call {
    /// None runs.
    pub(crate) fn idle() -> Self {
        Self { now_unix_ms: 0, state: RuleState::new(0, 0) }
    }
}

/// What the engine's tag is.
#[derive(Clone)]
pub(crate) struct CallHandle(pub(crate) Arc<Mutex<Call>>);

/// Lets a native function at its call.
pub(crate) fn with_call<R>(ctx: &NativeCallContext, act: impl FnOnce(&mut Call) -> R) -> Result<R, Box<EvalAltResult>> {
    let handle = ctx.tag().and_then(|tag| tag.read_lock::<CallHandle>().map(|handle| handle.clone()));
    let handle = handle.ok_or("only within a rule's call")?;
    let mut call = handle.0.lock();
    Ok(act(&mut call))
}
