//! Bytes as text: hexadecimal and base64.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_PAD_INDIFFERENT, URL_SAFE_NO_PAD, URL_SAFE_PAD_INDIFFERENT},
};
use rhai::{Blob, Dynamic, Module, NativeCallContext, plugin::*};

use super::{Outcome, array_fits, failed, text_fits, with_bytes};

pub(super) fn module() -> Module {
    exported_module!(encoding_functions)
}

pub(super) fn hex_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

fn unhex(text: &str) -> Result<Blob, String> {
    let mut bytes = Blob::with_capacity(text.len() / 2);
    let mut high: Option<u32> = None;
    for (place, letter) in text.char_indices() {
        if matches!(letter, ' ' | ':' | '-') && high.is_none() {
            continue;
        }
        let digit = letter.to_digit(16).ok_or_else(|| format!("'{letter}' at {place} is no hexadecimal digit"))?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.extend(u8::try_from(high * 16 + digit)),
        }
    }
    if high.is_some() { Err("the last byte has one digit; two are needed".to_owned()) } else { Ok(bytes) }
}

fn decoded(ctx: &NativeCallContext, result: Result<Blob, impl ToString>) -> Outcome<Blob> {
    let bytes = result.map_err(|error| failed(ctx, error.to_string()))?;
    array_fits(ctx, bytes.len())?;
    Ok(bytes)
}

#[export_module]
#[expect(unreachable_pub, reason = "the macro registers what is public")]
mod encoding_functions {
    /// A text or blob in hexadecimal, with small letters.
    #[rhai_fn(return_raw)]
    pub fn hex(ctx: NativeCallContext, data: Dynamic) -> Outcome<String> {
        let text = with_bytes(&ctx, &data, hex_of)?;
        text_fits(&ctx, text.len())?;
        Ok(text)
    }

    /// The bytes that hexadecimal says. Blanks, colons and hyphens may be between them.
    #[rhai_fn(return_raw)]
    pub fn from_hex(ctx: NativeCallContext, text: &str) -> Outcome<Blob> {
        decoded(&ctx, unhex(text))
    }

    /// A text or blob in base64.
    #[rhai_fn(return_raw)]
    pub fn base64(ctx: NativeCallContext, data: Dynamic) -> Outcome<String> {
        let text = with_bytes(&ctx, &data, |bytes| STANDARD.encode(bytes))?;
        text_fits(&ctx, text.len())?;
        Ok(text)
    }

    /// A text or blob in the base64 of addresses (`-` and `_`), without padding.
    #[rhai_fn(return_raw)]
    pub fn base64_url(ctx: NativeCallContext, data: Dynamic) -> Outcome<String> {
        let text = with_bytes(&ctx, &data, |bytes| URL_SAFE_NO_PAD.encode(bytes))?;
        text_fits(&ctx, text.len())?;
        Ok(text)
    }

    /// The bytes that base64 says, of either kind, with or without padding.
    #[rhai_fn(return_raw)]
    pub fn from_base64(ctx: NativeCallContext, text: &str) -> Outcome<Blob> {
        let of_addresses = text.contains(['-', '_']);
        let engine = if of_addresses { URL_SAFE_PAD_INDIFFERENT } else { STANDARD_PAD_INDIFFERENT };
        decoded(&ctx, engine.decode(text))
    }

    /// The text that a blob says in UTF-8. Other bytes are an error.
    #[rhai_fn(return_raw)]
    pub fn text_of(ctx: NativeCallContext, blob: Blob) -> Outcome<String> {
        text_fits(&ctx, blob.len())?;
        String::from_utf8(blob).map_err(|error| failed(&ctx, error.utf8_error()))
    }
}
