//! A broker with a directory of rules.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use primer_harness::{Broker, Client, Launch, TIMEOUT};
use serde_json::{Value, json};

/// A directory of this test's own, which goes with it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("primer-rules-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn with(name: &str, text: &str) -> Self {
        let folder = Self::new();
        folder.put(name, text);
        folder
    }

    /// Puts a file there as a whole, as careful programs do.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let part = self.0.join(format!(".{name}.part"));
        fs::write(&part, text).expect("a file");
        fs::rename(part, self.0.join(name)).expect("a file");
    }

    pub(crate) fn path(&self) -> &str {
        Path::to_str(&self.0).expect("UTF-8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _it_may_be_gone = fs::remove_dir_all(&self.0);
        }
    }
}

/// A broker in memory with the rules of a folder.
pub(crate) fn serve(folder: &Folder) -> Broker {
    Launch::new().args(&["--rules", folder.path()]).start()
}

/// The figures of a rule.
#[track_caller]
pub(crate) fn stats(client: &mut Client, rule: &str) -> Value {
    let answer = ask(client, &json!({"command": "stats", "rule": rule}));
    answer["data"]["rules"][rule].clone()
}

/// Gives one command about rules.
#[track_caller]
pub(crate) fn ask(client: &mut Client, command: &Value) -> Value {
    assert_eq!(client.publish("$CONTROL/rules/v1", json!({"commands": [command]}).to_string(), 1), 0);
    let answer = client.recv();
    assert_eq!(answer.topic, "$CONTROL/rules/v1/response");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    answer["responses"][0].clone()
}

/// Waits until something is so, asking now and then.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < TIMEOUT, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Takes all texts out of a queue, until none has come for a while.
pub(crate) fn drain(broker: &Broker, queue: &str) -> Vec<String> {
    let mut client = Client::v5(broker.addr(), &format!("drain-{queue}"));
    assert!(client.subscribe(&format!("$queue/{queue}"), 1) < 0x80);
    let mut texts = Vec::new();
    while let Some(message) = client.recv_publish(Duration::from_secs(2)) {
        texts.push(message.text());
    }
    client.disconnect();
    texts
}
