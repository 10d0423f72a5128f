//! A broker in a process of its own, for as long as a test needs it.
//!
//! The process has a folder of its own, in which its output is kept. It is ended by its process id when the value is
//! dropped; when the test fails, the end of what it said on stderr is printed, and the folder stays.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::port::{free_port, is_listening};
use crate::{TIMEOUT, peers, program};

/// How often a start is tried when another process takes the port first.
const STARTS_MAX: u32 = 5;

/// How much of its stderr is printed when a test fails.
const STDERR_SHOWN_BYTES_MAX: usize = 8 * 1024;

/// How to start a broker, beyond the port that the harness picks.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    kind: Kind,
    args: Vec<String>,
    env: Vec<(String, String)>,
    port: Option<u16>,
}

/// Which broker.
#[derive(Clone, Copy, Debug, Default)]
enum Kind {
    #[default]
    Primer,
    Mosquitto,
}

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    launch: Launch,
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Launch {
    /// `primer serve --bind 127.0.0.1 -p PORT` and no more.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `mosquitto -p PORT`: the same clients against another broker, to check the harness itself and to compare.
    /// `None` where it is not installed (see [`peers::mosquitto`]).
    #[must_use]
    pub fn mosquitto() -> Option<Self> {
        peers::mosquitto("mosquitto").map(|_| Self { kind: Kind::Mosquitto, ..Self::default() })
    }

    /// Adds arguments after `serve --bind 127.0.0.1 -p PORT`.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// Sets a variable in the environment, from which `PRIMER_*` is removed otherwise.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes this port and no other, for a broker that comes back where it was.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Starts the broker and waits until it accepts connections.
    ///
    /// # Panics
    /// When it ends early, or does not accept within [`TIMEOUT`]; with what it said on stderr.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Broker {
        match self.try_start() {
            Ok(broker) => broker,
            Err(story) => panic!("{story}"),
        }
    }

    /// Starts the broker, or tells why it does not run: its exit status and what it said on stderr.
    ///
    /// # Errors
    /// When it ends early, or does not accept within [`TIMEOUT`].
    ///
    /// # Panics
    /// When the program is not there or no process can be started.
    #[track_caller]
    pub fn try_start(self) -> Result<Broker, String> {
        let mut story = String::new();
        for _ in 0..STARTS_MAX {
            let dir = fresh_dir(); // one that did not start has taken its own with it
            let port = self.port.unwrap_or_else(free_port);
            let child = spawn(&self, port, &dir);
            let mut broker = Broker { launch: self.clone(), child, port, dir };
            match broker.wait_until_it_accepts() {
                Ok(()) => return Ok(broker),
                Err(fault) => story = fault,
            }
            if self.port.is_some() || !story.to_lowercase().contains("in use") {
                break;
            }
        }
        Err(story)
    }
}

