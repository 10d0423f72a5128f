//! A broker that is started for a run and stopped after it.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{
    error::BenchError,
    limits::{START_MAX, STOP_MAX},
    stop::Stop,
};

/// A broker to compare.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// How it is called.
    pub name: String,
    /// How it is started: a command of the shell, in which `{port}` is the port to listen on and `{dir}` an empty
    /// folder that is removed after the run. It has to stay in the foreground.
    pub command: String,
}

impl Contestant {
    /// This program, as `primer serve` is without options but for where it listens.
    #[must_use]
    pub fn primer(program: &Path) -> Self {
        let command = format!("exec '{}' serve --bind 127.0.0.1 -p {{port}}", program.display());
        Self { name: "primer".to_owned(), command }
    }

    /// mosquitto with its defaults, but for queues and windows without a bound and no delay on its sockets: else the
    /// comparison would be with a broker that loses messages, or waits.
    #[must_use]
    pub fn mosquitto() -> Self {
        Self::mosquitto_with("", "")
    }

    fn mosquitto_with(prepare: &str, more: &str) -> Self {
        let config = "listener {port} 127.0.0.1\\nallow_anonymous true\\nmax_queued_messages 0\\n\
                      max_inflight_messages 0\\nset_tcp_nodelay true\\n";
        let command = format!(
            "PATH=\"$PATH:/usr/sbin:/usr/local/sbin\"; {prepare}printf '{config}{more}' > {{dir}}/mosquitto.conf; \
             exec mosquitto -c {{dir}}/mosquitto.conf"
        );
        Self { name: "mosquitto".to_owned(), command }
    }

    /// This program with a data directory.
    #[must_use]
    pub fn durable_primer(program: &Path) -> Self {
        let Self { name, command } = Self::primer(program);
        Self { name, command: format!("{command} --data {{dir}}/data") }
    }

    /// mosquitto in its most durable setting: it saves all of its state after each change. It gives up being root, and
    /// has to be able to write all the same.
    #[must_use]
    pub fn durable_mosquitto() -> Self {
        let more = "persistence true\\npersistence_location {dir}/\\nautosave_on_changes true\\n\
                    autosave_interval 1\\n";
        Self::mosquitto_with("chmod 777 {dir}; ", more)
    }

    /// Starts it, and waits until it accepts connections.
    pub(crate) fn start(&self, stop: &Stop) -> Result<Running, BenchError> {
        let failed = |source| self.failed(source);
        let port = free_port().map_err(failed)?;
        let folder = std::env::temp_dir().join(format!("primer-bench-{}-{port}", std::process::id()));
        let _ = fs::remove_dir_all(&folder); // of a process of the same number, which was killed
        fs::create_dir(&folder).map_err(failed)?;
        self.start_in(folder, port, stop)
    }

    /// Starts it again after it was [killed](Running::kill), in the same folder.
    pub(crate) fn start_again(&self, mut killed: Running, stop: &Stop) -> Result<Running, BenchError> {
        let _ = killed.child.wait(); // what it had locked is free
        let port = free_port().map_err(|source| self.failed(source))?;
        self.start_in(std::mem::take(&mut killed.folder), port, stop)
    }

    fn failed(&self, source: io::Error) -> BenchError {
        BenchError::Start { broker: self.name.clone(), command: self.command.clone(), source }
    }

    fn start_in(&self, folder: PathBuf, port: u16, stop: &Stop) -> Result<Running, BenchError> {
        let failed = |source| self.failed(source);
        let filled = self.command.replace("{port}", &port.to_string()).replace("{dir}", &folder.display().to_string());
        let log = fs::File::create(folder.join("broker.log")).map_err(failed)?;
        let child = Command::new("sh")
            .args(["-c", &filled])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut running = Running { child, port, folder };
        let started = Instant::now();
        while started.elapsed() < START_MAX {
            if stop.is_asked() {
                return Err(BenchError::Interrupted { stage: "start of a broker" });
            }
            if let Ok(Some(status)) = running.child.try_wait() {
                let said = fs::read(running.folder.join("broker.log")).unwrap_or_default();
                let said = String::from_utf8_lossy(&said[said.len().saturating_sub(SAID_BYTES_MAX)..]).into_owned();
                let why = format!("it ended with {status}: {}", said.trim());
                return Err(failed(io::Error::other(why)));
            }
            if accepts(port) {
                return Ok(running);
            }
            thread::park_timeout(Duration::from_millis(10));
        }
        Err(BenchError::Silent { broker: self.name.clone(), command: filled, port, after: START_MAX })
    }
}

/// How much of what a broker has said is shown when it does not start.
const SAID_BYTES_MAX: usize = 4096;

/// A port that nothing listens on, another one each time: closed connections of the broker before may linger on its
/// port, and not every broker takes it then. It is below the range from which the system takes the near ends of
/// connections, so that no client sits on it, and none that looks for its broker there connects to itself.
fn free_port() -> io::Result<u16> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_add(STARTED.fetch_add(1, Ordering::Relaxed));
    let ports = (0..COUNT).filter_map(|n| u16::try_from(FIRST + start.wrapping_add(n) % COUNT).ok());
    let mut free = ports.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.next().ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

fn accepts(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) else { return false };
    // A connection to a port of its own range may have met itself.
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(near), Ok(far)) if near != far)
}

/// A broker that runs, until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    port: u16,
    /// Empty when somebody else has it.
    folder: PathBuf,
}

impl Running {
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Kills it with signal 9: nothing of it runs any more.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(Err(error)) = group.map(|group| kill_process_group(group, signal)) {
            debug_assert_eq!(error, rustix::io::Errno::SRCH, "a broker of ours can be signalled");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < STOP_MAX && matches!(self.child.try_wait(), Ok(None)) {
            thread::park_timeout(Duration::from_millis(5));
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait(); // it is gone, or was already waited for
        if self.folder.as_os_str().is_empty() {
            return;
        }
        let _ = fs::remove_dir_all(&self.folder); // what stays in a temporary folder harms nobody
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Brokers that are started in turn used to get one port, where the connections of the last one still lingered:
    /// FlashMQ did not start.
    #[test]
    fn each_start_has_a_port_of_its_own() {
        let ports: std::collections::BTreeSet<u16> = (0..20).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 20);
    }
}
