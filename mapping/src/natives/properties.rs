//! The properties of a message in scripts. They stay encoded; reading one looks for it, setting one encodes all anew.

use std::sync::Arc;

use primer_core::{
    properties::{self, Properties, Property},
    topic,
};
use rhai::{Array, Blob, Dynamic, EvalAltResult, ImmutableString, Map, plugin::*};

use super::message::cut;
use crate::{duration::shown, message::Msg};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

fn find<'m>(msg: &'m Msg, wanted: impl Fn(&Property<'m>) -> bool) -> Option<Property<'m>> {
    Properties::of(&msg.content().properties).find(wanted)
}

/// Encodes the properties anew: those that stay, and then others.
fn rewrite<'a>(
    msg: &mut Msg,
    stays: impl Fn(&Property<'_>) -> bool,
    more: impl IntoIterator<Item = Property<'a>>,
) -> Fallible<()> {
    let mut encoded = Vec::with_capacity(msg.content().properties.len() + 32);
    let old = Arc::clone(&msg.content().properties);
    let mut append = |property: Property<'_>| -> Fallible<()> {
        if properties::put(&mut encoded, property) {
            return Ok(());
        }
        Err("a property's name and value have at most 65,535 bytes each".into())
    };
    Properties::of(&old).filter(|property| stays(property)).try_for_each(&mut append)?;
    more.into_iter().try_for_each(append)?;
    msg.content_mut().properties = encoded.into();
    Ok(())
}

/// The text of a header's value.
fn header_text(name: &str, value: &Dynamic) -> Fallible<ImmutableString> {
    match value.read_lock::<ImmutableString>() {
        Some(text) if text.contains('\0') => Err(format!("the header {:?} holds U+0000", cut(name)).into()),
        Some(text) => Ok(text.clone()),
        None if value.is_int() || value.is_float() || value.is_bool() => Ok(value.to_string().into()),
        None => Err(format!("the header {:?} is a text, and not {}", cut(name), shown(value)).into()),
    }
}

/// The values that a header is set to: one, or those of an array; none for `()`.
fn header_values(name: &str, value: &Dynamic) -> Fallible<Vec<ImmutableString>> {
    if name.is_empty() || name.contains('\0') {
        return Err(format!("{:?} cannot be a header's name", cut(name)).into());
    }
    if value.is_unit() {
        return Ok(Vec::new());
    }
    match value.read_lock::<Array>() {
        Some(values) => values.iter().map(|value| header_text(name, value)).collect(),
        None => Ok(vec![header_text(name, value)?]),
    }
}

fn optional_text(what: &str, value: &Dynamic) -> Fallible<Option<ImmutableString>> {
    match value.read_lock::<ImmutableString>() {
        Some(text) => Ok(Some(text.clone())),
        None if value.is_unit() => Ok(None),
        None => Err(format!("{what} is a text or (), and not {}", shown(value)).into()),
    }
}

#[export_module]
#[expect(unreachable_pub, clippy::unwrap_used, reason = "the macro exports what is pub, and takes what it checked")]
pub(crate) mod property_functions {
    use super::*;

    /// The user properties, a map. Can be set, also by name: `msg.headers["unit"] = "C"`; `()` takes one away.
    #[rhai_fn(get = "headers", pure)]
    pub fn headers(msg: &mut Msg) -> Map {
        let mut map = Map::new();
        for property in Properties::of(&msg.content().properties) {
            let Property::User(name, value) = property else { continue };
            match map.get_mut(name) {
                None => {
                    map.insert(name.into(), value.into());
                }
                Some(held) => {
                    if !held.is_array() {
                        *held = Dynamic::from_array(vec![held.take()]);
                    }
                    if let Some(mut values) = held.write_lock::<Array>() {
                        values.push(value.into());
                    }
                }
            }
        }
        map
    }

    #[rhai_fn(set = "headers", return_raw)]
    pub fn set_headers(msg: &mut Msg, headers: Map) -> Fallible<()> {
        let mut all = Vec::with_capacity(headers.len());
        for (name, value) in &headers {
            all.extend(header_values(name, value)?.into_iter().map(|value| (name.as_str(), value)));
        }
        let more = all.iter().map(|(name, value)| Property::User(name, value));
        rewrite(msg, |property| !matches!(property, Property::User(..)), more)
    }

    /// The first value of a user property, or `()`. Quicker than `msg.headers`.
    #[rhai_fn(pure)]
    pub fn header(msg: &mut Msg, name: &str) -> Dynamic {
        Properties::of(&msg.content().properties).user(name).map_or(Dynamic::UNIT, Into::into)
    }

