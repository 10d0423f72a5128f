//! `primer queue put`: publishes into a queue at QoS 1. What has been acknowledged, the queue has.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use primer_core::topic::check_topic;
use primer_mqtt::codec::properties::{PropertiesBuf, Property};
use serde_json::json;

use super::show;
use crate::{
    control::{Target, client::Client, print},
    units,
};

/// The options of `primer queue put`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Put {
    /// Name of the queue. It is made if it is missing.
    #[arg(value_name = "QUEUE")]
    name: String,
    /// The payload; may be given several times, for a message each.
    #[arg(short, long = "message", value_name = "TEXT", conflicts_with_all = ["file", "lines"])]
    messages: Vec<String>,
    /// The payload is what is in this file; - is standard input.
    #[arg(short, long, value_name = "FILE", conflicts_with = "lines")]
    file: Option<PathBuf>,
    /// A message for each line of standard input.
    #[arg(short, long)]
    lines: bool,
    /// Priority, 0 to 9; higher ones come first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// What messages are kept in order by, in groups that do so.
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// An identifier by which a queue that remembers them knows the message when it comes again.
    #[arg(long, value_name = "TEXT", conflicts_with = "lines")]
    id: Option<String>,
    /// How long it waits before it is delivered: seconds, or 500ms, 5m, 2h.
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    delay: Option<Duration>,
    /// How long it is worth a delivery, in whole seconds.
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    ttl: Option<Duration>,
    /// A header (a user property); may be given several times.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// What the payload is, such as application/json.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// The topic that consumers see; `$queue/QUEUE` if not given.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    #[command(flatten)]
    target: Target,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Publishes messages one after another.
struct Putting {
    client: Client,
    topic: String,
    properties: PropertiesBuf,
    sent: usize,
}

pub(super) fn run(put: &Put) -> anyhow::Result<()> {
    let properties = properties(put)?;
    let client = Client::connect(&put.target, None)?;
    let topic = format!("$queue/{}", put.name);
    let mut putting = Putting { client, topic, properties, sent: 0 };
    let result = send(put, &mut putting).and_then(|()| putting.client.settle());
    let taken = putting.sent - putting.client.underway();
    if let Err(error) = result {
        let before = if putting.sent > 1 { format!(", after {taken} that were taken") } else { String::new() };
        return Err(error.context(format!("{:?} did not take a message{before}", put.name)));
    }
    putting.client.disconnect()?;
    print(&put.target, &json!({"name": put.name, "messages": taken}), |data| {
        format!("{} put into the queue {}\n", show::messages(&data["messages"]), data["name"])
    })
}

fn send(put: &Put, putting: &mut Putting) -> anyhow::Result<()> {
    if !put.messages.is_empty() {
        return put.messages.iter().try_for_each(|message| putting.publish(message.as_bytes()));
    }
    if put.lines {
        let mut input = BufReader::new(io::stdin().lock());
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).context("standard input")? > 0 {
            let end = line.strip_suffix(b"\n").unwrap_or(&line);
            putting.publish(end.strip_suffix(b"\r").unwrap_or(end))?;
            line.clear();
        }
        return Ok(());
    }
    let mut payload = Vec::new();
    match put.file.as_ref().filter(|file| file.as_os_str() != "-") {
        Some(path) => {
            let file = File::open(path).and_then(|mut file| file.read_to_end(&mut payload));
            file.with_context(|| format!("the file {}", path.display()))?;
        }
        None => {
            io::stdin().lock().read_to_end(&mut payload).context("standard input")?;
        }
    }
    putting.publish(&payload)
}

impl Putting {
    fn publish(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        self.client.publish(&self.topic, &self.properties, payload)?;
        self.sent += 1;
        Ok(())
    }
}

fn properties(put: &Put) -> anyhow::Result<PropertiesBuf> {
    let mut all = PropertiesBuf::new();
    let mut is_whole = true;
    let mut add = |property: Property<'_>| is_whole &= all.push(&property);
    if let Some(ttl) = put.ttl {
        let seconds = u32::try_from(ttl.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        if seconds == 0 {
            bail!("--ttl: a message lives at least one second");
        }
        add(Property::MessageExpiry(seconds));
    }
    if let Some(topic) = &put.topic
        && let Err(why) = check_topic(topic)
    {
        bail!("--topic {topic:?} is no topic to publish to: {why}");
    }
    if let Some(content_type) = &put.content_type {
        add(Property::ContentType(content_type));
    }
    let priority = put.priority.map(|priority| priority.to_string());
    let delay = put.delay.map(|delay| units::millis(delay).to_string());
    for (name, value) in [
        ("primer-topic", &put.topic),
        ("primer-priority", &priority),
        ("primer-key", &put.key),
        ("primer-id", &put.id),
        ("primer-delay-ms", &delay),
    ] {
        if let Some(value) = value {
            add(Property::UserProperty(name, value));
        }
    }
    put.headers.iter().for_each(|(name, value)| add(Property::UserProperty(name, value)));
    if !is_whole {
        bail!("a header, the key, the identifier or the content type has more than 65,535 bytes");
    }
    Ok(all)
}
