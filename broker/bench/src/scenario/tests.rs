//! What each kind of load is made of, and which options are refused in which words.

use super::{plans::stages, *};
use crate::{
    client::{ClientPlan, Expects, PublishPlan},
    frame::Topics,
    stage::{End, Stage},
    track::Sent,
};

fn load(scenario: Scenario, publishers: u32, subscribers: u32) -> Load {
    Load { publishers, subscribers, progress: false, ..Load::new(scenario) }
}

/// The one stage of a load that has one.
fn stage(load: &Load) -> Stage {
    let mut stages = stages(load, 0xAB);
    assert_eq!((stages.len(), stages[0].1), (1, Part::Measured));
    stages.remove(0).0
}

fn publishers(stage: &Stage) -> Vec<&PublishPlan> {
    stage.clients.iter().filter_map(|client| client.publish.as_ref()).collect()
}

fn subscribers(stage: &Stage) -> Vec<&ClientPlan> {
    stage.clients.iter().filter(|client| !client.subscribe.is_empty()).collect()
}

fn filters(stage: &Stage) -> Vec<&str> {
    subscribers(stage)
        .into_iter()
        .flat_map(|client| client.subscribe.iter().map(|(filter, _)| filter.as_str()))
        .collect()
}

fn topics<'s>(stage: &'s Stage) -> Vec<&'s str> {
    let name = |publish: &&'s PublishPlan| match &publish.topics {
        Topics::One(topic) => topic.as_str(),
        Topics::Numbered { .. } => "numbered",
    };
    publishers(stage).iter().map(name).collect()
}

fn expected(client: &ClientPlan) -> std::ops::Range<u32> {
    match &client.expects {
        Expects::All(range) | Expects::Part(range) => range.clone(),
        Expects::Nothing | Expects::Others => 0..0,
    }
}

#[test]
fn subscribers_are_there_before_the_first_message() {
    for scenario in [Scenario::P2p, Scenario::FanIn, Scenario::FanOut, Scenario::Shared, Scenario::Wildcard] {
        for client in stage(&load(scenario, 2, 2)).clients {
            assert_eq!(client.wave, usize::from(client.publish.is_some()), "{scenario:?} {}", client.id);
        }
    }
}

