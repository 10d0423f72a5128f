//! Messages: put in, looked at, taken out, given up, moved.

use primer_harness::ran::lines;
use primer_harness::{Broker, Client};
use serde_json::json;

use crate::fixture::{queue, queue_with, texts};

#[test]
fn payloads_come_from_arguments_files_lines_and_standard_input() {
    let broker = Broker::start();
    let file = broker.dir().join("payload");
    std::fs::write(&file, b"\xff\0bytes").expect("a file");
    assert_eq!(queue(&broker, "put q -m one -m", &["two words"]).text(), "2 messages put into the queue \"q\"\n");
    queue(&broker, "put q -f", &[file.to_str().expect("a name")]).text();
    let lines = queue_with(&broker, "put q --lines --json", &[], b"a\r\n\nlast").json();
    assert_eq!(lines, json!({"name": "q", "messages": 3}));
    queue_with(&broker, "put q", &[], b"all\nof it\n").text();
    queue(&broker, "put q -f no-such-file", &[]).failed(1, &["no-such-file"]);
    let got = queue(&broker, "get q -n 100 --wait 300ms --json", &[]).json();
    assert_eq!(texts(&got), ["one", "two words", "(no text)", "a", "", "last", "all\nof it\n"]);
    assert_eq!(got[2]["payload"], "/wBieXRlcw==");
}

#[test]
fn what_is_said_of_a_message_reaches_queue_and_consumer() {
    let broker = Broker::start();
    queue(&broker, "create q --dedupe-window 1h", &[]).text();
    queue(&broker, "put q -m late --delay 1h", &[]).text();
    queue(&broker, "put q -m low", &[]).text();
    let options = "put q -m high --priority 9 --key k --id i --ttl 1h --header a=b --header c= --topic plant/7";
    queue(&broker, options, &["--content-type", "text/plain"]).text();
    queue(&broker, options, &[]).text(); // the same identifier
    let seen = queue(&broker, "browse q --json", &[]).json();
    assert_eq!(texts(&seen["messages"]), ["late", "low", "high"]);
    let (late, high) = (&seen["messages"][0], &seen["messages"][2]);
    assert_eq!(late["state"], "waiting");
    assert_eq!((&high["key"], &high["id"], &high["topic"]), (&json!("k"), &json!("i"), &json!("plant/7")));
    assert_eq!((&high["priority"], &high["content_type"]), (&json!(9), &json!("text/plain")));
    let got = queue(&broker, "get q -n 2 --json", &[]).json();
    assert_eq!(texts(&got), ["high", "low"]);
    assert_eq!(got[0]["topic"], "plant/7");
    let headers = got[0]["headers"].as_array().expect("headers");
    assert!(headers.contains(&json!(["a", "b"])) && headers.contains(&json!(["c", ""])), "{headers:?}");
    queue(&broker, "put q -m x --topic a/#", &[]).failed(1, &["a/#"]);
    let verbose = queue(&broker, "put q -m v --header a=b", &[]);
    verbose.text();
    let shown = queue(&broker, "get q -v", &[]);
    assert!(shown.text().starts_with("$queue/q\n") && shown.text().ends_with("a: b\n\nv\n"), "{shown:?}");
}

#[test]
fn a_refused_message_says_why() {
    let broker = Broker::start();
    queue(&broker, "create small --max-messages 2", &[]).text();
    let refused = queue_with(&broker, "put small --lines", &[], b"a\nb\nc\nd\n");
    refused.failed(1, &["\"small\" did not take", "quota exceeded", "the queue is full"]);
    assert_eq!(texts(&queue(&broker, "browse small --json", &[]).json()["messages"]), ["a", "b"]);
    queue(&broker, "put a//b -m x", &[]).failed(1, &["topic name invalid"]);
}

