//! The clients of each kind of load, stage by stage.

use std::time::Duration;

use primer_mqtt::codec::packet::QoS;

use super::{Load, Loop, Part, Scenario};
use crate::{
    client::{ClientPlan, Expects, PublishPlan},
    frame::Topics,
    limits::WINDOW_MAX,
    stage::{End, Stage},
    track::Sent,
};

/// How long the session of a backlog may live, should the run not come to its end.
const BACKLOG_EXPIRY_S: u32 = 600;

/// Neighbours in time are this far apart in a table of wildcard filters.
const STRIDE: u64 = 7919;

/// The stages of a load, and what each is for. One is measured.
pub(super) fn stages(load: &Load, run: u32) -> Vec<(Stage, Part)> {
    let plans = Plans { load, base: load.topic.clone().unwrap_or_else(|| format!("bench/{run:08x}")), run };
    match load.scenario {
        Scenario::Retained => plans.retained(),
        Scenario::Backlog => plans.backlog(),
        Scenario::Away => plans.away(),
        Scenario::Conn => {
            let clients = (0..load.subscribers).map(|n| plans.conn(n)).collect();
            vec![(plans.stage("connect", clients, End::Ready(load.duration)), Part::Measured)]
        }
        Scenario::Pub => plans.steady((0..load.publishers).map(|n| plans.alone(n)).collect()),
        Scenario::Sub => plans.steady((0..load.subscribers).map(|n| plans.listener(n)).collect()),
        Scenario::P2p => plans.steady((0..load.publishers).flat_map(|n| plans.pair(n)).collect()),
        Scenario::FanIn | Scenario::FanOut => plans.steady(plans.everybody_to_everybody()),
        Scenario::Shared => plans.steady(plans.share_group()),
        Scenario::Wildcard => plans.steady((0..load.publishers).flat_map(|n| plans.wildcard_pair(n)).collect()),
    }
}

/// The stages of a load to a session that is away, whose broker is killed in the middle of it and started again.
pub(crate) struct CrashStages {
    pub(crate) subscribe: Stage,
    /// Ends when so many messages have been answered.
    pub(crate) publish: Stage,
    /// To be told what was answered before, and how many may come.
    pub(crate) come_back: Stage,
}

/// The stages of a crash after so many answers.
pub(crate) fn crash(load: &Load, run: u32, answers: u64) -> CrashStages {
    let plans = Plans { load, base: load.topic.clone().unwrap_or_else(|| format!("bench/{run:08x}")), run };
    let topic = |n: u32| Topics::One(format!("{}/{n}", plans.base));
    let sleep = vec![plans.sleeper(0, true, Expects::Nothing)];
    let publish = (0..load.publishers).map(|n| plans.publisher(n, topic(n), 0)).collect();
    // It subscribes again, as devices do: where the session itself was lost, it waits for all of it in vain.
    let wake = vec![plans.sleeper(0, true, Expects::All(0..load.publishers))];
    CrashStages {
        subscribe: plans.stage("subscribe", sleep, End::Ready(Duration::ZERO)),
        publish: plans.stage("publish", publish, End::Answered(answers)),
        come_back: plans.stage("come back", wake, End::Received(0)),
    }
}

struct Plans<'l> {
    load: &'l Load,
    base: String,
    run: u32,
}

