//! paho-mqtt for Python: the checks of `tests/interop/paho_checks.py`.

use primer_harness::{Broker, peers};

use crate::support::run_check;

#[track_caller]
fn check(name: &str, version: &str) {
    let broker = Broker::start();
    run_check(peers::python_with("paho.mqtt.client"), "paho_checks.py", broker.port(), name, &[version]);
}

/// Makes a test of each check in each version.
macro_rules! checks {
    ($($test:ident: $name:literal, $version:literal;)+) => {
        $(
            #[test]
            fn $test() {
                check($name, $version);
            }
        )+
    };
}

checks! {
    every_callback_is_called_v311: "callbacks", "4";
    every_callback_is_called_v5: "callbacks", "5";
    exactly_once_holds_both_ways_v311: "exactly_once_both_ways", "4";
    exactly_once_holds_both_ways_v5: "exactly_once_both_ways", "5";
    a_session_survives_its_connection_v311: "session_survives", "4";
    a_session_survives_its_connection_v5: "session_survives", "5";
    cut_connections_lose_nothing_v311: "cut_connections_lose_nothing", "4";
    cut_connections_lose_nothing_v5: "cut_connections_lose_nothing", "5";
    threads_share_a_client_v311: "threads_share_a_client", "4";
    workers_share_a_subscription_v311: "shared_subscription", "4";
    workers_share_a_subscription_v5: "shared_subscription", "5";
    a_dead_worker_s_messages_go_to_the_others: "a_worker_dies", "5";
    groups_of_a_queue_lose_nothing_when_a_worker_dies_v311: "queue_groups", "4";
    groups_of_a_queue_lose_nothing_when_a_worker_dies_v5: "queue_groups", "5";
    topic_aliases_are_resolved: "topic_alias", "5";
    messages_expire: "message_expiry", "5";
    the_receive_maximum_holds_for_manual_acknowledgements: "manual_acknowledgement", "5";
    subscription_options_are_kept: "subscription_options", "5";
}
