//! The program as a process with a limit on its time.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use primer_harness::program;
use serde_json::Value;

/// Longer than any run may take, also one that waits 5 s for what does not come.
const RUN_MAX: Duration = Duration::from_secs(60);

/// `primer bench` on its way.
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    words: String,
}

/// What it left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    words: String,
}

/// Runs `primer bench` with these words, and then these.
#[track_caller]
pub(crate) fn bench(words: &str, more: &[&str]) -> Ran {
    start(words, more).end()
}

/// Starts `primer bench`.
#[track_caller]
pub(crate) fn start(words: &str, more: &[&str]) -> Running {
    let mut command = program::command();
    command.arg("bench").args(words.split_ascii_whitespace()).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(read_all);
    Running { child, stdout, stderr, words: format!("{words} {}", more.join(" ")) }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("text from the program");
        text
    })
}

impl Running {
    /// Sends it SIGINT, as Ctrl-C does.
    #[track_caller]
    pub(crate) fn interrupt(&self) {
        let kill = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill");
        assert!(kill.success());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let deadline = Instant::now() + RUN_MAX;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the state of the program") {
                break status;
            }
            assert!(Instant::now() < deadline, "`primer bench {}` still runs after {RUN_MAX:?}", self.words);
            thread::sleep(Duration::from_millis(5));
        };
        let mut text = |pipe: fn(&mut Self) -> &mut Option<JoinHandle<String>>| {
            pipe(&mut self).take().expect("a pipe").join().expect("its text")
        };
        let (stdout, stderr) = (text(|run| &mut run.stdout), text(|run| &mut run.stderr));
        Ran { code: status.code(), stdout, stderr, words: std::mem::take(&mut self.words) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    /// The report, of a run with `--json`.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The report of a run in which nothing went wrong.
    #[track_caller]
    pub(crate) fn clean(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        let json = self.json();
        for fault in ["lost", "doubled", "reordered", "refused", "unacknowledged", "unsent", "foreign"] {
            assert_eq!(json[fault], 0, "{fault}: {self:?}");
        }
        assert_eq!(json["errors"].as_array().map(Vec::len), Some(0), "{self:?}");
        json
    }

    /// The report of a run in which something went wrong.
    #[track_caller]
    pub(crate) fn faulty(&self) -> Value {
        assert_eq!(self.code, Some(1), "{self:?}");
        self.json()
    }

    /// Holds that there is no report but an error with these words.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{}: no {word:?}: {self:?}", self.words);
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }
}

/// A count in a report.
#[track_caller]
pub(crate) fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name} is no count: {report}"))
}

/// A number in a report.
#[track_caller]
pub(crate) fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} is no number: {report}"))
}
