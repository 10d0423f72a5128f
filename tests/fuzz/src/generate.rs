//! Any valid packet from a string of bytes: what the fuzzer, the round trips and the comparison with another codec
//! have in common.
//!
//! Knows the specification by tables of its own, so that it does not repeat a mistake of the codec's. Bytes that run
//! out read as zero; every string of bytes gives a packet.

use primer_mqtt::{
    ReasonCode, Version,
    codec::{
        FiltersBuf, Role,
        packet::{
            Ack, ConnAck, Connect, Outcome, Packet, PacketId, Publish, QoS, RetainHandling, SubAck, Subscribe,
            SubscribeOptions, Unsubscribe, Will,
        },
        properties::{Properties, PropertiesBuf, Property},
    },
};

/// The type of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// CONNECT.
    Connect,
    /// CONNACK.
    ConnAck,
    /// PUBLISH.
    Publish,
    /// PUBACK.
    PubAck,
    /// PUBREC.
    PubRec,
    /// PUBREL.
    PubRel,
    /// PUBCOMP.
    PubComp,
    /// SUBSCRIBE.
    Subscribe,
    /// SUBACK.
    SubAck,
    /// UNSUBSCRIBE.
    Unsubscribe,
    /// UNSUBACK.
    UnsubAck,
    /// PINGREQ.
    PingReq,
    /// PINGRESP.
    PingResp,
    /// DISCONNECT.
    Disconnect,
    /// AUTH.
    Auth,
}

/// All versions.
pub const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// What `sender` sends in `version`.
#[must_use]
pub fn kinds(sender: Role, version: Version) -> Vec<Kind> {
    let mut kinds = vec![Kind::Publish, Kind::PubAck, Kind::PubRec, Kind::PubRel, Kind::PubComp];
    match sender {
        Role::Client => {
            kinds.extend([Kind::Connect, Kind::Subscribe, Kind::Unsubscribe, Kind::PingReq, Kind::Disconnect]);
        }
        Role::Server => kinds.extend([Kind::ConnAck, Kind::SubAck, Kind::UnsubAck, Kind::PingResp]),
    }
    if version.is_v5() {
        kinds.push(Kind::Auth);
        if sender == Role::Server {
            kinds.push(Kind::Disconnect);
        }
    }
    kinds
}

/// The reason codes that `sender` may put into a packet of MQTT 5.0 (tables 3-1 and 3-4 to 3-11).
#[must_use]
pub fn reasons(kind: Kind, sender: Role) -> &'static [u8] {
    let is_server = sender == Role::Server;
    match kind {
        Kind::ConnAck => &[
            0, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 140, 144, 149, 151, 153, 154, 155, 156, 157, 159,
        ],
        Kind::PubAck | Kind::PubRec if is_server => &[0, 16, 128, 131, 135, 144, 145, 151, 153],
        Kind::PubAck | Kind::PubRec => &[0, 128, 131, 135, 144, 145, 151, 153],
        Kind::PubRel | Kind::PubComp => &[0, 146],
        Kind::SubAck => &[0, 1, 2, 128, 131, 135, 143, 145, 151, 158, 161, 162],
        Kind::UnsubAck => &[0, 17, 128, 131, 135, 143, 145],
        Kind::Disconnect if is_server => &[
            0, 128, 129, 130, 131, 135, 137, 139, 141, 142, 143, 144, 147, 148, 149, 150, 151, 152, 153, 154, 155, 156,
            157, 158, 159, 160, 161, 162,
        ],
        Kind::Disconnect => &[0, 4, 128, 129, 130, 131, 144, 147, 148, 149, 150, 151, 152, 153],
        Kind::Auth if is_server => &[0, 24],
        Kind::Auth => &[24, 25],
        _ => &[0],
    }
}

/// The properties that `sender` may put into a packet (table 2-4 and the sections of the packets).
#[must_use]
pub fn properties(kind: Kind, sender: Role) -> &'static [u8] {
    match (kind, sender) {
        (Kind::Connect, _) => &[17, 21, 22, 23, 25, 33, 34, 38, 39],
        (Kind::ConnAck, _) => &[17, 18, 19, 21, 22, 26, 28, 31, 33, 34, 36, 37, 38, 39, 40, 41, 42],
        (Kind::Publish, Role::Client) => &[1, 2, 3, 8, 9, 35, 38],
        (Kind::Publish, Role::Server) => &[1, 2, 3, 8, 9, 11, 35, 38],
        (Kind::PubAck | Kind::PubRec | Kind::PubRel | Kind::PubComp | Kind::SubAck | Kind::UnsubAck, _) => &[31, 38],
        (Kind::Subscribe, _) => &[11, 38],
        (Kind::Unsubscribe, _) => &[38],
        (Kind::Disconnect, Role::Client) => &[17, 28, 31, 38],
        (Kind::Disconnect, Role::Server) => &[28, 31, 38],
        (Kind::Auth, _) => &[21, 22, 31, 38],
        (Kind::PingReq | Kind::PingResp, _) => &[],
    }
}

