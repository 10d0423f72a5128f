//! Rhai values from and to JSON and CBOR.

use rhai::Dynamic;

/// Why a value cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ValueError(pub(crate) String);

pub(crate) fn from_json(bytes: &[u8]) -> Result<Dynamic, ValueError> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| ValueError(error.to_string()))?;
    Ok(dynamic(value))
}

fn dynamic(value: serde_json::Value) -> Dynamic {
    match value {
        serde_json::Value::Null => Dynamic::UNIT,
        serde_json::Value::Bool(is) => is.into(),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| number.as_f64().unwrap_or_default().into(), Dynamic::from)
        }
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => items.into_iter().map(dynamic).collect::<rhai::Array>().into(),
        serde_json::Value::Object(entries) => {
            entries.into_iter().map(|(name, value)| (name.into(), dynamic(value))).collect::<rhai::Map>().into()
        }
    }
}

pub(crate) fn to_json(value: &Dynamic) -> Result<Vec<u8>, ValueError> {
    Ok(rhai::format_map_as_json(&value.clone().cast::<rhai::Map>()).into_bytes())
}

pub(crate) fn from_cbor(_bytes: &[u8]) -> Result<Dynamic, ValueError> {
    Err(ValueError("no CBOR yet".into()))
}

pub(crate) fn to_cbor(_value: &Dynamic) -> Result<Vec<u8>, ValueError> {
    Err(ValueError("no CBOR yet".into()))
}
