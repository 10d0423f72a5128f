//! The options of a rule: the map in `rule(id, source, #{...}, fn)`. What is not known, or does not apply to the rule's
//! stage and source, is an error that says what is allowed.

use std::time::Duration;

use primer_core::queue::Overflow;
use rhai::{Dynamic, ImmutableString, Map};

use crate::{
    duration::{self, shown},
    limits::Limits,
    message::Stage,
    rule::Source,
};

/// Whether a message may be given to the rule again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Until the rule is done with it.
    #[default]
    AtLeastOnce,
    /// It is done with before the rule has it.
    AtMostOnce,
}

/// What happens to a message whose call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// It goes to the dead letters (`group`).
    DeadLetter,
    /// It comes again, `retries` times (`group`), and then goes to the dead letters.
    Retry,
    /// It is done with (`group`); it goes on as it came (`ingress`).
    Pass,
    /// The publisher is told (`ingress`).
    Refuse,
    /// It ends here (`ingress`).
    Drop,
}

/// What messages are kept in order by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeyBy {
    /// Messages of one topic.
    #[default]
    Topic,
    /// Messages of one client.
    Publisher,
    /// All beside each other.
    None,
    /// Messages with the same value of this user property.
    Header(String),
}

/// Where a rule on a queue begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Begin {
    /// With the oldest message that is there.
    #[default]
    Oldest,
    /// With the next message that comes.
    Now,
}

/// What a rule may say of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOptions {
    /// Where the rule stands.
    pub stage: Stage,
    /// Whether a message may come again.
    pub mode: Delivery,
    /// What happens to a message whose call fails.
    pub on_error: OnError,
    /// How often a message comes again after it failed, before it goes to the dead letters.
    pub retries: u32,
    /// How long it waits before each time.
    pub retry_delay: Duration,
    /// What messages are kept in order by.
    pub key: KeyBy,
    /// The most messages of the rule's own queue; the node's default when it is not said.
    pub messages_max: Option<u64>,
    /// The most bytes of it.
    pub bytes_max: Option<u64>,
    /// What happens beyond either.
    pub overflow: Option<Overflow>,
    /// Where the rule begins, on a queue.
    pub from: Begin,
    /// Whether the rule may stand in a cycle.
    pub may_loop: bool,
    /// The most operations of a call.
    pub operations: Option<u64>,
    /// The most time of a call.
    pub wall: Option<Duration>,
    /// The most outputs of a call.
    pub fan_out: Option<usize>,
}

/// The options, for the reference: name, values, what it does.
pub(crate) const OPTIONS: [(&str, &str, &str); 14] = [
    (
        "stage",
        "`\"group\"`, `\"ingress\"`",
        "Behind the routing, with a durable place in its queue; or within the publish, before the routing, where the \
         message can be changed or refused.",
    ),
    (
        "mode",
        "`\"at_least_once\"`, `\"at_most_once\"`",
        "Whether a message comes again when the node stops during a call.",
    ),
    (
        "on_error",
        "`\"dead_letter\"`, `\"retry\"`, `\"pass\"`; ingress: `\"pass\"`, `\"refuse\"`, `\"drop\"`",
        "What happens to a message whose call fails.",
    ),
    ("retries", "0 to 1000; 3", "How often a message comes again, before it goes to the dead letters."),
    ("retry_delay", "a duration; `\"1s\"`", "How long it waits before each time."),
    (
        "key",
        "`\"topic\"`, `\"publisher\"`, `\"none\"`, or a header's name",
        "What the messages of a rule on a topic are kept in order by.",
    ),
    ("messages_max", "a number", "The most messages that wait for a rule on a topic."),
    ("bytes_max", "a number", "The most bytes that wait for a rule on a topic."),
    ("overflow", "`\"dead_letter\"`, `\"drop_oldest\"`, `\"reject\"`", "What happens beyond either."),
    ("from", "`\"oldest\"`, `\"now\"`", "Where a rule on a queue begins."),
    ("may_loop", "`true`, `false`", "Whether the rule may stand in a circle of rules."),
    ("operations", "a number", "The most operations of a call."),
    ("wall", "a duration", "The most time of a call."),
    ("fan_out", "a number", "The most outputs of a call."),
];

