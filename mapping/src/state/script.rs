//! `state` in scripts.
//!
//! What a script sets is kept as the time and the value, in CBOR, under its key. What the other functions keep is under
//! `~FUNCTION/KEY`, so each has its own under the same key. Keys of scripts do not begin with `~`.

use minicbor::{Decoder, Encoder};
use rhai::{Array, Dynamic, EvalAltResult, FLOAT, INT, Module, NativeCallContext, plugin::*};
use sha2::{Digest, Sha256};

use super::{
    RuleState, StateFull,
    windows::{Span, VALUES_MAX, Window},
};
use crate::{
    call::{Call, with_call},
    duration,
    values::{self, ValueError, as_float},
};

/// Bytes of a key.
const KEY_BYTES_MAX: usize = 512;

/// Identifiers that [`state_functions::seen`] knows under a key. When there would be more, the oldest quarter goes.
const SEEN_MAX: usize = 1024;

/// Which functions keep something of their own under a key.
const KEEPERS: [&str; 9] = ["average", "sum", "min", "max", "count", "rate", "rate_of", "once", "seen"];

/// What `state` is in a script. It says nothing: the state is the call's.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StateHandle;

/// Why a function of `state` failed.
#[derive(Debug, thiserror::Error)]
enum StateError {
    #[error(transparent)]
    Full(#[from] StateFull),
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error("the key \"{0}\" is not allowed: 1 to {KEY_BYTES_MAX} bytes that do not begin with ~")]
    Key(String),
    #[error("{0}")]
    Other(String),
}

/// The functions of `state`.
pub(crate) fn module() -> Module {
    rhai::exported_module!(state_functions)
}

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// Lets a function at the state of the call, and says in its errors which function it was.
fn within<R>(
    ctx: &NativeCallContext,
    key: &str,
    act: impl FnOnce(&mut RuleState, u64) -> Result<R, StateError>,
) -> Outcome<R> {
    let name = ctx.fn_name();
    if key.is_empty() || key.len() > KEY_BYTES_MAX || key.starts_with('~') {
        return Err(format!("state.{name}: {}", StateError::Key(key.chars().take(64).collect())).into());
    }
    with_call(ctx, |Call { state, now_unix_ms, .. }| act(state, *now_unix_ms))?
        .map_err(|error| format!("state.{name}(\"{key}\"): {error}").into())
}

fn kept_under(function: &str, key: &str) -> String {
    format!("~{function}/{key}")
}

fn read_value(kept: &[u8]) -> Result<(u64, Dynamic), StateError> {
    let mut source = Decoder::new(kept);
    let time = source.array().and_then(|_| source.u64()).map_err(|_| broken())?;
    let value = kept.get(source.position()..).ok_or_else(broken)?;
    Ok((time, values::from_cbor(value)?))
}

fn write_value(time_unix_ms: u64, value: &Dynamic) -> Result<Vec<u8>, StateError> {
    let mut out = Encoder::new(Vec::with_capacity(32));
    out.array(2).and_then(|out| out.u64(time_unix_ms)).map_err(|_| broken())?;
    let mut kept = out.into_writer();
    kept.extend_from_slice(&values::to_cbor(value)?);
    Ok(kept)
}

/// What is kept under a key, for people: what a script has set with its time, and of the others what they keep.
pub(crate) fn shown(key: &str, kept: &[u8]) -> serde_json::Value {
    let json = |value: &Dynamic| {
        let text = values::to_json(value).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_else(|| value.to_string().into())
    };
    if !key.starts_with('~')
        && let Ok((time, value)) = read_value(kept)
    {
        return serde_json::json!({"value": json(&value), "time": time});
    }
    values::from_cbor(kept).map_or(serde_json::Value::Null, |value| json(&value))
}

fn broken() -> StateError {
    StateError::Other("what is kept there cannot be read".to_owned())
}

fn set(state: &mut RuleState, now: u64, key: &str, value: &Dynamic) -> Result<(), StateError> {
    Ok(state.put(key, &write_value(now, value)?)?)
}