impl Broker {
    /// A broker with no configuration.
    ///
    /// # Panics
    /// As [`Launch::start`] does.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Launch::new().start()
    }

    /// A broker with further arguments.
    ///
    /// # Panics
    /// As [`Launch::start`] does.
    #[must_use]
    #[track_caller]
    pub fn with_args(args: &[&str]) -> Self {
        Launch::new().args(args).start()
    }

    /// Kills the process with SIGKILL and starts another with the same options on the same port.
    ///
    /// # Panics
    /// As [`Launch::start`] does.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill9();
        self.start_again();
    }

    /// Starts another process with the same options, folder and port, where the last one has ended.
    ///
    /// # Panics
    /// As [`Launch::start`] does.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.begin_again();
        if let Err(story) = self.wait_until_it_accepts() {
            panic!("the broker did not come back: {story}");
        }
    }

    /// As [`Broker::start_again`], and does not wait until it accepts: for a test that ends it while it starts.
    ///
    /// # Panics
    /// When the process cannot be started.
    #[track_caller]
    pub fn begin_again(&mut self) {
        self.child = spawn(&self.launch, self.port, &self.dir);
    }

    /// Has further starts take these arguments after `serve --bind 127.0.0.1 -p PORT`, in place of those they had.
    pub fn set_args(&mut self, args: &[&str]) {
        self.launch.args = args.iter().map(|&arg| arg.to_owned()).collect();
    }

    /// Kills the process with SIGKILL and waits until it is gone. A second call does nothing.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub fn kill9(&mut self) {
        // The fault that the process has ended already is no fault here.
        let _ = self.child.kill();
        self.child.wait().expect("a killed process ends");
    }

    /// Asks the process to end, with SIGTERM, and does not wait. After its end this does nothing.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    #[track_caller]
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Asks the process to read its configuration anew, with SIGHUP. After its end this does nothing.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    #[track_caller]
    pub fn hang_up(&mut self) {
        self.signal(Signal::HUP);
    }

    /// Waits for the process to end; `None` when it still runs after that time.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of the process") {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a line on stderr or stdout has this text, and gives the line.
    ///
    /// # Panics
    /// When no such line comes within [`TIMEOUT`].
    #[must_use]
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let output = self.stderr() + &self.stdout();
            if let Some(line) = output.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "the broker did not say {text:?} within {TIMEOUT:?}:\n{output}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Has it read its files again, with SIGHUP, and waits until it says a line with this text after that.
    ///
    /// # Panics
    /// When it does not within [`TIMEOUT`].
    #[track_caller]
    pub fn hang_up_and_wait(&mut self, text: &str) {
        let before = self.stderr().len();
        self.signal(Signal::HUP);
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let output = self.stderr();
            if output.get(before..).is_some_and(|output| output.contains(text)) {
                return;
            }
            assert!(Instant::now() < deadline, "the broker did not say {text:?} within {TIMEOUT:?}:\n{output}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address that it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder of this broker, in which a test may put files; removed with it unless the test fails.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All that it has said on stderr, of all its starts.
    #[must_use]
    pub fn stderr(&self) -> String {
        read_lossy(&self.dir.join("stderr"))
    }

    /// All that it has said on stdout, of all its starts.
    #[must_use]
    pub fn stdout(&self) -> String {
        read_lossy(&self.dir.join("stdout"))
    }

    fn signal(&mut self, signal: Signal) {
        // A process that was waited for may have left its id to another.
        if self.child.try_wait().expect("the state of the process").is_some() {
            return;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("a signal to the broker");
    }

    fn wait_until_it_accepts(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            // The system's table is asked first: a connection would be the broker's first client, and would be counted.
            let accepts = is_listening(self.child.id(), self.port)
                .unwrap_or_else(|| TcpStream::connect_timeout(&self.addr(), Duration::from_secs(1)).is_ok());
            // Asked in this order: another process may hold the port while ours ends because of it.
            if let Some(status) = self.child.try_wait().expect("the state of the process") {
                return Err(format!("the broker ended at once with {status}:\n{}", self.stderr()));
            }
            if accepts {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let port = self.port;
                return Err(format!("the broker does not accept on {port} within {TIMEOUT:?}:\n{}", self.stderr()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let stderr = self.stderr();
            let mut start = stderr.len().saturating_sub(STDERR_SHOWN_BYTES_MAX);
            while !stderr.is_char_boundary(start) {
                start += 1;
            }
            eprintln!("--- stderr of the broker on port {}, kept in {} ---", self.port, self.dir.display());
            eprintln!("{}", &stderr[start..]);
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

#[track_caller]
fn spawn(launch: &Launch, port: u16, dir: &Path) -> Child {
    let open = |name: &str| {
        let path = dir.join(name);
        let file = File::options().create(true).append(true).open(&path);
        file.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let mut command = match launch.kind {
        Kind::Primer => {
            let mut command = Command::new(program::primer());
            command.args(["serve", "--bind", "127.0.0.1"]);
            command
        }
        Kind::Mosquitto => peers::mosquitto("mosquitto").expect("mosquitto, which was there before"),
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PRIMER_") {
            command.env_remove(name);
        }
    }
    command
        .args(["-p", &port.to_string()])
        .args(&launch.args)
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(open("stdout"))
        .stderr(open("stderr"));
    command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

fn fresh_dir() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("primer-test-{}-{number}", std::process::id()));
    // What is there is left from an older process with the same id.
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    dir
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