/// What a rule of stage `group` on a topic may say.
const GROUP_TOPIC: &[&str] = &[
    "stage",
    "mode",
    "on_error",
    "retries",
    "retry_delay",
    "key",
    "messages_max",
    "bytes_max",
    "overflow",
    "may_loop",
    "operations",
    "wall",
    "fan_out",
];
/// What a rule on a queue may say.
const GROUP_QUEUE: &[&str] =
    &["stage", "mode", "on_error", "retries", "retry_delay", "from", "may_loop", "operations", "wall", "fan_out"];
/// What a rule of stage `ingress` may say.
const INGRESS: &[&str] = &["stage", "on_error", "may_loop", "operations", "wall", "fan_out"];

impl RuleOptions {
    /// Those of a rule that says nothing.
    #[must_use]
    pub fn of_stage(stage: Stage) -> Self {
        Self {
            stage,
            mode: Delivery::default(),
            on_error: if stage == Stage::Group { OnError::DeadLetter } else { OnError::Pass },
            retries: 3,
            retry_delay: Duration::from_secs(1),
            key: KeyBy::default(),
            messages_max: None,
            bytes_max: None,
            overflow: None,
            from: Begin::default(),
            may_loop: false,
            operations: None,
            wall: None,
            fan_out: None,
        }
    }

