//! What the broker's process costs: CPU time and memory, from `/proc`.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
};

/// A process on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pid: u32,
}

/// What a process has used until now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time of all threads that still run, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Memory that it has in RAM (resident set), in bytes.
    pub(crate) memory_bytes: u64,
}

impl Process {
    /// The process of this identifier, if there is one whose use can be read.
    pub(crate) fn of_pid(pid: u32) -> Option<Self> {
        let process = Self { pid };
        process.usage().map(|_| process)
    }

    /// The process that listens on this address, if it is on this machine and may be looked at.
    pub(crate) fn of_listener(address: SocketAddr) -> Option<Self> {
        // An address that can be bound is one of this machine.
        TcpListener::bind((address.ip(), 0)).ok()?;
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        let inode = tables.iter().find_map(|path| listener(&fs::read_to_string(path).ok()?, address.port()))?;
        let socket = format!("socket:[{inode}]");
        let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| has_open(*pid, &socket)).find_map(Self::of_pid)
    }

    pub(crate) const fn pid(self) -> u32 {
        self.pid
    }

    /// What it has used; `None` when it is gone.
    pub(crate) fn usage(self) -> Option<Usage> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?;
        let cpu_ns = threads.flatten().filter_map(|thread| cpu_of(&thread.path())).sum();
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        Some(Usage { cpu_ns, memory_bytes: resident(&status)? })
    }
}

/// CPU time of a thread in nanoseconds: the first number of its `schedstat`.
fn cpu_of(thread: &Path) -> Option<u64> {
    fs::read_to_string(thread.join("schedstat")).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The inode of the socket that listens on the port: state 0A in a table of `/proc/net`.
fn listener(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let is_it = *fields.get(3)? == "0A" && u16::from_str_radix(local_port, 16) == Ok(port);
        if is_it { fields.get(9)?.parse().ok() } else { None }
    })
}

fn has_open(pid: u32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_listens_is_found_and_uses_memory() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = Process::of_listener(listener.local_addr().unwrap()).unwrap();
        assert_eq!(found.pid(), std::process::id());
        assert!(found.usage().unwrap().memory_bytes > 100_000);
        let mut work = 0_u64;
        while found.usage().unwrap().cpu_ns == 0 {
            work = work.wrapping_mul(31).wrapping_add(1);
        }
        assert!(Process::of_listener("192.0.2.1:1883".parse().unwrap()).is_none(), "not on this machine");
        assert!(Process::of_pid(u32::MAX).is_none());
    }

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:075B 0100007F:C350 01 00000000:00000000 00:00000000 00000000 0 0 11 1\n\
                     1: 00000000:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 22 1\n";
        assert_eq!(listener(table, 1883), Some(22));
        assert_eq!(listener(table, 1884), None);
    }
}
