//! What a request says: a list of commands, each understood or refused by itself, with a sentence that says what is
//! wrong with it and what is allowed. Nothing is carried out here.

use primer::{Browse, Definition, Fields, From, Position};
use serde_json::{Map, Value};

use crate::limits::{CONTROL_COMMANDS_MAX, CONTROL_PAGE_MAX, CONTROL_PAYLOAD_BYTES_MAX};

/// Queues of a list where the command does not say how many.
const LIST_DEFAULT: usize = 100;

/// Messages of a look where the command does not say how many.
const BROWSE_DEFAULT: usize = 20;

/// One command of a request.
#[derive(Debug)]
pub(super) struct Request {
    /// What the answer repeats as the name of the command.
    pub(super) name: String,
    /// What the answer repeats, if it was given.
    pub(super) correlation: Option<Value>,
    /// What it says, or why it is no command.
    pub(super) fields: Result<Map<String, Value>, String>,
}

/// What can be asked for of queues.
#[derive(Debug)]
pub(super) enum Command {
    ListQueues {
        after: Option<String>,
        limit: usize,
    },
    GetQueue {
        name: String,
    },
    CreateQueue {
        name: String,
        definition: Map<String, Value>,
    },
    UpdateQueue {
        name: String,
        definition: Map<String, Value>,
    },
    DeleteQueue {
        name: String,
    },
    PurgeQueue {
        name: String,
    },
    PauseQueue {
        name: String,
    },
    ResumeQueue {
        name: String,
    },
    /// Without a `to` dead letters go back to where they came from.
    MoveMessages {
        from: String,
        to: Option<String>,
        max: usize,
    },
    Browse {
        name: String,
        browse: Browse,
        payload_max: usize,
    },
    RemoveGroup {
        name: String,
        group: String,
    },
    Stats,
}

const COMMANDS: [&str; 12] = [
    "listQueues",
    "getQueue",
    "createQueue",
    "updateQueue",
    "deleteQueue",
    "purgeQueue",
    "pauseQueue",
    "resumeQueue",
    "moveMessages",
    "browse",
    "removeGroup",
    "stats",
];

/// Reads a request.
///
/// # Errors
/// It is none: nothing of it can be carried out.
pub(super) fn read(body: &[u8]) -> Result<Vec<Request>, String> {
    const SHAPE: &str = r#"{"commands":[{"command":"listQueues"}]}"#;
    let read: Value = serde_json::from_slice(body).map_err(|error| format!("the request is no JSON: {error}"))?;
    let Value::Object(mut object) = read else { return Err(format!("the request is to be an object: {SHAPE}")) };
    let commands = match object.remove("commands") {
        Some(Value::Array(commands)) => commands,
        Some(_) => return Err(format!("`commands` is to be a list: {SHAPE}")),
        None => return Err(format!("`commands` is missing: {SHAPE}")),
    };
    if let Some(unknown) = object.keys().next() {
        return Err(format!("there is no field `{unknown}` in a request: {SHAPE}"));
    }
    match commands.len() {
        0 => Err(format!("`commands` is empty: {SHAPE}")),
        1..=CONTROL_COMMANDS_MAX => Ok(commands.into_iter().map(request).collect()),
        many => Err(format!("`commands` has {many} commands, and a request may have {CONTROL_COMMANDS_MAX}")),
    }
}

fn request(one: Value) -> Request {
    let unknown = |why: String| Request { name: "unknown".to_owned(), correlation: None, fields: Err(why) };
    let Value::Object(mut object) = one else {
        return unknown("a command is to be an object with the field `command`".to_owned());
    };
    let correlation = object.remove("correlationData");
    match object.remove("command") {
        Some(Value::String(name)) => Request { name, correlation, fields: Ok(object) },
        _ => Request { correlation, ..unknown("`command` is missing: what is to be done".to_owned()) },
    }
}

