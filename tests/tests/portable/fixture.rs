//! Directories, the program, and a broker that is stopped with grace.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use primer_harness::{Broker, Client, Launch, program};
use serde_json::Value;

/// A directory that goes with the test, unless it fails.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("primer-portable-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _none_was_left = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// As an argument.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path in UTF-8").to_owned()
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
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert!(self.code == Some(0), "exit code {:?}: {}", self.code, self.stderr);
        self
    }

    /// It failed, and said so.
    #[track_caller]
    pub(crate) fn failed_with(self, texts: &[&str]) -> Self {
        assert_ne!(self.code, Some(0), "it did not fail");
        assert!(texts.iter().all(|text| self.stderr.contains(text)), "{texts:?} is not in: {}", self.stderr);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).expect("JSON on stdout")
    }
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = program::command();
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `primer` with these arguments.
#[track_caller]
pub(crate) fn primer(args: &[&str]) -> Ran {
    let output = command(args).output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran { code: output.status.code(), stdout: output.stdout, stderr }
}

/// Runs it with this on its standard input.
#[track_caller]
pub(crate) fn primer_with(args: &[&str], input: &[u8]) -> Ran {
    let mut child = command(args).stdin(Stdio::piped()).spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // It may have seen enough before the end.
        let _it_may_not_want_all = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran { code: output.status.code(), stdout: output.stdout, stderr }
}

/// A broker on a data directory.
pub(crate) fn serve(data: &str) -> Broker {
    Launch::new().args(&["--data", data, "--drain-timeout", "0"]).start()
}

/// Stops a broker with grace.
#[track_caller]
pub(crate) fn stop(mut broker: Broker) {
    broker.terminate();
    let status = broker.wait(Duration::from_secs(30)).expect("the broker ends");
    assert!(status.success(), "{status}: {}", broker.stderr());
}

/// A client whose session outlives its connection by an hour.
pub(crate) fn durable(broker: &Broker, id: &str) -> Client {
    Client::v5_with(broker.addr(), id, |connect| connect.clean(false).session_expiry(3600))
}

/// A data directory with one session `s` and so many messages for it.
pub(crate) fn small_store(data: &str, id: &str, messages: u32) {
    let broker = serve(data);
    let mut subscriber = durable(&broker, id);
    subscriber.subscribe("small/#", 1);
    subscriber.disconnect();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    for n in 0..messages {
        assert_eq!(publisher.publish("small/t", format!("message {n} for {id}"), 1), 0);
    }
    publisher.publish_retained("small/retained", format!("retained of {id}"), 1);
    publisher.publish_retained(&format!("only/{id}"), "retained", 1);
    publisher.disconnect();
    stop(broker);
}

/// The lines of a dump.
pub(crate) fn lines(dump: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(dump).expect("a dump in UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON on every line")).collect()
}

/// What must be the same of two dumps of one content: all but the first and the last line, and sequence numbers.
pub(crate) fn content(dump: &[u8]) -> Vec<String> {
    let mut lines: Vec<Value> = lines(dump);
    lines.retain(|line| line.get("primer_dump").is_none() && line.get("end").is_none());
    for line in &mut lines {
        if let Some(message) = line.get_mut("message").and_then(Value::as_object_mut) {
            assert!(message.remove("sequence").is_some());
        }
    }
    let mut lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    lines.sort();
    lines
}

/// Everything below a directory with its content, but the lock.
pub(crate) fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("LOCK") {
            found.push((path.clone(), fs::read(&path).expect("a file")));
        }
    }
    found.sort();
    found
}
