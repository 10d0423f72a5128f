//! `primer serve --queues FILE`: what queues are to be, by pattern. What is wrong in the file is said with its line and
//! what is allowed there.

use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use primer::{Definition, name};
use serde::Deserialize;
use toml::{Spanned, de::DeTable};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueuesFile {
    #[serde(default)]
    queues: BTreeMap<Spanned<String>, Spanned<Definition>>,
}

/// Reads the file that `--queues` names, if it names one.
pub(crate) fn read(path: Option<&PathBuf>) -> anyhow::Result<Vec<(String, Definition)>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let text = fs::read_to_string(path).with_context(|| format!("--queues {}", path.display()))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> anyhow::Result<Vec<(String, Definition)>> {
    let wrong = |span: Range<usize>, why: &str| anyhow!("{}", place(path, text, span.start, why));
    let file: QueuesFile =
        toml::from_str(text).map_err(|error| wrong(error.span().unwrap_or_default(), error.message()))?;
    let mut queues = Vec::new();
    for (pattern, definition) in file.queues {
        let (at, pattern) = (pattern.span(), pattern.into_inner());
        name::check_pattern(&pattern)
            .map_err(|why| wrong(at, &format!("{pattern:?} is no name of a queue and no pattern of names: {why}")))?;
        let span = definition.span();
        let definition = definition.into_inner();
        definition.check().map_err(|error| {
            wrong(key(text, &pattern, error.field).unwrap_or(span), &format!("{}: {}", error.field, error.why))
        })?;
        queues.push((pattern, definition));
    }
    Ok(queues)
}

/// Where a key of a queue's table is.
fn key(text: &str, pattern: &str, field: &str) -> Option<Range<usize>> {
    let file = DeTable::parse(text).ok()?.into_inner();
    let definition = file.get("queues")?.get_ref().as_table()?.get(pattern)?.get_ref().as_table()?;
    definition.keys().find(|key| **key.get_ref() == *field).map(Spanned::span)
}

fn place(path: &Path, text: &str, at: usize, why: &str) -> String {
    let before = text.get(..at).unwrap_or(text);
    let number = 1 + before.matches('\n').count();
    let line = text.lines().nth(number - 1).unwrap_or_default().trim_end();
    format!("{}, line {number}: {why}\n    {line}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        parse(Path::new("q.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn the_sample_is_one_and_its_first_table_has_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/queues.toml");
        let queues = read(Some(&path)).unwrap();
        let of = |wanted: &str| queues.iter().find(|(pattern, _)| pattern == wanted).map(|(_, it)| it.clone());
        assert_eq!(of("#"), Some(Definition::default()));
        assert_eq!(of("$dead/#"), Some(Definition::dead_letters()));
        assert_eq!(of("jobs").map(|jobs| jobs.deliveries_max), Some(5));
        assert_eq!(queues.len(), 5);
        let text = fs::read_to_string(path).unwrap();
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
            ("[queues.a]\nmessages_max = 7\noverflow = \"drop\"", &["q.toml, line 3", "drop_oldest", "overflow ="][..]),
            ("[queues.a]\nmesages_max = 7", &["line 2", "`mesages_max`", "`messages_max`"]),
            ("[queues.a]\n\nmessages_max = \"many\"", &["line 3", "many", "messages_max ="]),
            ("[queues.a]\nttl_ms = 5\npriority = 10", &["line 3", "priority: priorities are 0 to 9"]),
            ("[queues.a]\nbind = [\"x/#/y\"]", &["line 2", "x/#/y"]),
            ("\n[queues.\"a//b\"]", &["line 2", "\"a//b\"", "level"]),
            ("[queue.a]", &["line 1", "`queue`", "`queues`"]),
            ("[queues.a]\nmessages_max = ", &["line 2"]),
            ("[queues.a]\n[queues.a]", &["line 2", "duplicate"]),
            ("[queues.a]\nmessages_max = -1", &["line 2", "-1"]),
        ] {
            let why = why(text);
            assert!(words.iter().all(|word| why.contains(word)), "{text}: {why}");
        }
        assert!(parse(Path::new("q.toml"), "").unwrap().is_empty());
    }
}
