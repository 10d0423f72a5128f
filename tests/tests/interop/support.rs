//! Foreign programs as processes with a limit on their time, and what several modules check alike.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a foreign program may take: long, as its start alone takes a second on a busy machine.
pub(crate) const PROGRAM_TIMEOUT: Duration = Duration::from_secs(30);

/// A running program, with its output in files: none of it can fill a pipe and stall. It is killed with the value.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    folder: PathBuf,
}

/// What a program left.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Program {
    /// Starts a program that reads nothing.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_with_input(command, b"")
    }

    /// Starts a program that reads this on stdin.
    #[track_caller]
    pub(crate) fn start_with_input(command: &mut Command, input: &[u8]) -> Self {
        let folder = fresh_folder();
        fs::write(folder.join("in"), input).expect("the input of the program");
        let create = |name| File::create(folder.join(name)).expect("a file for the output of the program");
        command
            .stdin(File::open(folder.join("in")).expect("the input of the program"))
            .stdout(create("out"))
            .stderr(create("err"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { name: format!("{command:?}"), child, folder }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self, timeout: Duration) -> Output {
        let deadline = Instant::now() + timeout;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the state of the program") {
                break status;
            }
            if Instant::now() >= deadline {
                let (out, err) = (self.stdout_lossy(), self.read_lossy("err"));
                panic!("{} still runs after {timeout:?}\n{}\n{}", self.name, tail(&out), tail(&err));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let stdout = fs::read(self.folder.join("out")).unwrap_or_default();
        Output { code: status.code(), stdout, stderr: self.read_lossy("err") }
    }

    /// Waits for its end, which has to be a success.
    #[track_caller]
    pub(crate) fn succeed(self) -> Output {
        let name = self.name.clone();
        let output = self.wait(PROGRAM_TIMEOUT);
        assert_eq!(output.code, Some(0), "{name} failed:\n{}\n{}", tail(&output.text()), tail(&output.stderr));
        output
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGKILL, as a crash does.
    #[track_caller]
    pub(crate) fn kill9(mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("a killed program ends");
    }

    /// The same; answers the lines that it had written.
    #[track_caller]
    pub(crate) fn kill9_and_read(mut self) -> Vec<String> {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("a killed program ends");
        self.stdout_lossy()
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
            .map(str::to_owned)
            .collect()
    }

    /// Asks it to end, with SIGTERM, by the program `kill`.
    #[track_caller]
    pub(crate) fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success(), "SIGTERM was not sent");
    }

    fn stdout_lossy(&self) -> String {
        self.read_lossy("out")
    }

    fn read_lossy(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join(name)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Output {
    /// What it wrote, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The lines that it wrote.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }
}

/// Runs one check of a script in `tests/interop`: `SCRIPT PORT CHECK ARGUMENTS`. It fails by its exit code.
#[track_caller]
pub(crate) fn run_check(command: Option<Command>, script: &str, port: u16, check: &str, arguments: &[&str]) {
    let Some(mut command) = command else { return };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop").join(script);
    command.arg(path).args([&port.to_string(), check]).args(arguments).stdin(Stdio::null());
    Program::start(&mut command).succeed();
}

/// The end of a long text.
fn tail(text: &str) -> &str {
    const SHOWN_BYTES: usize = 4096;
    let mut start = text.len().saturating_sub(SHOWN_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn fresh_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("primer-interop-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the output of a program");
    folder
}