impl Plans<'_> {
    fn stage(&self, name: &'static str, clients: Vec<ClientPlan>, end: End) -> Stage {
        let (rate, window) = match self.load.rhythm {
            Loop::Closed { window } => (None, window),
            Loop::Open { rate } => (Some(rate), WINDOW_MAX),
        };
        Stage { name, clients, rate, window: u64::from(window), end, sent_before: Vec::new() }
    }

    fn steady(&self, clients: Vec<ClientPlan>) -> Vec<(Stage, Part)> {
        let end = End::After { warm_up: self.load.warm_up, duration: self.load.duration };
        vec![(self.stage(self.load.scenario.name(), clients, end), Part::Measured)]
    }

    /// A client that does nothing yet. Its identifier has 23 bytes at most, as MQTT 3.1 wants it, as long as its prefix
    /// has no more than "bench".
    fn client(&self, role: &str, number: u32, wave: usize) -> ClientPlan {
        ClientPlan {
            id: format!("{}-{role}-{:08x}-{number}", self.load.client_id, self.run),
            clean: true,
            session_expiry_s: 0,
            subscribe: Vec::new(),
            expects: Expects::Nothing,
            qos: self.load.qos,
            publish: None,
            wave,
            worker: number as usize,
        }
    }

    fn subscriber(&self, number: u32, filters: Vec<String>, expects: Expects) -> ClientPlan {
        let subscribe = filters.into_iter().map(|filter| (filter, self.load.qos)).collect();
        ClientPlan { subscribe, expects, ..self.client("s", number, 0) }
    }

    fn publisher(&self, number: u32, topics: Topics, fan: u64) -> ClientPlan {
        let publish = PublishPlan {
            publisher: number,
            topics,
            qos: self.load.qos,
            retain: false,
            payload_bytes: self.load.payload_bytes,
            messages: None,
            fan,
        };
        ClientPlan { publish: Some(publish), ..self.client("p", number, 1) }
    }

    /// The topic of a client of `pub` or `sub`.
    fn numbered(&self, number: u32) -> String {
        let template = self.load.topic.as_deref().unwrap_or("bench/%i");
        template.replace("%i", &number.to_string())
    }

    fn conn(&self, number: u32) -> ClientPlan {
        let filter = format!("{}/{number}", self.base);
        self.subscriber(number, vec![filter], Expects::Nothing)
    }

    fn alone(&self, number: u32) -> ClientPlan {
        let mut client = self.publisher(number, Topics::One(self.numbered(number)), 0);
        if let Some(publish) = &mut client.publish {
            publish.retain = self.load.retain;
        }
        client
    }

    fn listener(&self, number: u32) -> ClientPlan {
        self.subscriber(number, vec![self.numbered(number)], Expects::Others)
    }

    fn pair(&self, number: u32) -> [ClientPlan; 2] {
        let topic = format!("{}/{number}", self.base);
        let subscriber = self.subscriber(number, vec![topic.clone()], Expects::All(number..number + 1));
        [subscriber, self.publisher(number, Topics::One(topic), 1)]
    }

    fn everybody_to_everybody(&self) -> Vec<ClientPlan> {
        let Load { publishers, subscribers, .. } = *self.load;
        let filter = format!("{}/#", self.base);
        let subscriber = |n| self.subscriber(n, vec![filter.clone()], Expects::All(0..publishers));
        let publisher = |n| self.publisher(n, Topics::One(format!("{}/{n}", self.base)), u64::from(subscribers));
        (0..subscribers).map(subscriber).chain((0..publishers).map(publisher)).collect()
    }

    fn share_group(&self) -> Vec<ClientPlan> {
        let filter = format!("$share/bench/{}/#", self.base);
        let member = |n| {
            // One worker, which sees all that the group gets.
            ClientPlan { worker: 0, ..self.subscriber(n, vec![filter.clone()], Expects::Part(0..self.load.publishers)) }
        };
        let publisher = |n| self.publisher(n, Topics::One(format!("{}/{n}", self.base)), 1);
        (0..self.load.subscribers).map(member).chain((0..self.load.publishers).map(publisher)).collect()
    }

    fn wildcard_pair(&self, number: u32) -> [ClientPlan; 2] {
        let (first, share) = self.share(number);
        let filters = (first..first + share).map(|n| format!("{}/+/{n:06}/#", self.base)).collect();
        let subscriber = self.subscriber(number, filters, Expects::All(number..number + 1));
        let (before, after) = (format!("{}/site/", self.base), "/temperature".to_owned());
        let stride = if share.is_multiple_of(STRIDE) { 1 } else { STRIDE };
        let topics = Topics::Numbered { before, after, first, count: share, stride };
        [subscriber, self.publisher(number, topics, 1)]
    }

    /// Which of `messages` fall to a publisher: the first, and how many.
    fn share(&self, number: u32) -> (u64, u64) {
        let (messages, publishers) = (self.load.messages, u64::from(self.load.publishers));
        let first = messages * u64::from(number) / publishers;
        (first, messages * u64::from(number + 1) / publishers - first)
    }

    /// What the publishers of retained or queued messages have sent when they are done.
    fn shares(&self) -> Vec<Sent> {
        (0..self.load.publishers).map(|n| Sent { messages: self.share(n).1, refused: 0 }).collect()
    }

    /// A publisher of its share of retained or queued messages.
    fn filler(&self, number: u32, topics: impl Fn(u64, u64) -> Topics, fan: u64) -> ClientPlan {
        let (first, count) = self.share(number);
        let mut client = self.publisher(number, topics(first, count.max(1)), fan);
        client.wave = 0;
        if let Some(publish) = &mut client.publish {
            publish.messages = Some(count);
            publish.qos = publish.qos.max(QoS::AtLeastOnce); // what is acknowledged is there
        }
        client
    }

    fn retained(&self) -> Vec<(Stage, Part)> {
        let load = self.load;
        let fill = |payload_bytes| {
            let topics = |first, count| Topics::Numbered {
                before: format!("{}/", self.base),
                after: String::new(),
                first,
                count,
                stride: 1,
            };
            let filler = |n| {
                let mut client = self.filler(n, topics, 0);
                if let Some(publish) = &mut client.publish {
                    (publish.retain, publish.payload_bytes) = (true, payload_bytes);
                }
                client
            };
            Stage { rate: None, ..self.stage("fill", (0..load.publishers).map(filler).collect(), End::Published) }
        };
        let filter = load.filter.clone().unwrap_or_else(|| format!("{}/#", self.base));
        let reader = |n| self.subscriber(n, vec![filter.clone()], Expects::All(0..load.publishers));
        let readers = (0..load.subscribers).map(reader).collect();
        let all = load.messages * u64::from(load.subscribers);
        let read = Stage { sent_before: self.shares(), ..self.stage("retained", readers, End::Received(all)) };
        vec![
            (fill(load.payload_bytes), Part::Prepare),
            (read, Part::Measured),
            (Stage { name: "clear", ..fill(0) }, Part::Clear),
        ]
    }

    /// A session that goes on while its client is away.
    fn sleeper(&self, number: u32, subscribes: bool, expects: Expects) -> ClientPlan {
        let filters = if subscribes { vec![format!("{}/#", self.base)] } else { Vec::new() };
        let client = self.subscriber(number, filters, expects);
        ClientPlan { clean: false, session_expiry_s: BACKLOG_EXPIRY_S, ..client }
    }

    /// Publishers that only acknowledgements hold back.
    fn away(&self) -> Vec<(Stage, Part)> {
        let Load { publishers, subscribers, .. } = *self.load;
        let sleep = (0..subscribers).map(|n| self.sleeper(n, true, Expects::Nothing)).collect();
        let topic = |n: u32| Topics::One(format!("{}/{n}", self.base));
        let publish = (0..publishers).map(|n| self.publisher(n, topic(n), 0)).collect();
        let clear = (0..subscribers).map(|n| self.client("s", n, 0)).collect();
        let mut stages = vec![(self.stage("subscribe", sleep, End::Ready(Duration::ZERO)), Part::Prepare)];
        stages.extend(self.steady(publish));
        stages.push((self.stage("clear", clear, End::Ready(Duration::ZERO)), Part::Clear));
        stages
    }

    fn backlog(&self) -> Vec<(Stage, Part)> {
        let load = self.load;
        let each = |make: &dyn Fn(u32) -> ClientPlan| (0..load.subscribers).map(make).collect::<Vec<_>>();
        let sleep = each(&|n| self.sleeper(n, true, Expects::Nothing));
        let topic = |n: u32| Topics::One(format!("{}/{n}", self.base));
        let fill = (0..load.publishers).map(|n| self.filler(n, |_, _| topic(n), 0)).collect();
        let wake = each(&|n| self.sleeper(n, false, Expects::All(0..load.publishers)));
        let clear = each(&|n| self.client("s", n, 0));
        let all = load.messages * u64::from(load.subscribers);
        let woken = Stage { sent_before: self.shares(), ..self.stage("backlog", wake, End::Received(all)) };
        vec![
            (self.stage("subscribe", sleep, End::Ready(Duration::ZERO)), Part::Prepare),
            (Stage { rate: None, ..self.stage("fill", fill, End::Published) }, Part::Prepare),
            (woken, Part::Measured),
            (self.stage("clear", clear, End::Ready(Duration::ZERO)), Part::Clear),
        ]
    }
}
