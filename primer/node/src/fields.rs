//! The fields of one command, taken out one by one: what is missing, of another kind, out of its range or unknown is
//! named, with what is allowed there.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// The fields of one command. [`finish`](Self::finish) refuses what nobody has asked for.
#[derive(Debug)]
pub struct Fields {
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// What a command says beside its name.
    #[must_use]
    pub const fn new(left: Map<String, Value>) -> Self {
        Self { left, known: Vec::new() }
    }

    /// A field as it is; `null` counts as not given.
    pub fn any(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// A text that has to be there.
    ///
    /// # Errors
    /// It is missing, or no text.
    pub fn text(&mut self, name: &'static str) -> Result<String, String> {
        self.text_if_any(name)?.ok_or_else(|| format!("`{name}` is missing: a text"))
    }

    /// A text, if it is given.
    ///
    /// # Errors
    /// It is no text.
    pub fn text_if_any(&mut self, name: &'static str) -> Result<Option<String>, String> {
        match self.any(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("`{name}` is to be a text, and is {other}")),
        }
    }

    /// A whole number within its range, if it is given.
    ///
    /// # Errors
    /// It is none.
    pub fn number_if_any(&mut self, name: &'static str, range: &RangeInclusive<u64>) -> Result<Option<u64>, String> {
        let Some(given) = self.any(name) else { return Ok(None) };
        match given.as_u64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None if *range.end() == u64::MAX => {
                Err(format!("`{name}` is to be a whole number, {} at least, and is {given}", range.start()))
            }
            None => Err(format!("`{name}` is to be {} to {}, and is {given}", range.start(), range.end())),
        }
    }

    /// The same for what counts things in memory, with what it is if it is not given.
    ///
    /// # Errors
    /// It is no whole number in the range.
    pub fn count(&mut self, name: &'static str, default: usize, max: usize) -> Result<usize, String> {
        let given = self.number_if_any(name, &(1..=max as u64))?;
        Ok(given.and_then(|given| usize::try_from(given).ok()).unwrap_or(default))
    }

    /// An object; empty if it is not given.
    ///
    /// # Errors
    /// It is none.
    pub fn object(&mut self, name: &'static str) -> Result<Map<String, Value>, String> {
        match self.any(name) {
            None => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object),
            Some(other) => Err(format!("`{name}` is to be an object, and is {other}")),
        }
    }

    /// Yes or no; no if it is not given.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, String> {
        match self.any(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(format!("`{name}` is to be true or false, and is {other}")),
        }
    }

    /// All has been asked for.
    ///
    /// # Errors
    /// Something is left: it is named, with what there could be.
    pub fn finish(self) -> Result<(), String> {
        let Some(unknown) = self.left.keys().next() else { return Ok(()) };
        let known: Vec<String> = self.known.iter().map(|name| format!("`{name}`")).collect();
        let allowed = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        Err(format!("there is no field `{unknown}` in this command: {allowed}"))
    }
}
