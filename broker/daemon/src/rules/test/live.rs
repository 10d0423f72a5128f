//! What is published at a broker while the dry run lasts: subscriptions of its own, at QoS 0, to what the rules stand
//! on.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use primer_core::properties::{Property, put};
use primer_mapping::{Content, Msg, Origin, Ruleset, Source};
use primer_mqtt::codec::packet::{QoS, RetainHandling, SubscribeOptions};

use super::given::{Given, To};
use crate::{
    control::{
        Target,
        client::{Arrived, Client},
    },
    units,
};

/// No copy of what is retained already, as a rule gets none; flags as they were published.
const OPTIONS: SubscribeOptions = SubscribeOptions {
    qos: QoS::AtMostOnce,
    no_local: false,
    retain_as_published: true,
    retain_handling: RetainHandling::Never,
};

pub(super) fn feed(
    target: &Target,
    set: &Ruleset,
    only: Option<&str>,
    time: Duration,
    take: &mut dyn FnMut(Given<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut filters = BTreeSet::new();
    for rule in set.rules().iter().filter(|rule| only.is_none_or(|only| only == rule.id())) {
        match rule.source() {
            Source::Topic(filter) => drop(filters.insert(filter.clone())),
            Source::Queue(queue) => eprintln!(
                "primer: rule {:?} is on the queue {queue:?}, which --live would take from: try --last or --dump",
                rule.id()
            ),
        }
    }
    if filters.is_empty() {
        bail!("none of these rules is on a topic, and --live sees topics alone");
    }
    let mut client = Client::connect(target, None)?;
    for filter in &filters {
        client.subscribe(filter, OPTIONS)?;
    }
    let end = Instant::now() + time;
    while Instant::now() < end {
        let Some(arrived) = client.next(end)? else { break };
        take(Given { message: message(&arrived), to: To::All })?;
    }
    client.disconnect()
}

fn message(arrived: &Arrived) -> Msg {
    let mut properties = Vec::new();
    let all = arrived.is_text.map(Property::IsText).into_iter();
    let all = all.chain(arrived.content_type.as_deref().map(Property::ContentType));
    let all = all.chain(arrived.response_topic.as_deref().map(Property::ResponseTopic));
    let all = all.chain(arrived.correlation.as_deref().map(Property::CorrelationData));
    let all = all.chain(arrived.headers.iter().map(|(name, value)| Property::User(name, value)));
    for property in all {
        let _came_over_mqtt_and_so_fits = put(&mut properties, property);
    }
    let origin = Origin { time_unix_ms: units::now_unix_ms(), attempt: 1, ..Origin::default() };
    Msg::new(Content {
        topic: arrived.topic.as_str().into(),
        payload: arrived.payload.as_slice().into(),
        qos: arrived.qos as u8,
        retain: arrived.retain,
        properties: properties.into(),
        origin: Arc::new(origin),
        ..Content::default()
    })
}
