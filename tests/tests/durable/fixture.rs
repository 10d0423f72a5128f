//! Brokers that keep what they have, and the ways in which they stop.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use primer_harness::{Broker, Client, SILENCE, TIMEOUT, Version};

/// No Local among the subscription options.
pub(crate) const NO_LOCAL: u8 = 0x04;
/// Retain As Published among the subscription options.
pub(crate) const RETAIN_AS_PUBLISHED: u8 = 0x08;
/// QUOTA_EXCEEDED
pub(crate) const QUOTA_EXCEEDED: u8 = 0x97;
/// NO_MATCHING_SUBSCRIBERS, which is a success.
pub(crate) const NOBODY: u8 = 0x10;

/// How a broker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGKILL: it does nothing any more.
    Kill,
    /// SIGTERM: it says farewell.
    Term,
}

impl Stop {
    pub(crate) const BOTH: [Self; 2] = [Self::Kill, Self::Term];
}

/// Each way of stopping with each version of the protocol.
pub(crate) fn each() -> impl Iterator<Item = (Stop, Version)> {
    Stop::BOTH.into_iter().flat_map(|stop| Version::BOTH.map(|version| (stop, version)))
}

/// A broker with a data directory of its own. It waits for no client when it is asked to end: tests hold messages back.
#[track_caller]
pub(crate) fn broker() -> Broker {
    broker_with(&[])
}

/// The same with further arguments.
#[track_caller]
pub(crate) fn broker_with(args: &[&str]) -> Broker {
    // The process runs in a folder of its own, in which this one is made.
    let data = if args.contains(&"--data") { &[][..] } else { &["--data", "data"] };
    Broker::with_args(&[data, &["--drain-timeout", "0"], args].concat())
}

/// Stops the broker and starts it again on the same data.
#[track_caller]
pub(crate) fn bounce(broker: &mut Broker, stop: Stop) {
    end(broker, stop);
    broker.start_again();
}

/// Stops the broker.
#[track_caller]
pub(crate) fn end(broker: &mut Broker, stop: Stop) {
    match stop {
        Stop::Kill => broker.kill9(),
        Stop::Term => {
            broker.terminate();
            let status = broker.wait(TIMEOUT).expect("the broker ends when it is asked to");
            assert!(status.success(), "{status}");
        }
    }
}

/// A client whose session outlives its connection.
#[track_caller]
pub(crate) fn lasting(addr: SocketAddr, version: Version, id: &str) -> Client {
    Client::connect_with(addr, version, id, |c| c.clean(false).session_expiry(3600))
}

/// The same, and it acknowledges nothing by itself.
#[track_caller]
pub(crate) fn lasting_manual(addr: SocketAddr, version: Version, id: &str) -> Client {
    let mut client = lasting(addr, version, id);
    client.manual_ack();
    client
}

/// A client of a session that stays, which has subscribed and is away.
#[track_caller]
pub(crate) fn sleeper(addr: SocketAddr, version: Version, id: &str, filter: &str, options: u8) {
    let mut client = lasting(addr, version, id);
    assert_eq!(client.subscribe(filter, options), options & 3);
    client.disconnect();
}

/// Waits until all is durable that the broker did before, also what it tells nobody about: the answer to a lasting
/// session's SUBSCRIBE comes with a commit, and the commits keep their order.
#[track_caller]
pub(crate) fn settle(broker: &Broker) {
    settle_at(broker.addr());
}

#[track_caller]
fn settle_at(addr: SocketAddr) {
    let mut client = lasting(addr, Version::V5, "settle");
    client.subscribe("settle/nothing", 0);
    client.disconnect();
}

/// What is there for a client that comes back, and that it was known.
#[track_caller]
pub(crate) fn fetch(addr: SocketAddr, version: Version, id: &str, count: usize) -> Vec<primer_harness::Publish> {
    let mut client = lasting(addr, version, id);
    assert!(client.session_present(), "{id} is not known any more");
    let messages = client.recv_publishes(count);
    client.expect_no_publish(SILENCE / 4);
    client.ping();
    client.disconnect();
    settle_at(addr); // a PUBACK is not answered: nobody else says that it was written down
    messages
}

/// The texts of messages.
pub(crate) fn texts(messages: &[primer_harness::Publish]) -> Vec<String> {
    messages.iter().map(primer_harness::Publish::text).collect()
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn await_that(what: &str, limit: Duration, mut is_it: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_it() {
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
