//! What is wrong with the manifest: names given twice, tests that are not there, demands without test or reason.

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::{Concerns, Statement};
use crate::rust_source::RustSource;

/// How many lines above a function its attributes may begin.
const ATTRIBUTE_LINES_MAX: usize = 8;

/// All faults, each a sentence. `read` gives the text of a file of the workspace.
pub(super) fn find(statements: &[Statement], read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    let mut sources = BTreeMap::new();
    for statement in statements {
        let name = format!("{}: {} of {}", statement.file, statement.id, statement.version.name());
        if !seen.insert((statement.version, statement.id.as_str())) {
            faults.push(format!("{name} is there twice"));
        }
        faults.extend(missing_parts(statement).into_iter().map(|part| format!("{name} {part}")));
        for test in &statement.tests {
            faults.extend(test_fault(test, &mut sources, &read).map(|fault| format!("{name} names {test}: {fault}")));
        }
    }
    faults
}

fn missing_parts(statement: &Statement) -> Vec<&'static str> {
    let mut parts = Vec::new();
    if !statement.id.starts_with("MQTT") {
        parts.push("has an id that does not begin with MQTT");
    }
    if statement.says.trim().is_empty() {
        parts.push("says nothing");
    }
    match &statement.open {
        Some(reason) if reason.trim().is_empty() => parts.push("is open without a reason"),
        Some(_) if !statement.tests.is_empty() => parts.push("has tests and is open: one of the two is not so"),
        None if statement.tests.is_empty() && statement.concerns != Concerns::Client => {
            parts.push("has neither a test nor a reason to be open");
        }
        _ => {}
    }
    parts
}

/// Why a named test is none.
fn test_fault(
    test: &str,
    sources: &mut BTreeMap<String, Option<RustSource>>,
    read: &impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let Some((file, path)) = test.split_once("::") else { return Some("it is no file::function".to_owned()) };
    let function = path.rsplit("::").next().unwrap_or(path);
    let source = sources.entry(file.to_owned()).or_insert_with(|| read(file).map(|text| RustSource::new(&text)));
    match source {
        None => Some("the file is not there".to_owned()),
        Some(source) if !has_test(source, function) => Some(format!("the file has no test `fn {function}`")),
        Some(_) => None,
    }
}

/// Whether the file has this function with an attribute that makes it a test: `#[test]`, `#[tokio::test]` and so on.
fn has_test(source: &RustSource, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(|(_, line)| line.code.trim()).collect();
    let is_it = |line: &str| {
        line.split_once("fn ")
            .is_some_and(|(_, rest)| rest.strip_prefix(function).is_some_and(|rest| rest.starts_with(['(', '<', ' '])))
    };
    lines.iter().enumerate().filter(|(_, line)| is_it(line)).any(|(index, _)| {
        let above = lines.iter().take(index).rev().take(ATTRIBUTE_LINES_MAX);
        above.take_while(|line| !line.ends_with('}')).any(|line| is_test_attribute(line))
    })
}

fn is_test_attribute(line: &str) -> bool {
    line.strip_prefix("#[").is_some_and(|rest| {
        let path: String =
            rest.chars().take_while(|char| char.is_alphanumeric() || matches!(char, ':' | '_')).collect();
        path.rsplit("::").next().is_some_and(|last| matches!(last, "test" | "rstest" | "test_case"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Manifest;
    use super::*;

    const FILE: &str =
        "#[test]\nfn plain() {}\n\nfn helper() {}\n\n#[tokio::test(flavor = \"x\")]\n// why\nasync fn run() {}\n";

    fn faults(rest: &str) -> Vec<String> {
        let text =
            format!("[[statement]]\nid = \"MQTT-1\"\nversion = \"5.0\"\nlevel = \"MUST\"\nsays = \"It is.\"\n{rest}\n");
        let manifest: Manifest = toml::from_str(&text).expect("a manifest");
        find(&manifest.statement, |file| (file == "t/a.rs").then(|| FILE.to_owned()))
    }

    #[test]
    fn a_test_a_reason_or_a_client_is_enough() {
        assert_eq!(faults("concerns = \"server\"\ntests = [\"t/a.rs::plain\"]"), Vec::<String>::new());
        assert_eq!(faults("concerns = \"both\"\ntests = [\"t/a.rs::module::run\"]"), Vec::<String>::new());
        assert_eq!(faults("concerns = \"server\"\nopen = \"needs a clock\""), Vec::<String>::new());
        assert_eq!(faults("concerns = \"client\""), Vec::<String>::new());
    }

    #[test]
    fn a_demand_without_test_or_reason_is_a_fault() {
        assert_eq!(faults("concerns = \"server\"").len(), 1);
        assert_eq!(faults("concerns = \"both\"\nopen = \" \"").len(), 1);
        assert_eq!(faults("concerns = \"server\"\ntests = [\"t/a.rs::plain\"]\nopen = \"why\"").len(), 1);
    }

    #[test]
    fn a_test_that_is_not_there_is_a_fault() {
        for test in ["t/a.rs::gone", "t/a.rs::helper", "t/a.rs::pla", "t/b.rs::plain", "plain"] {
            assert_eq!(faults(&format!("concerns = \"server\"\ntests = [\"{test}\"]")).len(), 1, "{test}");
        }
    }

    #[test]
    fn an_id_is_there_once_a_version() {
        let one = |version| {
            format!(
                "[[statement]]\nid = \"MQTT-1\"\nversion = \"{version}\"\nlevel = \"MAY\"\nconcerns = \"client\"\n\
                 says = \"x\"\n"
            )
        };
        let count = |text: &str| find(&toml::from_str::<Manifest>(text).expect("a manifest").statement, |_| None).len();
        assert_eq!(count(&(one("5.0") + &one("3.1.1"))), 0);
        assert_eq!(count(&(one("5.0") + &one("5.0"))), 1);
    }
}
