//! What a key allows: reads what a file, a variable or an option gives, and says what is allowed when it is not that.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use ipnet::IpNet;
use toml::de::{DeArray, DeInteger, DeValue};

use crate::{
    quantity::{count_text, size, size_text, time, time_text},
    value::{Address, Value, quoted},
};

/// A bound beyond it is the protocol's, and of no use to anybody.
const TIME_MS_SHOWN_MAX: u64 = 366 * 86_400_000;

/// What must be there already where a path points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A file that can be read.
    File,
    /// A folder.
    Folder,
    /// Nothing; it is made.
    Nothing,
}

/// What a key allows.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number of this range.
    Integer(u64, u64),
    /// Bytes of this range.
    Size(u64, u64),
    /// A time of this range, in milliseconds; the third is the step.
    Time(u64, u64, u64),
    /// One of these words; `-` in them is as good as `_`.
    Choice(&'static [&'static str]),
    /// Any text that is not empty.
    Text,
    /// A name that can be a level of a topic.
    Level,
    /// A path that begins with `/`, of a request.
    Location,
    /// A file or folder.
    Path(Wanted),
    /// One address to listen on, or several.
    Addresses,
    /// Addresses and networks.
    Networks,
    /// Origins of web pages.
    Origins,
    /// Topic filters.
    Filters,
    /// `NAME:PASSWORD`; secret.
    Users,
    /// Tables with `certfile` and `keyfile`.
    Certificates,
    /// Rights to a file.
    Mode,
}

/// What was given for a key.
#[derive(Debug, Clone, Copy)]
pub enum Given<'a> {
    /// Text of a variable or of the command line, of which the key says what it is to be.
    Word(&'a str),
    /// A value of a file, which says itself what it is.
    Toml(&'a DeValue<'a>),
}

impl Kind {
    /// Reads what is given. Relative paths are taken from `folder`.
    ///
    /// # Errors
    /// It is not what the key allows: a sentence says what it is and what is allowed.
    pub fn read(&self, given: Given<'_>, folder: &Path) -> Result<Value, String> {
        let list = match given {
            // Lists in a variable may be written as TOML, and must be where they are more than texts.
            Given::Word(text) if self.is_list() && is_array(text) => {
                let array = DeValue::parse(text).map_err(|error| format!("`{text}`: {}", error.message()))?;
                return self.read(Given::Toml(array.get_ref()), folder);
            }
            // A password may have anything in it but the end of a line.
            Given::Word(text) if matches!(self, Self::Users) => text.lines().map(str::to_owned).collect(),
            Given::Word(text) => split(text),
            Given::Toml(_) => Vec::new(),
        };
        let read = match self {
            Self::Boolean => boolean(given).map(Value::Boolean),
            Self::Integer(min, max) => return self.number(given, integer(given), (*min, *max), Value::Integer),
            Self::Size(min, max) => return self.number(given, bytes(given), (*min, *max), Value::Size),
            Self::Time(min, max, step) => {
                let ms = milliseconds(given).filter(|ms| ms % i128::from(*step) == 0);
                return self.number(given, ms, (*min, *max), |ms| Value::Time(Duration::from_millis(ms)));
            }
            Self::Choice(words) => text(given).and_then(|text| choice(text, words)).map(Value::Choice),
            Self::Text => text(given).map(|text| Value::Text(text.to_owned())),
            Self::Level => {
                text(given).filter(|text| !text.contains(['/', '+', '#'])).map(|text| Value::Text(text.into()))
            }
            Self::Location => text(given).filter(|text| text.starts_with('/')).map(|text| Value::Text(text.into())),
            Self::Path(_) => text(given).map(|text| Value::Path(folder.join(text))),
            Self::Addresses => addresses(given, &list).map(Value::Addresses),
            Self::Networks => every(given, &list, network).map(Value::Networks),
            Self::Origins => every(given, &list, origin).map(Value::Texts),
            Self::Filters => every(given, &list, filter).map(Value::Texts),
            Self::Users => every(given, &list, user).map(Value::Users),
            Self::Certificates => certificates(given, folder).map(Value::Certificates),
            Self::Mode => mode(given).map(Value::Mode),
        };
        read.ok_or_else(|| format!("{} is not {}", self.shown(given), self.allowed()))
    }

