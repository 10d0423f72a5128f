//! `primer serve`: options from the command line, the runtime, the signals.

use std::{
    io::IsTerminal,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use primer::Node;
use primer_broker::{
    Broker, Options, SCRAM_ITERATIONS,
    access::{Anonymous, Open, Users},
    options::{ListenerOptions, Overlap, ShareStrategy},
};
use primer_core::backlog::OverflowPolicy;
use primer_mapping::{Host, Mapping};
use primer_mqtt::auth::scram::{Credentials, SALT_BYTES};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{machine, queues_file};

/// The longest time that an option takes, in seconds.
const DAY_S: u64 = 24 * 3600;

/// What happens to a queue that is full.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Overflow {
    /// Trim the oldest messages; they are counted.
    DropOldest,
    /// Put new ones into the queue `$dead/sessions`, with the client they were for.
    DeadLetter,
    /// Refuse new ones: 0x97 to MQTT 5.0 publishers, a closed connection to older ones.
    Reject,
}

/// Which member of a share group gets a message.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Share {
    /// In turn, those with free credit first.
    RoundRobin,
    /// All messages of one publisher to one member.
    Sticky,
}

/// The options of `primer serve`. Sizes are bytes, with K, M or G (powers of 1024); times are seconds.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Port to listen on; 0 lets the system choose one.
    #[arg(short, long, default_value_t = 1883, env = "PRIMER_PORT")]
    port: u16,
    /// Address to listen on; may be given several times; `::` is all of IPv6 and IPv4. Only this machine can
    /// connect if it is not given.
    #[arg(long, env = "PRIMER_BIND", value_delimiter = ',', value_parser = address)]
    bind: Vec<IpAddr>,
    /// Let in only this user, by password or SCRAM-SHA-256; may be given several times.
    #[arg(long = "user", value_name = "NAME:PASSWORD", env = "PRIMER_USER", hide_env_values = true)]
    users: Vec<String>,
    /// The node's name, in `$SYS/brokers/NAME/...`.
    #[arg(long, default_value = "primer", env = "PRIMER_NODE")]
    node: String,
    #[command(flatten)]
    data: crate::data::Data,
    /// What queues are to be, by the patterns of their names: a TOML file; config/queues.toml is one with everything.
    #[arg(long, value_name = "FILE", env = "PRIMER_QUEUES")]
    queues: Option<PathBuf>,
    /// Where the mapping rules are: every *.rhai of this directory, read again when it changes; *.csv and *.json there
    /// are tables for `lookup`. config/rules has some that are ready.
    #[arg(long, value_name = "DIR", env = "PRIMER_RULES")]
    rules: Option<PathBuf>,
    /// Connections at a time.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_connections: u64,
    /// New connections a second; 0 for any.
    #[arg(long, default_value_t = 0)]
    max_connection_rate: u32,
    /// Publishes a second of one connection, above which it is read more slowly; 0 for any.
    #[arg(long, default_value_t = 0)]
    max_publish_rate: u32,
    /// Bytes a second of one connection, above which it is read more slowly; 0 for any.
    #[arg(long, value_parser = size, default_value = "0")]
    max_byte_rate: u64,
    /// The largest packet that is read.
    #[arg(long, value_parser = size, default_value = "16M")]
    max_packet_size: u64,
    /// Unacknowledged QoS 1 and 2 publishes of one client (Receive Maximum, 1 to 65,535).
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u16).range(1..))]
    receive_maximum: u16,
    /// Unacknowledged QoS 1 and 2 publishes towards one client (1 to 65,535).
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..))]
    max_inflight: u16,
    /// Topic aliases of one client.
    #[arg(long, default_value_t = 32)]
    topic_alias_maximum: u16,
    /// The longest keep alive in seconds, told to MQTT 5.0 clients; 0 leaves it to the client. A client that turned the
    /// keep alive off keeps it off.
    #[arg(long, default_value_t = 60)]
    max_keep_alive: u16,
    /// The longest life of a session without a connection, in seconds; without it sessions may live for ever.
    #[arg(long)]
    max_session_expiry: Option<u32>,
    /// The highest QoS that clients may publish with (0 to 2).
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    max_qos: u8,
    /// Keep no retained messages.
    #[arg(long)]
    no_retain: bool,
    /// Answered to MQTT 5.0 clients that request response information.
    #[arg(long)]
    response_information: Option<String>,
    /// Messages in the queue of one session.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_queued_messages: u64,
    /// Bytes in the queue of one session.
    #[arg(long, value_parser = room, default_value = "256M")]
    max_queued_bytes: u64,
    /// What a full queue does.
    #[arg(long, value_enum, default_value_t = Overflow::DropOldest)]
    overflow: Overflow,
    /// Queue QoS 0 messages too for sessions without a connection.
    #[arg(long)]
    queue_qos0: bool,
    /// Bytes that may wait for one slow connection.
    #[arg(long, value_parser = room, default_value = "16M")]
    max_outbox: u64,
    /// Disconnect a consumer that is too slow instead of dropping its QoS 0 messages.
    #[arg(long)]
    disconnect_slow_consumers: bool,
    /// Memory for queues, buffers and stores together; above it new messages and sessions are refused. Half of what the
    /// machine or its container has, if not given.
    #[arg(long, value_parser = memory)]
    memory_limit: Option<u64>,
    /// A copy for each matching subscription, not one for all.
    #[arg(long)]
    copy_each_overlap: bool,
    /// How share groups choose.
    #[arg(long, value_enum, default_value_t = Share::RoundRobin)]
    share: Share,
    /// Seconds between two publications of `$SYS`; 0 for none.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=DAY_S))]
    sys_interval: u64,
    /// Seconds that a client may take for its CONNECT.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=DAY_S))]
    connect_timeout: u64,
    /// Seconds that a graceful stop may take.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=DAY_S))]
    drain_timeout: u64,
    /// Log more, for people who work on the broker; PRIMER_LOG sets the level of each part.
    #[arg(short, long)]
    verbose: bool,
}

pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text
        .trim_end_matches(['b', 'B'])
        .split_at_checked(text.trim_end_matches(['b', 'B']).len().saturating_sub(1))
    {
        Some((digits, "k" | "K")) => (digits, 1 << 10),
        Some((digits, "m" | "M")) => (digits, 1 << 20),
        Some((digits, "g" | "G")) => (digits, 1 << 30),
        _ => (text, 1),
    };
    let number: u64 =
        digits.trim().parse().map_err(|_| format!("`{text}` is no size: write 1048576, 1024K, 1M or 1G"))?;
    number.checked_mul(unit).ok_or_else(|| format!("`{text}` is too large"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .map_err(|_| format!("`{text}` is no IP address: write 127.0.0.1, ::1, or 0.0.0.0; the port goes to -p"))
}

/// A size in which at least a small message has room.
fn room(text: &str) -> Result<u64, String> {
    const MIN: u64 = 1 << 10;
    size(text)
        .and_then(|bytes| if bytes < MIN { Err(format!("`{text}` is too little: 1K at least")) } else { Ok(bytes) })
}

fn memory(text: &str) -> Result<u64, String> {
    const MIN: u64 = 1 << 20;
    size(text)
        .and_then(|bytes| if bytes < MIN { Err(format!("`{text}` is too little: 1M at least")) } else { Ok(bytes) })
}

/// Runs the broker until SIGINT or SIGTERM.
pub(crate) fn run(arguments: Serve) -> anyhow::Result<()> {
    let level = if arguments.verbose { "debug" } else { "info" };
    let filter = match std::env::var("PRIMER_LOG") {
        Ok(text) => EnvFilter::try_new(&text)
            .with_context(|| format!("PRIMER_LOG=`{text}` is no log filter: write info, or primer_broker=debug"))?,
        Err(_) => EnvFilter::new(level),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Serve) -> anyhow::Result<()> {
    let drain = Duration::from_secs(arguments.drain_timeout);
    let users = users(&arguments.users)?;
    let rules = arguments.rules.clone();
    if let Some(directory) = rules.as_ref().filter(|directory| !directory.is_dir()) {
        bail!("--rules {}: there is no such directory", directory.display());
    }
    let options = options(arguments)?;
    let memory_limit = options.node.memory_bytes_max;
    let data = options.data.clone();
    let begun = std::time::Instant::now();
    match machine::raise_descriptor_limit() {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of file descriptors, and so of connections"),
    }
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let who = if users.is_some() { "the users given by --user" } else { "anybody (--user NAME:PASSWORD changes that)" };
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let mut mapping = None;
    let prepare = |node: &Node| mapping = Some(Mapping::start(node, Host::new(), rules));
    let broker = match users {
        Some(users) => Broker::start_with(options, users, Open, prepare),
        None => Broker::start_with(options, Anonymous, Open, prepare),
    }
    .context("the broker did not start")?;
    for address in broker.addresses() {
        tracing::info!("MQTT 3.1, 3.1.1 and 5.0 on {address}, for {who}");
    }
    match (&data, broker.report()) {
        (Some(data), Some(report)) => crate::data::tell(data, report, begun.elapsed()),
        _ => tracing::info!(
            "Messages are kept in memory, {} MiB at most (--memory-limit): they end with this process (--data DIR \
             keeps them)",
            memory_limit >> 20
        ),
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                if let Some(mapping) = &mapping {
                    mapping.reload().await; // what came of it is in the log
                }
            }
        }
    }
    tracing::info!("Stopping: clients have {} s to take what waits for them", drain.as_secs());
    let cut = broker.shutdown(drain).await;
    drop(mapping);
    tracing::info!("Stopped; {cut} connections had to be cut");
    Ok(())
}

