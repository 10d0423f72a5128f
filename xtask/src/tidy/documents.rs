//! Documents: links between files lead somewhere, and the list of decisions is whole.

use std::path::Path;

use anyhow::Result;

use super::Finding;
use crate::workspace::Workspace;

const DECISIONS: &str = "docs/decisions/";
const DECISION_LIST: &str = "docs/decisions/README.md";

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in workspace.files_ending(".md") {
        let folder = workspace.root().join(Path::new(file).parent().unwrap_or(Path::new("")));
        let text = workspace.read(file)?;
        findings.extend(dead_links(file, &text, |target| folder.join(target).exists()));
    }
    if workspace.files().any(|file| file == DECISION_LIST) {
        let list = workspace.read(DECISION_LIST)?;
        findings.extend(unlisted(workspace.files(), &list));
    }
    Ok(findings)
}

/// Links to files that are not there.
fn dead_links(file: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        for target in link_targets(line).iter().filter(|target| !exists(target)) {
            findings.push(Finding::new(file, index + 1, format!("the link leads nowhere: {target}")));
        }
    }
    findings
}

/// The files that a line links to, relative to its own: `[text](file "title")` and `[text](file#part)`.
fn link_targets(line: &str) -> Vec<String> {
    // Every second piece between backticks is code.
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter_map(|target| target.split([' ', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
        .map(|target| target.trim_matches(['<', '>']).to_owned())
        .collect()
}

/// Decisions that the list does not have.
fn unlisted<'a>(files: impl Iterator<Item = &'a str>, list: &str) -> Vec<Finding> {
    let is_decision = |name: &&str| {
        let mut chars = name.chars();
        chars.by_ref().take(4).filter(char::is_ascii_digit).count() == 4 && chars.next() == Some('-')
    };
    files
        .filter_map(|file| file.strip_prefix(DECISIONS))
        .filter(is_decision)
        .filter(|name| !list.contains(&format!("({name})")))
        .map(|name| Finding::new(DECISION_LIST, 0, format!("does not list {name} as a link")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_in_prose_alone() {
        let text =
            "[a](here.md) and [b](gone.md#part)\n```\n[c](code.md)\n```\n`[d](code.md)` [e](https://x/y) [f](#g)\n";
        let found = dead_links("docs/x.md", text, |target| target == "here.md");
        assert_eq!(found, [Finding::new("docs/x.md", 1, "the link leads nowhere: gone.md")]);
    }

    #[test]
    fn titles_and_brackets_are_no_part_of_a_file() {
        assert_eq!(link_targets("[a](b.md \"title\") ![c](<d.png>)"), ["b.md", "d.png"]);
    }

    #[test]
    fn a_decision_that_is_not_listed_is_found() {
        let files =
            ["docs/decisions/0001-a.md", "docs/decisions/0002-b.md", "docs/decisions/README.md", "docs/0003-c.md"];
        let found = unlisted(files.into_iter(), "- [One](0001-a.md)\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("0002-b.md"));
    }
}
