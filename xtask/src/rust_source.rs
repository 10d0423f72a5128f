//! A Rust file seen three ways: as it is, as code without comments and texts, and as comments alone.
//!
//! It is no parser: it knows comments, strings and characters, which is what keeps a word in a comment from being taken
//! for a call, and finds the items under `#[cfg(test)]` by counting brackets.

/// One source file, cut into lines.
pub(crate) struct RustSource {
    lines: Vec<Line>,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    /// As it is, without the line end.
    pub(crate) text: String,
    /// The code of it; what is inside a string is replaced by `_`.
    pub(crate) code: String,
    /// The comment of it.
    pub(crate) comment: String,
    /// Whether it belongs to an item that only tests see.
    pub(crate) is_test: bool,
}

impl RustSource {
    /// Reads a file.
    pub(crate) fn new(text: &str) -> Self {
        let (code, comment) = separate(text);
        let mut lines: Vec<Line> = text
            .split('\n')
            .zip(code.split('\n'))
            .zip(comment.split('\n'))
            .map(|((text, code), comment)| Line {
                text: text.to_owned(),
                code: code.to_owned(),
                comment: comment.to_owned(),
                is_test: false,
            })
            .collect();
        for (first, last) in test_items(&code) {
            for line in lines.iter_mut().take(last + 1).skip(first) {
                line.is_test = true;
            }
        }
        Self { lines }
    }

    /// The lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// How many lines have code that is shipped: neither blank nor comment nor test.
    pub(crate) fn code_lines(&self) -> usize {
        self.lines.iter().filter(|line| !line.is_test && !line.code.trim().is_empty()).count()
    }
}

/// Where the reader is.
enum State {
    Code,
    LineComment,
    /// How deep; block comments nest.
    BlockComment(usize),
    Text,
    /// How many `#` close it.
    RawText(usize),
}

/// The code and the comments of a file, each with the file's lines.
fn separate(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comment) = (String::new(), String::new());
    let mut state = State::Code;
    let mut at = 0;
    while let Some(&char) = chars.get(at) {
        let taken = match state {
            State::Code => in_code(&chars, at, &mut state, &mut code),
            State::LineComment => {
                if char == '\n' {
                    state = State::Code;
                }
                1
            }
            State::BlockComment(depth) => in_block_comment(&chars, at, depth, &mut state),
            State::Text => in_text(char, &mut state),
            State::RawText(hashes) => in_raw_text(&chars, at, hashes, &mut state),
        };
        let is_comment = matches!(state, State::LineComment | State::BlockComment(_));
        for &char in chars.iter().skip(at).take(taken) {
            match (char, &state) {
                ('\n', _) => {
                    code.push('\n');
                    comment.push('\n');
                }
                (char, _) if is_comment => comment.push(char),
                (char, State::Text | State::RawText(_)) => code.push(if char.is_whitespace() { ' ' } else { '_' }),
                _ => {}
            }
        }
        at += taken;
    }
    (code, comment)
}

/// One step in code: pushes what is code, or goes over to another state. Gives how many characters it took.
fn in_code(chars: &[char], at: usize, state: &mut State, code: &mut String) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => {
            *state = State::LineComment;
            2
        }
        '/' if next == Some('*') => {
            *state = State::BlockComment(1);
            2
        }
        '"' => {
            *state = State::Text;
            1
        }
        'r' if !continues_a_word(chars, at) => {
            let hashes = chars.iter().skip(at + 1).take_while(|char| **char == '#').count();
            if chars.get(at + 1 + hashes) == Some(&'"') {
                *state = State::RawText(hashes);
                return hashes + 2;
            }
            code.push('r');
            1
        }
        '\'' => {
            let length = char_literal_length(chars, at);
            for _ in 0..length {
                code.push('\'');
            }
            length
        }
        '\n' => 1,
        char => {
            code.push(char);
            1
        }
    }
}

/// Whether the character before belongs to the same word; `b` and `c` may stand before the `r` of a raw string.
fn continues_a_word(chars: &[char], at: usize) -> bool {
    let is_word = |index: usize| chars.get(index).is_some_and(|char| char.is_alphanumeric() || *char == '_');
    let Some(before) = at.checked_sub(1) else { return false };
    let is_prefix = matches!(chars[before], 'b' | 'c') && !before.checked_sub(1).is_some_and(is_word);
    is_word(before) && !is_prefix
}

/// How long the character literal that starts here is; 1 for a lifetime.
fn char_literal_length(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        let close = chars.iter().skip(at + 3).position(|char| *char == '\'');
        return close.map_or(1, |offset| offset + 4);
    }
    if chars.get(at + 2) == Some(&'\'') { 3 } else { 1 }
}

