//! Texts, where Rhai has nothing or changes the text in place.

use rhai::{Array, Dynamic, INT, ImmutableString, Module, NativeCallContext, plugin::*};

use super::{Outcome, array_fits, failed, shown, text_fits};

pub(super) fn module() -> Module {
    exported_module!(text_functions)
}

/// What a text lacks to this many characters.
fn filling(ctx: &NativeCallContext, text: &str, characters: INT, fill: &str) -> Outcome<String> {
    let mut letters = fill.chars();
    let (Some(fill), None) = (letters.next(), letters.next()) else {
        return Err(failed(ctx, format!("\"{fill}\" is to fill the text; one character is needed")));
    };
    let characters = usize::try_from(characters)
        .map_err(|_| failed(ctx, format!("a length of {characters}; 0 or more is needed")))?;
    let missing = characters.saturating_sub(text.chars().count());
    text_fits(ctx, missing.saturating_mul(fill.len_utf8()).saturating_add(text.len()))?;
    Ok(std::iter::repeat_n(fill, missing).collect())
}

/// Rhai's own makes the text before it looks at its length.
fn replaced(ctx: &NativeCallContext, text: &mut ImmutableString, find: &str, with: &str) -> Outcome<()> {
    if text.is_empty() {
        return Ok(());
    }
    if with.len() > find.len() {
        let more = text.matches(find).count().saturating_mul(with.len() - find.len());
        text_fits(ctx, text.len().saturating_add(more))?;
    }
    *text = text.replace(find, with).into();
    Ok(())
}

fn halves(parts: Option<(&str, &str)>) -> Dynamic {
    parts.map_or(Dynamic::UNIT, |(before, after)| Dynamic::from_array(vec![before.into(), after.into()]))
}

#[export_module]
#[expect(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the macro registers what is public, and takes what it checked"
)]
mod text_functions {
    /// The text without white space at its ends. (`trim` changes the text itself.)
    pub fn trimmed(text: &str) -> ImmutableString {
        text.trim().into()
    }

    /// The text with the character before it until it is this many characters long.
    #[rhai_fn(return_raw)]
    pub fn pad_start(ctx: NativeCallContext, text: &str, characters: INT, fill: &str) -> Outcome<String> {
        Ok(filling(&ctx, text, characters, fill)? + text)
    }

    /// The text with the character after it until it is this many characters long.
    #[rhai_fn(return_raw)]
    pub fn pad_end(ctx: NativeCallContext, text: &str, characters: INT, fill: &str) -> Outcome<String> {
        Ok(format!("{text}{}", filling(&ctx, text, characters, fill)?))
    }

    /// Replaces all parts of the text that are `find`, in place.
    #[rhai_fn(return_raw)]
    pub fn replace(ctx: NativeCallContext, text: &mut ImmutableString, find: &str, with: &str) -> Outcome<()> {
        replaced(&ctx, text, find, with)
    }

    /// Replaces a character by a text, in place.
    #[rhai_fn(name = "replace", return_raw)]
    pub fn replace_char(ctx: NativeCallContext, text: &mut ImmutableString, find: char, with: &str) -> Outcome<()> {
        replaced(&ctx, text, find.encode_utf8(&mut [0; 4]), with)
    }

    /// What is before and after the first `separator`, in an array; `()` if it is not in the text.
    pub fn split_once(text: &str, separator: &str) -> Dynamic {
        halves(text.split_once(separator))
    }

    /// What is before and after the last `separator`, in an array; `()` if it is not in the text.
    pub fn split_last(text: &str, separator: &str) -> Dynamic {
        halves(text.rsplit_once(separator))
    }

    /// What is before the first `separator`; all of the text if it is not in it.
    pub fn before(text: &str, separator: &str) -> ImmutableString {
        text.split_once(separator).map_or(text, |(before, _)| before).into()
    }

    /// What is after the first `separator`; nothing if it is not in the text.
    pub fn after(text: &str, separator: &str) -> ImmutableString {
        text.split_once(separator).map_or("", |(_, after)| after).into()
    }

    /// The text without `prefix`, if it begins with it.
    pub fn strip_prefix(text: &str, prefix: &str) -> ImmutableString {
        text.strip_prefix(prefix).unwrap_or(text).into()
    }

    /// The text without `suffix`, if it ends with it.
    pub fn strip_suffix(text: &str, suffix: &str) -> ImmutableString {
        text.strip_suffix(suffix).unwrap_or(text).into()
    }

    /// The text so many times.
    #[rhai_fn(return_raw)]
    pub fn repeat(ctx: NativeCallContext, text: &str, times: INT) -> Outcome<String> {
        let count = usize::try_from(times).map_err(|_| failed(&ctx, format!("{times} times; 0 or more is needed")))?;
        text_fits(&ctx, count.saturating_mul(text.len()))?;
        Ok(text.repeat(if text.is_empty() { 0 } else { count }))
    }

    /// The lines of the text, without their ends.
    #[rhai_fn(return_raw)]
    pub fn lines(ctx: NativeCallContext, text: &str) -> Outcome<Array> {
        array_fits(&ctx, text.lines().count())?;
        Ok(text.lines().map(Into::into).collect())
    }

    /// The texts and other values of an array as one text, with `separator` between them.
    #[rhai_fn(return_raw)]
    pub fn join(ctx: NativeCallContext, values: Array, separator: &str) -> Outcome<String> {
        let mut out = String::new();
        for (place, value) in values.iter().enumerate() {
            if place > 0 {
                out.push_str(separator);
            }
            match value.as_immutable_string_ref() {
                Ok(text) => out.push_str(&text),
                Err(_) => out.push_str(&shown(value)),
            }
            text_fits(&ctx, out.len())?;
        }
        Ok(out)
    }
}
