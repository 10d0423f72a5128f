//! The `$SYS` topics of a broker, as a test waits for them.

use std::time::Instant;

use crate::{Broker, Client, TIMEOUT};

/// The value of a `$SYS/broker/` topic, once it is one that the test waits for. The broker needs `--sys-interval 1`.
///
/// # Panics
/// It did not become that in time.
#[track_caller]
pub fn await_sys(broker: &Broker, name: &str, is_it: impl Fn(u64) -> bool) -> u64 {
    let mut client = Client::v5(broker.addr(), &format!("sys-{}", name.replace('/', "-")));
    client.subscribe(&format!("$SYS/broker/{name}"), 0);
    let deadline = Instant::now() + TIMEOUT;
    let mut last = None;
    while let Some(message) = client.recv_publish(deadline.saturating_duration_since(Instant::now())) {
        let value = message.text().parse().expect("a number");
        if is_it(value) {
            client.disconnect();
            return value;
        }
        last = Some(value);
    }
    panic!("$SYS/broker/{name} did not become what it should within {TIMEOUT:?}; it is {last:?}");
}