fn get(state: &RuleState, key: &str) -> Result<Option<(u64, Dynamic)>, StateError> {
    state.get(key).map(read_value).transpose()
}

fn number(value: &Dynamic) -> Result<FLOAT, StateError> {
    as_float(value).filter(|number| number.is_finite()).ok_or_else(|| {
        StateError::Other(format!("the value is {value} ({}); a finite number is needed", value.type_name()))
    })
}

fn length_ms(text: &str) -> Result<u64, StateError> {
    match duration::parse_ms(text) {
        Some(ms) if ms > 0 => Ok(ms),
        Some(_) => Err(StateError::Other("a length of time of 0 holds nothing".to_owned())),
        None => Err(StateError::Other(duration::expected(text))),
    }
}

fn span(window: &Dynamic) -> Result<Span, StateError> {
    if let Ok(text) = window.as_immutable_string_ref() {
        return length_ms(&text).map(Span::Ms);
    }
    match window.as_int().ok().and_then(|values| usize::try_from(values).ok()) {
        Some(values @ 1..=VALUES_MAX) => Ok(Span::Values(values)),
        _ => Err(StateError::Other(format!(
            "the window is {window}; a number of values from 1 to {VALUES_MAX} or a length of time like \"5m\" is \
             needed"
        ))),
    }
}

/// Takes a value into the window that the function has under the key.
fn take(ctx: &NativeCallContext, key: &str, value: &Dynamic, window: &Dynamic) -> Outcome<Window> {
    within(ctx, key, |state, now| {
        let (span, kept_under) = (span(window)?, kept_under(ctx.fn_name(), key));
        let mut window = Window::read(state.get(&kept_under), span);
        window.push(number(value)?, now, span);
        state.put(&kept_under, &window.write(span)?)?;
        Ok(window)
    })
}

/// A time that a function keeps.
fn time_of(state: &RuleState, kept_under: &str) -> Option<u64> {
    state.get(kept_under).and_then(|kept| Decoder::new(kept).u64().ok())
}

fn keep_time(state: &mut RuleState, kept_under: &str, time_unix_ms: u64) -> Result<(), StateError> {
    Ok(state.put(kept_under, &minicbor::to_vec(time_unix_ms).map_err(|_| broken())?)?)
}

/// What all identifiers that are known under a key are kept under. The length keeps keys apart that begin alike.
fn identifiers_under(key: &str) -> String {
    format!("~id/{}/{key}/", key.len())
}

fn seen(state: &mut RuleState, now: u64, key: &str, id: &Dynamic, length: u64) -> Result<bool, StateError> {
    let under = identifiers_under(key);
    let hash = Sha256::digest(values::to_cbor(id)?);
    let kept_under = hash.iter().take(16).fold(under.clone(), |text, byte| format!("{text}{byte:02x}"));
    let known = time_of(state, &kept_under);
    if known.is_some_and(|time| now.saturating_sub(time) < length) {
        return Ok(true);
    }
    let counter = format!("~seen/{key}");
    let kept: Option<(usize, u64)> = state.get(&counter).and_then(|kept| minicbor::decode(kept).ok());
    let (mut count, mut sweep_at) = kept.unwrap_or((0, now.saturating_add(length)));
    if count >= SEEN_MAX || now >= sweep_at {
        count = sweep(state, now, &under, length);
        sweep_at = now.saturating_add(length);
    }
    count += usize::from(time_of(state, &kept_under).is_none());
    keep_time(state, &kept_under, now)?;
    state.put(&counter, &minicbor::to_vec((count, sweep_at)).map_err(|_| broken())?)?;
    Ok(false)
}

