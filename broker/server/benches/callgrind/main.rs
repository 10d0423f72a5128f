//! The three main paths through the whole broker, for counting instructions: `cargo xtask perf` runs them in callgrind.
//!
//! Everything between the bytes that a socket would have given and the bytes that it would have taken is the real
//! broker; the clients are streams that answer by script (`client.rs`), in the same thread. It measures no time, opens
//! no socket and makes the same calls in every run. Run by hand it takes a path and a number of messages.

mod client;

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use primer_broker::{
    Broker, Options,
    access::{Anonymous, Open},
};
use primer_mqtt::codec::packet::QoS;

use crate::client::{Countdown, Publisher, Subscriber};

/// What is counted.
#[derive(Clone, Copy)]
struct Path {
    name: &'static str,
    qos: QoS,
    subscribers: u64,
}

/// `cargo xtask perf` names them in the same words.
const PATHS: [Path; 3] = [
    Path { name: "p2p-qos0", qos: QoS::AtMostOnce, subscribers: 1 },
    Path { name: "p2p-qos1", qos: QoS::AtLeastOnce, subscribers: 1 },
    Path { name: "fanout-qos0", qos: QoS::AtMostOnce, subscribers: 500 },
];

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--bench") {
        // `cargo bench` runs all programs of a crate so.
        println!("callgrind: instructions a message are counted by `cargo xtask perf`");
        return ExitCode::SUCCESS;
    }
    let Some((path, messages)) = chosen(&args) else {
        eprintln!("usage: callgrind {} MESSAGES", PATHS.map(|path| path.name).join("|"));
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(run(path, messages));
    ExitCode::SUCCESS
}

fn chosen(args: &[String]) -> Option<(Path, u64)> {
    let [name, messages] = args else { return None };
    let path = PATHS.into_iter().find(|path| path.name == name)?;
    Some((path, messages.parse().ok().filter(|&messages| messages > 0)?))
}

/// Publishes `messages` messages and waits until every subscriber has every one, and with QoS 1 the publisher its
/// acknowledgements.
async fn run(path: Path, messages: u64) {
    let options = Options { listeners: Vec::new(), sys_interval: Duration::ZERO, ..Options::default() };
    let broker = Broker::start(options, Anonymous, Open).expect("a broker without listeners starts");
    let (subscribed, delivered) = (Countdown::new(path.subscribers), Countdown::new(messages * path.subscribers));
    for number in 0..path.subscribers {
        broker.serve_stream(Subscriber::new(number, path.qos, &subscribed, &delivered), PEER);
    }
    subscribed.over().await;
    let acknowledged = Countdown::new(if path.qos == QoS::AtMostOnce { 0 } else { messages });
    broker.serve_stream(Publisher::new(path.qos, messages, &acknowledged), PEER);
    delivered.over().await;
    acknowledged.over().await;
}
