//! The command-line clients of mosquitto, in MQTT 3.1, 3.1.1 and 5.0.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use primer_harness::{Broker, Client, SILENCE, TIMEOUT, peers};

use crate::support::{Output, PROGRAM_TIMEOUT, Program};

/// All versions, as `-V` names them.
const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

/// `mosquitto_sub` exits with it when its time (`-W`) is over.
const TIMED_OUT: i32 = 27;

fn program(broker: &Broker, name: &str, args: &[&str]) -> Option<Command> {
    let mut command = peers::mosquitto(name)?;
    command.args(["-h", "127.0.0.1", "-p", &broker.port().to_string()]).args(args);
    Some(command)
}

/// Publishes with `mosquitto_pub`; `None` where there is none.
#[track_caller]
fn publish(broker: &Broker, args: &[&str]) -> Option<()> {
    publish_lines(broker, args, "")
}

/// Publishes with `mosquitto_pub`, which reads this on stdin (`-l`, `-s`).
#[track_caller]
fn publish_lines(broker: &Broker, args: &[&str], input: &str) -> Option<()> {
    let mut command = program(broker, "mosquitto_pub", args)?;
    Program::start_with_input(&mut command, input.as_bytes()).succeed();
    Some(())
}

/// Runs `mosquitto_sub` to its end, which has to be a success.
#[track_caller]
fn run_sub(broker: &Broker, args: &[&str]) -> Option<Output> {
    Some(Program::start(&mut program(broker, "mosquitto_sub", args)?).succeed())
}

