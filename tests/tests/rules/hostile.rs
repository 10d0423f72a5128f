//! Scripts that mean harm: each fails its messages, and others do not notice.

use std::time::{Duration, Instant};

use primer_harness::Client;

use crate::fixture::Place;
use crate::serving::{serve, stats, until};

/// What a script does, and why it ends.
const HARM: [(&str, &str, &str); 9] = [
    ("loop", "loop { }", "operations"),
    ("text", "let s = \"x\"; loop { s += s; }", "size"),
    ("map", "let m = #{}; let s = \"x\"; s.pad(500000, 'x'); let n = 0; loop { n += 1; m[`${n}`] = s + n; }", ""),
    ("array", "let a = [1]; loop { a = [a, a]; }", "size"),
    ("deep", "let a = [1]; loop { a = [[[[[[[[a]]]]]]]]; }", ""),
    ("recursion", "fn_f(0)", "depth"),
    ("storm", "loop { publish(\"storm/out\", \"x\"); }", "fan_out"),
    ("pattern", "let s = \"a\"; s.pad(100000, 'a'); loop { regex_is_match(s, \"(a+)+$\"); }", ""),
    ("circle", "publish(\"harm/circle\", msg); publish(\"harm/circle\", msg); ok", ""),
];

fn rules(stage: &str) -> String {
    let mut text = "fn fn_f(n) { fn_f(n + 1) + 1 }\n".to_owned();
    for (name, body, _) in HARM {
        let options = if stage == "group" {
            "may_loop: true, messages_max: 2000, overflow: \"drop_oldest\""
        } else {
            "stage: \"ingress\""
        };
        text += &format!("rule(\"{name}\", \"harm/{name}\", #{{ {options} }}, |msg| {{ {body} }});\n");
    }
    text
}

fn others_go_on(stage: &str, feeds: usize) {
    let folder = Place::with("harm.rhai", &rules(stage));
    let broker = serve(&folder);
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("good/#", 1);
    let mut harmed = Client::v5(broker.addr(), "harmed");
    let mut client = Client::v5(broker.addr(), "other");
    let mut longest = Duration::ZERO;
    for round in 0..feeds {
        for (name, ..) in HARM {
            // At QoS 0: whether it is taken is not what this is about.
            harmed.publish(&format!("harm/{name}"), "x", 0);
        }
        for number in 0..20 {
            let begun = Instant::now();
            assert_eq!(client.publish("good/1", format!("{round} {number}"), 1), 0);
            assert_eq!(sub.recv().text(), format!("{round} {number}"));
            longest = longest.max(begun.elapsed());
        }
    }
    println!("{stage}: the longest way of another message was {longest:?}");
    for (name, _, reason) in HARM {
        if stage == "ingress" && name == "circle" {
            continue; // what a rule publishes does not come by one of stage ingress again
        }
        until("it has failed", || {
            let failures = &stats(&mut client, name)["stats"]["failures"];
            failures.as_object().is_some_and(|all| {
                all.iter().any(|(why, count)| (reason.is_empty() || why == reason) && count.as_u64() > Some(0))
            })
        });
    }
}

#[test]
fn groups_of_harmful_rules_do_not_hold_others_up() {
    others_go_on("group", 20);
}

#[test]
fn harmful_rules_of_stage_ingress_rest() {
    others_go_on("ingress", 20);
}