fn in_block_comment(chars: &[char], at: usize, depth: usize, state: &mut State) -> usize {
    match (chars[at], chars.get(at + 1)) {
        ('/', Some('*')) => {
            *state = State::BlockComment(depth + 1);
            2
        }
        ('*', Some('/')) => {
            *state = if depth == 1 { State::Code } else { State::BlockComment(depth - 1) };
            2
        }
        _ => 1,
    }
}

fn in_text(char: char, state: &mut State) -> usize {
    match char {
        '\\' => 2,
        '"' => {
            *state = State::Code;
            1
        }
        _ => 1,
    }
}

fn in_raw_text(chars: &[char], at: usize, hashes: usize, state: &mut State) -> usize {
    let closes =
        chars[at] == '"' && chars.iter().skip(at + 1).take(hashes).filter(|char| **char == '#').count() == hashes;
    if closes {
        *state = State::Code;
        return 1 + hashes;
    }
    1
}

/// The first and last lines, from 0, of the items under `#[cfg(test)]`, found in code without comments and texts.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    if code.contains("#![cfg(test)]") {
        items.push((0, code.matches('\n').count()));
    }
    for start in ["#[cfg(test)]", "#[cfg(all(test"].iter().flat_map(|attribute| code.match_indices(attribute)) {
        let line_of = |offset: usize| code[..offset].matches('\n').count();
        let end = item_end(code, start.0);
        items.push((line_of(start.0), line_of(end)));
    }
    items
}

/// Where the item that starts with this attribute ends: at the `}` of its body, or at its `;`.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, char) in code[start..].char_indices() {
        match char {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && char == '}' {
                    return start + offset;
                }
            }
            ';' if depth == 0 => return start + offset,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(text: &str) -> String {
        RustSource::new(text).lines.iter().map(|line| line.code.as_str()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn comments_are_taken_out_of_code() {
        assert_eq!(code_of("a // dbg!(1)\nb").trim_end(), "a \nb");
        assert_eq!(code_of("a /* x /* y */ z */ b").replace(' ', ""), "ab");
        assert_eq!(code_of("a / b"), "a / b");
        let source = RustSource::new("let a = 1; // why\n/* one\ntwo */ x");
        let comments: Vec<_> = source.lines().map(|(_, line)| line.comment.trim().to_owned()).collect();
        assert!(comments[0].contains("why") && comments[1].contains("one") && comments[2].contains("two"));
    }

    #[test]
    fn texts_are_hidden_and_end_where_they_end() {
        for text in [r#"f("dbg!(1)")"#, r##"f(r#"dbg!(1) " "#)"##, r#"f(b"dbg!(\"1")"#, r###"f(br##"dbg!( "# "##)"###] {
            let code = code_of(text);
            assert!(!code.contains("dbg!") && code.starts_with("f(") && code.ends_with(')'), "{text}: {code}");
        }
        assert!(code_of("\"a // b\"; c").ends_with("; c"));
        assert!(code_of("writer\"x\"; c").contains("; c"), "r at the end of a word starts no raw text");
    }

    #[test]
    fn characters_and_lifetimes_are_told_apart() {
        for text in ["f('\"', x)", "f('\\'', x)", "f('\\\\', x)", "f('\\u{1f600}', x)", "f::<'a>(x)", "f('/', '/', x)"]
        {
            assert!(code_of(text).ends_with("x)"), "{text}: {}", code_of(text));
        }
    }

    #[test]
    fn code_lines_leave_out_blanks_comments_and_tests() {
        let text = "//! Head.\n\nfn a() {\n    // why\n    b();\n}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n";
        assert_eq!(RustSource::new(text).code_lines(), 3);
        let text = "#[cfg(test)]\nmod tests;\nfn a() {}\n#[cfg(test)]\nuse x::{y, z};\nfn b() {}\n";
        assert_eq!(RustSource::new(text).code_lines(), 2);
        assert_eq!(RustSource::new("#![cfg(test)]\nfn a() {}\n").code_lines(), 0);
        assert_eq!(RustSource::new("let a = \"one\n    two\n\";\n").code_lines(), 3);
    }

    #[test]
    fn an_item_under_cfg_test_ends_with_its_body() {
        let text =
            "#[cfg(test)]\n#[derive(Debug)]\nfn a(b: [u8; 2]) -> u8 {\n    if x { y } else { z }\n}\nfn shipped() {}\n";
        let shipped: Vec<_> = RustSource::new(text).lines().filter(|(_, line)| !line.is_test).map(|(n, _)| n).collect();
        assert_eq!(shipped, [6, 7]);
    }
}
