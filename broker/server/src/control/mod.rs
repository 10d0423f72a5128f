//! Commands over MQTT: a publish to `$CONTROL/NAME/v1`, in the shape of mosquitto's dynamic security. Those about
//! queues (`queue`) are carried out here, others by who takes them in the node.
//!
//! ```text
//! {"commands":[{"command":"getQueue","name":"jobs","correlationData":7}, ...]}
//! {"responses":[{"command":"getQueue","correlationData":7,"data":{...}}, {"command":"...","error":"why"}, ...]}
//! ```
//! The answer goes to the client that asked and to nobody else, at QoS 0, whatever it has subscribed to: under the
//! response topic of its publish with its correlation data (MQTT 5.0), or under `$CONTROL/NAME/v1/response`. It comes
//! when all commands are done and what they changed is durable; the acknowledgement of the publish says only that the
//! request was taken. Commands of one request are carried out one after another, each for itself: one that is refused
//! changes nothing, and the others go on.
//!
//! Who may publish to the topic may do all of this: see [`crate::access::Open`].

mod carry_out;
mod request;
mod view;

use std::sync::Arc;

use primer::{Commands, Fields};
use primer_core::{
    commit::Refused,
    properties::{Properties, Property, put},
};
use serde_json::{Map, Value, json};

use self::{carry_out::carry_out, request::Request};
use crate::{
    access::Identity,
    batch::Publication,
    hub::Hub,
    limits::{CONTROL_REQUEST_BYTES_MAX, CONTROL_RESPONSE_BYTES_MAX, CONTROL_TASKS_MAX, OTHER_REQUEST_BYTES_MAX},
    queues::direct::Direct,
    session::Cell,
};

/// What topics of commands begin with. None of them ever reaches a subscriber, or is retained.
pub(crate) const CONTROL: &str = "$CONTROL/";

/// The commands that are carried out here.
const QUEUE: &str = "queue";

/// Who carries out the commands of a topic.
enum Taker {
    Queues,
    Other(Arc<dyn Commands>),
}

fn taker(hub: &Hub, topic: &str) -> Option<Taker> {
    let name = topic.strip_prefix(CONTROL)?.strip_suffix("/v1")?;
    if name == QUEUE { Some(Taker::Queues) } else { hub.node.queues.commands(name).map(Taker::Other) }
}

/// What a PUBLISH has beside topic, properties and payload: fixed header, lengths.
const FRAME_BYTES_MAX: usize = 16;

/// Whether a topic is one of commands.
pub(crate) fn is_control(topic: &str) -> bool {
    topic.starts_with(CONTROL)
}

/// Takes in a request of somebody who may make it, and has a task of its own carry it out.
///
/// # Errors
/// The topic is not that of any commands.
pub(crate) fn take_in(
    hub: &Hub,
    cell: &Arc<Cell>,
    identity: &Identity,
    publication: &Publication<'_>,
) -> Result<(), Refused> {
    let taker = taker(hub, publication.topic).ok_or(Refused::InvalidTopic)?;
    let hub = hub.me().ok_or(Refused::Stopping)?;
    let answering = Answering::new(&hub, cell, publication);
    let len = publication.payload.len();
    let max = if matches!(taker, Taker::Queues) { CONTROL_REQUEST_BYTES_MAX } else { OTHER_REQUEST_BYTES_MAX };
    if len > max {
        let why = format!("the request has {len} bytes, and may have {max}");
        answering.send(&[refusal("unknown", None, &why)]);
        return Ok(());
    }
    let Ok(permit) = Arc::clone(&hub.control_tasks).try_acquire_owned() else {
        let why = format!("{CONTROL_TASKS_MAX} requests are being carried out: try again when they are done");
        answering.send(&[refusal("unknown", None, &why)]);
        return Ok(());
    };
    let (body, identity) = (publication.payload.to_vec(), identity.clone());
    tokio::spawn(async move {
        match request::read(&body) {
            Ok(requests) => {
                let answers = carry_out_all(&hub, &taker, &identity, requests).await;
                if answering.direct.has_room().await {
                    answering.send(&answers);
                }
            }
            Err(why) => answering.send(&[refusal("unknown", None, &why)]),
        }
        drop(permit);
    });
    Ok(())
}

/// Carries out the commands in their order.
async fn carry_out_all(hub: &Arc<Hub>, taker: &Taker, identity: &Identity, requests: Vec<Request>) -> Vec<Value> {
    let mut answers = Vec::with_capacity(requests.len());
    let mut room = CONTROL_RESPONSE_BYTES_MAX;
    for Request { name, correlation, fields } in requests {
        let done = match fields {
            Ok(_) if room == 0 => Err("the answers before this one fill a response: ask again for this one".to_owned()),
            Ok(fields) => {
                tracing::debug!(client = &*identity.client_id, peer = %identity.peer, name, "a command");
                let fields = Fields::new(fields);
                match taker {
                    Taker::Queues => match request::command(&name, fields) {
                        Ok(command) => carry_out(hub, command, room).await,
                        Err(why) => Err(why),
                    },
                    Taker::Other(commands) => commands.carry_out(&name, fields, room).await,
                }
            }
            Err(why) => Err(why),
        };
        let answer = match done {
            Ok(data) => entry(&name, correlation, "data", data),
            Err(why) => refusal(&name, correlation, &why),
        };
        let len = serde_json::to_vec(&answer).map_or(0, |bytes| bytes.len());
        room = room.saturating_sub(len);
        answers.push(answer);
    }
    answers
}

fn refusal(name: &str, correlation: Option<Value>, why: &str) -> Value {
    entry(name, correlation, "error", json!(why))
}

fn entry(name: &str, correlation: Option<Value>, what: &str, value: Value) -> Value {
    let mut entry = Map::from_iter([("command".to_owned(), json!(name)), (what.to_owned(), value)]);
    if let Some(correlation) = correlation {
        entry.insert("correlationData".to_owned(), correlation);
    }
    Value::Object(entry)
}

/// Where the answer goes.
struct Answering {
    direct: Direct,
    topic: String,
    properties: Vec<u8>,
}

impl Answering {
    fn new(hub: &Arc<Hub>, cell: &Arc<Cell>, publication: &Publication<'_>) -> Self {
        let asked = Properties::of(publication.forward);
        let default_topic = || format!("{}/response", publication.topic);
        let topic = asked.response_topic().map_or_else(default_topic, str::to_owned);
        let mut properties = Vec::new();
        let mut add = |property| {
            let _what_came_over_the_wire_is_short_enough = put(&mut properties, property);
        };
        add(Property::IsText(true));
        add(Property::ContentType("application/json"));
        if let Some(data) = asked.correlation_data() {
            add(Property::CorrelationData(data));
        }
        Self { direct: Direct::to(hub, cell), topic, properties }
    }

    fn send(&self, answers: &[Value]) {
        let mut response = json!({"responses": answers}).to_string();
        let (len, max) = (self.topic.len() + self.properties.len() + response.len(), self.direct.packet_bytes_max());
        if len.saturating_add(FRAME_BYTES_MAX) > max {
            let why = format!(
                "it was carried out, and its answer of {len} bytes is more than your maximum packet size of {max} \
                 takes: ask for less at a time"
            );
            response = json!({"responses": [refusal("unknown", None, &why)]}).to_string();
        }
        self.direct.send(&self.topic, &self.properties, response.as_bytes());
    }
}
