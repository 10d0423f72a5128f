//! A restore into a directory that has something: what is of the same name is replaced, all else stays.

use primer_harness::Client;

use crate::fixture::{Place, durable, primer, primer_with, serve, small_store, stop};

#[test]
fn a_merge_replaces_sessions_and_retained_messages_of_the_same_name_and_keeps_all_else() {
    let place = Place::new();
    let (from, into) = (place.arg("from"), place.arg("into"));
    small_store(&from, "both", 3);
    let dump = primer(&["dump", "--data", &from]).good().stdout;
    let broker = serve(&into);
    let mut both = durable(&broker, "both");
    both.subscribe("replaced/#", 1);
    both.disconnect();
    let mut there = durable(&broker, "there");
    there.subscribe("replaced/#", 1);
    there.subscribe("there/#", 2);
    there.disconnect();
    let mut publisher = Client::v5(broker.addr(), "publisher");
    publisher.publish("replaced/t", "for both sessions", 1);
    publisher.publish("there/t", "for one", 1);
    publisher.publish_retained("small/retained", "older", 1);
    publisher.publish_retained("there/retained", "kept", 1);
    publisher.publish("$delayed/2/there/delayed", "later", 1);
    stop(broker);
    primer_with(&["restore", "--data", &into, "-"], &dump).failed_with(&["not empty", "2 sessions"]);
    primer_with(&["restore", "--merge", "--data", &into, "-"], &dump).good();
    primer(&["store", "check", "--data", &into]).good();
    // Once more is the same again: sessions and retained messages have names.
    primer_with(&["restore", "--merge", "--data", &into, "-"], &dump).good();
    let broker = serve(&into);
    let mut both = durable(&broker, "both");
    assert!(both.session_present());
    let texts: Vec<String> = both.recv_publishes(4).iter().map(|message| message.text()).collect();
    assert_eq!(texts, ["message 0 for both", "message 1 for both", "message 2 for both", "retained of both"]);
    both.expect_no_publish_before_ping();
    let mut there = durable(&broker, "there");
    let texts: Vec<String> = there.recv_publishes(4).iter().map(|message| message.text()).collect();
    assert_eq!(texts, ["for both sessions", "for one", "kept", "later"]);
    let mut reader = Client::v5(broker.addr(), "reader");
    reader.subscribe("#", 1);
    let mut retained: Vec<String> = reader.recv_publishes(3).iter().map(|message| message.text()).collect();
    retained.sort();
    assert_eq!(retained, ["kept", "retained", "retained of both"]);
    stop(broker);
}
