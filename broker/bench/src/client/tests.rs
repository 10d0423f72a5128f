//! The client against packets that a test writes, as a broker would.

use primer_mqtt::codec::{
    PublishFrame,
    packet::{Ack, ConnAck, Outcome},
};

use super::*;
use crate::{flow::Flow, frame::Topics, stamp::Stamp, track::Faults};

const RUN: u32 = 7;

/// A client and what it is to be told, in one version.
struct Rig {
    client: Client,
    tally: Tally,
    version: Version,
    now_ns: u64,
}

fn publisher_plan(qos: QoS) -> PublishPlan {
    let topics = Topics::One("t".to_owned());
    PublishPlan { publisher: 0, topics, qos, retain: false, payload_bytes: 64, messages: None, fan: 1 }
}

impl Rig {
    fn new(version: Version, qos: QoS, filters: &[&str], expects: Expects, publish: Option<PublishPlan>) -> Self {
        Self::with_flow(version, qos, filters, expects, publish, None)
    }

    fn with_flow(
        version: Version,
        qos: QoS,
        filters: &[&str],
        expects: Expects,
        publish: Option<PublishPlan>,
        flow: Option<Arc<Flow>>,
    ) -> Self {
        let settings =
            Arc::new(Settings { version, username: None, password: None, keep_alive_s: 60, run: RUN, inflight: 10 });
        let publishing = publish.as_ref().map(|plan| Publishing::new(plan, RUN, version, 10, flow.clone()));
        let plan = ClientPlan {
            id: "id".to_owned(),
            clean: true,
            session_expiry_s: 0,
            subscribe: filters.iter().map(|filter| ((*filter).to_owned(), qos)).collect(),
            expects,
            qos,
            publish,
            wave: 0,
            worker: 0,
        };
        let mut tally = Tally::new(RUN, vec![flow].into());
        tally.latencies.measure(0, u64::MAX);
        tally.acknowledgements.measure(0, u64::MAX);
        Self { client: Client::new(plan, publishing, &settings), tally, version, now_ns: 1_000 }
    }

    fn subscriber(qos: QoS) -> Self {
        let mut rig = Self::new(Version::V311, qos, &["t"], Expects::All(0..2), None);
        rig.connect();
        rig.take(&suback(1, &[qos as u8])).unwrap();
        rig
    }

    fn publisher(version: Version, qos: QoS) -> Self {
        let mut rig = Self::new(version, qos, &[], Expects::Nothing, Some(publisher_plan(qos)));
        rig.connect();
        rig
    }

    fn connect(&mut self) {
        self.client.connect();
        self.client.out.clear();
        self.take(&connack(ReasonCode::SUCCESS, Properties::EMPTY)).unwrap();
    }

    /// Takes one packet of the broker.
    fn take(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let mut bytes = Vec::new();
        codec::encode(packet, self.version, &mut bytes).unwrap();
        self.take_bytes(&bytes).map(|used| assert_eq!(used, bytes.len()))
    }

    fn take_bytes(&mut self, bytes: &[u8]) -> Result<usize, String> {
        self.client.take_in(bytes, self.now_ns, &mut self.tally)
    }

    fn deliver(&mut self, qos: QoS, publisher: u32, sequence: u64) -> Result<(), String> {
        let stamp = Stamp { run: RUN, publisher, sequence, due_ns: 400 };
        let bytes = publish_bytes(self.version, qos, &stamp.to_bytes());
        self.take_bytes(&bytes).map(|_| ())
    }

    fn produce(&mut self) {
        let Client { publishing, out, .. } = &mut self.client;
        publishing.as_mut().unwrap().produce(self.now_ns, out, &mut self.tally);
    }

    fn due(&mut self, due_ns: u64) {
        let Client { publishing, out, .. } = &mut self.client;
        publishing.as_mut().unwrap().due(due_ns, out, &mut self.tally);
    }

    fn catch_up(&mut self) {
        let Client { publishing, out, .. } = &mut self.client;
        publishing.as_mut().unwrap().catch_up(out, &mut self.tally);
    }