    /// Sets a user property to a text, a number, a boolean or an array of them; what had the name is replaced.
    #[rhai_fn(return_raw)]
    pub fn set_header(msg: &mut Msg, name: ImmutableString, value: Dynamic) -> Fallible<()> {
        let values = header_values(&name, &value)?;
        let more = values.iter().map(|value| Property::User(&name, value));
        rewrite(msg, |property| !matches!(property, Property::User(other, _) if *other == name), more)
    }

    /// Adds a user property beside those that have the name.
    #[rhai_fn(return_raw)]
    pub fn add_header(msg: &mut Msg, name: ImmutableString, value: Dynamic) -> Fallible<()> {
        let values = header_values(&name, &value)?;
        rewrite(msg, |_| true, values.iter().map(|value| Property::User(&name, value)))
    }

    /// Takes away the user properties of a name; whether there was one.
    #[rhai_fn(return_raw)]
    pub fn remove_header(msg: &mut Msg, name: ImmutableString) -> Fallible<bool> {
        if Properties::of(&msg.content().properties).user(&name).is_none() {
            return Ok(false);
        }
        rewrite(msg, |property| !matches!(property, Property::User(other, _) if *other == name), [])?;
        Ok(true)
    }

    /// What the payload is, such as `application/json`, or `()`. Can be set.
    #[rhai_fn(get = "content_type", pure)]
    pub fn content_type(msg: &mut Msg) -> Dynamic {
        match find(msg, |property| matches!(property, Property::ContentType(_))) {
            Some(Property::ContentType(text)) => text.into(),
            _ => Dynamic::UNIT,
        }
    }

    #[rhai_fn(set = "content_type", return_raw)]
    pub fn set_content_type(msg: &mut Msg, value: Dynamic) -> Fallible<()> {
        let text = optional_text("content_type", &value)?;
        rewrite(msg, |p| !matches!(p, Property::ContentType(_)), text.as_deref().map(Property::ContentType))
    }

    /// Whether the publisher says that the payload is UTF-8 text. Can be set.
    #[rhai_fn(get = "is_text", pure)]
    pub fn is_text(msg: &mut Msg) -> bool {
        find(msg, |property| matches!(property, Property::IsText(true))).is_some()
    }

    #[rhai_fn(set = "is_text", return_raw)]
    pub fn set_is_text(msg: &mut Msg, is_text: bool) -> Fallible<()> {
        rewrite(msg, |p| !matches!(p, Property::IsText(_)), is_text.then_some(Property::IsText(true)))
    }

    /// The topic for an answer, or `()`. Can be set.
    #[rhai_fn(get = "response_topic", pure)]
    pub fn response_topic(msg: &mut Msg) -> Dynamic {
        Properties::of(&msg.content().properties).response_topic().map_or(Dynamic::UNIT, Into::into)
    }

    #[rhai_fn(set = "response_topic", return_raw)]
    pub fn set_response_topic(msg: &mut Msg, value: Dynamic) -> Fallible<()> {
        let text = optional_text("response_topic", &value)?;
        if let Some(text) = &text {
            topic::check_topic(text).map_err(|error| format!("the response topic {:?} {error}", cut(text)))?;
        }
        rewrite(msg, |p| !matches!(p, Property::ResponseTopic(_)), text.as_deref().map(Property::ResponseTopic))
    }

    /// What the asker tells the answer by, a blob, or `()`. Can be set, to a text too.
    #[rhai_fn(get = "correlation_data", pure)]
    pub fn correlation_data(msg: &mut Msg) -> Dynamic {
        let data = Properties::of(&msg.content().properties).correlation_data();
        data.map_or(Dynamic::UNIT, |data| Dynamic::from_blob(data.to_vec()))
    }

    #[rhai_fn(set = "correlation_data", return_raw)]
    pub fn set_correlation_data(msg: &mut Msg, value: Dynamic) -> Fallible<()> {
        let data: Option<Blob> = match value.read_lock::<ImmutableString>() {
            Some(text) => Some(text.as_bytes().to_vec()),
            None if value.is_unit() => None,
            None => match value.read_lock::<Blob>() {
                Some(blob) => Some(blob.clone()),
                None => return Err(format!("correlation_data is a blob or a text, and not {}", shown(&value)).into()),
            },
        };
        rewrite(msg, |p| !matches!(p, Property::CorrelationData(_)), data.as_deref().map(Property::CorrelationData))
    }
}