/// The users of the command line; their passwords are not kept.
fn users(texts: &[String]) -> anyhow::Result<Option<Users>> {
    let mut users = Users::default();
    for text in texts {
        let Some((name, password)) = text.split_once(':').filter(|(name, _)| !name.is_empty()) else {
            bail!("--user wants NAME:PASSWORD, with a name");
        };
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
        let credentials = Credentials::derive(password.as_bytes(), &salt, SCRAM_ITERATIONS)
            .with_context(|| format!("the password of user {name}"))?;
        users.insert(name, credentials);
    }
    Ok((!texts.is_empty()).then_some(users))
}

fn options(arguments: Serve) -> anyhow::Result<Options> {
    let Serve { port, bind, node, .. } = arguments;
    if node.is_empty() || node.contains(['/', '+', '#', '\0']) {
        bail!("--node `{node}`: a node's name is part of topics and holds none of / + #");
    }
    let mut options = Options {
        listeners: listeners(&bind, port),
        node_name: node,
        connections_max: to_usize(arguments.max_connections),
        connection_rate_max: arguments.max_connection_rate,
        connect_timeout: Duration::from_secs(arguments.connect_timeout),
        publish_rate_max: arguments.max_publish_rate,
        byte_rate_max: u32::try_from(arguments.max_byte_rate).unwrap_or(u32::MAX),
        outbox_bytes_max: to_usize(arguments.max_outbox),
        disconnect_slow_consumers: arguments.disconnect_slow_consumers,
        queue_qos0: arguments.queue_qos0,
        overlap: if arguments.copy_each_overlap { Overlap::CopyEach } else { Overlap::OneCopy },
        share: match arguments.share {
            Share::RoundRobin => ShareStrategy::RoundRobin,
            Share::Sticky => ShareStrategy::StickyByPublisher,
        },
        sys_interval: Duration::from_secs(arguments.sys_interval),
        queues: queues_file::read(arguments.queues.as_ref())?,
        ..Options::default()
    };
    options.data = arguments.data.options(matches!(arguments.overflow, Overflow::DropOldest))?;
    options.node.memory_bytes_max = to_usize(arguments.memory_limit.unwrap_or_else(|| machine::memory_bytes() / 2));
    options.queue.messages_max = to_usize(arguments.max_queued_messages);
    options.queue.bytes_max = to_usize(arguments.max_queued_bytes);
    options.queue.overflow = match arguments.overflow {
        Overflow::DropOldest => OverflowPolicy::DropOldest,
        Overflow::DeadLetter | Overflow::Reject => OverflowPolicy::Reject,
    };
    options.buries_overflow = matches!(arguments.overflow, Overflow::DeadLetter);
    let protocol = &mut options.protocol;
    protocol.packet_bytes_max = u32::try_from(arguments.max_packet_size)
        .ok()
        .filter(|size| (16..=268_435_460).contains(size))
        .context("--max-packet-size: 16 bytes to 268,435,460 bytes")?;
    protocol.receive_maximum = arguments.receive_maximum;
    protocol.inflight_max = arguments.max_inflight;
    protocol.alias_maximum = arguments.topic_alias_maximum;
    protocol.keep_alive_max_s = arguments.max_keep_alive;
    protocol.session_expiry_max_s = arguments.max_session_expiry.unwrap_or(u32::MAX);
    protocol.qos_max = match arguments.max_qos {
        0 => primer_mqtt::codec::packet::QoS::AtMostOnce,
        1 => primer_mqtt::codec::packet::QoS::AtLeastOnce,
        _ => primer_mqtt::codec::packet::QoS::ExactlyOnce,
    };
    protocol.retain_available = !arguments.no_retain;
    protocol.response_information = arguments.response_information.map(Into::into);
    Ok(options)
}

/// Where to listen: as told, else on this machine alone.
fn listeners(bind: &[IpAddr], port: u16) -> Vec<ListenerOptions> {
    if bind.is_empty() {
        return ListenerOptions::local(port);
    }
    bind.iter().map(|&address| ListenerOptions::tcp(SocketAddr::new(address, port))).collect()
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