    /// What is allowed, as the end of a sentence.
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Boolean => "true or false".to_owned(),
            Self::Integer(min, u64::MAX) => format!("a whole number from {min} up"),
            Self::Integer(min, max) => format!("a whole number from {} to {}", count_text(*min), count_text(*max)),
            Self::Size(0, u64::MAX) => "a size: 65536, \"64K\", \"16M\" or \"1G\"".to_owned(),
            Self::Size(min, u64::MAX) => {
                format!("a size from {} up: 65536, \"64K\", \"16M\" or \"1G\"", size_text(*min))
            }
            Self::Size(min, max) => {
                format!("a size from {} to {} bytes: 65536, \"64K\" or \"16M\"", count_text(*min), count_text(*max))
            }
            Self::Time(min, max, step) => {
                let [min, max] = [min, max].map(|ms| time_text(Duration::from_millis(*ms)));
                let whole = if *step == 1000 { " in whole seconds" } else { "" };
                let smallest = if *step < 1000 { "\"500ms\", " } else { "" };
                format!("a time from {min} to {max}{whole}: 10 (seconds), {smallest}\"30s\", \"5m\", \"2h\" or \"1d\"")
            }
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                    _ => words.concat(),
                }
            }
            Self::Text => "a text that is not empty".to_owned(),
            Self::Level => "a name without / + #".to_owned(),
            Self::Location => "a path that begins with /".to_owned(),
            Self::Path(Wanted::File) => "the path of a file".to_owned(),
            Self::Path(Wanted::Folder) => "the path of a folder".to_owned(),
            Self::Path(Wanted::Nothing) => "a path".to_owned(),
            Self::Addresses => "an address with its port, or a list of them: \"127.0.0.1:1883\", \"[::1]:1883\", \
                 \"localhost:1883\", or \":1883\" for all addresses"
                .to_owned(),
            Self::Networks => "a list of addresses and networks: [\"192.0.2.1\", \"10.0.0.0/8\"]".to_owned(),
            Self::Origins => "a list of origins: [\"https://example.org\"]".to_owned(),
            Self::Filters => "a list of topic filters: [\"telemetry/#\"]".to_owned(),
            Self::Users => "a list of users, each with a name and a password: [\"NAME:PASSWORD\"]".to_owned(),
            Self::Certificates => "a list of certificates: [{ certfile = \"FILE\", keyfile = \"FILE\" }]".to_owned(),
            Self::Mode => "rights as for chmod: \"0660\"".to_owned(),
        }
    }

    /// What is allowed in a few words, where a file with examples of its own says the rest.
    pub(crate) fn bounds(&self) -> Option<String> {
        match self {
            Self::Integer(min, u64::MAX) => Some(format!("{} or more", count_text(*min))),
            Self::Integer(min, max) => Some(format!("{} to {}", count_text(*min), count_text(*max))),
            Self::Size(0, _) => None,
            Self::Size(min, u64::MAX) => Some(format!("{} or more", size_text(*min))),
            Self::Size(min, max) => Some(format!("{} to {} bytes", count_text(*min), count_text(*max))),
            Self::Time(min, max, _) if *max <= TIME_MS_SHOWN_MAX => {
                let [min, max] = [min, max].map(|ms| time_text(Duration::from_millis(*ms)));
                Some(format!("{min} to {max}"))
            }
            Self::Choice(_) => Some(self.allowed()),
            _ => None,
        }
    }

    /// Whether a variable may have it as a list of TOML. Users are a line each: a name may begin with a bracket.
    const fn is_list(&self) -> bool {
        matches!(self, Self::Addresses | Self::Networks | Self::Origins | Self::Filters | Self::Certificates)
    }

    fn number(
        &self,
        given: Given<'_>,
        number: Option<i128>,
        (min, max): (u64, u64),
        value: impl FnOnce(u64) -> Value,
    ) -> Result<Value, String> {
        let (shown, allowed) = (self.shown(given), self.allowed());
        match number {
            None => Err(format!("{shown} is not {allowed}")),
            Some(number) if number < i128::from(min) => Err(format!("{shown} is too little: it is {allowed}")),
            Some(number) if number > i128::from(max) => Err(format!("{shown} is too much: it is {allowed}")),
            Some(number) => Ok(value(u64::try_from(number).unwrap_or(max))),
        }
    }

    fn shown(&self, given: Given<'_>) -> String {
        match (self, given) {
            (Self::Users, _) => "what is given".to_owned(),
            (_, Given::Word(text)) => format!("`{text}`"),
            (_, Given::Toml(value)) => match value {
                DeValue::String(text) => quoted(text),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.to_string(),
                DeValue::Boolean(is) => is.to_string(),
                DeValue::Datetime(_) => "a date".to_owned(),
                DeValue::Array(array) if array.iter().all(|item| item.get_ref().is_str()) => {
                    let items: Vec<String> = array.iter().map(|item| self.shown(Given::Toml(item.get_ref()))).collect();
                    format!("[{}]", items.join(", "))
                }
                DeValue::Array(_) => "a list".to_owned(),
                DeValue::Table(_) => "a table".to_owned(),
            },
        }
    }
}

