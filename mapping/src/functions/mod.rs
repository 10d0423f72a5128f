//! Functions that scripts have beyond Rhai's own: one file a topic. Their doc comments are the reference.
//!
//! Their errors begin with the name of the function and say what it was given and what it takes. What they make is
//! within the engine's bounds for texts, arrays and maps, and checked before it is made where it can be large.

mod arrays;
mod binary;
mod encoding;
mod formats;
mod hash;
mod numbers;
mod patterns;
mod structure;
mod text;
mod time;

#[cfg(test)]
mod tests;

use std::fmt;

use rhai::{Dynamic, EvalAltResult, FLOAT, Module, NativeCallContext, Position};

pub(crate) use self::hash::fnv;
use crate::{meter, values};

/// Bytes, elements or entries after which the clock is looked at: those of a function that takes or makes them.
const SIZE_A_LOOK: usize = 16 << 10;

/// What native functions answer.
type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// All of them, in the order of the reference: what they are about, and the module.
pub(crate) fn modules() -> [(&'static str, Module); 10] {
    [
        ("JSON and CBOR", formats::module()),
        ("Texts", text::module()),
        ("Regular expressions", patterns::module()),
        ("Numbers and units", numbers::module()),
        ("Time", time::module()),
        ("Maps and arrays", structure::module()),
        ("Functions that arrays are given to", arrays::module()),
        ("Binary data", binary::module()),
        ("Hex and Base64", encoding::module()),
        ("Hashes", hash::module()),
    ]
}

/// An error that says which function it comes from.
fn failed(ctx: &NativeCallContext, what: impl fmt::Display) -> Box<EvalAltResult> {
    format!("{}: {what}", ctx.fn_name()).into()
}

/// A value for an error: not all of a long one.
fn shown(value: &Dynamic) -> String {
    const CHARACTERS: usize = 64;
    let text = match values::to_json(value) {
        Ok(json) => String::from_utf8_lossy(&json).into_owned(),
        // What is too deep to be written is too deep to be shown.
        Err(_) => value.type_name().to_owned(),
    };
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// A number of any type.
fn number(ctx: &NativeCallContext, value: &Dynamic) -> Outcome<FLOAT> {
    values::as_float(value)
        .ok_or_else(|| failed(ctx, format!("{} is {}; a number is needed", shown(value), value.type_name())))
}

/// Gives the bytes of a text or blob to `act`.
fn with_bytes<R>(ctx: &NativeCallContext, value: &Dynamic, act: impl FnOnce(&[u8]) -> R) -> Outcome<R> {
    let act = |bytes: &[u8]| {
        if bytes.len() >= SIZE_A_LOOK {
            meter::look_soon();
        }
        act(bytes)
    };
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(act(text.as_bytes()));
    }
    match value.as_blob_ref() {
        Ok(blob) => Ok(act(&blob)),
        Err(found) => Err(failed(ctx, format!("{} is {found}; a text or a blob is needed", shown(value)))),
    }
}

/// Whether a text of this many bytes may be made.
fn text_fits(ctx: &NativeCallContext, bytes: usize) -> Outcome<()> {
    fits(ctx, "bytes of text", bytes, ctx.engine().max_string_size())
}

/// Whether an array or a blob of this length may be made.
fn array_fits(ctx: &NativeCallContext, len: usize) -> Outcome<()> {
    fits(ctx, "elements", len, ctx.engine().max_array_size())
}

/// Whether a map of this many entries may be made.
fn map_fits(ctx: &NativeCallContext, len: usize) -> Outcome<()> {
    fits(ctx, "entries", len, ctx.engine().max_map_size())
}

/// A limit of 0 is none.
fn fits(ctx: &NativeCallContext, of: &str, len: usize, limit: usize) -> Outcome<()> {
    if len >= SIZE_A_LOOK {
        meter::look_soon();
    }
    if limit == 0 || len <= limit {
        return Ok(());
    }
    let what = format!("{}: {len} {of}, of which {limit} are allowed", ctx.fn_name());
    Err(EvalAltResult::ErrorDataTooLarge(what, Position::NONE).into())
}
