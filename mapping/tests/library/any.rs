//! Whatever comes, no ready rule fails on it, but for what its comment says.

use std::sync::LazyLock;

use primer_mapping::FailureReason;
use proptest::{collection, prelude::*, test_runner::Config};
use serde_json::{Map, Value, json};

use crate::{
    files,
    player::{self, Player},
};

/// Names that rules look for, and others.
const NAMES: [&str; 24] = [
    "celsius", "percent", "temp_f", "wind_mph", "ampere", "id", "motor", "Time", "POWER1", "Wifi", "RSSI", "Dimmer",
    "action", "state", "update", "battery", "readings", "rounds", "", "a.b", "a/b", "+", "#", "\u{0}",
];

/// Topics that the rules stand on.
const TOPICS: [&str; 18] = [
    "sensors/a/temperature",
    "sensors/a/humidity",
    "yard/7",
    "nested/a/b",
    "rooms/kitchen/light",
    "batches/1",
    "gateway/7/up",
    "fast/motor/current",
    "tele/plug/SENSOR",
    "tele/plug/STATE",
    "tele/plug/LWT",
    "stat/plug/POWER1",
    "zigbee2mqtt/lamp",
    "zigbee2mqtt/a/b/availability",
    "spBv1.0/g/NBIRTH/e",
    "spBv1.0/g/DBIRTH/e/d",
    "spBv1.0/g/NDEATH/e",
    "sensors//temperature",
];

fn value() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        4 => (0..NAMES.len()).prop_map(|at| NAMES[at].to_owned()),
        1 => any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|float| json!(float)),
        (-100.0..200.0).prop_map(|float: f64| json!(float)),
        name.clone().prop_map(Value::from),
        prop_oneof![Just("ON"), Just("online"), Just("Offline"), Just("single")].prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            1 => collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            3 => collection::btree_map(name.clone(), inner, 0..8)
                .prop_map(|map| Value::from(map.into_iter().collect::<Map<String, Value>>())),
        ]
    })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => value().prop_map(|value| value.to_string().into_bytes()),
        1 => collection::vec(any::<u8>(), 0..40),
        1 => "(ON|OFF|Online|1e[0-9]{3}|-?[0-9]{25}|\\{\"celsius\":1e[0-9]{3}\\})".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(Config::with_cases(24))]

    #[test]
    fn no_ready_rule_fails(messages in collection::vec((0..TOPICS.len(), payload(), 0_u64..100_000), 20)) {
        static FILES: LazyLock<Vec<String>> = LazyLock::new(files);
        for file in FILES.iter() {
            let mut player = Player::of(file);
            for (at, payload, ms) in &messages {
                player.now_ms += ms;
                let message = player::publish(TOPICS[*at], payload, player.now_ms);
                if let Err(failure) = player.try_message(&message) {
                    let is_said = failure.reason == FailureReason::FanOut && file == "fan-out.rhai";
                    prop_assert!(is_said, "{}: {} of {}", file, failure, message);
                }
            }
        }
    }
}

/// What flat forms and back make of any value: never a panic, and the same where the names allow it.
const ROUND: &str = r#"
    rule("round", "a", |msg| {
        let value = msg.json;
        let flat = flatten(value, "/");
        let back = unflatten(flat, "/");
        msg.text = to_json(flatten(back, "/"));
        publish("flat", to_json(flat));
        publish("merged", to_json(merge_deep(value, back)));
        ok
    });
"#;

proptest! {
    #![proptest_config(Config::with_cases(200))]

    #[test]
    fn flat_forms_of_anything_are_values_or_errors(value in value()) {
        let mut player = Player::of_text("round", ROUND);
        match player.try_message(&player::publish("a", value.to_string().as_bytes(), 0)) {
            Ok(_) => {}
            Err(failure) => prop_assert!(failure.reason == FailureReason::Error, "{}", failure),
        }
    }
}
