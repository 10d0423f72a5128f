//! Goes through the messages of a dump that are in queues or retained, without making a store of them: for whoever
//! wants to know what was said. Memory holds one line.

use std::io::BufRead;

use primer_core::properties::{Property, put};

use super::{
    PortableError,
    format::{Destination, Line, Properties},
    inward::Wrong,
    lines::Lines,
    queue_lines::{Dead, Place, Sent},
};

/// A message of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Perused<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// Its properties, in the encoding of [`primer_core::properties`].
    pub properties: &'a [u8],
    /// When it expires; `None` for never.
    pub expires_unix_ms: Option<u64>,
    /// The QoS of the retained message, if it is one.
    pub retained: Option<u8>,
    /// Its places in queues.
    pub places: Vec<PerusedPlace>,
}

/// A message's place in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PerusedPlace {
    /// The queue's name.
    pub queue: String,
    /// The position there.
    pub position: u64,
    /// 0 to 9.
    pub priority: u8,
    /// When it was published.
    pub published_unix_ms: u64,
    /// When it expires in this queue, where that is before it does by itself.
    pub expires_unix_ms: Option<u64>,
    /// Who published it.
    pub publisher: Option<String>,
    /// The user name of that client.
    pub user: Option<String>,
    /// What it is kept in order by.
    pub key: Option<Box<[u8]>>,
    /// What it is known by.
    pub id: Option<Box<[u8]>>,
    /// 0 to 2.
    pub qos: u8,
    /// Whether it was published as one to be retained.
    pub retain: bool,
    /// Mapping rules that it has come through.
    pub hops: u8,
    /// Of a dead letter: the queue that it was in, why it was given up, and how often it was delivered.
    pub dead: Option<(String, String, u32)>,
}

/// Gives each message to `each`, in the order of the dump, until that answers `false`. A dump that is cut off, or was
/// altered, is found at its end.
///
/// # Errors
/// What is wrong with the dump. What came before was given to `each`.
pub fn peruse(input: impl BufRead, each: &mut dyn FnMut(Perused<'_>) -> bool) -> Result<(), PortableError> {
    let (mut lines, _) = Lines::begin(input)?;
    loop {
        let number = lines.number + 1;
        let Some(line) = lines.next()? else { return Ok(()) };
        let Line::Message(message) = line else { continue };
        let (mut retained, mut places) = (None, Vec::new());
        for to in message.to {
            match to {
                Destination::Queue(place) => places.push(perused(place)),
                Destination::Retained { qos, .. } => retained = Some(qos),
                Destination::Session { .. } | Destination::Delayed { .. } => {}
            }
        }
        if retained.is_none() && places.is_empty() {
            continue;
        }
        let properties = encoded(&message.properties).map_err(|Wrong { says, expected }| PortableError::Line {
            line: number,
            says,
            expected: expected.to_owned(),
        })?;
        let goes_on = each(Perused {
            topic: &message.topic,
            payload: &message.payload.0,
            properties: &properties,
            expires_unix_ms: message.expires_unix_ms,
            retained,
            places,
        });
        if !goes_on {
            return Ok(());
        }
    }
}

fn perused(place: Place) -> PerusedPlace {
    let Place { name, position, priority, published_unix_ms, expires_unix_ms, publisher, key, id, dead, user, .. } =
        place;
    let Sent { qos, retain, hops } = place.sent.unwrap_or(Sent { qos: 1, retain: false, hops: 0 });
    PerusedPlace {
        queue: name,
        position,
        priority,
        published_unix_ms,
        expires_unix_ms,
        publisher,
        user,
        key: key.map(|key| key.0),
        id: id.map(|id| id.0),
        qos,
        retain,
        hops,
        dead: dead.map(|Dead { queue, reason, deliveries, .. }| (queue, reason, deliveries)),
    }
}

fn encoded(properties: &Properties<'_>) -> Result<Vec<u8>, Wrong> {
    let Properties { payload_format, content_type, response_topic, correlation_data, user } = properties;
    let mut out = Vec::new();
    let mut all: Vec<Property<'_>> = Vec::new();
    all.extend(payload_format.map(|format| Property::IsText(format == 1)));
    all.extend(content_type.as_deref().map(Property::ContentType));
    all.extend(response_topic.as_deref().map(Property::ResponseTopic));
    all.extend(correlation_data.as_ref().map(|data| Property::CorrelationData(&data.0)));
    all.extend(user.iter().map(|(name, value)| Property::User(name, value)));
    if all.into_iter().all(|property| put(&mut out, property)) {
        return Ok(out);
    }
    Err(Wrong { says: "a property that is too long".to_owned(), expected: "no more than 65,535 bytes" })
}

#[cfg(test)]
mod tests {
    use primer_core::properties::Properties;

    use super::*;

    #[test]
    fn messages_of_queues_and_retained_ones_are_given_with_all_that_is_known() {
        let dump = concat!(
            r#"{"primer_dump":{"format":2,"program":"0","time":"","incarnation":0}}"#,
            "\n",
            r#"{"queue":{"name":"q","paused":false,"next":0,"groups":[]}}"#,
            "\n",
            r#"{"message":{"sequence":1,"topic":"a/b","payload":"NDI=","properties":{"user":[["unit","bar"]]},"#,
            r#""to":[{"retained":{"position":0,"qos":1}},{"queue":{"name":"q","position":4,"priority":7,"#,
            r#""published_unix_ms":99,"publisher":"shop","key":{"base64":"/w=="},"#,
            r#""sent":{"qos":2,"retain":true,"hops":3},"dead":{"queue":"o","group":"","reason":"rule","#,
            r#""deliveries":2,"died_unix_ms":1}}}]}}"#,
            "\n",
            r#"{"message":{"sequence":2,"topic":"d","payload":"","to":[{"delayed":{"position":0,"qos":1,"#,
            r#""retain":false,"due_unix_ms":1}}]}}"#,
            "\n",
        );
        let end = format!(
            r#"{{"end":{{"sessions":0,"queues":1,"messages":2,"left_out":0,"crc32c":"{:08x}"}}}}"#,
            crc32c::crc32c(dump.as_bytes())
        );
        let mut count = 0;
        let mut look = |message: Perused<'_>| {
            count += 1;
            assert_eq!((message.topic, message.payload, message.retained), ("a/b", &b"42"[..], Some(1)));
            assert_eq!(Properties::of(message.properties).user("unit"), Some("bar"));
            let [place] = &message.places[..] else { panic!("one place: {message:?}") };
            assert_eq!((&*place.queue, place.position, place.priority, place.published_unix_ms), ("q", 4, 7, 99));
            assert_eq!((place.publisher.as_deref(), place.key.as_deref()), (Some("shop"), Some(&b"\xFF"[..])));
            assert_eq!((place.qos, place.retain, place.hops), (2, true, 3));
            assert_eq!(place.dead, Some(("o".to_owned(), "rule".to_owned(), 2)));
            true
        };
        peruse(format!("{dump}{end}").as_bytes(), &mut look).unwrap();
        assert!(matches!(peruse(dump.as_bytes(), &mut look), Err(PortableError::CutOff { line: 4 })));
        assert_eq!(count, 2);
    }
}