/// The properties of a will.
pub const WILL_PROPERTIES: &[u8] = &[1, 2, 3, 8, 9, 24, 38];

/// Bytes to choose by.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    /// Chooses by `bytes`, and by zeros after them.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        byte
    }

    /// Two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// One of `choices`, which are at least one.
    ///
    /// # Panics
    /// There are no choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = self.below(choices.len());
        *choices.get(at).expect("the index is below the length")
    }

    /// Mostly short; now and then long enough for a length of three bytes, never too long for text of four-byte
    /// letters.
    fn len(&mut self) -> usize {
        match self.byte() {
            255 => usize::from(self.u16()) % 16_000,
            byte => usize::from(byte) % 12,
        }
    }

    /// Any bytes.
    pub fn bytes(&mut self) -> Vec<u8> {
        let len = self.len();
        let seed = self.byte();
        (0..len).map(|at| if at < 12 { self.byte() } else { seed }).collect()
    }

    fn letters(&mut self, alphabet: &[char]) -> String {
        let len = self.len();
        let last = self.pick(alphabet);
        (0..len).map(|at| if at < 12 { self.pick(alphabet) } else { last }).collect()
    }

    /// Any text that a string of MQTT may hold.
    pub fn text(&mut self) -> String {
        self.letters(&['a', 'b', '/', 'é', '€', '😀', '\u{1}', '\u{7F}', '\u{FFFE}', '\u{FEFF}', ' ', '$', '+', '#'])
    }

    /// A topic name.
    pub fn topic(&mut self) -> String {
        let topic = self.letters(&['a', '/', 'é', '€', '😀', '\u{1}', '\u{FFFF}', '\u{FEFF}', ' ', '$']);
        if topic.is_empty() { "t".to_owned() } else { topic }
    }

    /// A topic filter; shared or not.
    pub fn filter(&mut self) -> (String, bool) {
        let mut levels: Vec<&str> = (0..=self.below(4)).map(|_| self.pick(&["+", "a", "", "é", "$", "b c"])).collect();
        if self.byte().is_multiple_of(3) {
            levels.push("#");
        }
        let plain = Some(levels.join("/")).filter(|plain| !plain.is_empty()).unwrap_or_else(|| "#".to_owned());
        if self.byte() % 4 == 1 { (format!("$share/g é/{plain}"), true) } else { (plain, false) }
    }

    /// A quality of service.
    pub fn qos(&mut self) -> QoS {
        self.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
    }

    /// A packet identifier.
    pub fn packet_id(&mut self) -> PacketId {
        PacketId::new(self.u16()).unwrap_or(PacketId::MAX)
    }
}

/// Appends the property `id` with a valid value.
pub fn push_property(id: u8, source: &mut Source<'_>, out: &mut PropertiesBuf) {
    let flag = source.flag();
    let number = source.u32();
    let [high, low, ..] = number.to_be_bytes();
    let short = u16::from_be_bytes([high, low]);
    let text = source.text();
    let bytes = source.bytes();
    let topic = if id == 8 { source.topic() } else { String::new() };
    let value = if id == 38 { source.text() } else { String::new() };
    out.push(&match id {
        1 => Property::PayloadFormat(u8::from(flag)),
        2 => Property::MessageExpiry(number),
        3 => Property::ContentType(&text),
        8 => Property::ResponseTopic(&topic),
        9 => Property::CorrelationData(&bytes),
        11 => Property::SubscriptionId((number >> source.below(28)).clamp(1, 268_435_455)),
        17 => Property::SessionExpiry(number),
        18 => Property::AssignedClientId(&text),
        19 => Property::ServerKeepAlive(short),
        21 => Property::AuthenticationMethod(&text),
        22 => Property::AuthenticationData(&bytes),
        23 => Property::RequestProblemInformation(flag),
        24 => Property::WillDelay(number),
        25 => Property::RequestResponseInformation(flag),
        26 => Property::ResponseInformation(&text),
        28 => Property::ServerReference(&text),
        31 => Property::ReasonString(&text),
        33 => Property::ReceiveMaximum(short.max(1)),
        34 => Property::TopicAliasMaximum(short),
        35 => Property::TopicAlias(short.max(1)),
        36 => Property::MaximumQos(u8::from(flag)),
        37 => Property::RetainAvailable(flag),
        38 => Property::UserProperty(&text, &value),
        39 => Property::MaximumPacketSize(number.max(1)),
        40 => Property::WildcardSubscriptionAvailable(flag),
        41 => Property::SubscriptionIdsAvailable(flag),
        42 => Property::SharedSubscriptionAvailable(flag),
        _ => return,
    });
}