    /// The packets that it wrote, by name, with packet identifiers.
    fn written(&mut self) -> Vec<String> {
        let bytes = std::mem::take(&mut self.client.out);
        let rules = Rules { role: Role::Server, version: Some(self.version), max_packet_size: 1 << 20 };
        let (mut at, mut names) = (0, Vec::new());
        while let Ok(Decoded::Packet { packet, len }) = codec::decode(&bytes[at..], &rules) {
            at += len;
            names.push(match packet {
                Packet::Publish(publish) => format!("PUBLISH {}", publish.packet_id.map_or(0, PacketId::get)),
                Packet::PubAck(ack) => format!("PUBACK {}", ack.packet_id.get()),
                Packet::PubRec(ack) => format!("PUBREC {}", ack.packet_id.get()),
                Packet::PubRel(ack) => format!("PUBREL {}", ack.packet_id.get()),
                Packet::PubComp(ack) => format!("PUBCOMP {}", ack.packet_id.get()),
                Packet::Subscribe(subscribe) => format!("SUBSCRIBE {}", subscribe.packet_id.get()),
                Packet::PingReq => "PINGREQ".to_owned(),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(at, bytes.len(), "something else was written");
        names
    }
}

fn connack(reason: ReasonCode, properties: Properties<'_>) -> Packet<'_> {
    Packet::ConnAck(ConnAck { session_present: false, reason, properties })
}

fn suback(id: u16, codes: &[u8]) -> Packet<'_> {
    Packet::SubAck(SubAck { packet_id: PacketId::new(id).unwrap(), properties: Properties::EMPTY, codes })
}

fn ack(id: u16, reason: ReasonCode) -> Ack<'static> {
    Ack { packet_id: PacketId::new(id).unwrap(), reason, properties: Properties::EMPTY }
}

fn done(id: u16) -> Ack<'static> {
    ack(id, ReasonCode::SUCCESS)
}

fn publish_bytes(version: Version, qos: QoS, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let frame = PublishFrame {
        dup: false,
        qos,
        retain: false,
        topic: "t",
        packet_id: Some(PacketId::MIN),
        topic_alias: None,
        expiry: None,
        subscription_ids: &[],
        forward: &[],
        payload,
    };
    frame.encode(version, &mut bytes);
    bytes
}

fn with(property: &Property<'_>) -> PropertiesBuf {
    let mut properties = PropertiesBuf::new();
    properties.push(property);
    properties
}

const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[test]
fn it_connects_and_subscribes_a_packet_at_a_time() {
    let filters: Vec<String> = (0..FILTERS_PER_PACKET * 2 + 1).map(|n| format!("t/{n}")).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut rig = Rig::new(version, QoS::AtMostOnce, &filters, Expects::Nothing, None);
        rig.connect();
        for (id, filters) in [(1, FILTERS_PER_PACKET), (2, FILTERS_PER_PACKET), (3, 1)] {
            assert!(!rig.client.is_ready());
            assert_eq!(rig.written(), [format!("SUBSCRIBE {id}")]);
            rig.take(&suback(id, &vec![0; filters])).unwrap();
        }
        assert!(rig.client.is_ready());
        assert!(rig.client.out.is_empty());
    }
}

#[test]
fn a_client_without_filters_is_ready_when_it_is_let_in() {
    let rig = Rig::publisher(Version::V311, QoS::AtMostOnce);
    assert!(rig.client.is_ready() && rig.client.is_connected());
}

