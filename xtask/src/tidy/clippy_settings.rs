//! The `clippy.toml` files agree with the one at the root.
//!
//! Clippy reads one such file for a crate: the nearest. A crate that has its own has none of the root's settings, so
//! each must repeat them. A stricter crate may add to the lists; the tests leave them out, since what is banned from
//! the server, such as a blocking sleep, is what tests are made of.

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::{Finding, is_shipped};
use crate::workspace::Workspace;

const ROOT: &str = "clippy.toml";

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let read =
        |file: &str| -> Result<Table> { toml::from_str(&workspace.read(file)?).with_context(|| file.to_owned()) };
    let root = read(ROOT)?;
    let mut findings = Vec::new();
    for file in workspace.files_ending(ROOT).filter(|file| *file != ROOT) {
        findings.extend(compare(&root, file, &read(file)?));
    }
    Ok(findings)
}

fn compare(root: &Table, file: &str, own: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, wanted) in root {
        match (wanted, own.get(key)) {
            (Value::Array(_), _) if !is_shipped(file) => {}
            (Value::Array(wanted), own) => {
                let own = own.and_then(Value::as_array).cloned().unwrap_or_default();
                for path in wanted.iter().map(path_of).filter(|path| !own.iter().any(|entry| path_of(entry) == *path)) {
                    findings.push(Finding::new(file, 0, format!("{key} lacks {path}, which the root's has")));
                }
            }
            (wanted, own) if own != Some(wanted) => {
                findings.push(Finding::new(file, 0, format!("{key} differs from the root's, which is {wanted}")));
            }
            _ => {}
        }
    }
    findings
}

/// The path that an entry of a list bans.
fn path_of(entry: &Value) -> String {
    let path = entry.get("path").unwrap_or(entry);
    path.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(root: &str, file: &str, own: &str) -> Vec<String> {
        let table = |text| toml::from_str(text).expect("toml");
        compare(&table(root), file, &table(own)).iter().map(ToString::to_string).collect()
    }

    const ROOT_TEXT: &str = "limit = 70\ndisallowed-methods = [{ path = \"a::b\", reason = \"c\" }]\n";

    #[test]
    fn a_crate_may_add_to_a_list() {
        let own = "limit = 70\ndisallowed-methods = [\"x::y\", { path = \"a::b\", reason = \"other\" }]\n";
        assert!(found(ROOT_TEXT, "primer/core/clippy.toml", own).is_empty());
    }

    #[test]
    fn a_missing_ban_and_another_value_are_found() {
        let found = found(ROOT_TEXT, "primer/core/clippy.toml", "limit = 90\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().any(|says| says.contains("lacks a::b")));
    }

    #[test]
    fn tests_have_the_values_and_not_the_lists() {
        assert!(found(ROOT_TEXT, "tests/clippy.toml", "limit = 70\n").is_empty());
        assert_eq!(found(ROOT_TEXT, "tests/clippy.toml", "").len(), 1);
    }
}
