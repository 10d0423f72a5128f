//! Ports of this machine: a free one for a broker, and whose a taken one is.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether this process listens on this port; `None` where the system has no `/proc` to tell.
///
/// Two test processes may be given one port in turn, and the broker of the one must not be taken for the other's.
pub(crate) fn is_listening(pid: u32, port: u16) -> Option<bool> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let Some(inode) = listener_inode(&table, port) else { return Some(false) };
    let socket = format!("socket:[{inode}]");
    let mut links = descriptors.filter_map(Result::ok).filter_map(|entry| fs::read_link(entry.path()).ok());
    Some(links.any(|target| target.to_string_lossy() == socket))
}

/// The inode of the socket that listens on a port of IPv4. A line of the table has: number, local address, remote
/// address, state (0A is LISTEN), and as its tenth field the inode.
fn listener_inode(table: &str, port: u16) -> Option<&str> {
    let local = format!(":{port:04X}");
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&local) && *fields.get(3)? == "0A";
        if listens { fields.get(9).copied() } else { None }
    })
}

/// A port that nothing listens on now, and that no other broker of this process was given.
///
/// It lies below the range from which the system takes the near ports of connections (32,768 and up on Linux), so that
/// no client of a test running beside this one can sit on it while the broker is down between two starts.
///
/// # Panics
/// When none is free.
#[must_use]
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let number = start.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + number % COUNT).expect("a number below 32,000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ports_are_not_given_twice() {
        let ports: HashSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50);
    }

    #[test]
    fn the_listener_of_a_port_is_told_from_others() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let is_ours = || is_listening(std::process::id(), port);
        assert_ne!(is_ours(), Some(false));
        drop(listener);
        assert_ne!(is_ours(), Some(true));
    }
}