    /// Reads the map of a script. `most` gives the limits that a rule of a stage may set itself.
    ///
    /// # Errors
    /// Says which option is wrong, and what is allowed.
    pub(crate) fn read(map: &Map, source: &Source, most: impl Fn(Stage) -> Limits) -> Result<Self, String> {
        let stage = match map.get("stage") {
            None => Stage::Group,
            Some(value) => one_of("stage", value, &[("group", Stage::Group), ("ingress", Stage::Ingress)])?,
        };
        let allowed = match (stage, source) {
            (Stage::Ingress, Source::Topic(_)) => INGRESS,
            (Stage::Ingress, Source::Queue(_)) => {
                return Err("a rule of stage \"ingress\" has a topic filter as its source, and no queue".into());
            }
            (Stage::Group, Source::Topic(_)) => GROUP_TOPIC,
            (Stage::Group, Source::Queue(_)) => GROUP_QUEUE,
        };
        let mut options = Self::of_stage(stage);
        let most = most(stage);
        for (name, value) in map {
            if !allowed.contains(&name.as_str()) {
                return Err(unknown(name, stage, source, allowed));
            }
            options.set(name, value, &most)?;
        }
        if options.mode == Delivery::AtMostOnce && options.on_error == OnError::Retry {
            return Err(
                "with mode \"at_most_once\" no message comes again: on_error is \"dead_letter\" or \"pass\"".into()
            );
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &Dynamic, most: &Limits) -> Result<(), String> {
        match name {
            "mode" => {
                let modes = [("at_least_once", Delivery::AtLeastOnce), ("at_most_once", Delivery::AtMostOnce)];
                self.mode = one_of(name, value, &modes)?;
            }
            "on_error" => self.on_error = on_error(self.stage, value)?,
            "retries" => self.retries = number(name, value, 0, 1_000)? as u32,
            "retry_delay" => self.retry_delay = duration::of(value).map_err(|error| format!("{name}: {error}"))?,
            "key" => self.key = key(value)?,
            "messages_max" => self.messages_max = Some(number(name, value, 1, i64::MAX)?),
            "bytes_max" => self.bytes_max = Some(number(name, value, 1, i64::MAX)?),
            "overflow" => {
                let all = [
                    ("dead_letter", Overflow::DeadLetter),
                    ("drop_oldest", Overflow::DropOldest),
                    ("reject", Overflow::Reject),
                ];
                self.overflow = Some(one_of(name, value, &all)?);
            }
            "from" => self.from = one_of(name, value, &[("oldest", Begin::Oldest), ("now", Begin::Now)])?,
            "may_loop" => self.may_loop = one_of_bool(name, value)?,
            "operations" => {
                let most = i64::try_from(most.operations).unwrap_or(i64::MAX);
                self.operations = Some(number(name, value, 1, most)?);
            }
            "wall" => {
                let wall = duration::of(value).map_err(|error| format!("{name}: {error}"))?;
                if wall.is_zero() || wall > most.wall {
                    return Err(format!("wall is at most {} ms here, and not {}", most.wall.as_millis(), shown(value)));
                }
                self.wall = Some(wall);
            }
            "fan_out" => {
                let most = i64::try_from(most.fan_out).unwrap_or(i64::MAX);
                self.fan_out = Some(number(name, value, 0, most)? as usize);
            }
            _ => {}
        }
        Ok(())
    }
}

fn unknown(name: &str, stage: Stage, source: &Source, allowed: &[&str]) -> String {
    let rule = match (stage, source) {
        (Stage::Ingress, _) => "a rule of stage \"ingress\"",
        (Stage::Group, Source::Topic(_)) => "a rule on a topic",
        (Stage::Group, Source::Queue(_)) => "a rule on a queue",
    };
    format!("{rule} has no option {name:?}; allowed are {}", allowed.join(", "))
}

fn on_error(stage: Stage, value: &Dynamic) -> Result<OnError, String> {
    match stage {
        Stage::Group => one_of(
            "on_error",
            value,
            &[("dead_letter", OnError::DeadLetter), ("retry", OnError::Retry), ("pass", OnError::Pass)],
        ),
        Stage::Ingress => {
            one_of("on_error", value, &[("pass", OnError::Pass), ("refuse", OnError::Refuse), ("drop", OnError::Drop)])
        }
    }
}

fn key(value: &Dynamic) -> Result<KeyBy, String> {
    let text = value.read_lock::<ImmutableString>().map(|text| text.clone()).unwrap_or_default();
    match text.as_str() {
        "topic" => Ok(KeyBy::Topic),
        "publisher" => Ok(KeyBy::Publisher),
        "none" => Ok(KeyBy::None),
        "" => Err(format!("key is \"topic\", \"publisher\", \"none\" or a header's name, and not {}", shown(value))),
        header => Ok(KeyBy::Header(header.to_owned())),
    }
}

fn one_of<T: Copy>(name: &str, value: &Dynamic, allowed: &[(&str, T)]) -> Result<T, String> {
    let text = value.read_lock::<ImmutableString>();
    if let Some((_, found)) = allowed.iter().find(|(word, _)| text.as_ref().is_some_and(|text| text.as_str() == *word))
    {
        return Ok(*found);
    }
    let words: Vec<String> = allowed.iter().map(|(word, _)| format!("{word:?}")).collect();
    Err(format!("{name} is {}, and not {}", words.join(" or "), shown(value)))
}

fn one_of_bool(name: &str, value: &Dynamic) -> Result<bool, String> {
    value.as_bool().map_err(|_| format!("{name} is true or false, and not {}", shown(value)))
}

fn number(name: &str, value: &Dynamic, least: i64, most: i64) -> Result<u64, String> {
    let is_in = |number: &i64| (least..=most).contains(number);
    let number = value.as_int().ok().filter(is_in).and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| match most {
        i64::MAX => format!("{name} is a number from {least} on, and not {}", shown(value)),
        _ => format!("{name} is a number from {least} to {most} here, and not {}", shown(value)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_the_options_that_there_are() {
        for name in GROUP_TOPIC.iter().chain(GROUP_QUEUE).chain(INGRESS) {
            assert!(OPTIONS.iter().any(|(known, ..)| known == name), "{name}");
        }
        for (name, ..) in OPTIONS {
            assert!(GROUP_TOPIC.contains(&name) || GROUP_QUEUE.contains(&name), "{name}");
        }
    }
}
