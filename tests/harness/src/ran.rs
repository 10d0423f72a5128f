//! Running the program to its end, and what it leaves.

use std::io::Write;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::program;

/// What the program left.
#[derive(Debug)]
pub struct Ran {
    /// How it ended; `None` after a signal.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// And said beside that.
    pub stderr: String,
}

/// Starts `primer` with these arguments and pipes.
///
/// # Panics
/// When it cannot be started.
#[must_use]
#[track_caller]
pub fn start(arguments: &[&str]) -> Child {
    let mut command = program::command();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// Waits for its end.
///
/// # Panics
/// When it has panicked, or what it said is no text.
#[must_use]
#[track_caller]
pub fn end(child: Child) -> Ran {
    let output = child.wait_with_output().expect("its end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text from the program");
    let ran = Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    ran
}

/// Runs `primer` with these arguments and this on its standard input.
///
/// # Panics
/// As [`start`] and [`end`] do.
#[must_use]
#[track_caller]
pub fn run(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = start(arguments);
    let mut stdin = child.stdin.take().expect("its standard input");
    let input = input.to_vec();
    // One that reads nothing may have ended.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let ran = end(child);
    writer.join().expect("the writer");
    ran
}

impl Ran {
    /// What it printed, where all went well.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn text(&self) -> &str {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:?}");
        &self.stdout
    }

    /// The same of a command with `--json`.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The JSON that it printed, with this exit code.
    ///
    /// # Panics
    /// When either is another.
    #[track_caller]
    pub fn json_with(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Holds that it did nothing, and said so with these words.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.stdout, "", "{self:?}");
        self.said(code, words);
    }

    /// Holds that it ended with this exit code, and said these words.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn said(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?}: {self:?}");
        }
    }
}

/// The lines of a text with single spaces.
#[must_use]
pub fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
