//! `[queues."PATTERN"]`: what queues are to be, by the patterns of their names; in the file, or in one of their own.

use std::path::Path;

use primer::{Definition, name};
use serde::{Deserialize, de::IntoDeserializer};
use toml::{Spanned, de::DeValue};

use crate::{
    layers::line_of,
    problem::{Origin, Problems},
    value::quoted,
};

/// What the queues of a pattern are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRule {
    /// The pattern, or the name.
    pub pattern: String,
    /// The definition.
    pub definition: Definition,
    /// Where it stands.
    pub origin: Origin,
}

/// Reads the table `queues` of a file; what is wrong with a definition leaves that one out.
pub(crate) fn read(file: &Path, text: &str, table: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Vec<QueueRule> {
    let origin = |at: usize| Origin::file(file, line_of(text, at));
    let Some(values) = table.get_ref().as_table() else {
        problems.fault(&origin(table.span().start), "queues", "it is a table: [queues.NAME]");
        return Vec::new();
    };
    let mut rules = Vec::new();
    for (pattern, value) in values {
        let at = pattern.span().start;
        let pattern = pattern.get_ref().as_ref();
        let key = key_of(pattern);
        if let Err(why) = name::check_pattern(pattern) {
            problems.fault(&origin(at), &key, format!("it is no name of a queue and no pattern of names: {why}"));
            continue;
        }
        let Some(fields) = value.get_ref().as_table() else {
            problems.fault(&origin(at), &key, format!("it is a table: [{key}]"));
            continue;
        };
        let of_field = |field: &str| fields.keys().find(|key| **key.get_ref() == *field).map(Spanned::span);
        match Definition::deserialize(value.clone().into_deserializer()) {
            Err(error) => {
                let at = error.span().map_or(at, |span| span.start);
                let line = text.lines().nth(line_of(text, at) - 1).unwrap_or_default().trim();
                let message = error.message().trim().replace('\n', ", ");
                problems.fault(&origin(at), &key, format!("{message}: `{line}`"));
            }
            Ok(definition) => match definition.check() {
                Err(error) => {
                    let at = of_field(error.field).map_or(at, |span| span.start);
                    problems.fault(&origin(at), format!("{key}.{}", error.field), error.why);
                }
                Ok(()) => {
                    rules.push(QueueRule { pattern: pattern.to_owned(), definition, origin: origin(at) });
                }
            },
        }
    }
    rules
}

/// The key of a pattern: quoted where TOML wants it.
pub(crate) fn key_of(pattern: &str) -> String {
    let is_bare = !pattern.is_empty() && pattern.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_bare { format!("queues.{pattern}") } else { format!("queues.{}", quoted(pattern)) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::{Flags, QueueRule, testing::Imagined};

    use super::*;

    fn read(text: &str) -> Result<Vec<QueueRule>, String> {
        let flags = Flags { queues: Some("q.toml".into()), ..Flags::default() };
        let settings = Imagined::default().file("q.toml", text).load(&flags).map_err(|faults| faults.to_string())?;
        Ok(settings.effective.queues().cloned().collect())
    }

    #[test]
    fn the_sample_is_one_and_its_first_table_has_the_defaults() {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("queues.toml")).unwrap();
        let queues = read(&text).unwrap();
        let of = |wanted: &str| queues.iter().find(|rule| rule.pattern == wanted).map(|rule| rule.definition.clone());
        assert_eq!(of("#"), Some(Definition::default()));
        assert_eq!(of("$dead/#"), Some(Definition::dead_letters()));
        assert_eq!(of("jobs").map(|jobs| jobs.deliveries_max), Some(5));
        assert_eq!(queues.len(), 5);
        let serde_json::Value::Object(fields) = serde_json::to_value(Definition::default()).unwrap() else {
            panic!("a definition is an object");
        };
        for field in fields.keys() {
            assert!(text.contains(&format!("{field} =")), "the sample does not show {field}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_is_allowed() {
        for (text, words) in [
            ("[queues.a]\nmessages_max = 7\noverflow = \"drop\"", &["q.toml:3", "drop_oldest", "overflow ="][..]),
            ("[queues.a]\nmesages_max = 7", &["q.toml:2", "`mesages_max`", "`messages_max`"]),
            ("[queues.a]\n\nmessages_max = \"many\"", &["q.toml:3", "many", "messages_max ="]),
            ("[queues.a]\nttl_ms = 5\npriority = 10", &["q.toml:3: queues.a.priority: priorities are 0 to 9"]),
            ("[queues.a]\nbind = [\"x/#/y\"]", &["q.toml:2", "x/#/y"]),
            ("\n[queues.\"a//b\"]", &["q.toml:2: queues.\"a//b\": ", "level"]),
            ("[queue.a]", &["q.toml:1: queue: ", "`queues`"]),
            ("[queues.a]\nmessages_max = ", &["q.toml:2"]),
            ("[queues.a]\n[queues.a]", &["q.toml:2", "duplicate"]),
            ("[queues.a]\nmessages_max = -1", &["q.toml:2", "-1"]),
        ] {
            let why = read(text).unwrap_err();
            assert!(words.iter().all(|word| why.contains(word)), "{text}: {why}");
        }
        assert!(read("").unwrap().is_empty());
    }
}