/// Starts `mosquitto_sub` and waits until it has subscribed: it also takes a topic of its own, which it does not show,
/// and the broker tells a publisher of MQTT 5.0 when nobody takes that topic (0x10).
#[track_caller]
fn start_sub(broker: &Broker, args: &[&str]) -> Option<Program> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let ready = format!("ready/{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut command = program(broker, "mosquitto_sub", args)?;
    let sub = Program::start(command.args(["-t", &ready, "-T", &ready]));
    let mut prober = Client::v5(broker.addr(), &ready.replace('/', "-"));
    let deadline = Instant::now() + TIMEOUT;
    while prober.publish(&ready, "", 1) == 0x10 {
        assert!(Instant::now() < deadline, "mosquitto_sub did not subscribe within {TIMEOUT:?}: {sub:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(sub)
}

#[track_caller]
fn lines_of(sub: Option<Program>) -> Option<Vec<String>> {
    Some(sub?.succeed().lines())
}

fn one_version_delivers_at_each_qos(version: &str) {
    let broker = Broker::start();
    for qos in ["0", "1", "2"] {
        let Some(sub) = start_sub(&broker, &["-V", version, "-q", qos, "-t", "a/b", "-C", "3", "-F", "%t %q %r %p"])
        else {
            return;
        };
        let _ = publish_lines(&broker, &["-V", version, "-q", qos, "-t", "a/b", "-l"], "one\ntwo\nthree\n");
        let wanted = ["one", "two", "three"].map(|text| format!("a/b {qos} 0 {text}"));
        assert_eq!(lines_of(Some(sub)).expect("it ran"), wanted, "{version} at QoS {qos}");
    }
}

#[test]
fn version_31_delivers_at_each_qos() {
    one_version_delivers_at_each_qos("mqttv31");
}

#[test]
fn version_311_delivers_at_each_qos() {
    one_version_delivers_at_each_qos("mqttv311");
}

#[test]
fn version_5_delivers_at_each_qos() {
    one_version_delivers_at_each_qos("mqttv5");
}

#[test]
fn the_lower_qos_of_publisher_and_subscriber_holds_across_versions() {
    let broker = Broker::start();
    for (from, to) in [("mqttv31", "mqttv5"), ("mqttv5", "mqttv31"), ("mqttv311", "mqttv5")] {
        for (published, subscribed, wanted) in [("2", "1", "1"), ("0", "2", "0"), ("1", "2", "1")] {
            let args = ["-V", to, "-q", subscribed, "-t", "x", "-C", "1", "-F", "%q %p"];
            let sub = start_sub(&broker, &args);
            let _ = publish(&broker, &["-V", from, "-q", published, "-t", "x", "-m", "hi"]);
            let Some(lines) = lines_of(sub) else { return };
            assert_eq!(lines, [format!("{wanted} hi")], "{from} at {published} to {to} at {subscribed}");
        }
    }
}

#[test]
fn a_retained_message_waits_and_can_be_removed() {
    let broker = Broker::start();
    for version in VERSIONS {
        let publish_retained = |args: &[&str]| {
            let head = ["-V", version, "-r", "-q", "1", "-t", "kept/here"];
            publish(&broker, &[&head, args].concat())
        };
        let sub = |args: &[&str]| {
            let head = ["-V", version, "-q", "1", "-t", "kept/#", "-F", "%t %r %p"];
            Some(Program::start(&mut program(&broker, "mosquitto_sub", &[&head, args].concat())?).wait(PROGRAM_TIMEOUT))
        };
        if publish_retained(&["-m", "first"]).is_none() {
            return;
        }
        let _ = publish_retained(&["-m", "second"]);
        let output = sub(&["-C", "1"]).expect("it is installed");
        assert_eq!(output.lines(), ["kept/here 1 second"], "{version}");
        let _ = publish_retained(&["-n"]);
        let output = sub(&["-W", "1"]).expect("it is installed");
        assert_eq!((output.code, output.text().as_str()), (Some(TIMED_OUT), ""), "{version}: {}", output.stderr);
    }
}

#[test]
fn wildcards_take_what_they_name_and_no_more() {
    let broker = Broker::start();
    for version in VERSIONS {
        let filters = ["-t", "a/+/c", "-t", "b/#", "-t", "+/one"];
        let head = ["-V", version, "-q", "1", "-C", "6", "-F", "%t"];
        let Some(sub) = start_sub(&broker, &[&head[..], &filters].concat()) else { return };
        // The last one ends the subscriber, and comes after what must not have come.
        for topic in ["a/c", "a/b/c", "a//c", "a/b/c/d", "b", "b/x/y", "c/one", "one", "$b/one", "a/c/c"] {
            let _ = publish(&broker, &["-V", version, "-q", "1", "-t", topic, "-m", "x"]);
        }
        assert_eq!(
            lines_of(Some(sub)).expect("it ran"),
            ["a/b/c", "a//c", "b", "b/x/y", "c/one", "a/c/c"],
            "{version}"
        );
    }
}

#[test]
fn a_will_is_published_for_a_killed_client_and_not_for_one_that_says_goodbye() {
    let broker = Broker::start();
    for version in VERSIONS {
        let mut watcher = Client::v5(broker.addr(), "watcher");
        assert_eq!(watcher.subscribe(&format!("wills/{version}/#"), 2), 2);
        let with_will = |topic: &str| {
            let will = ["--will-topic", topic, "--will-payload", "gone", "--will-qos", "2", "--will-retain"];
            start_sub(&broker, &[&["-V", version, "-t", "x"], &will[..]].concat())
        };
        let Some(left) = with_will(&format!("wills/{version}/left")) else { return };
        left.terminate();
        left.wait(PROGRAM_TIMEOUT);
        if version == "mqttv5" {
            // Asked to end, it says DISCONNECT with 0x04: with the will.
            assert_eq!(watcher.recv().topic, format!("wills/{version}/left"));
        }
        let killed_topic = format!("wills/{version}/killed");
        with_will(&killed_topic).expect("it is installed").kill9();
        let will = watcher.recv();
        assert_eq!((will.topic.as_str(), will.text().as_str(), will.qos), (killed_topic.as_str(), "gone", 2));
        watcher.expect_no_publish_before_ping();
        let kept = run_sub(&broker, &["-V", version, "-t", &killed_topic, "-C", "1", "-F", "%r %p"]);
        assert_eq!(kept.expect("it is installed").lines(), ["1 gone"]);
    }
}

#[test]
fn a_persistent_session_keeps_messages_for_its_client() {
    let broker = Broker::start();
    for version in VERSIONS {
        for qos in ["1", "2"] {
            let topic = format!("off/{version}/{qos}");
            let id = format!("sleeper-{version}-{qos}");
            let session = ["-V", version, "-c", "-i", &id, "-q", qos, "-t", &topic];
            if run_sub(&broker, &[&session[..], &["-E"]].concat()).is_none() {
                return;
            }
            let lines: String = (0..50).map(|number| format!("{number}\n")).collect();
            let _ = publish_lines(&broker, &["-V", version, "-q", qos, "-t", &topic, "-l"], &lines);
            let _ = publish(&broker, &["-V", version, "-q", "0", "-t", &topic, "-m", "not kept"]);
            let output = run_sub(&broker, &[&session[..], &["-C", "50", "-F", "%q %p"]].concat());
            let wanted: Vec<String> = (0..50).map(|number| format!("{qos} {number}")).collect();
            assert_eq!(output.expect("it is installed").lines(), wanted, "{version} at QoS {qos}");
        }
    }
}

#[test]
fn properties_of_version_5_go_through_unchanged() {
    let broker = Broker::start();
    let format = "%C|%R|%D|%E|%P|%F|%p";
    let sub = start_sub(&broker, &["-V", "mqttv5", "-q", "1", "-t", "props", "-C", "2", "-F", format]);
    let properties: Vec<&str> = [
        ["content-type", "text/plain; charset=utf-8"].as_slice(),
        &["response-topic", "answers/here"],
        &["correlation-data", "c0ffee"],
        &["message-expiry-interval", "3600"],
        &["payload-format-indicator", "1"],
        &["user-property", "key", "value"],
        &["user-property", "key", "zweiter Wert ü"],
        &["user-property", "", ""],
    ]
    .into_iter()
    .flat_map(|property| ["-D", "publish"].into_iter().chain(property.iter().copied()))
    .collect();
    let head = ["-V", "mqttv5", "-q", "1", "-t", "props", "-m", "payload"];
    let _ = publish(&broker, &[&head, &properties[..]].concat());
    let _ = publish(&broker, &["-V", "mqttv311", "-q", "1", "-t", "props", "-m", "plain"]);
    let Some(lines) = lines_of(sub) else { return };
    let users = "key:value key:zweiter Wert ü :";
    let wanted = format!("text/plain; charset=utf-8|answers/here|c0ffee|3600|{users}|1|payload");
    assert_eq!(lines, [wanted, "||||||plain".to_owned()]);
}

#[test]
fn a_request_is_answered_through_its_response_topic() {
    let broker = Broker::start();
    let mut server = Client::v5(broker.addr(), "server");
    server.subscribe("ask", 1);
    let args = ["-V", "mqttv5", "-q", "1", "-t", "ask", "-e", "answers/1", "-m", "2+2"];
    let Some(mut command) = program(&broker, "mosquitto_rr", &args) else { return };
    let asker = Program::start(&mut command);
    let question = server.recv();
    let reply_to = primer_harness::wire::prop::text(&question.props, primer_harness::wire::prop::RESPONSE_TOPIC);
    assert_eq!((question.text().as_str(), reply_to), ("2+2", Some("answers/1")));
    server.publish("answers/1", "4", 1);
    assert_eq!(asker.succeed().lines(), ["4"]);
}

/// Bytes that are no text and do not repeat soon.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn a_large_payload_comes_back(version: &str, qos: &str, megabytes: usize) {
    let broker = Broker::start();
    let payload = noise(megabytes * 1024 * 1024);
    let file = broker.dir().join("payload");
    std::fs::write(&file, &payload).expect("a file for the payload");
    let sub = start_sub(&broker, &["-V", version, "-q", qos, "-t", "large", "-C", "1", "-N"]);
    let file = file.to_string_lossy().into_owned();
    let _ = publish(&broker, &["-V", version, "-q", qos, "-t", "large", "-r", "-f", &file]);
    let Some(sub) = sub else { return };
    let output = sub.succeed();
    assert_eq!(output.stdout.len(), payload.len(), "{version} at QoS {qos}");
    assert!(output.stdout == payload, "{version} at QoS {qos}: the payload was changed");
    let kept = run_sub(&broker, &["-V", version, "-q", qos, "-t", "large", "-C", "1", "-N"]);
    assert!(kept.expect("it is installed").stdout == payload, "the retained payload was changed");
}

#[test]
fn five_megabytes_come_back() {
    a_large_payload_comes_back("mqttv311", "2", 5);
    a_large_payload_comes_back("mqttv5", "0", 5);
}

#[test]
fn fifteen_megabytes_come_back() {
    a_large_payload_comes_back("mqttv5", "1", 15);
    a_large_payload_comes_back("mqttv31", "0", 15);
}

#[test]
fn ten_thousand_lines_come_in_order() {
    let broker = Broker::start();
    for (version, qos) in [("mqttv311", "0"), ("mqttv5", "1"), ("mqttv31", "2")] {
        let wanted: Vec<String> = (0..10_000).map(|number| format!("line {number}")).collect();
        let sub = start_sub(&broker, &["-V", version, "-q", qos, "-t", "lines", "-C", "10000"]);
        let _ = publish_lines(&broker, &["-V", version, "-q", qos, "-t", "lines", "-l"], &wanted.join("\n"));
        let Some(lines) = lines_of(sub) else { return };
        assert!(lines == wanted, "{version} at QoS {qos}: {} lines, or not in order", lines.len());
    }
}

/// Groups of a queue, and a worker of one that is killed again and again in the middle of what it has.
#[test]
fn a_killed_worker_s_part_of_a_queue_goes_to_its_group() {
    const COUNT: usize = 2_000;
    for (version, qos) in [("mqttv311", "1"), ("mqttv311", "2"), ("mqttv5", "1"), ("mqttv5", "2")] {
        let broker = Broker::start();
        let worker = |group: &str, more: &[&str]| {
            let filter = format!("$share/{group}/$queue/jobs");
            let args = ["-V", version, "-q", qos, "-t", &filter];
            let mut command = program(&broker, "mosquitto_sub", &[&args[..], more].concat())?;
            Some(Program::start(&mut command))
        };
        // Both groups are there before the messages: a later one begins with what is left.
        let mut groups = Client::v5(broker.addr(), "groups");
        assert_eq!(groups.subscribe_with(&[("$share/a/$queue/jobs", 1), ("$share/b/$queue/jobs", 1)], &[]), [1, 1]);
        groups.disconnect();
        let numbers: String = (0..COUNT).map(|number| format!("{number}\n")).collect();
        if publish_lines(&broker, &["-V", version, "-q", "1", "-t", "$queue/jobs", "-l"], &numbers).is_none() {
            return;
        }
        let mut killed = Vec::new();
        for _ in 0..5 {
            let victim = worker("a", &[]).expect("it is installed");
            std::thread::sleep(Duration::from_millis(30));
            killed.extend(victim.kill9_and_read());
        }
        let steady = worker("a", &["-W", "2"]).expect("it is installed");
        let other = worker("b", &["-C", &COUNT.to_string()]).expect("it is installed");
        assert_eq!(other.succeed().lines().len(), COUNT, "{version} QoS {qos}");
        let rest = steady.wait(PROGRAM_TIMEOUT);
        assert_eq!(rest.code, Some(TIMED_OUT));
        let all: std::collections::BTreeSet<String> = killed.iter().cloned().chain(rest.lines()).collect();
        println!("{version} QoS {qos}: {} to the killed, {} to the other", killed.len(), rest.lines().len());
        // mosquitto answers (PUBACK, PUBCOMP) a message before it prints it: a kill may come between. What it has not
        // answered comes to the others.
        assert!(all.len() >= COUNT - 5 && all.len() <= COUNT, "{version} QoS {qos}: {} of {COUNT}", all.len());
        let mut probe = Client::v5(broker.addr(), "probe");
        probe.subscribe("$browse/jobs", 0);
        probe.expect_no_publish(SILENCE / 4);
    }
}
