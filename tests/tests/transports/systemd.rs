//! What a service manager gives and hears.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use primer_harness::{Launch, TIMEOUT};

use crate::fixture::{Place, goes_through};

/// Reads what is told until a message has this word.
#[track_caller]
fn hears(socket: &UnixDatagram, word: &str) {
    let mut buffer = [0; 4096];
    let mut heard = Vec::new();
    for _ in 0..1000 {
        let n = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {word} ({error}), only {heard:?}"));
        let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
        if text.lines().any(|line| line.starts_with(word)) {
            return;
        }
        heard.push(text);
    }
    panic!("no {word}, only {heard:?}");
}

#[test]
fn the_service_manager_hears_how_the_broker_is() {
    let place = Place::new();
    let socket = UnixDatagram::bind(place.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut broker = Launch::new().env("NOTIFY_SOCKET", &place.arg("notify")).env("WATCHDOG_USEC", "300000").start();
    hears(&socket, "READY=1");
    hears(&socket, "WATCHDOG=1");
    hears(&socket, "WATCHDOG=1");
    broker.hang_up();
    hears(&socket, "RELOADING=1");
    hears(&socket, "READY=1");
    broker.terminate();
    hears(&socket, "STOPPING=1");
    assert!(broker.wait(Duration::from_secs(10)).is_some_and(|status| status.success()));
}

/// Socket activation as `systemd-socket-activate` does it: descriptor 3 listens already, and LISTEN_PID names the
/// process.
#[test]
fn a_socket_that_was_given_is_served() {
    let place = Place::new();
    let script = "import os, socket, sys\n\
                  s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(16)\n\
                  open(sys.argv[1], 'w').write(str(s.getsockname()[1]))\n\
                  os.dup2(s.fileno(), 3)\n\
                  os.set_inheritable(3, True)\n\
                  os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='primer.socket')\n\
                  os.execv(sys.argv[2], sys.argv[2:])\n";
    let program = primer_harness::program::command();
    let mut command = std::process::Command::new("python3");
    command.args(["-c", script, &place.arg("port")]).arg(program.get_program()).arg("serve");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PRIMER_") {
            command.env_remove(name);
        }
    }
    let log = std::fs::File::create(place.path().join("log")).unwrap();
    let mut child = command.stderr(log).spawn().expect("python3");
    let deadline = std::time::Instant::now() + TIMEOUT;
    let words = loop {
        let port = std::fs::read_to_string(place.path().join("port")).unwrap_or_default();
        let log = std::fs::read_to_string(place.path().join("log")).unwrap_or_default();
        if !port.is_empty() && log.contains("(primer.socket), for") {
            // Nothing else is listened on: the service manager has said where.
            assert!(!log.contains(":1883"), "{log}");
            break ["pub".to_owned(), "-p".to_owned(), port];
        }
        assert!(std::time::Instant::now() < deadline, "it does not serve: {log}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["-t", "x", "-m", "y", "-q", "1"]).collect();
    let ran = crate::fixture::run(&words);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn without_a_service_manager_nothing_is_missed() {
    let broker = Launch::new().env("NOTIFY_SOCKET", "/nonexistent/notify").start();
    goes_through(&broker, &["-p", &broker.port().to_string()]);
}
