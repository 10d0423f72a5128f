//! Open files: a shell's small limit is raised, and where none is left nobody who is connected notices.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use primer_harness::port::free_port;
use primer_harness::wire;
use primer_harness::{Broker, Client, Raw, Received, Version};

use crate::support::Program;

/// A broker that a shell with this limit starts: `-S -n 64`, for example.
fn start_with_ulimit(ulimit: &str) -> (Program, SocketAddr) {
    // The harness alone knows where the program is; the system tells where that of a running one is.
    let other = Broker::start();
    let exe = std::fs::read_link(format!("/proc/{}/exe", other.pid())).expect("the program of a running broker");
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let script =
        format!("ulimit {ulimit} && exec \"$0\" serve --bind 127.0.0.1 -p {} --connect-timeout 5", addr.port());
    let program = Program::start(Command::new("sh").args(["-c", &script]).arg(exe));
    let deadline = Instant::now() + primer_harness::TIMEOUT;
    while std::net::TcpStream::connect(addr).is_err() {
        assert!(Instant::now() < deadline, "the broker does not accept");
        std::thread::sleep(Duration::from_millis(10));
    }
    (program, addr)
}

#[test]
fn a_small_soft_limit_is_raised() {
    let (program, addr) = start_with_ulimit("-S -n 64");
    let mut clients: Vec<Client> = (0..150).map(|n| Client::v5(addr, &format!("c{n}"))).collect();
    for client in &mut clients {
        client.ping();
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.pid())).expect("the broker's limits");
    assert!(!limits.contains("Max open files            64 "), "{limits}");
}

#[test]
fn without_a_descriptor_newcomers_wait_and_the_others_go_on() {
    let (program, addr) = start_with_ulimit("-n 40");
    let mut clients = Vec::new();
    let mut waiting = Vec::new();
    for number in 0..60 {
        let mut raw = Raw::connect(addr);
        raw.send(&wire::connect(Version::V311, &format!("c{number}")).build());
        match raw.recv_within(Duration::from_millis(if waiting.is_empty() { 1_500 } else { 10 })) {
            Received::Packet(connack) if waiting.is_empty() => {
                assert_eq!(connack, [0x20, 2, 0, 0]);
                clients.push(raw);
            }
            Received::Silence => waiting.push(raw),
            other => panic!("connection {number}: {other:?}"),
        }
    }
    assert!(clients.len() >= 10 && waiting.len() >= 10, "{} are in, {} wait", clients.len(), waiting.len());
    for client in &mut clients {
        client.expect_alive();
    }
    // Each that leaves makes room for one that waits.
    for client in clients.drain(..10) {
        client.abort();
    }
    for late in waiting.iter_mut().take(10) {
        assert_eq!(late.recv_packet(), Some(vec![0x20, 2, 0, 0]));
    }
    clients.iter_mut().for_each(Raw::expect_alive);
    drop((clients, waiting));
    program.terminate();
    assert_eq!(program.wait(Duration::from_secs(8)).code, Some(0), "it ends well");
}
