//! Rules of stage `ingress` between real clients: what they make of a publish is what subscribers, retained messages
//! and the publisher see.

use primer_harness::wire::prop::{self, user_properties};
use primer_harness::{Client, Launch, Version};
use serde_json::json;

use crate::fixture::Place;
use crate::serving::{ask, drain, serve, stats};

const RULES: &str = r#"
rule("units", "yard/+/raw", #{ stage: "ingress" }, |msg| {
    let value = msg.json;
    value.celsius = round(f_to_c(value.f), 1);
    value.remove("f");
    msg.topic = "yard/" + msg.level(1);
    msg.json = value;
    msg.headers["by"] = "units";
    ok
});
rule("split", "all/+", #{ stage: "ingress" }, |msg| {
    for part in msg.json.parts { publish("parts/" + part, part); }
    drop
});
rule("guard", "locked/#", #{ stage: "ingress" }, |msg| {
    if msg.header("key") != "sesame" { return refuse("no key", 0x87); }
    ok
});
rule("wrong", "broken/pass", #{ stage: "ingress" }, |msg| { throw "oh" });
rule("wrong-refuse", "broken/refuse", #{ stage: "ingress", on_error: "refuse" }, |msg| { msg.json.x.y });
rule("wrong-drop", "broken/drop", #{ stage: "ingress", on_error: "drop" }, |msg| { 1 / 0 });
rule("first", "chain", #{ stage: "ingress" }, |msg| { msg.text += "1"; ok });
rule("second", "chain", #{ stage: "ingress" }, |msg| { msg.text += "2"; enqueue("seen", msg); ok });
"#;

#[test]
fn a_publish_is_rewritten_before_anybody_sees_it() {
    let (folder, mut at) = (Place::with("rules.rhai", RULES), Vec::new());
    let broker = serve(&folder);
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("#", 2);
    for (qos, version) in [(0, Version::V311), (1, Version::V311), (2, Version::V5)] {
        let mut client = Client::connect_with(broker.addr(), version, &format!("pub{qos}"), |connect| connect);
        assert!(
            client.publish_retained(&format!("yard/{qos}/raw"), r#"{"f":212.0,"id":18446744073709551615}"#, qos) == 0
        );
        let message = sub.recv();
        assert_eq!((message.topic.as_str(), message.qos), (&*format!("yard/{qos}"), qos));
        assert_eq!(message.text(), r#"{"celsius":100.0,"id":18446744073709551615}"#, "digits stay as they came");
        assert_eq!(user_properties(&message.props), [("by", "units")]);
        at.push(message.topic);
    }
    let mut late = Client::v5(broker.addr(), "late");
    late.subscribe("yard/#", 0);
    let mut retained: Vec<String> = late.recv_publishes(3).into_iter().map(|message| message.topic).collect();
    retained.sort();
    assert_eq!(retained, at);
    late.expect_no_publish_before_ping();
}

#[test]
fn a_publish_is_split_dropped_or_refused() {
    let folder = Place::with("rules.rhai", RULES);
    let broker = serve(&folder);
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("#", 1);
    let mut client = Client::v5(broker.addr(), "pub");
    assert_eq!(client.publish("all/x", r#"{"parts":["a","b","c"]}"#, 1), 0);
    let topics: Vec<String> = sub.recv_publishes(3).into_iter().map(|message| message.topic).collect();
    assert_eq!(topics, ["parts/a", "parts/b", "parts/c"]);
    assert_eq!(client.publish("locked/door", "open", 1), 0x87);
    assert_eq!(client.publish("locked/door", "open", 2), 0x87);
    assert_eq!(client.publish_with("locked/door", "open", 1, &[prop::user_property("key", "sesame")]), 0);
    assert_eq!(sub.recv().topic, "locked/door");
    // Before 5.0 there is no code to say it with.
    let mut old = Client::v311(broker.addr(), "old");
    old.send(&primer_harness::wire::publish(Version::V311, "locked/door", b"open").qos(1, 7).build());
    old.expect_closed();
    sub.expect_no_publish_before_ping();
    assert_eq!(stats(&mut client, "guard")["stats"]["refused"], 3);
}

#[test]
fn a_rule_that_fails_does_as_it_says() {
    let folder = Place::with("rules.rhai", RULES);
    let broker = serve(&folder);
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("broken/#", 1);
    let mut client = Client::v5(broker.addr(), "pub");
    assert_eq!(client.publish("broken/pass", "as it came", 1), 0);
    assert_eq!(sub.recv().text(), "as it came");
    assert_eq!(client.publish("broken/refuse", "x", 1), 0x83);
    assert_eq!(client.publish("broken/drop", "x", 1), 0);
    sub.expect_no_publish_before_ping();
    let figures = stats(&mut client, "wrong");
    assert_eq!((&figures["stats"]["failures"]["error"], &figures["stats"]["passed"]), (&json!(1), &json!(1)));
    assert!(figures["last_failure"].as_str().is_some_and(|why| why.starts_with("rules.rhai:19:")), "{figures}");
}

#[test]
fn rules_act_in_their_order_and_their_outputs_are_part_of_the_publish() {
    let folder = Place::with("rules.rhai", RULES);
    let broker = serve(&folder);
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("chain", 1);
    let mut queue = Client::v5(broker.addr(), "queue");
    queue.subscribe("$queue/seen", 1);
    let mut client = Client::v5(broker.addr(), "pub");
    assert_eq!(client.publish("chain", "0", 1), 0);
    assert_eq!((sub.recv().text(), queue.recv().text()), ("012".to_owned(), "012".to_owned()));
    let listed = ask(&mut client, &json!({"command": "listRules"}));
    assert_eq!(listed["data"]["rules"].as_array().map(Vec::len), Some(8), "{listed}");
}

/// Found by an adversary: a refused publish left some of its outputs, and its state: sent again, it was taken for one
/// that had been seen, acknowledged, and nowhere.
#[test]
fn a_publish_that_is_refused_has_not_happened() {
    let folder = Place::with(
        "rules.rhai",
        r#"rule("once", "in/x", #{ stage: "ingress" }, |msg| {
            if state.seen("ids", msg.text, "1h") { return drop; }
            enqueue("roomy", msg);
            enqueue("small", msg);
            publish("side/x", msg);
            ok
        });"#,
    );
    let data = Place::new();
    let broker = Launch::new().args(&["--rules", folder.path(), "--data", data.path()]).start();
    let port = broker.port().to_string();
    let made = primer_harness::ran::run(
        &["queue", "create", "small", "--max-messages", "1", "--overflow", "reject", "-p", &port],
        b"",
    );
    assert_eq!(made.code, Some(0), "{made:?}");
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("+/x", 1);
    let mut client = Client::v5(broker.addr(), "pub");
    assert_eq!(client.publish("in/x", "a", 1), 0);
    assert_eq!(sub.recv_publishes(2).len(), 2);
    assert_eq!((client.publish("in/x", "b", 1), client.publish("in/x", "b", 2)), (0x97, 0x97));
    sub.expect_no_publish_before_ping();
    assert_eq!(drain(&broker, "small"), ["a"]);
    assert_eq!(client.publish("in/x", "b", 1), 0);
    assert_eq!(sub.recv_publishes(2).len(), 2);
    assert_eq!(
        (drain(&broker, "small"), drain(&broker, "roomy")),
        (vec!["b".to_owned()], vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(client.publish("in/x", "b", 1), 0, "now it has been seen");
    sub.expect_no_publish_before_ping();
}

/// The same where it is the message itself that finds no room, in a queue that is bound to its topic.
#[test]
fn a_message_that_finds_no_room_leaves_none_of_its_outputs() {
    let folder = Place::with(
        "rules.rhai",
        r#"rule("copy", "in/x", #{ stage: "ingress" }, |msg| { enqueue("roomy", msg); publish("side/x", msg); ok });"#,
    );
    let broker = serve(&folder);
    let port = broker.port().to_string();
    let words =
        ["queue", "create", "small", "--max-messages", "1", "--overflow", "reject", "--bind", "in/x", "-p", &port];
    assert_eq!(primer_harness::ran::run(&words, b"").code, Some(0));
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("+/x", 1);
    let mut client = Client::v5(broker.addr(), "pub");
    assert_eq!((client.publish("in/x", "a", 1), client.publish("in/x", "b", 1)), (0, 0x97));
    assert_eq!(sub.recv_publishes(2).len(), 2);
    sub.expect_no_publish_before_ping();
    assert_eq!((drain(&broker, "small"), drain(&broker, "roomy")), (vec!["a".to_owned()], vec!["a".to_owned()]));
}

#[test]
fn a_rule_may_send_a_publish_later_and_not_to_what_is_the_nodes_own() {
    let folder = Place::with(
        "rules.rhai",
        r#"rule("later", "in/later", #{ stage: "ingress" }, |msg| { msg.topic = "$delayed/1/out/later"; ok });
        rule("own", "in/own", #{ stage: "ingress", on_error: "drop" }, |msg| { msg.topic = "$SYS/broker/up"; ok });"#,
    );
    let broker = serve(&folder);
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("out/#", 1);
    let mut client = Client::v5(broker.addr(), "pub");
    let begun = std::time::Instant::now();
    assert_eq!(client.publish("in/later", "x", 1), 0);
    let message = sub.recv();
    assert_eq!((&*message.topic, message.text()), ("out/later", "x".to_owned()));
    assert!(begun.elapsed() >= std::time::Duration::from_millis(900), "it came after {:?}", begun.elapsed());
    assert_eq!(client.publish("in/own", "x", 1), 0);
    assert_eq!(stats(&mut client, "own")["stats"]["failures"]["error"], 1);
}

/// Who died is what a rule on wills wants to know.
#[test]
fn a_will_comes_by_the_rules_with_its_client() {
    let folder = Place::with(
        "rules.rhai",
        r#"rule("will", "will/+", #{ stage: "ingress" }, |msg| { msg.text += " " + msg.client; ok });
        rule("dead", "will/+", |msg| { enqueue("dead", msg.client); ok });"#,
    );
    let broker = serve(&folder);
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("will/#", 1);
    let will = primer_harness::wire::Will::new("will/pump", b"gone:").qos(1);
    let client = Client::v5_with(broker.addr(), "pump-7", |connect| connect.will(will));
    client.abort();
    assert_eq!(sub.recv().text(), "gone: pump-7");
    assert_eq!(drain(&broker, "dead"), ["pump-7"]);
}

/// The disk says no when the rule has long said yes: its state goes back before the publisher hears of it, or what is
/// sent again is taken for seen, acknowledged, and nowhere. In memory a queue says no, and it is the same.
#[test]
fn what_a_rule_remembers_of_a_refused_publish_is_forgotten() {
    const RULE: &str = r#"rule("once", "in/x", #{ stage: "ingress" }, |msg| {
        if state.seen("ids", "the same", "1h") { return drop; }
        ok
    });"#;
    let (folder, data) = (Place::with("rules.rhai", RULE), Place::new());
    let broker = Launch::new().args(&["--rules", folder.path(), "--data", data.path(), "--disk-limit", "36M"]).start();
    let queue = |broker: &primer_harness::Broker, words: &[&str]| {
        let port = broker.port().to_string();
        let made = primer_harness::ran::run(
            &[&["queue", "create", "kept", "--bind", "in/x"], words, &["-p", &port]].concat(),
            b"",
        );
        assert_eq!(made.code, Some(0), "{made:?}");
    };
    queue(&broker, &[]);
    let mut client = Client::v5(broker.addr(), "pub");
    // No segment has room for it.
    assert!(client.publish("in/x", vec![b'x'; 8 << 20], 1) >= 0x80);
    assert_eq!(client.publish("in/x", "small", 1), 0);
    assert_eq!(drain(&broker, "kept"), ["small"]);
    assert_eq!(stats(&mut client, "once")["stats"]["dropped"], 0);

    let broker = serve(&folder);
    queue(&broker, &["--max-messages", "1", "--overflow", "reject"]);
    let mut client = Client::v5(broker.addr(), "pub");
    let first = primer_harness::ran::run(&["queue", "put", "kept", "-m", "x", "-p", &broker.port().to_string()], b"");
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(client.publish("in/x", "again", 1), 0x97);
    assert_eq!(drain(&broker, "kept"), ["x"]);
    assert_eq!(client.publish("in/x", "again", 1), 0);
    assert_eq!(drain(&broker, "kept"), ["again"]);
}
