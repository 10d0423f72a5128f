//! The scripts of the guide load, and do what it says of them.

use primer_mapping::{
    Content, Failure, Host, How, LookupFormat, Lookups, Msg, Origin, Output, RuleState, Ruleset, Target, Verdict,
    rhai::{Blob, EvalAltResult},
};

const NOW_MS: u64 = 1_795_896_900_000; // 2026-11-28T20:15:00Z

fn guide() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guides/rules.md");
    std::fs::read_to_string(path).expect("is there")
}

/// The code blocks of the guide in a language.
fn blocks(language: &str) -> Vec<String> {
    let begin = format!("```{language}");
    let (mut blocks, mut open): (Vec<String>, Option<String>) = (Vec::new(), None);
    for line in guide().lines() {
        match &mut open {
            None if line == begin => open = Some(String::new()),
            None => {}
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some(block) => *block = format!("{block}{line}\n"),
        }
    }
    blocks
}

fn host() -> Host {
    let tables = Lookups::default();
    let csv = blocks("csv").concat();
    tables.set("devices", LookupFormat::Csv, csv.as_bytes()).expect("a table");
    Host::new().lookups(tables.into()).register(|engine| {
        // What the Rust of the guide does is tested where it stands in the documentation of `Host`.
        type Answer<T> = Result<T, Box<EvalAltResult>>;
        engine.register_fn("registers", |bytes: Blob| bytes);
        engine.register_fn("float", |_: Blob, _: i64| -> Answer<f64> { Ok(0.0) });
        engine.register_get("count", |bytes: &mut Blob| bytes.len() as i64);
    })
}