/// An array of TOML, and no address of IPv6.
fn is_array(text: &str) -> bool {
    text.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(['"', '\'', '{', ']']))
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// A text that is not empty and has no control characters.
fn text<'a>(given: Given<'a>) -> Option<&'a str> {
    let text = match given {
        Given::Word(text) => text,
        Given::Toml(value) => value.as_str()?,
    };
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

fn boolean(given: Given<'_>) -> Option<bool> {
    match given {
        Given::Toml(value) => value.as_bool(),
        Given::Word(word) => match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
    }
}

fn of_toml(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

fn integer(given: Given<'_>) -> Option<i128> {
    match given {
        Given::Toml(value) => value.as_integer().and_then(of_toml),
        Given::Word(word) => word.parse().ok(),
    }
}

fn bytes(given: Given<'_>) -> Option<i128> {
    match given {
        Given::Toml(DeValue::Integer(number)) => of_toml(number),
        _ => text(given).and_then(|text| size(text).ok()).map(i128::from),
    }
}

fn milliseconds(given: Given<'_>) -> Option<i128> {
    let read = |text: &str| time(text).ok().and_then(|time| i128::try_from(time.as_millis()).ok());
    match given {
        Given::Toml(DeValue::Integer(number)) => of_toml(number).and_then(|seconds| seconds.checked_mul(1000)),
        Given::Toml(DeValue::Float(number)) => read(number.as_str()),
        _ => text(given).and_then(read),
    }
}

fn choice(text: &str, words: &'static [&'static str]) -> Option<&'static str> {
    let text = text.replace('-', "_");
    words.iter().copied().find(|word| **word == *text)
}

/// All texts of a list, each read; nothing if one of them cannot be.
fn every<T>(given: Given<'_>, list: &[String], read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    match given {
        Given::Word(_) => list.iter().map(|item| read(item)).collect(),
        Given::Toml(value) => value.as_array()?.iter().map(|item| item.get_ref().as_str().and_then(&read)).collect(),
    }
}

fn addresses(given: Given<'_>, list: &[String]) -> Option<Vec<Address>> {
    let read = match given {
        Given::Toml(DeValue::Integer(port)) => vec![address(port.as_str()).filter(|_| port.radix() == 10)?],
        Given::Toml(DeValue::String(text)) => vec![address(text)?],
        _ => every(given, list, address)?,
    };
    (!read.is_empty()).then_some(read)
}

/// `127.0.0.1:1883`, `[::1]:1883`, `localhost:1883`, `:1883` or `1883`.
fn address(text: &str) -> Option<Address> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
        return Some(Address::Everywhere(port));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return port.parse().ok().map(Address::Local);
    }
    text.parse::<SocketAddr>().ok().map(Address::Socket)
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn origin(text: &str) -> Option<String> {
    let (scheme, host) = text.split_once("://")?;
    let is_one = !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' ']);
    is_one.then(|| text.to_owned())
}

fn filter(text: &str) -> Option<String> {
    primer_core::topic::check_filter(text).is_ok().then(|| text.to_owned())
}

fn user(text: &str) -> Option<(String, String)> {
    let (name, password) = text.split_once(':').filter(|(name, password)| !name.is_empty() && !password.is_empty())?;
    Some((name.to_owned(), password.to_owned()))
}

fn certificates(given: Given<'_>, folder: &Path) -> Option<Vec<(std::path::PathBuf, std::path::PathBuf)>> {
    let Given::Toml(value) = given else { return None };
    let array: &DeArray<'_> = value.as_array()?;
    let pair = |item: &DeValue<'_>| {
        let table = item.as_table().filter(|table| table.len() == 2)?;
        let path = |key: &str| table.get(key).and_then(|value| text(Given::Toml(value.get_ref())));
        Some((folder.join(path("certfile")?), folder.join(path("keyfile")?)))
    };
    array.iter().map(|item| pair(item.get_ref())).collect()
}

fn mode(given: Given<'_>) -> Option<u32> {
    let mode = match given {
        Given::Toml(DeValue::Integer(number)) if number.radix() == 8 => {
            of_toml(number).and_then(|mode| u32::try_from(mode).ok())
        }
        _ => text(given).filter(|text| text.len() >= 3).and_then(|text| u32::from_str_radix(text, 8).ok()),
    };
    mode.filter(|mode| *mode <= 0o777)
}

#[cfg(test)]
#[path = "kind_tests.rs"]
mod tests;
