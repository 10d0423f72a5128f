//! Rules on the shape of messages: flatten-json, fan-in, fan-out.

use primer_mapping::FailureReason;

use crate::player::{self, ODD, Player};

#[test]
fn flatten_json_makes_one_flat_object() {
    let mut player = Player::of("flatten-json.rhai");
    assert_eq!(
        player.publish("nested/pump", r#"{"motor": {"rpm": 1480, "phases": [3.1, 3.0, 3.2]}, "on": true}"#),
        [r#"flat/pump {"motor_phases_0":3.1,"motor_phases_1":3.0,"motor_phases_2":3.2,"motor_rpm":1480,"on":true}"#]
    );
    assert_eq!(player.publish("nested/a/b/c", r#"{"x":{"y":null}}"#), [r#"flat/a/b/c {"x_y":null}"#]);
    assert_eq!(player.publish("nested", r#"{"x":{},"y":[]}"#), [r#"flat {"x":{},"y":[]}"#]);
    assert_eq!(player.publish("nested/", r#"{"n":18446744073709551616}"#), [r#"flat/ {"n":18446744073709551616}"#]);
    assert_eq!(player.publish("nested/x", r#"{"a_b":1,"a":{"b":1}}"#), [r#"flat/x {"a_b":1}"#]);
    player.ignores("nested/x", &ODD[..10]);
}

#[test]
fn fan_in_puts_together_what_many_topics_said() {
    let mut player = Player::of("fan-in.rhai");
    assert_eq!(
        player.publish("rooms/kitchen/temperature", "21.5"),
        [r#"rooms-now/kitchen {"temperature":21.5} (retained)"#]
    );
    assert!(player.after(1_000).publish("rooms/kitchen/humidity", "40").is_empty());
    assert!(player.publish("rooms/kitchen/temperature", "22").is_empty());
    assert_eq!(player.publish("rooms/hall/temperature", "18"), [r#"rooms-now/hall {"temperature":18} (retained)"#]);
    assert_eq!(
        player.after(4_000).publish("rooms/kitchen/light", r#"{"on":true}"#),
        [r#"rooms-now/kitchen {"humidity":40,"light":{"on":true},"temperature":22} (retained)"#]
    );
    assert_eq!(
        player.after(5_000).publish("rooms/kitchen/door", "open"),
        [r#"rooms-now/kitchen {"door":"open","humidity":40,"light":{"on":true},"temperature":22} (retained)"#]
    );
    for gone in ["temperature", "humidity", "light", "door", "never there"] {
        assert_eq!(player.after(5_000).publish(&format!("rooms/kitchen/{gone}"), "").len(), 1);
    }
    assert_eq!(player.after(5_000).publish("rooms/kitchen/door", "null"), [r"rooms-now/kitchen {} (retained)"]);
    player.after(5_000).ignores("rooms/kitchen/picture", &[b"\xff\xd8\xff\xe0"]);
    for odd in ["rooms//", "rooms/~x/~y"] {
        assert_eq!(player.publish(odd, "1").len(), 1);
    }
}

#[test]
fn fan_out_makes_a_message_of_each_part() {
    let mut player = Player::of("fan-out.rhai");
    assert_eq!(
        player.publish("batches/line1", r#"{"speed": 1.5, "temperature": 61}"#),
        ["parts/line1/speed 1.5", "parts/line1/temperature 61"]
    );
    assert_eq!(
        player.publish("batches/line1", r#"[1, "x", null, {"a":1}]"#),
        ["parts/line1/0 1", r#"parts/line1/1 "x""#, "parts/line1/2 null", r#"parts/line1/3 {"a":1}"#]
    );
    assert_eq!(
        player.publish("batches/", r#"{"":1,"a/b":2,"c+#d\u0000":3}"#),
        ["parts// 1", "parts//a/b 2", "parts//c__d_ 3"]
    );
    assert!(player.publish("batches/line1", "{}").is_empty() && player.publish("batches/line1", "[]").is_empty());
    player.ignores("batches/line1", &ODD[..8]);
}

#[test]
fn fan_out_makes_all_parts_or_none() {
    let mut player = Player::of("fan-out.rhai");
    let parts = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert_eq!(player.publish("batches/a", parts(100)).len(), 100);
    let message = player::publish("batches/a", parts(101).as_bytes(), player.now_ms);
    let failure = player.try_message(&message).expect_err("are too many");
    assert_eq!(failure.reason, FailureReason::FanOut);
}
