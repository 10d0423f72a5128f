//! Rules on messages that come again: dedupe, dead-letters-again.

use std::{sync::Arc, time::Duration};

use primer_mapping::Msg;

use crate::player::{self, Player};

#[test]
fn dedupe_lets_the_same_identifier_through_once() {
    let mut player = Player::of("dedupe.rhai");
    let mut say = |topic: &str, payload: &str| player.publish(topic, payload);
    assert_eq!(say("gateway/7/up", r#"{"id": "a1", "v": 1}"#), [r#"once/7/up {"id": "a1", "v": 1}"#]);
    assert!(say("gateway/7/up", r#"{"id": "a1", "v": 1}"#).is_empty());
    assert!(say("gateway/8/up", r#"{"v": 2, "id": "a1"}"#).is_empty(), "by whichever gateway");
    assert_eq!(say("gateway/7/up", r#"{"id": "a2", "v": 1}"#).len(), 1);
    assert_eq!(say("gateway/7/up", r#"{"id": 7}"#).len(), 1);
    assert_eq!(say("gateway/7/up", r#"{"id": "7"}"#).len(), 1);
    assert!(say("gateway/7/up", r#"{"id":7,"again":true}"#).is_empty());
    assert_eq!(say("gateway", r#"{"id": [1, {"x": 2}]}"#), [r#"once {"id": [1, {"x": 2}]}"#]);
}

#[test]
fn dedupe_takes_topic_and_payload_where_there_is_no_identifier() {
    let mut player = Player::of("dedupe.rhai");
    for payload in player::ODD.iter().copied().chain([&br#"{"id":null}"#[..], br#"{"id":""}"#]) {
        assert_eq!(player.publish("gateway/7/up", payload).len(), 1, "{}", payload.escape_ascii());
        assert!(player.publish("gateway/7/up", payload).is_empty(), "{}", payload.escape_ascii());
        assert_eq!(player.publish("gateway/8/up", payload).len(), 1, "{}", payload.escape_ascii());
    }
}

#[test]
fn dedupe_forgets() {
    let mut player = Player::of("dedupe.rhai");
    let say = |player: &mut Player, id: u32| player.publish("gateway/7/up", format!("{{\"id\":{id}}}")).len();
    assert_eq!(say(&mut player, 1), 1);
    assert_eq!(say(player.after(599_999), 1), 0);
    assert_eq!(say(player.after(1), 1), 1);
    (10..5_000).for_each(|id| assert_eq!(say(player.after(1), id), 1));
    assert!(player.state_bytes() < 200_000, "{}", player.state_bytes());
}

/// A dead letter of the queue `orders`.
fn dead_letter(headers: &[u8]) -> Msg {
    let mut message = player::publish("orders/new", b"\xffsome order", player::BEGIN_MS);
    let content = message.content_mut();
    (content.priority, content.key) = (Some(7), Some((*b"customer-3").into()));
    content.properties = headers.into();
    let origin = Arc::make_mut(&mut content.origin);
    origin.queue = Some("$dead/orders".into());
    origin.dead = Some(("orders".into(), "max_deliveries", 20));
    message
}

#[test]
fn dead_letters_go_back_later_and_later_and_then_to_people() {
    let mut player = Player::of("dead-letters-again.rhai");
    let mut message = dead_letter(&[]);
    for (round, wait_s) in [(1, 60), (2, 300), (3, 1_800), (4, 7_200)] {
        let outputs = player.try_message(&message).expect("ends well");
        assert_eq!(outputs.len(), 1);
        assert_eq!(outputs[0].delay, Some(Duration::from_secs(wait_s)), "round {round}");
        assert_eq!(player::line(&outputs[0]), r"queue orders \xffsome order");
        let again = outputs[0].message.content();
        assert_eq!((again.topic.as_str(), again.priority), ("orders/new", Some(7)));
        assert_eq!(again.key.as_deref(), Some(&b"customer-3"[..]));
        assert!(String::from_utf8_lossy(&again.properties).contains(&round.to_string()));
        message = dead_letter(&again.properties);
    }
    let outputs = player.try_message(&message).expect("ends well");
    assert_eq!(player::line(&outputs[0]), r"queue orders-failed \xffsome order");
    assert_eq!((outputs.len(), outputs[0].delay), (1, None));
}

#[test]
fn a_header_that_is_no_round_counts_as_none() {
    for header in ["-1", "two", "", "1e9", "99999999999999999999", " 1"] {
        let script =
            format!("rule(\"r\", \"a\", |msg| {{ msg.set_header(\"rounds\", \"{header}\"); publish(msg); ok }});");
        let made = Player::of_text("headers", &script).try_message(&player::publish("a", b"", 0)).expect("ends well");
        let message = dead_letter(&made[0].message.content().properties);
        let outputs = Player::of("dead-letters-again.rhai").try_message(&message);
        let outputs = outputs.unwrap_or_else(|failure| panic!("{header}: {failure}"));
        assert_eq!(outputs[0].delay, Some(Duration::from_secs(60)), "{header}");
    }
}
