//! Home Assistant, Zigbee2MQTT and their kind: the checks of `tests/interop/home_checks.py`.

use primer_harness::{Broker, Launch, peers};

use crate::support::run_check;

fn run(broker: &Broker, name: &str, version: &str) {
    run_check(peers::python_with("paho.mqtt.client"), "home_checks.py", broker.port(), name, &[version]);
}

#[track_caller]
fn check(name: &str) {
    for version in ["4", "5"] {
        run(&Broker::start(), name, version);
    }
}

/// Broker restarts after which all entities are unavailable are the best-known complaint of this field.
#[test]
fn all_entities_are_there_again_after_kill_9() {
    for version in ["4", "5"] {
        let mut broker = Launch::new().args(&["--data", "data"]).start();
        run(&broker, "announce", version);
        broker.restart();
        run(&broker, "come_back", version);
    }
}

#[test]
fn both_sides_know_when_the_other_goes_and_comes() {
    check("availability");
}

#[test]
fn an_empty_discovery_message_removes_an_entity() {
    check("removal");
}

#[test]
fn an_explorer_gets_all_that_is_retained() {
    check("explorer");
}
