//! Commands to the broker and its answers: JSON over `$CONTROL/queue/v1`.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use primer_mqtt::{
    ReasonCode,
    codec::properties::{PropertiesBuf, Property},
};
use serde_json::{Value, json};

use super::{Target, client::Client};

const TOPIC: &str = "$CONTROL/queue/v1";
const RESPONSE: &str = "$CONTROL/queue/v1/response";

/// The longest that a command may take: millions of messages are moved in that time.
const PATIENCE: Duration = Duration::from_secs(600);

/// A connection for commands.
pub(super) struct Control {
    client: Client,
    asked: u64,
}

impl Control {
    pub(super) fn connect(target: &Target) -> anyhow::Result<Self> {
        Ok(Self { client: Client::connect(target, None)?, asked: 0 })
    }

    /// Has one command carried out; `fields` are those beside its name.
    pub(super) fn ask(&mut self, command: &str, fields: &Value) -> anyhow::Result<Value> {
        self.asked += 1;
        let mut one = fields.clone();
        if let Some(one) = one.as_object_mut() {
            one.insert("command".to_owned(), json!(command));
        }
        let body = json!({"commands": [one]}).to_string();
        let correlation = self.asked.to_be_bytes();
        let mut properties = PropertiesBuf::new();
        properties.push(&Property::ResponseTopic(RESPONSE));
        properties.push(&Property::CorrelationData(&correlation));
        self.client.publish(TOPIC, &properties, body.as_bytes())?;
        self.client.settle().map_err(explain)?;
        let end = Instant::now() + PATIENCE;
        while let Some(arrived) = self.client.next(end)? {
            if arrived.topic != RESPONSE || arrived.correlation.as_deref() != Some(&correlation) {
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

    pub(super) fn end(self) -> anyhow::Result<()> {
        self.client.disconnect()
    }
}

/// Says why commands are refused more often than anything else.
fn explain(error: anyhow::Error) -> anyhow::Error {
    const WHY: &str = "a broker takes commands about queues from its own machine alone (127.0.0.1 or ::1), unless its \
                       access control says otherwise";
    if error.to_string().contains(ReasonCode::NOT_AUTHORIZED.name()) { error.context(WHY) } else { error }
}
