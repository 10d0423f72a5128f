//! gmqtt for Python: the checks of `tests/interop/gmqtt_checks.py`.

use primer_harness::{Broker, peers};

use crate::support::run_check;

#[track_caller]
fn check(name: &str, version: &str) {
    let broker = Broker::start();
    run_check(peers::python_with("gmqtt"), "gmqtt_checks.py", broker.port(), name, &[version]);
}

#[track_caller]
fn check_in_both_versions(name: &str) {
    check(name, "4");
    check(name, "5");
}

#[test]
fn messages_of_each_qos_go_through() {
    check_in_both_versions("pubsub");
}

#[test]
fn retained_messages_are_replaced_and_removed() {
    check_in_both_versions("retained");
}

#[test]
fn a_session_is_resumed_without_a_loss() {
    check_in_both_versions("session");
}

#[test]
fn a_will_comes_for_a_broken_connection() {
    check_in_both_versions("will");
}

#[test]
fn properties_and_share_groups_do_what_they_say() {
    check("properties", "5");
}
