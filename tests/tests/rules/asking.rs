//! `primer rules` against a real broker, from the first script to its end.

use primer_harness::ran::{Ran, end, lines, start};
use primer_harness::{Broker, Client};
use serde_json::json;

use crate::fixture::{Place, rules};
use crate::serving::until;

const HEAT: &str = r#"rule("overheat", "sensors/+/temp", |msg| {
    let celsius = msg.json.celsius;
    state.set("last", celsius);
    if celsius > 80.0 { enqueue("alarms", msg); }
    ok
});
"#;

fn ask(broker: &Broker, words: &[&str]) -> Ran {
    let port = broker.port().to_string();
    rules(&[words, &["-p", &port]].concat(), "")
}

#[test]
fn a_script_is_applied_watched_changed_and_ended() {
    let (broker, place) = (Broker::start(), Place::new());
    let first = place.file("heat.rhai", HEAT);
    assert_eq!(ask(&broker, &["ls"]).code, Some(0));
    let applied = ask(&broker, &["apply", &first]);
    assert_eq!(applied.text(), "the script \"heat.rhai\" is active as version 1; its rules: overheat\n");
    let mut client = Client::v5(broker.addr(), "pump-7");
    for payload in [r#"{"celsius":20.5}"#, r#"{"celsius":81.5}"#, "hot"] {
        assert_eq!(client.publish("sensors/7/temp", payload, 1), 0);
    }
    until("all are done", || {
        let all = ask(&broker, &["stats", "--json"]).json_with(0);
        all["rules"]["overheat"]["calls"] == 3 && all["rules"]["overheat"]["waiting"] == 0
    });
    let listed = lines(ask(&broker, &["ls"]).text());
    assert_eq!(listed[1], "overheat group sensors/+/temp heat.rhai:1 3 1 0", "{listed:#?}");
    let stats = lines(ask(&broker, &["stats", "overheat"]).text());
    for line in ["calls 3", "failed: error 1", "dead 1", "waiting 0"] {
        assert!(stats.iter().any(|known| known == line), "no {line:?} in {stats:#?}");
    }
    assert!(stats.iter().any(|line| line.starts_with("last failure heat.rhai:2:")), "{stats:#?}");
    let state = ask(&broker, &["state", "overheat", "--json"]).json_with(0);
    assert_eq!(state["entries"]["last"]["value"], json!(81.5));
    assert_eq!(ask(&broker, &["show", "heat"]).text(), HEAT);

    // The next version is tried on what the rule was given, and then it acts.
    let second = place.file("next/heat.rhai", &HEAT.replace("80.0", "20.0").replace("alarms", "warnings"));
    let tried = ask(&broker, &["test", &second, "--last", "10", "--json"]);
    assert_eq!(tried.code, Some(1), "one of the messages fails: {tried:?}");
    assert!(tried.stdout.contains("$queue/warnings"), "{tried:?}");
    assert_eq!(ask(&broker, &["apply", &second, "--check"]).code, Some(0));
    assert!(ask(&broker, &["apply", &second]).text().contains("version 2"));
    let watching = start(&["rules", "trace", "overheat", "-n", "1", "-p", &broker.port().to_string()]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    until("it is seen", || {
        client.publish("sensors/8/temp", r#"{"celsius":21}"#, 1);
        let all = ask(&broker, &["stats", "--json"]).json_with(0);
        all["rules"]["overheat"]["calls"].as_u64() > Some(3)
    });
    let seen = end(watching);
    for words in ["rule overheat: ok", "sensors/8/temp", "variable celsius = 21", "to $queue/warnings", "last"] {
        assert!(lines(seen.text()).iter().any(|line| line.contains(words)), "no {words:?} in {seen:?}");
    }
    let wrong = place.file("wrong.rhai", "rule(\"w\", \"w\", |msg| { enqeue(\"x\", msg); ok });");
    ask(&broker, &["apply", &wrong]).said(1, &["wrong.rhai:1:", "did you mean \"enqueue\"?"]);
    assert!(ask(&broker, &["rollback", "heat"]).text().contains("version 1"));
    assert_eq!(ask(&broker, &["show", "heat"]).text(), HEAT);
    ask(&broker, &["reload"]).said(1, &["--rules DIR"]);
    assert_eq!(ask(&broker, &["rm", "heat"]).code, Some(0));
    ask(&broker, &["rm", "heat"]).said(1, &["no script \"heat.rhai\""]);
    let none = ask(&broker, &["ls", "--json"]).json_with(0);
    assert_eq!(none["rules"], json!([]));
}