#[test]
fn a_refusal_says_why_in_the_words_of_its_version() {
    let refused = |version, code, properties| {
        let mut rig = Rig::new(version, QoS::AtMostOnce, &[], Expects::Nothing, None);
        rig.take(&connack(ReasonCode(code), properties)).unwrap_err()
    };
    assert_eq!(refused(Version::V311, 5, Properties::EMPTY), "CONNECT was refused: not authorized");
    assert_eq!(refused(Version::V31, 4, Properties::EMPTY), "CONNECT was refused: bad user name or password");
    let why = with(&Property::ReasonString("no \u{7}bell"));
    let told = refused(Version::V5, 0x87, why.as_properties());
    assert_eq!(told, r#"CONNECT was refused: not authorized ("no \u{7}bell")"#);
}

#[test]
fn a_suback_has_to_fit_and_to_grant_what_was_asked_for() {
    let answered = |id, codes: &[u8]| {
        let mut rig = Rig::new(Version::V311, QoS::AtLeastOnce, &["a", "b"], Expects::Nothing, None);
        rig.connect();
        rig.take(&suback(id, codes))
    };
    assert_eq!(answered(1, &[1, 1]), Ok(()));
    assert_eq!(answered(1, &[1, 0x80]).unwrap_err(), "SUBSCRIBE was refused: unspecified error");
    assert_eq!(answered(1, &[1, 0]).unwrap_err(), "the broker granted QoS 0 where QoS 1 was asked for");
    assert!(answered(1, &[1]).unwrap_err().contains("does not fit"));
    assert!(answered(2, &[1, 1]).unwrap_err().contains("does not fit"));
    let mut rig = Rig::subscriber(QoS::AtLeastOnce);
    assert!(rig.take(&suback(1, &[1])).unwrap_err().contains("nobody asked for"), "a second one");
}

#[test]
fn limits_of_the_broker_are_kept_or_told() {
    let agreed = |qos: QoS, retain: bool, property: &Property<'_>| {
        let plan = PublishPlan { retain, ..publisher_plan(qos) };
        let mut rig = Rig::new(Version::V5, qos, &[], Expects::Nothing, Some(plan));
        rig.take(&connack(ReasonCode::SUCCESS, with(property).as_properties())).map(|()| rig)
    };
    let refused = |qos, retain, property: &Property<'_>| agreed(qos, retain, property).map(|_| ()).unwrap_err();
    assert!(refused(QoS::ExactlyOnce, false, &Property::MaximumQos(1)).contains("takes QoS 1 at most"));
    assert!(refused(QoS::AtLeastOnce, false, &Property::MaximumPacketSize(60)).contains("packets of 60 bytes at most"));
    assert!(refused(QoS::AtLeastOnce, true, &Property::RetainAvailable(false)).contains("retains no messages"));
    let mut rig = agreed(QoS::AtLeastOnce, false, &Property::ReceiveMaximum(3)).unwrap();
    rig.produce();
    assert_eq!(rig.written(), ["PUBLISH 1", "PUBLISH 2", "PUBLISH 3"]);
    let rig = agreed(QoS::AtLeastOnce, false, &Property::ServerKeepAlive(10)).unwrap();
    assert_eq!(rig.client.ping_after_ns(), Some(7_000_000_000));
    let rig = agreed(QoS::AtLeastOnce, false, &Property::ServerKeepAlive(0)).unwrap();
    assert_eq!(rig.client.ping_after_ns(), None);
}

#[test]
fn a_session_that_was_to_be_kept_and_is_gone_is_told_at_once() {
    for version in [Version::V311, Version::V5] {
        let mut rig = Rig::new(version, QoS::AtLeastOnce, &[], Expects::All(0..1), None);
        rig.client.plan.clean = false;
        let answer = connack(ReasonCode::SUCCESS, Properties::EMPTY);
        assert!(rig.take(&answer).unwrap_err().contains("does not know the session"), "{version:?}");
    }
}

#[test]
fn publishes_go_through_the_exchange_of_their_qos() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut rig = Rig::publisher(version, QoS::AtLeastOnce);
        rig.produce();
        assert_eq!(rig.written().len(), 10, "as many as may be in flight");
        rig.produce();
        assert!(rig.written().is_empty());
        rig.now_ns = 1_500;
        rig.take(&Packet::PubAck(done(4))).unwrap();
        rig.produce();
        assert_eq!(rig.written(), ["PUBLISH 4"], "an identifier is used again when it is free");
        assert_eq!((rig.tally.sent, rig.tally.acknowledged), (11, 1));
        assert_eq!(rig.tally.acknowledgements.histogram.max(), 500);

        let mut rig = Rig::publisher(version, QoS::ExactlyOnce);
        rig.produce();
        rig.written();
        rig.take(&Packet::PubRec(done(1))).unwrap();
        assert_eq!(rig.written(), ["PUBREL 1"]);
        assert_eq!(rig.client.publishing.as_ref().unwrap().unacknowledged(), 10);
        rig.take(&Packet::PubComp(done(1))).unwrap();
        assert_eq!(rig.client.publishing.as_ref().unwrap().unacknowledged(), 9);
        assert_eq!(rig.tally.acknowledged, 1);
    }
}