/// Forgets identifiers whose time is over, and the oldest quarter when that does not help. How many are left.
fn sweep(state: &mut RuleState, now: u64, under: &str, length: u64) -> usize {
    let mut known: Vec<(u64, String)> = state
        .beginning_with(under)
        .map(|(key, kept)| (Decoder::new(kept).u64().unwrap_or(0), key.to_owned()))
        .collect();
    known.sort_unstable();
    let over = known.iter().take_while(|(time, _)| now.saturating_sub(*time) >= length).count();
    let past = if known.len() - over >= SEEN_MAX { over + SEEN_MAX / 4 } else { over };
    for (_, key) in known.iter().take(past) {
        state.remove(key);
    }
    known.len() - past
}

/// Whether two values are the same to a script; numbers by what they are, not by their type.
fn same(one: &Dynamic, other: &Dynamic) -> Result<bool, ValueError> {
    if (one.is_int() || one.is_float()) && (other.is_int() || other.is_float()) {
        return Ok(as_float(one) == as_float(other));
    }
    Ok(values::to_cbor(one)? == values::to_cbor(other)?)
}

#[expect(clippy::cast_possible_wrap, reason = "milliseconds and counts are far below 2^63")]
fn int(value: u64) -> INT {
    value as INT
}

/// What a rule remembers from message to message, also over a restart.
///
/// Windows (`average`, `sum`, `min`, `max`, `count`) are measured in values (1 to 512) or in a length of time ("5m").
/// Each function has a window of its own under a key; for two windows of different size use two keys. A window of time
/// is kept in 256 parts: it is exact but for its oldest 1/256.
#[export_module]
#[expect(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the macro registers what is public, and takes what it checked"
)]
mod state_functions {
    /// The value under the key; `()` if there is none.
    #[rhai_fn(return_raw, pure)]
    pub fn get(ctx: NativeCallContext, _state: &mut StateHandle, key: &str) -> Outcome<Dynamic> {
        get_or(ctx, _state, key, Dynamic::UNIT)
    }

    /// The value under the key; `default` if there is none.
    #[rhai_fn(name = "get", return_raw, pure)]
    pub fn get_or(ctx: NativeCallContext, _state: &mut StateHandle, key: &str, default: Dynamic) -> Outcome<Dynamic> {
        within(&ctx, key, |state, _| Ok(super::get(state, key)?.map_or(default, |(_, value)| value)))
    }

    /// Keeps a value under the key.
    #[rhai_fn(return_raw, pure)]
    pub fn set(ctx: NativeCallContext, _state: &mut StateHandle, key: &str, value: Dynamic) -> Outcome<()> {
        within(&ctx, key, |state, now| super::set(state, now, key, &value))
    }

    /// Forgets the value under the key, and its windows, times and identifiers. Whether there was something.
    #[rhai_fn(return_raw, pure)]
    pub fn remove(ctx: NativeCallContext, _state: &mut StateHandle, key: &str) -> Outcome<bool> {
        within(&ctx, key, |state, _| {
            let mut any = state.remove(key);
            for keeper in KEEPERS {
                any |= state.remove(&kept_under(keeper, key));
            }
            let under = identifiers_under(key);
            let identifiers: Vec<String> = state.beginning_with(&under).map(|(key, _)| key.to_owned()).collect();
            for identifier in identifiers {
                state.remove(&identifier);
            }
            Ok(any)
        })
    }

    /// Whether there is a value under the key.
    #[rhai_fn(return_raw, pure)]
    pub fn has(ctx: NativeCallContext, _state: &mut StateHandle, key: &str) -> Outcome<bool> {
        within(&ctx, key, |state, _| Ok(state.get(key).is_some()))
    }

    /// All keys that there is a value under, in order.
    #[rhai_fn(return_raw, pure)]
    pub fn keys(ctx: NativeCallContext, _state: &mut StateHandle) -> Outcome<Array> {
        with_call(&ctx, |call| {
            let keys = call.state.entries().filter(|(key, _)| !key.starts_with('~'));
            keys.map(|(key, _)| Dynamic::from(key.to_owned())).collect()
        })
    }

    /// Adds 1 to the counter under the key, which begins at 0. What it is then.
    #[rhai_fn(return_raw, pure)]
    pub fn incr(ctx: NativeCallContext, _state: &mut StateHandle, key: &str) -> Outcome<INT> {
        incr_by(ctx, _state, key, 1)
    }