/// The block that has this rule.
fn rules_with(id: &str) -> Ruleset {
    let scripts = blocks("rhai");
    let script = scripts.iter().find(|script| script.contains(&format!("rule({id:?}"))).expect("is in the guide");
    Ruleset::load(&host(), &[("guide.rhai", script)]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn message(topic: &str, payload: &str) -> Msg {
    let origin = Origin { user: Some("plant".into()), time_unix_ms: NOW_MS, attempt: 1, ..Origin::default() };
    let (topic, payload) = (topic.into(), payload.as_bytes().into());
    Msg::new(Content { topic, payload, qos: 1, origin: origin.into(), ..Content::default() })
}

/// A rule of the guide and what it remembers.
struct Player(Ruleset, String, RuleState, u64);

impl Player {
    fn of(id: &str) -> Self {
        Self(rules_with(id), id.to_owned(), RuleState::new(10_000, 1 << 20), NOW_MS)
    }

    /// The verdict, the message as it is left, and the outputs, a line each.
    fn play(&mut self, topic: &str, payload: &str) -> Result<(Verdict, String, Vec<String>), Failure> {
        let Self(rules, id, state, now_unix_ms) = self;
        let rule = rules.rule(id).expect("is there");
        let called = rule.call(&message(topic, payload), state, How { now_unix_ms: *now_unix_ms, is_traced: false });
        let verdict = called.result?;
        Ok((verdict, line(&called.message), called.outputs.iter().map(output).collect()))
    }

    fn outputs(&mut self, topic: &str, payload: &str) -> Vec<String> {
        self.play(topic, payload).unwrap_or_else(|failure| panic!("{topic} {payload}: {failure}")).2
    }
}

fn line(message: &Msg) -> String {
    format!("{} {}", message.content().topic, String::from_utf8_lossy(&message.content().payload))
}

fn output(output: &Output) -> String {
    match &output.target {
        Target::Topic => line(&output.message),
        Target::Queue(queue) => format!("queue {queue}: {}", line(&output.message)),
    }
}

#[test]
fn each_script_loads() {
    let scripts = blocks("rhai");
    assert!(scripts.len() >= 9, "{}", scripts.len());
    for script in &scripts {
        assert!(script.contains("rule("), "{script}");
        let rules = Ruleset::load(&host(), &[("guide.rhai", script)]).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(!rules.rules().is_empty());
    }
    assert!(blocks("rust").iter().all(|block| !block.contains("rule(")), "scripts are marked as rhai");
}

#[test]
fn what_is_said_in_rust_is_tested_with_the_host() {
    let host = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/host.rs")).expect("is there");
    let documentation: String = host
        .lines()
        .filter_map(|line| line.strip_prefix("///"))
        .map(|line| format!("{}\n", line.trim_start_matches(' ')))
        .collect();
    let rust = blocks("rust");
    assert_eq!(rust.len(), 1);
    for line in rust[0].lines() {
        assert!(documentation.contains(line.trim()), "{line}");
    }
}

#[test]
fn the_first_rule() {
    let mut player = Player::of("overheat");
    assert_eq!(
        player.outputs("sensors/boiler/temp", r#"{"celsius": 81.5}"#),
        ["warnings/boiler 81.5 degrees", r#"queue alarms: sensors/boiler/temp {"celsius": 81.5}"#]
    );
    for quiet in [r#"{"celsius": 80}"#, r#"{"celsius": null}"#, "{}"] {
        assert!(player.outputs("sensors/boiler/temp", quiet).is_empty(), "{quiet}");
    }
    assert!(player.play("sensors/boiler/temp", "hot").is_err());
}

#[test]
fn rhai_in_a_minute() {
    let mut player = Player::of("in-a-minute");
    assert_eq!(
        player.outputs("short/1", r#"{"h": 40, "t": 81.26, "tags": ["boiler"], "x": 1}"#),
        ["long/humidity 40", "long/temperature 81.26", "long/text 81.3 C"]
    );
    assert!(player.outputs("short/1", "{}").is_empty());
}

#[test]
fn what_is_said_of_the_language_is_so() {
    let script = r#"rule("r", "a", |msg| {
        if 7 / 2 != 3 || 7 / 2.0 != 3.5 { throw "division"; }
        if () > 80 || "90" > 80 || "1" == 1 || () == 0 { throw "types"; }
        if [1, 2][-1] != 2 { throw "arrays"; }
        let failed = false;
        try { let x = () + 1; } catch { failed = true; }
        if !failed { throw "()"; }
        failed = false;
        try { let x = 9223372036854775807 + msg.size; } catch { failed = true; }
        if !failed { throw "overflow"; }
        let big = json("[18446744073709551615, 0.1000000000000000055]");
        if to_json(big) != "[18446744073709551615,0.1000000000000000055]" { throw "digits"; }
        if type_of(big[0] + 1) != "f64" { throw "floats"; }
        ok
    });"#;
    let rules = Ruleset::load(&Host::new(), &[("a", script)]).unwrap_or_else(|errors| panic!("{errors}"));
    let called = rules.rules()[0].call(&message("a", "x"), &mut RuleState::new(0, 0), How::default());
    assert_eq!(called.result, Ok(Verdict::Ok));
    for reserved in ["is", "match", "new", "case", "with"] {
        let script = format!("let {reserved} = 1; rule(\"r\", \"a\", |msg| {{ ok }});");
        assert!(Ruleset::load(&Host::new(), &[("a", script)]).is_err(), "{reserved}");
    }
}

#[test]
fn ingress_rewrites_and_refuses() {
    let mut player = Player::of("normalise");
    let (verdict, left, outputs) = player.play("raw/0017/temp", r#"{"alarm": true}"#).expect("ends well");
    let wanted = r#"clean/0017/temp {"alarm":true,"received":"2026-11-28T20:15:00Z","site":"Ulm"}"#;
    assert_eq!((verdict, left.as_str()), (Verdict::Ok, wanted));
    assert_eq!(outputs, [format!("queue alarms: {wanted}")]);
    let (_, left, outputs) = player.play("raw/99/temp", "{}").expect("ends well");
    assert!(left.contains(r#""site":"unknown""#) && outputs.is_empty(), "{left}");
    let (verdict, ..) = player.play("raw/99/temp", "hello").expect("ends well");
    assert!(matches!(verdict, Verdict::Refuse(0x99, _)), "{verdict:?}");
}

#[test]
fn outputs_and_verdicts() {
    let readings = r#"{"readings": [{"sensor": "a", "v": 1}, {"sensor": "b", "v": 2}]}"#;
    assert_eq!(
        Player::of("split").outputs("batches/1", readings),
        [r#"readings/a {"sensor":"a","v":1}"#, r#"readings/b {"sensor":"b","v":2}"#]
    );
    let mut player = Player::of("orders");
    let mut verdict = |payload: &str| player.play("orders", payload).expect("ends well");
    assert!(matches!(verdict("{}").0, Verdict::DeadLetter(_)));
    assert!(matches!(verdict(r#"{"id":1,"paid":false}"#).0, Verdict::Retry(_)));
    assert_eq!(verdict(r#"{"id":1,"paid":true,"customer":"x","express":true}"#).2.len(), 1);
    let outputs = verdict(r#"{"id":1,"paid":true,"customer":7}"#).2;
    assert!(outputs[0].starts_with("queue parcels: "), "{outputs:?}");
}

#[test]
fn state_and_tables() {
    let mut player = Player::of("watch");
    assert_eq!(player.outputs("motors/7/current", r#"{"ampere": 2}"#), ["trend/7 2"]);
    assert!(player.outputs("motors/7/current", r#"{"ampere": 2.25}"#).is_empty());
    assert_eq!(
        player.outputs("motors/7/current", r#"{"ampere": 9.75}"#),
        [r#"warnings/7 {"ampere":9.75,"average":4.67}"#, "trend/7 9.75"]
    );
    assert_eq!(player.outputs("motors/7/current", r#"{"ampere": 99}"#), ["trend/7 99"], "it was said already");
    assert!(player.outputs("motors//current", "{}").is_empty());
    let mut player = Player::of("enrich");
    assert_eq!(
        player.outputs("devices/0017/temp", r#"{"celsius": 81}"#),
        [r#"named/0017/temp {"celsius":81,"is_high":true,"name":"Pump, north"}"#]
    );
    assert!(player.outputs("devices/18/temp", r#"{"celsius": 81}"#).is_empty());
}

#[test]
fn options() {
    assert_eq!(Player::of("thumbnails").outputs("camera/1/image", "x"), ["queue thumbnails: camera/1/image x"]);
    assert_eq!(
        Player::of("audit").outputs("x", r#"{"id": 5}"#),
        [r#"audit/orders {"at":"2026-11-28T20:15:00Z","by":"plant","order":5}"#]
    );
}
