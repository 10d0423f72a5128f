//! A directory with files of rules, and the program.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use primer_harness::program;
use serde_json::Value;

/// A directory that goes with the test, unless it fails.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("primer-rules-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _none_was_left = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// With a file.
    pub(crate) fn with(name: &str, text: &str) -> Self {
        let place = Self::new();
        place.put(name, text);
        place
    }

    /// Puts a file there as a whole, as careful programs do.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let part = self.0.join(format!(".{name}.part"));
        fs::write(&part, text).expect("a file");
        fs::rename(part, self.0.join(name)).expect("a file");
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    /// The path of a file there, as an argument.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// Writes a file; its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, text).expect("a file");
        self.arg(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _it_may_be_gone = fs::remove_dir_all(&self.0);
        }
    }
}

/// What the program left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// What it printed, where all went well.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:?}");
        &self.stdout
    }

    /// The JSON that it printed, with this exit code.
    #[track_caller]
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Holds that it failed, and said so with these words.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?}: {self:?}");
        }
    }
}

/// Starts `primer` with these arguments and pipes.
#[track_caller]
pub(crate) fn start(arguments: &[&str]) -> Child {
    let mut command = program::command();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// Waits for its end.
#[track_caller]
pub(crate) fn end(child: Child) -> Ran {
    let output = child.wait_with_output().expect("its end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text from the program");
    let ran = Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    ran
}

/// Runs `primer` with these arguments and this on its standard input.
#[track_caller]
pub(crate) fn primer(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = start(arguments);
    let mut stdin = child.stdin.take().expect("its standard input");
    let input = input.to_vec();
    // One that reads nothing may have ended.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let ran = end(child);
    writer.join().expect("the writer");
    ran
}

/// Runs `primer rules` with these arguments.
#[track_caller]
pub(crate) fn rules(arguments: &[&str], input: &str) -> Ran {
    primer(&[&["rules"], arguments].concat(), input.as_bytes())
}

/// The lines of a text with single spaces.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