/// Understands a command about queues.
///
/// # Errors
/// What is wrong with it, and what is allowed.
pub(super) fn command(name: &str, mut fields: Fields) -> Result<Command, String> {
    let command = match name {
        "listQueues" => Command::ListQueues {
            after: fields.text_if_any("after")?,
            limit: fields.count("limit", LIST_DEFAULT, CONTROL_PAGE_MAX)?,
        },
        "getQueue" => Command::GetQueue { name: fields.text("name")? },
        "createQueue" => Command::CreateQueue { name: fields.text("name")?, definition: fields.object("definition")? },
        "updateQueue" => {
            let (name, definition) = (fields.text("name")?, fields.object("definition")?);
            if definition.is_empty() {
                return Err("`definition` is missing: an object with what is to change".to_owned());
            }
            Command::UpdateQueue { name, definition }
        }
        "deleteQueue" => Command::DeleteQueue { name: fields.text("name")? },
        "purgeQueue" => Command::PurgeQueue { name: fields.text("name")? },
        "pauseQueue" => Command::PauseQueue { name: fields.text("name")? },
        "resumeQueue" => Command::ResumeQueue { name: fields.text("name")? },
        "moveMessages" => Command::MoveMessages {
            from: fields.text("from")?,
            to: fields.text_if_any("to")?,
            max: fields.count("max", usize::MAX, usize::MAX)?,
        },
        "browse" => browse(&mut fields)?,
        "removeGroup" => Command::RemoveGroup { name: fields.text("name")?, group: fields.text("group")? },
        "stats" => Command::Stats,
        _ => return Err(format!("there is no command `{name}`: it is one of {}", COMMANDS.join(", "))),
    };
    fields.finish()?;
    Ok(command)
}

fn browse(fields: &mut Fields) -> Result<Command, String> {
    let name = fields.text("name")?;
    let topic = fields.text_if_any("topic")?;
    if let Some(filter) = &topic {
        primer_core::topic::check_filter(filter)
            .map_err(|error| format!("`topic` is to be a topic filter, and {filter:?} is none: {error}"))?;
    }
    let any = 0..=u64::MAX;
    let browse = Browse {
        from: from(fields.any("from"))?,
        messages_max: fields.count("max", BROWSE_DEFAULT, CONTROL_PAGE_MAX)?,
        topic,
        since_unix_ms: fields.number_if_any("since_unix_ms", &any)?,
        until_unix_ms: fields.number_if_any("until_unix_ms", &any)?,
        header: header(fields.any("header"))?,
    };
    let most = CONTROL_PAYLOAD_BYTES_MAX;
    let given = fields.number_if_any("payload_max", &(0..=most as u64))?;
    let payload_max = given.and_then(|given| usize::try_from(given).ok()).unwrap_or(most);
    Ok(Command::Browse { name, browse, payload_max })
}

/// Where a look begins: what an answer gave as `next` is one of these.
fn from(given: Option<Value>) -> Result<From, String> {
    let wrong = |given: &Value| {
        format!("`from` is to be \"oldest\", \"newest\", a position, or {{\"before\": a position}}, and is {given}")
    };
    let Some(given) = given else { return Ok(From::Oldest) };
    let before = given.as_object().filter(|object| object.len() == 1).and_then(|object| object.get("before")?.as_u64());
    match (given.as_str(), given.as_u64(), before) {
        (Some("oldest"), ..) => Ok(From::Oldest),
        (Some("newest"), ..) => Ok(From::Newest),
        (_, Some(position), _) => Ok(From::Position(Position(position))),
        (.., Some(position)) => Ok(From::Before(Position(position))),
        _ => Err(wrong(&given)),
    }
}

/// `{"name": ..., "value": ...}`; without a value any does.
fn header(given: Option<Value>) -> Result<Option<(String, Option<String>)>, String> {
    let Some(given) = given else { return Ok(None) };
    let Value::Object(object) = given else {
        return Err(format!("`header` is to be {{\"name\": ..., \"value\": ...}}, and is {given}"));
    };
    let mut fields = Fields::new(object);
    let read = (|| {
        let header = (fields.text("name")?, fields.text_if_any("value")?);
        fields.finish()?;
        Ok(header)
    })();
    read.map(Some).map_err(|why: String| format!("`header`: {why}"))
}

/// A definition with some fields changed. Which field is wrong is found out by trying each alone.
pub(super) fn changed(base: &Definition, changes: Map<String, Value>) -> Result<Definition, String> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(base) else { return Ok(base.clone()) };
    for (field, value) in changes {
        if !all.contains_key(&field) {
            let known: Vec<&str> = all.keys().map(String::as_str).collect();
            return Err(format!("a definition has no field `{field}`: it has {}", known.join(", ")));
        }
        let alone = Value::Object(Map::from_iter([(field.clone(), value.clone())]));
        serde_json::from_value::<Definition>(alone).map_err(|error| format!("`definition.{field}`: {error}"))?;
        all.insert(field, value);
    }
    serde_json::from_value(Value::Object(all)).map_err(|error| format!("`definition`: {error}"))
}

#[cfg(test)]
mod tests;
