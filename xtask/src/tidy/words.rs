//! Words and lines that may not stand in a Rust file, each with what to do instead.

use super::{Finding, is_shipped};
use crate::rust_source::{Line, RustSource};

/// The longest line. rustfmt leaves long texts and comments as they are, so it is held here.
const LINE_CHARS_MAX: usize = 120;

/// Code that may stand nowhere.
const BANNED: &[(&str, &str)] = &[
    ("todo!(", "unfinished code does not land: return an error that says so, or leave the function out"),
    ("unimplemented!(", "unfinished code does not land: return an error that says so, or leave the function out"),
    ("dbg!(", "remove it, or trace through `tracing`"),
    ("#[allow(", "use #[expect(lint, reason = \"...\")], which complains when it is no longer needed"),
    ("#![allow(", "use #![expect(lint, reason = \"...\")], which complains when it is no longer needed"),
    ("#[ignore]", "give the reason and the place where it runs: #[ignore = \"...\"]"),
];

/// Code that may stand in tests only.
const BANNED_IN_SHIPPED: &[(&str, &str)] =
    &[(".unwrap()", "return the error; if it cannot be, `expect` says the invariant that makes it so")];

/// Marks of unfinished work. A plan belongs in an issue or in docs/decisions, where somebody looks.
const MARKS: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];

pub(super) fn check(file: &str, source: &RustSource) -> Vec<Finding> {
    let shipped = is_shipped(file);
    let mut findings = Vec::new();
    if shipped && !opens_with_its_subject(source) {
        let says = "the first line is not `//!`: say what the file does and does not do (house rule 11)";
        findings.push(Finding::new(file, 1, says));
    }
    for (number, line) in source.lines() {
        let says = check_line(line).or_else(|| check_words(line, shipped && !line.is_test));
        findings.extend(says.map(|says| Finding::new(file, number, says)));
    }
    findings
}

fn opens_with_its_subject(source: &RustSource) -> bool {
    source.lines().next().is_some_and(|(_, line)| line.text.starts_with("//!"))
}

fn check_line(line: &Line) -> Option<String> {
    let length = line.text.chars().count();
    // A link cannot be broken over two lines.
    if length > LINE_CHARS_MAX && !line.comment.contains("://") {
        return Some(format!("the line has {length} characters; {LINE_CHARS_MAX} at most"));
    }
    if line.text.contains('\t') {
        return Some("the line has a tab".to_owned());
    }
    line.text.ends_with([' ', '\r']).then(|| "the line ends with a space".to_owned())
}

fn check_words(line: &Line, shipped: bool) -> Option<String> {
    if let Some(mark) = MARKS.into_iter().find(|mark| has_word(&line.comment, mark)) {
        return Some(format!("{mark} marks unfinished work: finish it, or write it down where it is planned"));
    }
    let further = if shipped { BANNED_IN_SHIPPED } else { &[] };
    let banned = BANNED.iter().chain(further).find(|(code, _)| has_code(&line.code, code));
    if let Some((code, instead)) = banned {
        return Some(format!("`{code}` is banned: {instead}"));
    }
    let is_conditional_allow = line.code.contains("cfg_attr(") && line.code.contains(" allow(");
    is_conditional_allow.then(|| "`allow(` is banned: use expect(lint, reason = \"...\")".to_owned())
}

/// Whether the code has this, and not as the end of a longer word: `my_todo!(` is none.
fn has_code(line: &str, code: &str) -> bool {
    line.match_indices(code).any(|(at, _)| {
        let is_word_start = code.starts_with(|first: char| first.is_alphabetic());
        !is_word_start || !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|char: char| !char.is_alphanumeric()).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(file: &str, text: &str) -> Vec<String> {
        check(file, &RustSource::new(text)).into_iter().map(|finding| finding.says).collect()
    }

    /// What is said about one line of a shipped file.
    fn line(text: &str) -> Vec<String> {
        says("a/src/b.rs", &format!("//! Head.\n{text}\n"))
    }

    #[test]
    fn a_plain_file_passes() {
        assert_eq!(line("fn a() -> u8 { b().unwrap_or(1) } // why"), Vec::<String>::new());
    }

    #[test]
    fn each_banned_word_is_found_once_and_not_in_texts_or_comments() {
        for code in ["todo!()", "unimplemented!()", "dbg!(a)", "#[allow(dead_code)]", "#[ignore]", "a.unwrap()"] {
            assert_eq!(line(code).len(), 1, "{code}");
            assert_eq!(line(&format!("let a = r#\"{code}\"#;")), Vec::<String>::new(), "{code}");
            assert_eq!(line(&format!("// {code}")), Vec::<String>::new(), "{code}");
        }
        assert_eq!(line("#![cfg_attr(test, allow(x))]").len(), 1);
        assert_eq!(line("#[ignore = \"slow; runs in the soak\"]"), Vec::<String>::new());
        assert_eq!(line("my_todo!()"), Vec::<String>::new());
    }

    #[test]
    fn unwrap_is_free_in_tests() {
        let text = "//! Head.\n#[cfg(test)]\nmod tests {\n    fn a() { b().unwrap(); }\n}\n";
        assert_eq!(says("a/src/b.rs", text), Vec::<String>::new());
        assert_eq!(says("a/tests/b.rs", "fn a() { b().unwrap(); }\n"), Vec::<String>::new());
        assert_eq!(says("a/tests/b.rs", "fn a() { dbg!(b()); }\n").len(), 1);
    }

    #[test]
    fn marks_are_found_in_comments_as_words() {
        for mark in MARKS {
            assert_eq!(line(&format!("// {mark}: later")).len(), 1);
            assert_eq!(line(&format!("// see {mark}Y")), Vec::<String>::new());
        }
    }

    #[test]
    fn lines_are_short_and_end_where_they_end() {
        assert_eq!(line(&format!("// {}", "é".repeat(117))), Vec::<String>::new());
        assert_eq!(line(&format!("// {}", "é".repeat(118))).len(), 1);
        assert_eq!(line(&format!("// see https://a/{}", "b".repeat(118))), Vec::<String>::new());
        assert_eq!(line("fn a() {} ").len(), 1);
        assert_eq!(line("\tfn a() {}").len(), 1);
    }

    #[test]
    fn a_shipped_file_opens_with_its_subject() {
        assert_eq!(says("a/src/b.rs", "fn a() {}\n").len(), 1);
        assert_eq!(says("a/tests/b.rs", "fn a() {}\n"), Vec::<String>::new());
    }
}
