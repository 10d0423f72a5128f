//! Regular expressions (of the crate `regex`): they take time in proportion to the text, whatever they say.

use parking_lot::Mutex;
use regex::{Captures, Regex, RegexBuilder};
use rhai::{Array, Dynamic, ImmutableString, Map, Module, NativeCallContext, plugin::*};

use super::{Outcome, array_fits, failed, text_fits};
use crate::meter;

/// Compiled patterns that are kept, for all rules.
const PATTERNS_MAX: usize = 64;

/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 2048;

/// Bytes that a compiled pattern may take, and its automaton while it matches.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a text: the time is in proportion to this times the size of the pattern, and cannot be interrupted.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a replacement: each group that it names may be as long as the text.
const REPLACEMENT_BYTES_MAX: usize = 2048;

/// Bytes of a text after which the clock is looked at.
const BYTES_A_LOOK: usize = 4 * 1024;

/// The patterns that were used, the latest at the end.
static PATTERNS: Mutex<Vec<Regex>> = Mutex::new(Vec::new());

pub(super) fn module() -> Module {
    exported_module!(pattern_functions)
}

/// The compiled pattern, for a text that is short enough.
fn compiled(ctx: &NativeCallContext, pattern: &str, text: &str) -> Outcome<Regex> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(failed(ctx, format!("a text of {} bytes, at most {TEXT_BYTES_MAX} are allowed", text.len())));
    }
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(failed(
            ctx,
            format!("a pattern of {} bytes, at most {PATTERN_BYTES_MAX} are allowed", pattern.len()),
        ));
    }
    if text.len() >= BYTES_A_LOOK {
        meter::look_soon();
    }
    let mut patterns = PATTERNS.lock();
    if let Some(place) = patterns.iter().rposition(|regex| regex.as_str() == pattern) {
        let regex = patterns.remove(place);
        patterns.push(regex.clone());
        return Ok(regex);
    }
    // Compiling takes long: not under the lock.
    drop(patterns);
    meter::look_soon();
    let regex = RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| failed(ctx, format!("the pattern \"{pattern}\" cannot be used: {error}")))?;
    let mut patterns = PATTERNS.lock();
    if patterns.len() >= PATTERNS_MAX {
        patterns.remove(0);
    }
    patterns.push(regex.clone());
    Ok(regex)
}

/// A match takes time in proportion to the text, and there may be as many as the text has characters.
fn in_time() -> Outcome<()> {
    meter::look_now().map_or(Ok(()), |over| Err(over.terminate()))
}

fn groups(regex: &Regex, captures: &Captures<'_>) -> Dynamic {
    let mut map = Map::new();
    for (place, name) in regex.capture_names().enumerate() {
        let value = captures.get(place).map_or(Dynamic::UNIT, |found| found.as_str().into());
        if let Some(name) = name {
            map.insert(name.into(), value.clone());
        }
        map.insert(place.to_string().into(), value);
    }
    map.into()
}

#[export_module]
#[expect(unreachable_pub, reason = "the macro registers what is public")]
mod pattern_functions {
    /// Whether the pattern is somewhere in the text.
    #[rhai_fn(return_raw)]
    pub fn regex_is_match(ctx: NativeCallContext, text: &str, pattern: &str) -> Outcome<bool> {
        Ok(compiled(&ctx, pattern, text)?.is_match(text))
    }

    /// The first part of the text that the pattern fits; `()` if there is none.
    #[rhai_fn(return_raw)]
    pub fn regex_find(ctx: NativeCallContext, text: &str, pattern: &str) -> Outcome<Dynamic> {
        let found = compiled(&ctx, pattern, text)?;
        Ok(found.find(text).map_or(Dynamic::UNIT, |found| found.as_str().into()))
    }

    /// All parts of the text that the pattern fits.
    #[rhai_fn(return_raw)]
    pub fn regex_find_all(ctx: NativeCallContext, text: &str, pattern: &str) -> Outcome<Array> {
        let mut all = Array::new();
        for found in compiled(&ctx, pattern, text)?.find_iter(text) {
            array_fits(&ctx, all.len() + 1)?;
            in_time()?;
            all.push(found.as_str().into());
        }
        Ok(all)
    }

    /// The groups of the first part that the pattern fits, as a map: by number as text (`"0"` is all of it), and by
    /// name. Groups that took no part are `()`. `()` if the pattern fits nowhere.
    #[rhai_fn(return_raw)]
    pub fn regex_captures(ctx: NativeCallContext, text: &str, pattern: &str) -> Outcome<Dynamic> {
        let regex = compiled(&ctx, pattern, text)?;
        Ok(regex.captures(text).map_or(Dynamic::UNIT, |captures| groups(&regex, &captures)))
    }

    /// The text with all parts replaced that the pattern fits; `$1` and `${name}` are groups, `$$` is a dollar.
    #[rhai_fn(return_raw)]
    pub fn regex_replace(
        ctx: NativeCallContext,
        text: ImmutableString,
        pattern: &str,
        replacement: &str,
    ) -> Outcome<ImmutableString> {
        if replacement.len() > REPLACEMENT_BYTES_MAX {
            let bytes = replacement.len();
            return Err(failed(
                &ctx,
                format!("a replacement of {bytes} bytes, at most {REPLACEMENT_BYTES_MAX} are allowed"),
            ));
        }
        let regex = compiled(&ctx, pattern, &text)?;
        let (mut out, mut end) = (String::new(), 0);
        for captures in regex.captures_iter(&text) {
            let found = captures.get_match();
            in_time()?;
            out.push_str(&text[end..found.start()]);
            captures.expand(replacement, &mut out);
            end = found.end();
            text_fits(&ctx, out.len())?;
        }
        out.push_str(&text[end..]);
        text_fits(&ctx, out.len())?;
        Ok(out.into())
    }

    /// The parts of the text between those that the pattern fits.
    #[rhai_fn(return_raw)]
    pub fn regex_split(ctx: NativeCallContext, text: &str, pattern: &str) -> Outcome<Array> {
        let mut parts = Array::new();
        for part in compiled(&ctx, pattern, text)?.split(text) {
            array_fits(&ctx, parts.len() + 1)?;
            in_time()?;
            parts.push(part.into());
        }
        Ok(parts)
    }
}
