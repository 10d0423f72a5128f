//! Lines of queues that no broker wrote: what is wrong is told, and what is right is restored.

use crate::faults::{crc32c, refused};
use crate::fixture::{Place, content, durable, primer, primer_with, serve, stop};

/// A dump by hand: header, lines, and a last line that says what is given.
pub(crate) fn made_up(format: u32, body: &[&str], end: &str) -> Vec<u8> {
    let header = format!(r#"{{"primer_dump":{{"format":{format},"program":"0","time":"","incarnation":0}}}}"#);
    let body = [&[&*header], body].concat().join("\n") + "\n";
    let crc = crc32c(body.as_bytes());
    format!(r#"{body}{{"end":{{{end},"left_out":0,"crc32c":"{crc:08x}"}}}}"#).into_bytes()
}

#[test]
fn what_is_wrong_with_a_queue_is_told_with_its_line() {
    let place = Place::new();
    let jobs = r#"{"queue":{"name":"jobs","paused":false,"next":0,"groups":[]}}"#;
    let group = r#"{"name":"g","at_most_once":false,"by_key":false,"from":0}"#;
    let with_group = |groups: &str| jobs.replace("\"groups\":[]", &format!("\"groups\":[{groups}]"));
    let to = |place: &str| {
        format!(
            r#"{{"message":{{"sequence":1,"topic":"t","payload":"","to":[{{"queue":{{"name":"jobs",{place}}}}}]}}}}"#
        )
    };
    let message = to(r#""position":0,"priority":4,"published_unix_ms":1"#);
    let many: Vec<String> = (0..65).map(|n| group.replace("\"g\"", &format!("\"g{n}\""))).collect();
    for (lines, texts) in [
        (vec![jobs.replace("\"next\"", "\"color\":1,\"next\"")], vec!["line 2", "unknown field `color`"]),
        (vec![with_group(&group.replace("\"from\"", "\"color\":1,\"from\""))], vec!["line 2", "unknown field `color`"]),
        (vec![jobs.replace("\"paused\":false,", "")], vec!["line 2", "missing field `paused`"]),
        (vec![jobs.replace("\"jobs\"", "\"a//b\"")], vec!["line 2", "\"a//b\"", "level"]),
        (vec![jobs.to_owned(), jobs.to_owned()], vec!["line 3", "\"jobs\" was there before", "once in a dump"]),
        (vec![with_group(&format!("{group},{group}"))], vec!["line 2", "\"g\" was there before"]),
        (vec![with_group(&many.join(","))], vec!["line 2", "65 groups", "64 at most"]),
        (vec![with_group(&group.replace("0}", "0,\"done\":[[7,3]]}"))], vec!["line 2", "ends before it begins"]),
        (vec![jobs.replace("\"next\":0", "\"next\":4611686018427387904")], vec!["line 2", "below 2^62"]),
        (
            vec![jobs.replace("\"paused\"", "\"definition\":{\"priority\":10},\"paused\"")],
            vec!["line 2", "priority", "0 to 9"],
        ),
        (
            vec![jobs.replace("\"paused\"", "\"definition\":{\"what\":10},\"paused\"")],
            vec!["line 2", "unknown field `what`"],
        ),
        (vec![message.clone()], vec!["line 2", "no queue \"jobs\"", "expected a queue that has a line"]),
        (vec![jobs.to_owned(), message.clone(), message.clone()], vec!["line 4", "second message at position 0"]),
        (vec![jobs.to_owned(), message.replace("4,", "10,")], vec!["line 3", "priority 10", "0 to 9"]),
        (vec![jobs.to_owned(), message.replace("1}", "1,\"color\":1}")], vec!["line 3", "unknown field `color`"]),
        (vec![jobs.to_owned(), message.replace("1}", "1,\"key\":7}")], vec!["line 3", "a text, or {\"base64\""]),
        (
            vec![
                jobs.to_owned(),
                to(concat!(
                    r#""position":0,"priority":4,"published_unix_ms":1,"dead":{"queue":"q","group":"","#,
                    r#""reason":"bored","deliveries":1,"died_unix_ms":1}"#
                )),
            ],
            vec!["line 3", "the reason \"bored\"", "`rejected`"],
        ),
    ] {
        let lines: Vec<&str> = lines.iter().map(|line| &**line).collect();
        refused(&place, &made_up(2, &lines, r#""sessions":0,"queues":0,"messages":0"#), &texts);
    }
    let (wrong, none) = (r#""sessions":0,"queues":2,"messages":0"#, r#""sessions":0,"messages":0"#);
    refused(&place, &made_up(2, &[jobs], wrong), &["altered", "1 queues", "says 2"]);
    refused(&place, &made_up(2, &[jobs], none), &["line 3", "missing field `queues`"]);
    refused(&place, &made_up(1, &[jobs], none), &["line 2", "a queue in a dump of format 1"]);
    refused(&place, &made_up(4, &[jobs], none), &["format 4", "newer"]);
}

#[test]
fn a_dump_of_format_1_is_restored() {
    let place = Place::new();
    let lines = [
        r#"{"session":{"client_id":"s","expiry_s":null,"gone_unix_ms":1,"subscriptions":[]}}"#,
        concat!(
            r#"{"message":{"sequence":7,"topic":"t","payload":"b2xk","to":["#,
            r#"{"session":{"client_id":"s","position":3,"qos":1,"retain":false}},"#,
            r#"{"retained":{"position":0,"qos":1}}]}}"#
        ),
    ];
    let dump = made_up(1, &lines, r#""sessions":1,"messages":1"#);
    let data = place.arg("data");
    primer_with(&["restore", "--data", &data, "-"], &dump).good();
    assert_eq!(content(&primer(&["dump", "--data", &data]).good().stdout), content(&dump));
    let broker = serve(&data);
    assert_eq!(durable(&broker, "s").recv().text(), "old");
    stop(broker);
}

/// Keys and identifiers that are no text, and a group that began late, go there and back.
#[test]
fn what_no_client_of_mqtt_can_say_is_restored_as_well() {
    let place = Place::new();
    let queue = concat!(
        r#"{"queue":{"name":"q","paused":true,"next":9,"groups":[{"name":"g","at_most_once":true,"by_key":true,"#,
        r#""from":4,"done":[[6,6]],"deliveries":[[5,3]]}],"#,
        r#""ids":[{"id":"a","until_unix_ms":99,"position":2},"#,
        r#"{"id":{"base64":"/w=="},"until_unix_ms":7,"position":5}]}}"#,
    );
    let message = |position: u64, more: &str| {
        let place = format!(r#""name":"q","position":{position},"priority":0,"published_unix_ms":5{more}"#);
        format!(r#"{{"message":{{"sequence":1,"topic":"t","payload":"","to":[{{"queue":{{{place}}}}}]}}}}"#)
    };
    let (third, sixth) = (message(3, ""), message(6, r#","id":"a""#));
    let fifth = message(5, r#","key":{"base64":"/w=="}"#);
    let dump = made_up(2, &[queue, &third, &sixth, &fifth], r#""sessions":0,"queues":1,"messages":3"#);
    let (data, other) = (place.arg("data"), place.arg("other"));
    primer_with(&["restore", "--data", &data, "-"], &dump).good();
    let again = primer(&["dump", "--data", &data]).good().stdout;
    assert_eq!(content(&again), content(&dump));
    // A store in which only a queue would be lost is not empty.
    let nothing =
        made_up(2, &[&queue.replace("true,\"next", "false,\"next")], r#""sessions":0,"queues":1,"messages":0"#);
    primer_with(&["restore", "--data", &other, "-"], &nothing).good();
    primer_with(&["restore", "--data", &other, "-"], &dump)
        .failed_with(&["0 sessions, 1 queues, 0 tables and 0 messages"]);
}
