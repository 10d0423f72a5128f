//! Primer at its limits: what is beyond one is refused, slowed or counted, and everybody else goes on.

mod connections;
mod descriptors;
mod load;
mod memory;
mod process;
mod rates;
mod slow;

use std::time::{Duration, Instant};

use primer_harness::{Broker, Client};

/// Pings a client of its own and publishes to it, again and again, while the test does something else on its thread.
/// The longest that any of it took comes back.
fn longest_stall_during<T>(broker: &Broker, id: &str, action: impl FnOnce() -> T) -> (T, Duration) {
    let mut client = Client::v5(broker.addr(), id);
    let topic = format!("stall/{id}");
    client.subscribe(&topic, 0);
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(1);
        let prober = scope.spawn(move || {
            let mut longest = Duration::ZERO;
            // It ends when the sender is dropped, also by a panic.
            while stopped.recv_timeout(Duration::from_millis(5)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                client.ping();
                client.publish(&topic, "x", 0);
                client.recv();
                longest = longest.max(begun.elapsed());
            }
            longest
        });
        let result = action();
        drop(stop);
        (result, prober.join().expect("the client that is not part of it goes on"))
    })
}

/// The memory that the broker has from the system.
#[track_caller]
fn resident_megabytes(broker: &Broker) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid())).expect("the broker's status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    resident.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") / 1024
}
