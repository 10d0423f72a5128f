//! What commands to a running broker have in common: which broker, how answers are printed, and the request and its
//! answer, JSON over `$CONTROL/NAME/v1`.

pub(crate) mod client;

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::{ArgAction, Args};
use primer_mqtt::{
    ReasonCode,
    codec::properties::{PropertiesBuf, Property},
};
use serde_json::{Value, json};

use self::client::Client;

/// The longest that a command may take: millions of messages are moved in that time.
const PATIENCE: Duration = Duration::from_secs(600);

/// Which broker, and how its answers are printed.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Name or address of the broker.
    #[arg(short = 'h', long, default_value = "127.0.0.1", env = "PRIMER_HOST", help_heading = "Broker")]
    pub(crate) host: String,
    /// Its port.
    #[arg(short, long, default_value_t = 1883, env = "PRIMER_PORT", help_heading = "Broker")]
    pub(crate) port: u16,
    /// User name.
    #[arg(short, long, env = "PRIMER_USERNAME", help_heading = "Broker")]
    pub(crate) username: Option<String>,
    /// Password.
    #[arg(short = 'P', long, env = "PRIMER_PASSWORD", hide_env_values = true, help_heading = "Broker")]
    pub(crate) password: Option<String>,
    /// Print one JSON value, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Where the broker takes commands of one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel {
    /// NAME in `$CONTROL/NAME/v1`.
    pub(crate) name: &'static str,
    /// What the commands are about, in a sentence.
    pub(crate) about: &'static str,
}

/// A connection for commands.
pub(crate) struct Control {
    client: Client,
    channel: Channel,
    asked: u64,
}

impl Control {
    pub(crate) fn connect(target: &Target, channel: &Channel) -> anyhow::Result<Self> {
        Ok(Self { client: Client::connect(target, None)?, channel: *channel, asked: 0 })
    }

    /// Has one command carried out; `fields` are those beside its name.
    pub(crate) fn ask(&mut self, command: &str, fields: &Value) -> anyhow::Result<Value> {
        self.asked += 1;
        let mut one = fields.clone();
        if let Some(one) = one.as_object_mut() {
            one.insert("command".to_owned(), json!(command));
        }
        let topic = format!("$CONTROL/{}/v1", self.channel.name);
        let response = format!("{topic}/response");
        let body = json!({"commands": [one]}).to_string();
        let correlation = self.asked.to_be_bytes();
        let mut properties = PropertiesBuf::new();
        properties.push(&Property::ResponseTopic(&response));
        properties.push(&Property::CorrelationData(&correlation));
        self.client.publish(&topic, &properties, body.as_bytes())?;
        self.client.settle().map_err(|error| explain(error, self.channel.about))?;
        let end = Instant::now() + PATIENCE;
        while let Some(arrived) = self.client.next(end)? {
            if arrived.topic != response || arrived.correlation.as_deref() != Some(&correlation) {
                continue;
            }
            let answer: Value = serde_json::from_slice(&arrived.payload).context("the broker's answer is no JSON")?;
            let Some(first) = answer.pointer("/responses/0") else { bail!("the broker's answer has no response") };
            if let Some(why) = first.get("error").and_then(Value::as_str) {
                bail!("{why}");
            }
            return Ok(first.get("data").cloned().unwrap_or(Value::Null));
        }
        bail!("the broker has not answered within {} s", PATIENCE.as_secs())
    }

    pub(crate) fn end(self) -> anyhow::Result<()> {
        self.client.disconnect()
    }
}

/// Says why commands are refused more often than anything else.
fn explain(error: anyhow::Error, about: &str) -> anyhow::Error {
    let said = error.to_string();
    if said.contains(ReasonCode::NOT_AUTHORIZED.name()) {
        return error.context(format!(
            "a broker takes commands about {about} from its own machine alone (127.0.0.1 or ::1), unless its access \
             control says otherwise"
        ));
    }
    if said.contains(ReasonCode::TOPIC_NAME_INVALID.name()) {
        return error
            .context(format!("this broker takes no commands about {about}: it has none, or is an older version"));
    }
    error
}

/// Has one command carried out, and prints the answer.
pub(crate) fn tell(
    target: &Target,
    channel: &Channel,
    command: &str,
    fields: &Value,
    people: impl FnOnce(&Value) -> String,
) -> anyhow::Result<()> {
    let mut control = Control::connect(target, channel)?;
    let data = control.ask(command, fields)?;
    control.end()?;
    print(target, &data, people)
}

/// That nobody reads the output any more is no fault.
pub(crate) fn unless_unread(result: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match result {
        Err(error) if error.is::<Unread>() => Ok(ExitCode::SUCCESS),
        result => result,
    }
}

/// Prints JSON for programs or a text for people.
pub(crate) fn print(target: &Target, data: &Value, people: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
    let text = if target.json { format!("{data}\n") } else { people(data) };
    write(text.as_bytes())
}

/// Nobody reads standard output any more.
#[derive(Debug)]
struct Unread;

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output any more")
    }
}

impl std::error::Error for Unread {}

/// Writes to standard output.
pub(crate) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Unread.into()),
        result => Ok(result?),
    }
}
