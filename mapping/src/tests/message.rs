//! The message in scripts.

use super::{failure, message, run, run_on, text};
use crate::Verdict;

/// The text of the message that the script leaves.
fn text_of(body: &str) -> String {
    let called = run(body);
    assert_eq!(called.result, Ok(Verdict::Ok), "{body}");
    text(&called.message)
}

#[test]
fn what_is_known_can_be_read() {
    for (expression, value) in [
        ("msg.topic", "sensors/7/temp"),
        ("msg.level(0)", "sensors"),
        ("msg.level(-1)", "temp"),
        ("msg.level(7)", ""),
        ("msg.levels[1]", "7"),
        ("msg.payload.len()", "27"),
        ("msg.size", "27"),
        ("msg.json.unit", "C"),
        ("msg.json.celsius + 1", "82.5"),
        ("msg.qos", "1"),
        ("msg.retain", "false"),
        ("msg.client", "pump-7"),
        ("msg.user", "plant"),
        ("msg.time", "1759999999995"),
        ("msg.queue ?? \"none\"", "none"),
        ("msg.attempt", "1"),
        ("msg.hops", "0"),
        ("msg.key ?? \"none\"", "none"),
        ("msg.dead ?? \"alive\"", "alive"),
        ("msg.header(\"x\") ?? \"none\"", "none"),
        ("msg.headers.len()", "0"),
    ] {
        assert_eq!(text_of(&format!("msg.text = `${{{expression}}}`; ok")), value, "{expression}");
    }
}

#[test]
fn what_is_no_json_need_not_be_an_error() {
    assert_eq!(text_of("msg.text = msg.json_or(()).unit; ok"), "C");
    assert_eq!(text_of("msg.text = \"{\"; msg.text = `${msg.json_or(5)}`; ok"), "5");
    assert_eq!(text_of("msg.payload = blob(); msg.text = `${msg.json_or(())}`; ok"), "");
}

#[test]
fn what_is_set_stays_set() {
    let called = run(r#"msg.topic = "a/b/c"; msg.set_level(1, "x"); msg.set_level(-1, "y"); msg.levels[0] = "z";
           msg.json = #{ a: 1 }; msg.json.b = "two"; msg.qos = 2; msg.retain = true; msg.priority = 7;
           msg.key = "k"; msg.id = 5; msg.ttl = "5s"; msg.content_type = "application/json";
           msg.response_topic = "r"; msg.correlation_data = "c"; msg.set_header("one", 1);
           msg.headers["many"] = ["a", "b"]; msg.add_header("one", true); ok"#);
    assert_eq!(called.result, Ok(Verdict::Ok));
    let content = called.message.content();
    assert_eq!(content.topic, "z/x/y");
    assert_eq!(text(&called.message), r#"{"a":1,"b":"two"}"#);
    assert_eq!((content.qos, content.retain, content.priority), (2, true, Some(7)));
    assert_eq!((content.key.as_deref(), content.id.as_deref()), (Some(&b"k"[..]), Some(&b"5"[..])));
    assert_eq!(content.ttl, Some(std::time::Duration::from_secs(5)));
    let body =
        "msg.text = `${msg.content_type} ${msg.response_topic} ${msg.correlation_data.as_string()} ${msg.headers}`; ok";
    let shown = text(&run_on(body, &called.message).message);
    assert_eq!(shown, r#"application/json r c #{"many": ["a", "b"], "one": ["1", "true"]}"#);
    let body =
        "msg.remove_header(\"many\"); msg.content_type = (); msg.text = `${msg.headers.len()} ${msg.content_type}`; ok";
    assert_eq!(text(&run_on(body, &called.message).message), "1 ");
}

#[test]
fn what_cannot_be_is_named() {
    for (body, part) in [
        ("msg.topic = \"a/+\"; ok", "\"a/+\""),
        ("msg.topic = \"\"; ok", "empty"),
        ("msg.qos = 3; ok", "not 3"),
        ("msg.qos = \"1\"; ok", "not \"1\""),
        ("msg.priority = 10; ok", "not 10"),
        ("msg.ttl = \"soon\"; ok", "\"soon\""),
        ("msg.set_level(9, \"x\"); ok", "no level 9"),
        ("msg.response_topic = \"a/#\"; ok", "\"a/#\""),
        ("msg.set_header(\"\", 1); ok", "\"\""),
        ("msg.text = \"no\"; let j = msg.json; ok", "not JSON"),
        ("let b = blob(2, 255); msg.payload = b; let t = msg.text; ok", "byte 0 on (0xff)"),
        ("message(\"a/#\", 1); ok", "\"a/#\""),
        ("let x = msg.topik; ok", "topik"),
    ] {
        let failure = failure(body);
        assert!(failure.message.contains(part), "{body}: {failure}");
        assert_eq!(failure.line, 1, "{body}: {failure}");
    }
}

#[test]
fn messages_are_values() {
    let called = run("let m = msg; m.topic = \"x\"; publish(m); ok");
    assert_eq!(called.message.content().topic, "sensors/7/temp");
    assert_eq!(called.outputs[0].message.content().topic, "x");
    let called = run("let f = |m| { m.topic = \"x\"; m }; let n = f.call(msg); publish(n); ok");
    assert_eq!(called.message.content().topic, "sensors/7/temp");
    assert_eq!(called.outputs[0].message.content().topic, "x");
}

#[test]
fn the_message_goes_on_as_the_rule_leaves_it() {
    for body in [
        "msg.topic = \"x\"; ok",
        "msg.topic = \"x\";",
        "let m = msg; m.topic = \"x\"; m",
        "let m = msg; m.topic = \"x\"; return m;",
        "let f = || { msg.topic = \"x\"; }; f.call(); ok",
        "msg.topic = \"x\"; let msg = 5; ok",
        "msg = message(\"x\", \"\"); ok",
        "if true { msg.topic = \"x\"; return ok; } drop",
    ] {
        let called = run(body);
        assert_eq!(called.result, Ok(Verdict::Ok), "{body}");
        assert_eq!(called.message.content().topic, "x", "{body}");
    }
}

#[test]
fn headers_survive_untouched_properties() {
    let with = run("msg.set_header(\"a\", \"1\"); msg.is_text = true; ok").message;
    let called = run_on("msg.topic = \"x\"; publish(msg); ok", &with);
    assert_eq!(called.outputs[0].message.content().properties, with.content().properties);
    assert_eq!(text(&run_on("msg.text = `${msg.is_text}`; ok", &message("a", "")).message), "false");
}