/// Some of `allowed`, in any order, repeated where that is allowed.
fn some_properties(allowed: &[u8], repeats_subscription_id: bool, source: &mut Source<'_>) -> PropertiesBuf {
    let mut out = PropertiesBuf::new();
    if allowed.is_empty() || source.byte().is_multiple_of(3) {
        return out;
    }
    let first = source.below(allowed.len());
    for &id in allowed.iter().cycle().skip(first).take(allowed.len()) {
        let repeats = id == 38 || (id == 11 && repeats_subscription_id);
        let count = if repeats { source.below(4) } else { source.below(2) };
        for _ in 0..count {
            push_property(id, source, &mut out);
        }
    }
    out
}

/// The parts of a valid packet.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its type.
    pub kind: Kind,
    /// Its version.
    pub version: Version,
    flags: [bool; 3],
    packet_id: PacketId,
    qos: QoS,
    keep_alive: u16,
    reason: ReasonCode,
    codes: Vec<u8>,
    topic: String,
    payload: Vec<u8>,
    client_id: String,
    username: Option<String>,
    password: Option<Vec<u8>>,
    will: Option<WillParts>,
    properties: PropertiesBuf,
    filters: FiltersBuf,
}

#[derive(Debug, Clone)]
struct WillParts {
    qos: QoS,
    retain: bool,
    topic: String,
    payload: Vec<u8>,
    properties: PropertiesBuf,
}

impl Sample {
    /// A packet that `sender` sends.
    #[must_use]
    pub fn new(kind: Kind, version: Version, sender: Role, source: &mut Source<'_>) -> Self {
        let is_v5 = version.is_v5();
        let qos = source.qos();
        let reason = reason(kind, version, sender, source);
        let is_accepted = reason == ReasonCode::SUCCESS;
        let may_have_flag = kind != Kind::ConnAck || (is_accepted && version != Version::V31);
        let dup = source.flag() && (kind != Kind::Publish || qos != QoS::AtMostOnce) && may_have_flag;
        let mut sample = Self {
            kind,
            version,
            flags: [dup, source.flag(), source.flag()],
            packet_id: source.packet_id(),
            qos,
            keep_alive: source.u16(),
            reason,
            codes: codes(kind, version, sender, source),
            topic: source.topic(),
            payload: source.bytes(),
            client_id: source.text(),
            username: source.flag().then(|| source.text()),
            password: source.flag().then(|| source.bytes()),
            will: source.flag().then(|| will(version, source)),
            properties: PropertiesBuf::new(),
            filters: filters(kind, version, source),
        };
        if !is_v5 && sample.username.is_none() {
            sample.password = None;
        }
        if is_v5 {
            sample.set_properties(sender, source);
        }
        sample
    }

    fn set_properties(&mut self, sender: Role, source: &mut Source<'_>) {
        let repeats = self.kind == Kind::Publish && sender == Role::Server;
        self.properties = some_properties(properties(self.kind, sender), repeats, source);
        let found = self.properties.as_properties();
        let lacks_method = found.authentication_method().is_none();
        let is_silent = sender == Role::Server && self.reason == ReasonCode::SUCCESS && found.is_empty();
        let needs_method = match self.kind {
            Kind::Auth => !is_silent,
            Kind::Connect => found.authentication_data().is_some(),
            _ => false,
        };
        let has_alias = found.topic_alias().is_some();
        if needs_method && lacks_method {
            push_property(21, source, &mut self.properties);
        }
        if has_alias && source.flag() {
            self.topic.clear();
        }
    }

