//! One ACL file and one password file, given to mosquitto and to Primer: mosquitto's clients get the same of both.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use primer_broker::{
    Options,
    access::{AccessOptions, Guard},
    options::ListenerOptions,
};
use primer_harness::{Launch, peers, ran};

use crate::place::Place;

const RULES: &str = "# nobody's
topic read public/#
topic deny public/secret

user alice
topic readwrite alice/#
topic  deny  alice/secret/+
topic read with space/a b

user writer
topic write #
topic write $other/#
pattern read dev/%c/+
pattern read mine/%u
pattern read all
";

/// What the writer publishes, the last of it readable by all who subscribe.
const TOPICS: [&str; 14] = [
    "public/a",
    "public/secret",
    "alice",
    "alice/b",
    "alice/secret",
    "alice/secret/x",
    "with space/a b",
    "dev/c1/x",
    "dev/c1/x/y",
    "dev/c2/x",
    "mine/alice",
    "mine/bob",
    "$other/x",
    "all",
];

/// Who subscribes to everything: client identifier, user name, and what it gets.
type Reader = (&'static str, Option<&'static str>, &'static [&'static str]);

const READERS: [Reader; 3] = [
    ("c1", Some("alice"), &["alice", "alice/b", "alice/secret", "with space/a b", "dev/c1/x", "mine/alice", "all"]),
    ("c2", None, &["public/a", "dev/c2/x", "all"]),
    ("c3", Some("bob"), &["mine/bob", "all"]),
];

/// To mosquitto it is `dev/c1/x/+` that this one may read; here a name is one level, or none.
const STRICTER: Reader = ("c1/x", Some("bob"), &["mine/bob", "all"]);

/// Writes the files, and answers the names of the password file and the ACL file.
fn files(place: &Place) -> (String, String) {
    let (passwords, rules) = (place.path("users"), place.path("acl"));
    for user in ["alice", "bob", "writer"] {
        let create = if user == "alice" { "-cb" } else { "-b" };
        let arguments = ["passwd", create, "-H", "sha512-pbkdf2", "-I", "101", &passwords, user, user];
        ran::run(&arguments, b"").text();
    }
    fs::write(&rules, RULES).expect("a file");
    fs::set_permissions(&place.0, PermissionsExt::from_mode(0o755)).expect("its mode");
    fs::set_permissions(&passwords, PermissionsExt::from_mode(0o644)).expect("mosquitto may have another user");
    (passwords, rules)
}

/// Runs a client of mosquitto's to its end; answers whether it went well, and the lines that it wrote.
fn client(program: &str, port: u16, user: Option<&str>, arguments: &[&str]) -> Option<(bool, Vec<String>)> {
    let mut command = peers::mosquitto(program)?;
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1"]).args(arguments);
    if let Some(user) = user {
        command.args(["-u", user, "-P", user]);
    }
    let output = command.output().expect("the client");
    let lines = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    Some((output.status.success(), lines))
}

/// Has every reader subscribe to everything and go, the writer publish, and the readers come back for what waits.
fn hold(port: u16, readers: &[Reader]) -> Option<()> {
    for (id, user, _) in readers.iter().copied() {
        let subscribed = client("mosquitto_sub", port, user, &["-c", "-i", id, "-t", "#", "-E"])?;
        assert!(subscribed.0, "{id} subscribes to what it may read in part");
    }
    for topic in TOPICS {
        let published = client("mosquitto_pub", port, Some("writer"), &["-V", "5", "-t", topic, "-m", topic])?;
        assert!(published.0, "{topic}");
    }
    for (id, user, wanted) in readers.iter().copied() {
        let count = wanted.len().to_string();
        let (_, lines) = client("mosquitto_sub", port, user, &["-c", "-i", id, "-t", "#", "-C", &count, "-W", "20"])?;
        assert_eq!(lines, wanted, "{id} {user:?}");
    }
    for (user, password) in [("alice", "wrong"), ("carol", "carol"), ("alice", "")] {
        let arguments = ["-u", user, "-P", password, "-t", "alice/b", "-m", "x"];
        assert!(!client("mosquitto_pub", port, None, &arguments)?.0, "{user} {password}");
    }
    Some(())
}

#[test]
fn mosquitto_does_what_is_held_here() {
    let Some(mosquitto) = Launch::mosquitto() else { return };
    let place = Place::new();
    let ((passwords, rules), config) = (files(&place), place.path("conf"));
    let text = format!("password_file {passwords}\nacl_file {rules}\nallow_anonymous true\n");
    fs::write(&config, text).expect("a file");
    let broker = mosquitto.args(&["-c", &config]).start();
    hold(broker.port(), &READERS);
}

#[test]
fn primer_does_the_same() {
    let place = Place::new();
    let (passwords, rules) = files(&place);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let guard = Guard::load(AccessOptions {
        allow_anonymous: true,
        password_file: Some(passwords.into()),
        acl_file: Some(rules.into()),
        users: Vec::new(),
    })
    .expect("a guard");
    let listeners = vec![ListenerOptions::tcp(([127, 0, 0, 1], 0).into())];
    let options = Options { listeners, ..Options::default() };
    let broker = primer_broker::Broker::start(options, guard.clone(), guard).expect("a broker");
    let readers = [&READERS[..], &[STRICTER]].concat();
    hold(broker.addresses()[0].port(), &readers);
    runtime.block_on(broker.shutdown(Duration::ZERO));
}
