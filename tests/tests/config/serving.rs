//! What `primer serve` makes of files, variables and options.

use primer_harness::wire::prop;
use primer_harness::{Client, Launch};

use crate::fixture::Folder;

#[test]
fn a_file_sets_what_options_and_variables_do_not() {
    let folder = Folder::new(&[("primer.toml", "[mqtt]\nreceive_maximum = 11\ntopic_alias_maximum = 3\n")]);
    let launch = Launch::new()
        .args(&["--config", &folder.path("primer.toml"), "--max-keep-alive", "20"])
        .env("PRIMER_MQTT__TOPIC_ALIAS_MAXIMUM", "4")
        .env("PRIMER_MQTT__MAX_KEEP_ALIVE", "30");
    let broker = launch.start();
    let client = Client::v5_with(broker.addr(), "anybody", |connect| connect.keep_alive(60));
    let props = client.connack_props();
    assert_eq!(prop::number(props, prop::RECEIVE_MAXIMUM), Some(11), "the file");
    assert_eq!(prop::number(props, prop::TOPIC_ALIAS_MAXIMUM), Some(4), "the variable");
    assert_eq!(prop::number(props, prop::SERVER_KEEP_ALIVE), Some(20), "the option");
}

#[test]
fn queues_of_the_file_are_there_from_the_start() {
    let folder = Folder::new(&[("primer.toml", "[queues.jobs]\npriority = 7\n")]);
    let broker = Launch::new().args(&["-c", &folder.path("primer.toml")]).start();
    let info = format!("queue info jobs --json -p {}", broker.port());
    folder.run(&info, &[]).says(&["\"priority\":7"]);
}

#[test]
fn users_of_a_file_are_the_only_ones() {
    let folder = Folder::new(&[("secret", "ann:pass:word\n")]);
    let broker = Launch::new().env("PRIMER_ACCESS__USERS_FILE", &folder.path("secret")).start();
    let list = |arguments: &str| folder.run(&format!("queue ls -p {} {arguments}", broker.port()), &[]);
    list("-u ann -P pass:word").says(&[]);
    assert_ne!(list("-u ann -P other").code, Some(0));
    assert_ne!(list("").code, Some(0));
    assert!(!broker.stderr().contains("pass:word"), "{}", broker.stderr());
}

#[test]
fn a_reload_takes_what_it_can_and_a_wrong_one_changes_nothing() {
    let file = "[log]\nlevel = 'info'\n[queues.a]\npriority = 1\n";
    let folder = Folder::new(&[("primer.toml", file)]);
    let mut broker = Launch::new().args(&["-c", &folder.path("primer.toml")]).start();
    folder.write("primer.toml", "[mqtt]\nmax_qos = 9\n");
    broker.hang_up();
    let _ = broker.wait_for_line("the configuration is wrong and stays as it was");
    assert!(broker.wait_for_line("primer.toml:2: ").contains("mqtt.max_qos"));
    folder.write(
        "primer.toml",
        "[log]\nlevel = 'debug'\n[mqtt]\nmax_qos = 1\n[queues.a]\npriority = 1\n[queues.b]\npriority = 8\n",
    );
    broker.hang_up();
    let _ = broker.wait_for_line("log.level: \"info\" becomes \"debug\"");
    assert!(broker.wait_for_line("mqtt.max_qos: 2 becomes 1").contains("it needs a restart"));
    let _ = broker.wait_for_line("queues.b: it is new");
    folder.run(&format!("queue put b -m x -p {}", broker.port()), &[]).says(&[]);
    folder.run(&format!("queue info b --json -p {}", broker.port()), &[]).says(&["\"priority\":8"]);
}

#[test]
fn the_log_can_be_json() {
    let broker = Launch::new().env("PRIMER_LOG__FORMAT", "json").start();
    let line = broker.wait_for_line("MQTT 3.1");
    let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(value["level"], "INFO");
}
