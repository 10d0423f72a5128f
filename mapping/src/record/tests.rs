use proptest::{collection::vec, option, prelude::*};

use super::*;

fn bytes() -> impl Strategy<Value = Arc<[u8]>> {
    prop_oneof![vec(any::<u8>(), 0..40).prop_map(Into::into), ".{0,20}".prop_map(|text| text.into_bytes().into())]
}

fn text() -> impl Strategy<Value = Arc<str>> {
    ".{0,12}".prop_map(Into::into)
}

fn encoded() -> impl Strategy<Value = Arc<[u8]>> {
    let user = vec((".{0,8}", ".{0,8}"), 0..4);
    (option::of(any::<bool>()), option::of(".{0,8}"), option::of(vec(any::<u8>(), 0..8)), user).prop_map(
        |(is_text, content_type, correlation, user)| {
            let mut out = Vec::new();
            let mut add = |property: Property<'_>| assert!(put(&mut out, property));
            is_text.into_iter().for_each(|is_text| add(Property::IsText(is_text)));
            content_type.iter().for_each(|text| add(Property::ContentType(text)));
            correlation.iter().for_each(|bytes| add(Property::CorrelationData(bytes)));
            user.iter().for_each(|(name, value)| add(Property::User(name, value)));
            out.into()
        },
    )
}

fn origin() -> impl Strategy<Value = Origin> {
    let queue = "[a-z]{1,8}(/[a-z]{1,8})?".prop_map(Arc::<str>::from);
    let dead = ("[a-z]{1,8}".prop_map(Arc::<str>::from), 0..REASONS.len(), any::<u32>());
    let dead = option::of(dead.prop_map(|(queue, reason, deliveries)| (queue, REASONS[reason], deliveries)));
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u8>());
    (option::of(text()), option::of(text()), option::of(queue), numbers, dead).prop_map(
        |(client, user, queue, (time_unix_ms, position, attempt, hops), dead)| Origin {
            client,
            user,
            time_unix_ms,
            queue,
            position,
            attempt,
            hops,
            dead,
        },
    )
}

prop_compose! {
    fn message()(
        topic in "[^+#\\p{C}]{1,12}(/[a-z]{0,4}){0,3}",
        (payload, key, id) in (bytes(), option::of(bytes()), option::of(bytes())),
        (qos, retain) in (0u8..=2, any::<bool>()),
        properties in encoded(),
        ttl in option::of(any::<u64>()),
        priority in option::of(0u8..=9),
        origin in origin(),
    ) -> Content {
        let ttl = ttl.map(Duration::from_millis);
        Content { topic: topic.into(), payload, qos, retain, properties, ttl, priority, key, id, origin: origin.into() }
    }
}

proptest! {
    #[test]
    fn any_message_comes_back(content in message()) {
        let text = to_json(&Msg::new(content.clone())).to_string();
        let back = from_json(&serde_json::from_str(&text).expect("JSON")).expect("a message");
        prop_assert_eq!(format!("{:?}", back.content()), format!("{content:?}"));
    }
}

#[test]
fn people_write_little_and_payloads_as_they_like() {
    let read = |value: Value| from_json(&value).expect("a message");
    for (payload, wanted) in [
        (json!("plain"), &b"plain"[..]),
        (json!({"celsius": 21.5}), b"{\"celsius\":21.5}"),
        (json!([1, 2]), b"[1,2]"),
        (json!(7), b"7"),
        (json!(false), b"false"),
    ] {
        let message = read(json!({"topic": "a/b", "payload": payload}));
        assert_eq!(&message.content().payload[..], wanted);
        assert_eq!((message.content().qos, message.content().origin.attempt), (0, 1));
    }
    let headers = json!({"unit": "bar", "tag": ["x", "y"]});
    let message = read(json!({
        "topic": "a", "payload_base64": "AP8=", "headers": headers, "content_type": "t", "response_topic": "r"
    }));
    assert_eq!(&message.content().payload[..], b"\x00\xFF");
    let read = Properties::of(&message.content().properties).collect::<Vec<_>>();
    assert_eq!(read[..2], [Property::ContentType("t"), Property::ResponseTopic("r")]);
    assert_eq!(read[2..], [Property::User("tag", "x"), Property::User("tag", "y"), Property::User("unit", "bar")]);
}

#[test]
fn what_is_wrong_is_said_with_what_is_allowed() {
    let with = |name: &str, value: Value| {
        let mut message = json!({"topic": "a", "payload": "x"});
        message[name] = value;
        message
    };
    for (value, words) in [
        (json!(7), &["a JSON object", "not 7"][..]),
        (json!({"payload": "x"}), &["topic is missing"]),
        (json!({"topic": "a"}), &["payload is missing"]),
        (with("header", json!({})), &["no member \"header\"", "headers"]),
        (with("topic", json!("a/#")), &["\"topic\"", "a/#", "a topic to publish to"]),
        (with("topic", json!(1)), &["\"topic\" is 1", "a text"]),
        (with("payload", Value::Null), &["\"payload\" is null", "an object"]),
        (with("payload_base64", json!("AA==")), &["payload_base64", "beside payload"]),
        (with("qos", json!(3)), &["\"qos\" is 3", "0 to 2"]),
        (with("retain", json!("yes")), &["\"retain\"", "true or false"]),
        (with("priority", json!(10)), &["\"priority\" is 10", "0 to 9"]),
        (with("time", json!(-1)), &["\"time\" is -1", "a whole number"]),
        (with("queue", json!("a//b")), &["\"queue\"", "a//b", "the name of a queue"]),
        (with("key_base64", json!("?")), &["key_base64", "base64"]),
        (with("properties_base64", json!("/w==")), &["properties_base64", "MQTT 5.0"]),
        (with("headers", json!({"a": 1})), &["\"headers\"", "TEXT"]),
        (with("headers", json!([])), &["\"headers\"", "TEXT"]),
        (with("dead", json!(1)), &["\"dead\" is 1"]),
        (with("dead", json!({"queue": "q", "reason": "bored"})), &["\"reason\"", "bored", "max_deliveries"]),
        (with("dead", json!({"reason": "rule"})), &["queue is missing"]),
        (with("dead", json!({"why": 1})), &["no member \"why\""]),
    ] {
        let error = from_json(&value).expect_err("no message").to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?} are not in: {error}");
    }
}