#[test]
fn clients_have_names_of_their_own_that_mqtt_31_takes() {
    let stage = stage(&load(Scenario::P2p, 3, 3));
    let mut ids: Vec<&str> = stage.clients.iter().map(|client| client.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    let longest = self::stage(&load(Scenario::Conn, 0, 12_000)).clients.iter().map(|client| client.id.len()).max();
    assert!(longest.unwrap() <= 23, "{longest:?}");
}

#[test]
fn pairs_have_a_topic_each() {
    let stage = stage(&load(Scenario::P2p, 2, 2));
    assert_eq!(filters(&stage), ["bench/000000ab/0", "bench/000000ab/1"]);
    assert_eq!(topics(&stage), filters(&stage));
    assert_eq!(subscribers(&stage).into_iter().map(expected).collect::<Vec<_>>(), [0..1, 1..2]);
    assert!(publishers(&stage).iter().all(|publish| publish.fan == 1 && !publish.retain));
}

#[test]
fn fans_are_wide_on_either_side() {
    let fan_in = stage(&load(Scenario::FanIn, 3, 1));
    assert_eq!((filters(&fan_in), topics(&fan_in).len()), (vec!["bench/000000ab/#"], 3));
    assert_eq!(expected(subscribers(&fan_in)[0]), 0..3);
    let fan_out = stage(&load(Scenario::FanOut, 1, 4));
    assert_eq!((subscribers(&fan_out).len(), publishers(&fan_out)[0].fan), (4, 4));
}

#[test]
fn a_share_group_is_seen_by_one_worker_and_delivers_once() {
    let stage = stage(&Load { topic: Some("x".to_owned()), ..load(Scenario::Shared, 2, 3) });
    assert_eq!(filters(&stage), ["$share/bench/x/#"; 3]);
    assert!(subscribers(&stage).iter().all(|client| client.worker == 0 && expected(client) == (0..2)));
    assert!(publishers(&stage).iter().all(|publish| publish.fan == 1));
}

#[test]
fn topics_of_pub_and_sub_are_numbered_where_it_says_so() {
    let topic = |topic: &str| Some(topic.to_owned());
    let alone = stage(&Load { topic: topic("a/%i/b"), retain: true, ..load(Scenario::Pub, 2, 0) });
    assert_eq!(topics(&alone), ["a/0/b", "a/1/b"]);
    assert!(publishers(&alone).iter().all(|publish| publish.retain && publish.fan == 0));
    let listeners = stage(&Load { topic: topic("a/+/b"), ..load(Scenario::Sub, 0, 2) });
    assert_eq!(filters(&listeners), ["a/+/b", "a/+/b"]);
    assert_eq!(filters(&stage(&load(Scenario::Sub, 0, 2))), topics(&stage(&load(Scenario::Pub, 2, 0))), "they meet");
}

#[test]
fn wildcard_filters_are_shared_out_to_the_last() {
    let stage = stage(&Load { messages: 10, ..load(Scenario::Wildcard, 3, 3) });
    assert_eq!(subscribers(&stage).iter().map(|client| client.subscribe.len()).collect::<Vec<_>>(), [3, 3, 4]);
    let mut all = filters(&stage);
    all.dedup();
    assert_eq!((all.len(), all[9]), (10, "bench/000000ab/+/000009/#"));
    let of = |publish: &&PublishPlan| match publish.topics {
        Topics::Numbered { first, count, .. } => (first, count),
        Topics::One(_) => (0, 0),
    };
    assert_eq!(publishers(&stage).iter().map(of).collect::<Vec<_>>(), [(0, 3), (3, 3), (6, 4)]);
}

#[test]
fn retained_messages_are_filled_in_read_and_removed() {
    let stages = stages(&Load { messages: 5, ..load(Scenario::Retained, 3, 2) }, 0xAB);
    let [(fill, Part::Prepare), (read, Part::Measured), (clear, Part::Clear)] = &stages[..] else {
        panic!("{stages:?}")
    };
    let counts = |stage: &Stage| publishers(stage).iter().map(|publish| publish.messages.unwrap()).collect::<Vec<_>>();
    assert_eq!((counts(fill), counts(clear)), (vec![1, 2, 2], vec![1, 2, 2]), "5 messages of 3 publishers");
    assert!(publishers(fill).iter().all(|publish| publish.retain && publish.qos == QoS::AtLeastOnce));
    assert!(publishers(clear).iter().all(|publish| publish.retain && publish.payload_bytes == 0));
    assert!(matches!(read.end, End::Received(10)));
    assert_eq!(
        read.sent_before,
        [1, 2, 2].map(|messages| Sent { messages, refused: 0 }),
        "so that lost ones are known"
    );
}

#[test]
fn publishers_without_a_message_are_no_trouble() {
    for scenario in [Scenario::Retained, Scenario::Backlog] {
        let load = Load { messages: 2, qos: QoS::AtLeastOnce, ..load(scenario, 5, 1) };
        assert!(load.check().is_ok());
        let stages = stages(&load, 1);
        let fill = stages.iter().find(|(stage, _)| stage.name == "fill").unwrap();
        let sum: u64 = publishers(&fill.0).iter().map(|publish| publish.messages.unwrap()).sum();
        assert_eq!(sum, 2);
    }
}

#[test]
fn the_session_of_a_backlog_comes_back_and_is_ended() {
    let stages = stages(&Load { messages: 9, ..load(Scenario::Backlog, 2, 1) }, 0xAB);
    let names: Vec<_> = stages.iter().map(|(stage, part)| (stage.name, *part)).collect();
    let parts = [Part::Prepare, Part::Prepare, Part::Measured, Part::Clear];
    assert_eq!(names, ["subscribe", "fill", "backlog", "clear"].into_iter().zip(parts).collect::<Vec<_>>());
    let [sleep, _, wake, clear] = [0, 1, 2, 3].map(|at| &stages[at].0.clients[0]);
    assert!(sleep.id == wake.id && wake.id == clear.id);
    assert_eq!([sleep.clean, wake.clean, clear.clean], [false, false, true]);
    assert!(sleep.session_expiry_s > 0 && clear.session_expiry_s == 0);
    assert!(wake.subscribe.is_empty() && expected(wake) == (0..2));
}

#[test]
fn a_session_that_is_away_is_there_before_the_publishers_and_is_ended() {
    let stages = stages(&load(Scenario::Away, 3, 1), 0xAB);
    let names: Vec<_> = stages.iter().map(|(stage, part)| (stage.name, *part)).collect();
    assert_eq!(names, [("subscribe", Part::Prepare), ("away", Part::Measured), ("clear", Part::Clear)]);
    let [sleep, _, clear] = [0, 1, 2].map(|at| &stages[at].0.clients[0]);
    assert!(sleep.id == clear.id && !sleep.clean && clear.clean);
    assert_eq!(publishers(&stages[1].0).len(), 3);
}

#[test]
fn options_that_make_no_sense_are_refused_in_words() {
    let refused = |load: Load| load.check().map_or_else(|error| error.to_string(), |()| "accepted".to_owned());
    let p2p = || load(Scenario::P2p, 2, 2);
    let text = |text: &str| Some(text.to_owned());
    for (load, words) in [
        (Load { publishers: 0, ..p2p() }, "at least one publisher"),
        (Load { publishers: 3, ..p2p() }, "has pairs"),
        (load(Scenario::Sub, 0, 0), "at least one subscriber"),
        (Load { publishers: 600_000, subscribers: 600_000, ..p2p() }, "1000000 at most"),
        (Load { payload_bytes: 27, ..p2p() }, "28 at least"),
        (Load { payload_bytes: 1 << 30, ..p2p() }, "at most"),
        (Load { messages: 0, ..load(Scenario::Retained, 1, 1) }, "1 to 1000000"),
        (Load { messages: 1, ..load(Scenario::Wildcard, 2, 2) }, "each needs one"),
        (Load { qos: QoS::AtMostOnce, ..load(Scenario::Backlog, 1, 1) }, "-q 1"),
        (Load { qos: QoS::AtMostOnce, ..load(Scenario::Away, 1, 1) }, "-q 1"),
        (Load { threads: 0, ..p2p() }, "1 to 64"),
        (Load { duration: Duration::ZERO, ..p2p() }, "measures nothing"),
        (Load { connect_rate: f64::NAN, ..p2p() }, "connections a second"),
        (Load { rhythm: Loop::Closed { window: 0 }, ..p2p() }, "1 to 16384"),
        (Load { rhythm: Loop::Closed { window: 16_385 }, ..p2p() }, "1 to 16384"),
        (Load { rhythm: Loop::Open { rate: 0.0 }, ..p2p() }, "above 0"),
        (Load { rhythm: Loop::Open { rate: f64::INFINITY }, ..p2p() }, "at most"),
        (Load { rhythm: Loop::Open { rate: f64::NAN }, ..p2p() }, "above 0"),
        (Load { topic: text(""), ..p2p() }, "empty topic"),
        (Load { topic: text("a/+"), ..p2p() }, "wildcard"),
        (Load { topic: text("a/%i"), ..p2p() }, "for pub and sub"),
        (Load { topic: text("a\0b"), ..p2p() }, "a zero"),
        (Load { topic: Some("a".repeat(60_001)), ..p2p() }, "60000 at most"),
        (Load { filter: text("#"), ..p2p() }, "for retained only"),
        (Load { retain: true, ..p2p() }, "for pub only"),
        (Load { password: text("p"), ..p2p() }, "without a user name"),
    ] {
        let said = refused(load);
        assert!(said.contains(words), "{said:?} does not say {words:?}");
    }
    assert_eq!(refused(Load { password: text("p"), version: Version::V5, ..p2p() }), "accepted");
    for scenario in [Scenario::Conn, Scenario::Pub, Scenario::Retained, Scenario::Backlog, Scenario::Wildcard] {
        assert_eq!(refused(Load::new(scenario)), "accepted", "{scenario:?}");
    }
}

#[test]
fn a_host_or_a_process_that_is_not_there_is_named() {
    let failed = |load: Load| run(&load).unwrap_err().to_string();
    let quick = || Load { duration: Duration::from_millis(1), ..load(Scenario::P2p, 1, 1) };
    let host = "no such host".to_owned();
    assert_eq!(failed(Load { host, ..quick() }), "cannot find the address of no such host");
    assert!(failed(Load { pid: Some(u32::MAX), ..quick() }).contains("no process 4294967295"));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = failed(Load { port: nobody.port(), ..quick() });
    assert!(refused.contains("of 2 clients failed; the first: connecting"), "{refused}");
    assert!(refused.contains("refused"), "{refused}");
}
