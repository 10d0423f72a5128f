//! Runs of the clients, ours and mosquitto's.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use primer_harness::{Broker, Client, TIMEOUT, peers, program};

/// What a client left; its output may be any bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Left {
    /// What it printed, where all went well and nothing was said.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:?}");
        self.stdout()
    }

    /// What it printed, however it ended.
    #[track_caller]
    pub(crate) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text")
    }

    /// Holds that it printed nothing, ended with this code, and said these words.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, self.stdout()), (Some(code), ""), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?}: {}", self.stderr);
        }
    }
}

/// Our client; the options that the user's own files have are not read.
pub(crate) fn ours(port: u16, tool: &str, args: &[&str]) -> Command {
    let mut command = program::command();
    command.arg(tool);
    complete(command, port, args)
}

/// mosquitto's client; `None` where it is not installed.
#[track_caller]
pub(crate) fn theirs(port: u16, tool: &str, args: &[&str]) -> Option<Command> {
    Some(complete(peers::mosquitto(&format!("mosquitto_{tool}"))?, port, args))
}

fn complete(mut command: Command, port: u16, args: &[&str]) -> Command {
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(args);
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("TZ", "UTC");
    command
}

/// Starts it with pipes.
#[track_caller]
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

/// Gives it this on standard input, and waits for its end.
#[track_caller]
pub(crate) fn end(mut child: Child, input: &[u8]) -> Left {
    let mut stdin = child.stdin.take().expect("its standard input");
    let input = input.to_vec();
    // One that reads nothing may have ended.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("its end");
    writer.join().expect("the writer");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains("panicked"), "{stderr}");
    Left { code: output.status.code(), stdout: output.stdout, stderr }
}

/// Runs one of our clients at a broker.
#[track_caller]
pub(crate) fn run(broker: &Broker, tool: &str, args: &[&str], input: &[u8]) -> Left {
    end(start(&mut ours(broker.port(), tool, args)), input)
}

/// Publishes with `primer pub`.
#[track_caller]
pub(crate) fn publish(broker: &Broker, args: &[&str]) {
    assert_eq!(run(broker, "pub", args, b"").text(), "");
}

/// Starts `primer sub` and waits until it has subscribed: it also takes a topic of its own, which it does not show, and
/// the broker tells a publisher of MQTT 5.0 when nobody takes that topic (0x10).
#[track_caller]
pub(crate) fn subscribe(broker: &Broker, args: &[&str]) -> Child {
    let (ready, mut args) = (ready_topic(), args.to_vec());
    args.extend(["-t", &ready, "-T", &ready]);
    let child = start(&mut ours(broker.port(), "sub", &args));
    await_subscription(broker, &ready);
    child
}

/// A topic that no other run has.
pub(crate) fn ready_topic() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("ready/{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Waits until somebody takes the topic.
#[track_caller]
pub(crate) fn await_subscription(broker: &Broker, topic: &str) {
    let mut prober = Client::v5(broker.addr(), &topic.replace('/', "-"));
    let deadline = Instant::now() + TIMEOUT;
    while prober.publish(topic, "", 1) == 0x10 {
        assert!(Instant::now() < deadline, "nobody subscribed to {topic} within {TIMEOUT:?}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Runs ours and mosquitto's with the same words, and holds that they print the same and end with the same code.
#[track_caller]
pub(crate) fn same(port: u16, tool: &str, args: &[&str], input: &[u8]) {
    let Some(mut theirs) = theirs(port, tool, args) else { return };
    let theirs = end(start(&mut theirs), input);
    let ours = end(start(&mut ours(port, tool, args)), input);
    assert_eq!(
        (ours.code, masked(&ours.stdout)),
        (theirs.code, masked(&theirs.stdout)),
        "{args:?}\nours: {}\ntheirs: {}",
        ours.stderr,
        theirs.stderr
    );
}

/// Without what differs from one run to the next: times in JSON (of which mosquitto 2.0.11 has a Z too many), and the
/// identifiers that the broker makes up.
fn masked(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let lines = text.split_inclusive('\n').map(|line| {
        let line = match line.split_once("\"tst\":") {
            Some((before, after)) => {
                let after = after.split_once(',').map_or("", |(_, after)| after);
                format!("{before}TST,{after}")
            }
            None => line.to_owned(),
        };
        match line.strip_prefix("Client ").and_then(|rest| rest.split_once(' ')) {
            Some((_, does)) => format!("Client ID {does}"),
            None => line,
        }
    });
    lines.collect()
}