    /// Adds `by` to the counter under the key, which begins at 0. What it is then.
    #[rhai_fn(name = "incr", return_raw, pure)]
    pub fn incr_by(ctx: NativeCallContext, _state: &mut StateHandle, key: &str, by: INT) -> Outcome<INT> {
        within(&ctx, key, |state, now| {
            let value = super::get(state, key)?.map_or(Dynamic::from_int(0), |(_, value)| value);
            let counter = value.as_int().map_err(|found| StateError::Other(format!("{found} is there, no integer")))?;
            let counter = counter
                .checked_add(by)
                .ok_or_else(|| StateError::Other(format!("{counter} + {by} is beyond 64 bits")))?;
            super::set(state, now, key, &counter.into())?;
            Ok(counter)
        })
    }

    /// Takes a number into the window. The average of it.
    #[rhai_fn(return_raw, pure)]
    pub fn average(
        ctx: NativeCallContext,
        _state: &mut StateHandle,
        key: &str,
        value: Dynamic,
        window: Dynamic,
    ) -> Outcome<FLOAT> {
        take(&ctx, key, &value, &window).map(|window| window.average())
    }

    /// Takes a number into the window. The sum of it.
    #[rhai_fn(return_raw, pure)]
    pub fn sum(
        ctx: NativeCallContext,
        _state: &mut StateHandle,
        key: &str,
        value: Dynamic,
        window: Dynamic,
    ) -> Outcome<FLOAT> {
        take(&ctx, key, &value, &window).map(|window| window.sum())
    }

    /// Takes a number into the window. The least in it.
    #[rhai_fn(return_raw, pure)]
    pub fn min(
        ctx: NativeCallContext,
        _state: &mut StateHandle,
        key: &str,
        value: Dynamic,
        window: Dynamic,
    ) -> Outcome<FLOAT> {
        take(&ctx, key, &value, &window).map(|window| window.least())
    }

    /// Takes a number into the window. The greatest in it.
    #[rhai_fn(return_raw, pure)]
    pub fn max(
        ctx: NativeCallContext,
        _state: &mut StateHandle,
        key: &str,
        value: Dynamic,
        window: Dynamic,
    ) -> Outcome<FLOAT> {
        take(&ctx, key, &value, &window).map(|window| window.greatest())
    }

    /// Takes a number into the window. How many are in it.
    #[rhai_fn(return_raw, pure)]
    pub fn count(
        ctx: NativeCallContext,
        _state: &mut StateHandle,
        key: &str,
        value: Dynamic,
        window: Dynamic,
    ) -> Outcome<INT> {
        take(&ctx, key, &value, &window).map(|window| int(window.count()))
    }

    /// Counts an event. How many there were in the length of time.
    #[rhai_fn(name = "count", return_raw, pure)]
    pub fn count_events(ctx: NativeCallContext, _state: &mut StateHandle, key: &str, window: Dynamic) -> Outcome<INT> {
        take(&ctx, key, &Dynamic::ONE, &window).map(|window| int(window.count()))
    }

    /// Counts an event. How many there were in the length of time, by its seconds.
    #[rhai_fn(return_raw, pure)]
    pub fn rate(ctx: NativeCallContext, _state: &mut StateHandle, key: &str, window: &str) -> Outcome<FLOAT> {
        #[expect(clippy::cast_precision_loss, reason = "a length of time is far below 2^53 milliseconds")]
        let seconds = within(&ctx, key, |_, _| length_ms(window))? as FLOAT / 1000.0;
        Ok(take(&ctx, key, &Dynamic::ONE, &window.into())?.sum() / seconds)
    }