#[test]
fn what_the_broker_refuses_is_counted_and_not_lost() {
    for (qos, refusal) in [
        (QoS::AtLeastOnce, Packet::PubAck(ack(1, ReasonCode::QUOTA_EXCEEDED))),
        (QoS::ExactlyOnce, Packet::PubRec(ack(1, ReasonCode::QUOTA_EXCEEDED))),
    ] {
        let mut rig = Rig::publisher(Version::V5, qos);
        rig.produce();
        rig.written();
        rig.take(&refusal).unwrap();
        let publishing = rig.client.publishing.as_ref().unwrap();
        assert_eq!((rig.tally.refused, rig.tally.acknowledged, publishing.unacknowledged()), (1, 0, 9));
        let subscriber = Receiving::new(&Expects::All(0..1), qos);
        assert_eq!(subscriber.faults(RUN, &[publishing.sent()]).lost, 9);
        rig.produce();
        assert_eq!(rig.written(), ["PUBLISH 1"]);
    }
}

#[test]
fn acknowledgements_of_what_is_not_in_flight_are_errors() {
    let answers = [
        (QoS::AtLeastOnce, Packet::PubAck(done(11))),
        (QoS::AtLeastOnce, Packet::PubAck(done(u16::MAX))),
        (QoS::AtLeastOnce, Packet::PubRec(done(1))),
        (QoS::AtLeastOnce, Packet::PubComp(done(1))),
        (QoS::ExactlyOnce, Packet::PubAck(done(1))),
        (QoS::ExactlyOnce, Packet::PubComp(done(1))),
        (QoS::AtMostOnce, Packet::PubAck(done(1))),
    ];
    for (qos, answer) in answers {
        let mut rig = Rig::publisher(Version::V5, qos);
        rig.produce();
        assert!(rig.take(&answer).is_err(), "{qos:?} {answer:?}");
    }
    let mut rig = Rig::publisher(Version::V5, QoS::AtLeastOnce);
    rig.produce();
    rig.take(&Packet::PubAck(done(1))).unwrap();
    assert!(rig.take(&Packet::PubAck(done(1))).is_err(), "a second time");
    assert!(Rig::subscriber(QoS::AtLeastOnce).take(&Packet::PubAck(done(1))).is_err(), "it publishes nothing");
}

#[test]
fn deliveries_are_answered_by_their_qos() {
    for (qos, answers) in ALL.into_iter().zip([&[][..], &["PUBACK 1"], &["PUBREC 1"]]) {
        let mut rig = Rig::subscriber(qos);
        rig.written();
        rig.deliver(qos, 0, 0).unwrap();
        assert_eq!(rig.written(), answers);
        assert_eq!((rig.tally.received, rig.tally.latencies.histogram.max()), (1, 600));
    }
    let mut rig = Rig::subscriber(QoS::ExactlyOnce);
    rig.written();
    rig.take(&Packet::PubRel(done(9))).unwrap();
    assert_eq!(rig.written(), ["PUBCOMP 9"]);
}

#[test]
fn a_message_that_comes_twice_is_received_once() {
    let mut rig = Rig::subscriber(QoS::AtMostOnce);
    for sequence in [0, 1, 1, 4, 3] {
        rig.deliver(QoS::AtMostOnce, 1, sequence).unwrap();
    }
    assert_eq!(rig.tally.received, 4);
    let sent = |messages| crate::track::Sent { messages, refused: 0 };
    let faults = rig.client.receiving.faults(RUN, &[sent(2), sent(5)]);
    assert_eq!(faults, Faults { lost: 2 + 1, doubled: 1, reordered: 1 }, "the other publisher's are lost too");
}

