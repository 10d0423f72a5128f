//! JSON and CBOR.

use rhai::{Blob, Dynamic, ImmutableString, Map, Module, NativeCallContext, plugin::*};

use super::{Outcome, array_fits, failed, text_fits, with_bytes};
use crate::values;

pub(super) fn module() -> Module {
    exported_module!(format_functions)
}

fn written(ctx: &NativeCallContext, value: &Dynamic) -> Outcome<ImmutableString> {
    let json = values::to_json(value).map_err(|error| failed(ctx, error))?;
    text_fits(ctx, json.len())?;
    String::from_utf8(json).map(Into::into).map_err(|error| failed(ctx, error))
}

#[export_module]
#[expect(unreachable_pub, reason = "the macro registers what is public")]
mod format_functions {
    /// The value that a text or blob of JSON says. Numbers keep their digits. Objects are maps, in the order of their
    /// keys.
    #[rhai_fn(return_raw)]
    pub fn json(ctx: NativeCallContext, text: Dynamic) -> Outcome<Dynamic> {
        with_bytes(&ctx, &text, values::from_json)?.map_err(|error| failed(&ctx, error))
    }

    /// The value that a text of JSON says; `json` under the name that Rhai has for it.
    #[rhai_fn(return_raw)]
    pub fn parse_json(ctx: NativeCallContext, text: &str) -> Outcome<Dynamic> {
        values::from_json(text.as_bytes()).map_err(|error| failed(&ctx, error))
    }

    /// A value as JSON. Blobs and numbers that JSON has not are an error.
    #[rhai_fn(return_raw)]
    pub fn to_json(ctx: NativeCallContext, value: Dynamic) -> Outcome<ImmutableString> {
        written(&ctx, &value)
    }

    /// A map as JSON. Blobs and numbers that JSON has not are an error.
    #[rhai_fn(name = "to_json", return_raw)]
    pub fn map_to_json(ctx: NativeCallContext, map: Map) -> Outcome<ImmutableString> {
        written(&ctx, &map.into())
    }

    /// The value that a blob of CBOR says. Tags other than those of numbers are dropped; keys become texts.
    #[rhai_fn(return_raw)]
    pub fn cbor(ctx: NativeCallContext, bytes: Dynamic) -> Outcome<Dynamic> {
        with_bytes(&ctx, &bytes, values::from_cbor)?.map_err(|error| failed(&ctx, error))
    }

    /// A value as CBOR.
    #[rhai_fn(return_raw)]
    pub fn to_cbor(ctx: NativeCallContext, value: Dynamic) -> Outcome<Blob> {
        let cbor = values::to_cbor(&value).map_err(|error| failed(&ctx, error))?;
        array_fits(&ctx, cbor.len())?;
        Ok(cbor)
    }
}