    /// How much a number changes in a second, from the one before; `()` for the first, and for two at the same time.
    #[rhai_fn(return_raw, pure)]
    pub fn rate_of(ctx: NativeCallContext, _state: &mut StateHandle, key: &str, value: Dynamic) -> Outcome<Dynamic> {
        within(&ctx, key, |state, now| {
            let (value, kept_under) = (number(&value)?, kept_under("rate_of", key));
            let last = super::get(state, &kept_under)?;
            if let Some((time, _)) = last
                && time >= now
            {
                return Ok(Dynamic::UNIT);
            }
            super::set(state, now, &kept_under, &value.into())?;
            Ok(last.map_or(Dynamic::UNIT, |(time, last)| {
                #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 milliseconds")]
                let seconds = (now - time) as FLOAT / 1000.0;
                Dynamic::from_float((value - as_float(&last).unwrap_or(value)) / seconds)
            }))
        })
    }

    /// The value that was last set under the key, or that `changed` or `changed_by` said `true` for, or that `rate_of`
    /// had; `()` if there is none.
    #[rhai_fn(return_raw, pure)]
    pub fn last(ctx: NativeCallContext, _state: &mut StateHandle, key: &str) -> Outcome<Dynamic> {
        within(&ctx, key, |state, _| {
            let value = super::get(state, key)?;
            let value = if value.is_none() { super::get(state, &kept_under("rate_of", key))? } else { value };
            Ok(value.map_or(Dynamic::UNIT, |(_, value)| value))
        })
    }

    /// Whether the value is other than the one under the key, which it becomes. The first one is.
    #[rhai_fn(return_raw, pure)]
    pub fn changed(ctx: NativeCallContext, _state: &mut StateHandle, key: &str, value: Dynamic) -> Outcome<bool> {
        within(&ctx, key, |state, now| {
            let last = super::get(state, key)?;
            if let Some((_, last)) = last
                && same(&last, &value)?
            {
                return Ok(false);
            }
            super::set(state, now, key, &value)?;
            Ok(true)
        })
    }

    /// Whether the number is `threshold` or more away from the one under the key, which it becomes then. The first one
    /// is.
    #[rhai_fn(return_raw, pure)]
    pub fn changed_by(
        ctx: NativeCallContext,
        _state: &mut StateHandle,
        key: &str,
        value: Dynamic,
        threshold: Dynamic,
    ) -> Outcome<bool> {
        within(&ctx, key, |state, now| {
            let (new, threshold) = (number(&value)?, number(&threshold)?);
            let last = super::get(state, key)?.and_then(|(_, last)| as_float(&last));
            if last.is_some_and(|last| (new - last).abs() < threshold) {
                return Ok(false);
            }
            super::set(state, now, key, &value)?;
            Ok(true)
        })
    }

    /// Milliseconds since the value under the key was set; `()` if there is none.
    #[rhai_fn(return_raw, pure)]
    pub fn since(ctx: NativeCallContext, _state: &mut StateHandle, key: &str) -> Outcome<Dynamic> {
        within(&ctx, key, |state, now| {
            let time = super::get(state, key)?.map(|(time, _)| int(now.saturating_sub(time)));
            Ok(time.map_or(Dynamic::UNIT, Dynamic::from_int))
        })
    }

    /// `true` at most once in this length of time.
    #[rhai_fn(return_raw, pure)]
    pub fn once(ctx: NativeCallContext, _state: &mut StateHandle, key: &str, length: &str) -> Outcome<bool> {
        within(&ctx, key, |state, now| {
            let (length, kept_under) = (length_ms(length)?, kept_under("once", key));
            if time_of(state, &kept_under).is_some_and(|time| now.saturating_sub(time) < length) {
                return Ok(false);
            }
            keep_time(state, &kept_under, now)?;
            Ok(true)
        })
    }

    /// Whether the same identifier was here in this length of time. At most 1024 identifiers are known under a key;
    /// when more come, the oldest are forgotten early.
    #[rhai_fn(return_raw, pure)]
    pub fn seen(
        ctx: NativeCallContext,
        _state: &mut StateHandle,
        key: &str,
        id: Dynamic,
        length: &str,
    ) -> Outcome<bool> {
        within(&ctx, key, |state, now| super::seen(state, now, key, &id, length_ms(length)?))
    }
}