    /// The packet, borrowed from its parts.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        let properties = self.properties.as_properties();
        let [flag, retain, clean_start] = self.flags;
        let (packet_id, reason, filters) = (self.packet_id, self.reason, self.filters.as_filters());
        let ack = Ack { packet_id, reason, properties };
        let answer = SubAck { packet_id, properties, codes: &self.codes };
        let outcome = Outcome { reason, properties };
        match self.kind {
            Kind::Connect => Packet::Connect(Box::new(self.connect(clean_start, properties))),
            Kind::ConnAck => Packet::ConnAck(ConnAck { session_present: flag, reason, properties }),
            Kind::Publish => Packet::Publish(self.publish(flag, retain, properties)),
            Kind::PubAck => Packet::PubAck(ack),
            Kind::PubRec => Packet::PubRec(ack),
            Kind::PubRel => Packet::PubRel(ack),
            Kind::PubComp => Packet::PubComp(ack),
            Kind::Subscribe => {
                let subscription_id = properties.subscription_ids().next();
                Packet::Subscribe(Subscribe { packet_id, subscription_id, properties, filters })
            }
            Kind::SubAck => Packet::SubAck(answer),
            Kind::Unsubscribe => Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters }),
            Kind::UnsubAck => Packet::UnsubAck(answer),
            Kind::PingReq => Packet::PingReq,
            Kind::PingResp => Packet::PingResp,
            Kind::Disconnect => Packet::Disconnect(outcome),
            Kind::Auth => Packet::Auth(outcome),
        }
    }

    fn connect<'a>(&'a self, clean_start: bool, properties: Properties<'a>) -> Connect<'a> {
        Connect {
            version: self.version,
            clean_start,
            keep_alive: self.keep_alive,
            client_id: &self.client_id,
            will: self.will.as_ref().map(|will| Will {
                qos: will.qos,
                retain: will.retain,
                topic: &will.topic,
                payload: &will.payload,
                properties: will.properties.as_properties(),
            }),
            username: self.username.as_deref(),
            password: self.password.as_deref(),
            properties,
        }
    }

    fn publish<'a>(&'a self, dup: bool, retain: bool, properties: Properties<'a>) -> Publish<'a> {
        let is_forwarded = |property| {
            matches!(
                property,
                Property::PayloadFormat(_)
                    | Property::ContentType(_)
                    | Property::ResponseTopic(_)
                    | Property::CorrelationData(_)
                    | Property::UserProperty(..)
            )
        };
        Publish {
            dup,
            qos: self.qos,
            retain,
            topic: &self.topic,
            packet_id: (self.qos != QoS::AtMostOnce).then_some(self.packet_id),
            topic_alias: properties.topic_alias(),
            expiry: properties.message_expiry(),
            properties,
            forwards_unchanged: properties.iter().all(is_forwarded),
            payload: &self.payload,
        }
    }
}

fn reason(kind: Kind, version: Version, sender: Role, source: &mut Source<'_>) -> ReasonCode {
    ReasonCode(match kind {
        _ if version.is_v5() => source.pick(reasons(kind, sender)),
        Kind::ConnAck => source.pick(&[0, 1, 2, 3, 4, 5]),
        _ => 0,
    })
}

fn codes(kind: Kind, version: Version, sender: Role, source: &mut Source<'_>) -> Vec<u8> {
    let allowed = match kind {
        Kind::SubAck if !version.is_v5() => &[0, 1, 2, 128],
        Kind::UnsubAck if !version.is_v5() => return Vec::new(),
        _ => reasons(kind, sender),
    };
    (0..=source.below(5)).map(|_| source.pick(allowed)).collect()
}

fn will(version: Version, source: &mut Source<'_>) -> WillParts {
    WillParts {
        qos: source.qos(),
        retain: source.flag(),
        topic: source.topic(),
        payload: source.bytes(),
        properties: some_properties(if version.is_v5() { WILL_PROPERTIES } else { &[] }, false, source),
    }
}

fn filters(kind: Kind, version: Version, source: &mut Source<'_>) -> FiltersBuf {
    let mut filters = if kind == Kind::Subscribe { FiltersBuf::subscribe() } else { FiltersBuf::unsubscribe() };
    for _ in 0..=source.below(4) {
        let (filter, is_shared) = source.filter();
        let mut options = SubscribeOptions::from_qos(source.qos());
        if version.is_v5() {
            options.no_local = source.flag() && !is_shared;
            options.retain_as_published = source.flag();
            options.retain_handling =
                source.pick(&[RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never]);
        }
        filters.push(&filter, options);
    }
    filters
}
