//! Runs the examples as their readers would.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use primer_harness::Client;

/// A program that is ended with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _it_may_have_ended = self.0.kill();
        let _its_state = self.0.wait();
    }
}

fn output(program: &str) -> String {
    let output = Command::new(program).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Starts a program on a port that the system chooses; answers the line in which it says which.
fn start(program: &str) -> (Running, String) {
    let mut child = Command::new(program).arg("0").stdout(Stdio::piped()).spawn().expect("it starts");
    let stdout = child.stdout.take().expect("it is a pipe");
    let mut first = String::new();
    BufReader::new(stdout).read_line(&mut first).expect("it says where it listens");
    (Running(child), first)
}

fn port(line: &str) -> u16 {
    let digits: String = line.rsplit(':').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a port")
}

#[test]
fn jobs_are_done_tried_again_given_up_and_answered() {
    let says = output(env!("CARGO_BIN_EXE_jobs"));
    assert!(says.contains("19 and 23 are 42"), "{says}");
    assert!(says.contains("given up: divide by zero (max_deliveries)"), "{says}");
    assert!((1..=6).all(|page| says.matches(&format!("print page {page}\n")).count() == 1), "{says}");
    assert_eq!(says.matches("fails, attempt").count(), 3, "{says}");
}

#[test]
fn a_recorder_misses_nothing() {
    let says = output(env!("CARGO_BIN_EXE_pubsub"));
    assert!(says.contains("recorder: 3 readings, 18.5 C on average"), "{says}");
    assert!(says.contains("display: house/door = open") && says.contains("display: missed 0"), "{says}");
}

#[test]
fn people_chat_and_late_ones_see_what_was_said() {
    let (_running, line) = start(env!("CARGO_BIN_EXE_chat"));
    let enter = |name: &str| {
        let stream = TcpStream::connect(("127.0.0.1", port(&line))).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        let mut guest = (BufReader::new(stream.try_clone().expect("a clone")), stream);
        assert_eq!(read(&mut guest.0), "your name?");
        writeln!(guest.1, "{name}").expect("it is read");
        guest
    };
    let mut ann = enter("ann");
    assert_eq!(read(&mut ann.0), "welcome");
    writeln!(ann.1, "anybody here?").expect("it is read");
    assert_eq!(read(&mut ann.0), "ann: anybody here?");
    let mut bob = enter("bob");
    assert_eq!(read(&mut bob.0), "ann: anybody here?");
    assert_eq!(read(&mut bob.0), "welcome");
    writeln!(bob.1, "me").expect("it is read");
    assert_eq!((read(&mut ann.0), read(&mut bob.0)), ("bob: me".to_owned(), "bob: me".to_owned()));
}

fn read(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line in time");
    line.trim_end().to_owned()
}

#[test]
fn a_gateway_handles_what_devices_send() {
    let (_running, line) = start(env!("CARGO_BIN_EXE_iot"));
    let address = ([127, 0, 0, 1], port(&line)).into();
    let mut panel = Client::v5(address, "panel");
    panel.subscribe("alarms/#", 1);
    let mut device = Client::v311(address, "boiler");
    for celsius in ["20", "hot", "81.5", "40"] {
        device.publish("sensors/boiler/temperature", celsius, 1);
    }
    let alarm = panel.recv();
    assert_eq!((&*alarm.topic, alarm.text()), ("alarms/boiler", "81.5 C".to_owned()));
    let mut dead = Client::v5(address, "operator");
    dead.subscribe("$dead/readings", 1);
    assert_eq!(dead.recv().text(), "hot");
    let mut late = Client::v311(address, "late");
    late.subscribe("alarms/+", 0);
    assert!(late.recv().retain);
}