#[test]
fn a_look_shows_what_is_wanted_and_changes_nothing() {
    let broker = Broker::start();
    queue(&broker, "put q -m a1 --topic a/1 --header kind=x", &[]).text();
    queue(&broker, "put q -m b1 --topic b/1 --header kind=y", &[]).text();
    queue(&broker, "put q --topic a/2 -m", &["a2\nwith a line\u{1b}[2J"]).text();
    let shown = queue(&broker, "browse q", &[]);
    let shown = lines(shown.text());
    assert_eq!(shown[0], "POSITION AGE PRIORITY STATE TOPIC PAYLOAD");
    assert!(shown[1].starts_with("0 ") && shown[1].ends_with(" 4 ready a/1 a1"), "{shown:?}");
    assert!(shown[3].ends_with("a2\\nwith a line\\u{1b}[2J"), "{shown:?}");
    let texts_of = |words: &str| {
        let data = queue(&broker, &format!("browse q --json {words}"), &[]).json();
        texts(&data["messages"]).iter().map(|text| text.get(..2).unwrap_or(text).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts_of("--from newest"), ["a2", "b1", "a1"]);
    assert_eq!(texts_of("--from newest -n 1"), ["a2"]);
    assert_eq!(texts_of("--from 1"), ["b1", "a2"]);
    assert_eq!(texts_of("--topic a/+"), ["a1", "a2"]);
    assert_eq!(texts_of("--header kind"), ["a1", "b1"]);
    assert_eq!(texts_of("--header kind=y"), ["b1"]);
    assert_eq!(texts_of("--since 1h"), ["a1", "b1", "a2"]);
    queue(&broker, "browse q --until 1h", &[]).failed(1, &["nothing of the kind"]);
    let full = queue(&broker, "browse q --full --from 2", &[]);
    assert!(full.text().contains("topic: a/2\n") && full.text().contains("\n\na2\nwith a line"), "{full:?}");
    assert_eq!(queue(&broker, "info q --json", &[]).json()["counts"]["delivered"], 0);
}

#[test]
fn a_look_goes_on_over_pages_and_large_payloads_are_cut() {
    let broker = Broker::start();
    let many: String = (0..450).map(|number| format!("{number}\n")).collect();
    queue_with(&broker, "put q --lines", &[], many.as_bytes()).text();
    let seen = queue(&broker, "browse q -n 1000 --json", &[]).json();
    let all = texts(&seen["messages"]);
    assert_eq!((all.len(), all[449], &seen["next"]), (450, "449", &json!(null)));
    let backward = queue(&broker, "browse q -n 440 --from newest --json", &[]).json();
    assert_eq!((texts(&backward["messages"])[439], &backward["next"]), ("10", &json!({"before": 10})));
    // Three payloads of a megabyte fit into no response: a part of each does.
    for _ in 0..3 {
        queue_with(&broker, "put large", &[], &vec![b'x'; 1 << 20]).text();
    }
    let seen = queue(&broker, "browse large --json", &[]).json();
    let messages = seen["messages"].as_array().expect("messages");
    assert_eq!(messages.len(), 3);
    assert_eq!((&messages[0]["bytes"], messages[0]["text"].as_str().map(str::len)), (&json!(1 << 20), Some(65_536)));
}

#[test]
fn messages_are_taken_given_back_and_given_up() {
    let broker = Broker::start();
    queue(&broker, "put q -m one -m two -m three", &[]).text();
    assert_eq!(queue(&broker, "get q --nack", &[]).text(), "one\n");
    assert_eq!(queue(&broker, "get q -n 2 --nack", &[]).text(), "one\ntwo\n");
    assert_eq!(queue(&broker, "get q --reject", &[]).text(), "one\n");
    assert_eq!(queue(&broker, "get q", &[]).text(), "two\n");
    assert_eq!(queue(&broker, "get q -n 5 --wait 300ms", &[]).text(), "three\n");
    queue(&broker, "get q --wait 100ms", &[]).failed(1, &["no message came"]);
    let dead = queue(&broker, "browse q --dead", &[]);
    assert!(lines(dead.text())[1].ends_with(" rejected $queue/q one"), "{dead:?}");
    let dead = queue(&broker, "browse --json", &["$dead/q"]).json();
    assert_eq!(dead["messages"][0]["dead"]["reason"], "rejected");
    assert_eq!(dead["messages"][0]["dead"]["deliveries"], 3);
    assert_eq!(queue(&broker, "ls --json", &[]).json()["queues"][1]["dead_letters"], 1);
    let moved = queue(&broker, "move --dead q", &[]);
    assert_eq!(moved.text(), "1 message moved back from \"$dead/q\"\n");
    assert_eq!(queue(&broker, "get q", &[]).text(), "one\n");
}

#[test]
fn messages_are_moved_to_another_queue() {
    let broker = Broker::start();
    queue(&broker, "put a -m one -m two -m three", &[]).text();
    queue(&broker, "create b --max-messages 2", &[]).text();
    assert_eq!(queue(&broker, "move a b -n 1", &[]).text(), "1 message moved from \"a\" to \"b\"\n");
    let moved = queue(&broker, "move a b --json", &[]).json();
    assert_eq!((&moved["moved"], &moved["refused"]), (&json!(1), &json!(1)));
    assert_eq!(texts(&queue(&broker, "browse a --json", &[]).json()["messages"]), ["three"]);
    assert_eq!(queue(&broker, "get b -n 9 --wait 200ms", &[]).text(), "one\ntwo\n");
}

#[test]
fn more_than_the_window_is_taken_and_no_more_than_wanted() {
    let broker = Broker::start();
    let many: String = (0..2500).map(|number| format!("{number}\n")).collect();
    queue_with(&broker, "put q --lines", &[], many.as_bytes()).text();
    let got = queue(&broker, "get q -n 2400", &[]);
    assert_eq!(lines(got.text()).len(), 2400);
    let info = queue(&broker, "info q --json", &[]).json();
    assert_eq!((&info["messages"], &info["counts"]["acked"]), (&json!(100), &json!(2400)));
    assert_eq!(queue(&broker, "get q --json", &[]).json()[0]["text"], "2400");
    // Nobody was given one that it did not want: the next consumer gets it as for the first time.
    assert_eq!(queue(&broker, "info q --json", &[]).json()["counts"]["redelivered"], 0);
}

#[test]
fn a_bound_queue_has_what_clients_publish() {
    let broker = Broker::start();
    queue(&broker, "create q --bind sensors/+", &[]).text();
    let mut client = Client::v311(broker.addr(), "sensor");
    client.publish("sensors/1", "21.5", 1);
    client.publish("other/1", "x", 1);
    assert_eq!(texts(&queue(&broker, "browse q --json", &[]).json()["messages"]), ["21.5"]);
    client.disconnect();
}