#[test]
fn what_should_not_have_come_here_or_not_so_is_an_error() {
    let mut rig = Rig::subscriber(QoS::AtLeastOnce);
    assert!(rig.deliver(QoS::AtMostOnce, 0, 0).unwrap_err().contains("delivered at QoS 0"));
    let mut rig = Rig::subscriber(QoS::AtMostOnce);
    assert!(rig.deliver(QoS::AtMostOnce, 2, 0).unwrap_err().contains("did not subscribe to"));
    let mut rig = Rig::new(Version::V311, QoS::AtMostOnce, &["t"], Expects::Part(0..1), None);
    rig.connect();
    assert!(rig.deliver(QoS::AtMostOnce, u32::MAX, u64::MAX).is_err(), "it would have grown a table to this");
}

#[test]
fn messages_of_others_are_told_from_those_of_the_run() {
    let mut rig = Rig::subscriber(QoS::AtMostOnce);
    let foreign = publish_bytes(Version::V311, QoS::AtMostOnce, br#"{"temperature": 21.5, "of": "somebody else"}"#);
    rig.take_bytes(&foreign).unwrap();
    assert_eq!((rig.tally.received, rig.tally.foreign), (0, 1));

    let mut rig = Rig::new(Version::V311, QoS::AtMostOnce, &["t"], Expects::Others, None);
    rig.connect();
    rig.take_bytes(&foreign).unwrap();
    for sequence in [1000, 1001, 1003] {
        rig.deliver(QoS::AtMostOnce, 9, sequence).unwrap();
    }
    assert_eq!((rig.tally.received, rig.tally.foreign), (4, 0), "`sub` listens to whoever publishes");
    assert_eq!(rig.client.receiving.faults(RUN, &[]).lost, 1, "what was sent before it came is not missed");
}

/// When a whole window was refused, its publisher waited for ever for the deliveries.
#[test]
fn a_refused_message_does_not_hold_a_place_in_the_window() {
    let flow = Arc::new(Flow::new(1, 2, 0, 0));
    let plan = Some(publisher_plan(QoS::AtLeastOnce));
    let mut rig = Rig::with_flow(Version::V5, QoS::AtLeastOnce, &[], Expects::Nothing, plan, Some(flow));
    rig.connect();
    rig.produce();
    assert_eq!(rig.written(), ["PUBLISH 1", "PUBLISH 2"]);
    rig.produce();
    for id in [1, 2] {
        rig.take(&Packet::PubAck(ack(id, ReasonCode::QUOTA_EXCEEDED))).unwrap();
    }
    rig.produce();
    assert_eq!(rig.written(), ["PUBLISH 1", "PUBLISH 2"]);
}

/// A broker that lost a window of messages one by one brought its publishers to a halt.
#[test]
fn a_lost_message_does_not_hold_a_place_in_the_window() {
    let flow = Arc::new(Flow::new(1, 4, 0, 0));
    let plan = Some(publisher_plan(QoS::AtMostOnce));
    let mut rig = Rig::with_flow(Version::V311, QoS::AtMostOnce, &["t"], Expects::All(0..1), plan, Some(flow));
    rig.connect();
    rig.take(&suback(1, &[0])).unwrap();
    rig.written();
    rig.produce();
    assert_eq!(rig.written().len(), 4);
    rig.produce();
    assert!(rig.written().is_empty());
    rig.deliver(QoS::AtMostOnce, 0, 3).unwrap();
    assert_eq!(rig.tally.resumed, [(0, 0)]);
    rig.client.publishing.as_mut().unwrap().go_on();
    rig.produce();
    assert_eq!(rig.written().len(), 4);
}

#[test]
fn a_large_message_is_sent_although_it_exceeds_what_is_written_ahead() {
    let plan = PublishPlan { payload_bytes: 300_000, ..publisher_plan(QoS::AtMostOnce) };
    let mut rig = Rig::new(Version::V311, QoS::AtMostOnce, &[], Expects::Nothing, Some(plan));
    rig.connect();
    rig.produce();
    assert_eq!(rig.written(), ["PUBLISH 0"]);
    rig.due(1);
    rig.due(2);
    assert_eq!((rig.tally.sent, rig.tally.late), (2, 1));
}

#[test]
fn what_is_late_goes_out_under_the_time_at_which_it_was_due() {
    let mut rig = Rig::publisher(Version::V311, QoS::AtLeastOnce);
    (0..12).for_each(|n| rig.due(100 + n));
    assert_eq!((rig.written().len(), rig.tally.late), (10, 2));
    rig.now_ns = 5_000;
    rig.take(&Packet::PubAck(done(1))).unwrap();
    rig.catch_up();
    assert_eq!((rig.written(), rig.tally.late), (vec!["PUBLISH 1".to_owned()], 1));
    rig.take(&Packet::PubAck(done(1))).unwrap();
    assert!(rig.tally.acknowledgements.histogram.min().abs_diff(5_000 - 110) < 5);
    let publishing = rig.client.publishing.as_mut().unwrap();
    assert!(publishing.say_farewell(&mut rig.tally), "a PINGREQ is asked for, once");
    assert!(!publishing.say_farewell(&mut rig.tally));
    assert_eq!((rig.tally.late, rig.tally.unsent), (0, 1), "what is given up is told");
}

#[test]
fn messages_that_wait_are_bounded() {
    let mut rig = Rig::publisher(Version::V311, QoS::AtLeastOnce);
    rig.tally.late = crate::limits::LATE_MAX - 1; // of other publishers of the worker
    (0..12).for_each(|n| rig.due(n));
    assert_eq!((rig.tally.late, rig.tally.unsent), (crate::limits::LATE_MAX, 1));
}

#[test]
fn the_farewell_is_over_when_the_answer_to_the_last_pingreq_is_there() {
    let mut rig = Rig::publisher(Version::V311, QoS::AtMostOnce);
    rig.client.ping(); // to keep alive
    assert!(rig.client.publishing.as_mut().unwrap().say_farewell(&mut rig.tally));
    rig.client.ping();
    rig.take(&Packet::PingResp).unwrap();
    assert_eq!(rig.tally.drained, 0, "that was the answer to the first");
    rig.take(&Packet::PingResp).unwrap();
    assert_eq!(rig.tally.drained, 1);
    assert!(rig.take(&Packet::PingResp).unwrap_err().contains("nobody asked for"));
    rig.client.publishing.as_mut().unwrap().leave(&mut rig.tally);
    assert_eq!(rig.tally.drained, 1, "counted once");
}

#[test]
fn an_odd_broker_is_an_error_and_never_a_panic() {
    let stamp = Stamp { run: RUN, publisher: 0, sequence: 0, due_ns: 0 }.to_bytes();
    let publish = publish_bytes(Version::V311, QoS::AtMostOnce, &stamp);
    let mut rig = Rig::new(Version::V311, QoS::AtMostOnce, &["t"], Expects::All(0..1), None);
    assert!(rig.take_bytes(&publish).unwrap_err().contains("something else than CONNACK"));
    let mut rig = Rig::subscriber(QoS::AtMostOnce);
    assert!(rig.take_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap_err().contains("broke the protocol"));
    let mut rig = Rig::subscriber(QoS::AtMostOnce);
    assert!(rig.take_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]).unwrap_err().contains("broke the protocol"), "256 MiB");
    let mut rig = Rig::publisher(Version::V5, QoS::AtMostOnce);
    let bye = Outcome { reason: ReasonCode::SERVER_SHUTTING_DOWN, properties: Properties::EMPTY };
    assert!(rig.take(&Packet::Disconnect(bye)).unwrap_err().contains("server shutting down"));
    // A packet in two pieces, and garbage of all kinds.
    let mut rig = Rig::subscriber(QoS::AtMostOnce);
    assert_eq!(rig.take_bytes(&publish[..20]), Ok(0));
    for first in 0..=u8::MAX {
        for body in [&[][..], &[0], &[2, 0, 0], &[2, 0xFF, 0xFF], &[5, 0, 1, b't', 0, 1], &[0xFF; 9]] {
            let mut rig = Rig::publisher(Version::V5, QoS::ExactlyOnce);
            rig.produce();
            let _ = rig.take_bytes(&[&[first], body].concat());
        }
    }
}
