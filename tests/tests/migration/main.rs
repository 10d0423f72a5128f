//! From mosquitto to Primer, as `docs/guides/from-mosquitto.md` tells it: mosquitto with TLS, passwords and an ACL, and
//! its clients; then Primer in its place, with a configuration made out of mosquitto's own. The same clients with the
//! same words get the same answers.
//!
//! `cargo xtask interop` runs it. Where mosquitto is not installed it says so and passes, but not in CI.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use primer_harness::certificates::{Authority, write};
use primer_harness::{TIMEOUT, peers, port::free_port, program, ran};

/// The folder of an installation: certificates, passwords, rights, and mosquitto's configuration.
struct Place {
    path: PathBuf,
    plain: u16,
    secure: u16,
    certified: u16,
    web: u16,
}

const PASSWORDS: [(&str, &str); 3] =
    [("boiler", "hot"), ("reader", "all of it"), ("Ärger", "pässword:mit:doppelpunkt")];

const RIGHTS: &str = "# Everybody, with or without a name\n\
    topic read public/#\n\
    \n\
    user boiler\n\
    topic write plant/boiler/#\n\
    topic readwrite plant/commands/boiler\n\
    topic deny plant/boiler/secret\n\
    \n\
    user reader\n\
    topic read #\n\
    topic read $SYS/#\n\
    \n\
    user van7\n\
    topic vans/van7/#\n\
    \n\
    pattern readwrite clients/%c/#\n\
    pattern write users/%u/state\n";

impl Place {
    fn new() -> Option<Self> {
        let _it_is_there = peers::mosquitto("mosquitto")?;
        let path = std::env::temp_dir().join(format!("primer-migration-{}", std::process::id()));
        let _none_was_left = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let mut authority = Authority::new("plant");
        let _path = write(&path, "ca.crt", &authority.certificate_pem);
        let _paths = authority.server(&["localhost", "127.0.0.1"]).write(&path, "server");
        let _paths = authority.client("van7", None).write(&path, "van7");
        let mut foreign = Authority::new("somebody else");
        let _paths = foreign.client("van7", None).write(&path, "forged");
        let _path = write(&path, "acl", RIGHTS);
        let file = path.join("passwords");
        for (index, (name, password)) in PASSWORDS.iter().enumerate() {
            let mut command = peers::mosquitto("mosquitto_passwd")?;
            if index == 0 {
                command.arg("-c");
            }
            let status = command.arg("-b").arg(&file).args([name, password]).stdout(Stdio::null()).status().unwrap();
            assert!(status.success());
        }
        open_to_all(&path);
        let [plain, secure, certified, web] = [(); 4].map(|()| free_port());
        let place = Self { path, plain, secure, certified, web };
        let _path = write(&place.path, "mosquitto.conf", &place.mosquitto_conf());
        Some(place)
    }

    /// What an installation of mosquitto 2 may look like.
    fn mosquitto_conf(&self) -> String {
        let path = self.path.display();
        let Self { plain, secure, certified, web, .. } = self;
        format!(
            "# The broker of the plant\n\
             per_listener_settings false\n\
             allow_anonymous true\n\
             password_file {path}/passwords\n\
             acl_file {path}/acl\n\
             persistence true\n\
             persistence_location {path}/kept/\n\
             autosave_interval 60\n\
             max_inflight_messages 40\n\
             max_queued_messages 5000\n\
             sys_interval 10\n\
             log_dest stderr\n\
             \n\
             listener {plain} 127.0.0.1\n\
             \n\
             listener {secure} 127.0.0.1\n\
             cafile {path}/ca.crt\n\
             certfile {path}/server.pem\n\
             keyfile {path}/server.key\n\
             \n\
             listener {certified} 127.0.0.1\n\
             cafile {path}/ca.crt\n\
             certfile {path}/server.pem\n\
             keyfile {path}/server.key\n\
             require_certificate true\n\
             use_identity_as_username true\n\
             \n\
             listener {web} 127.0.0.1\n\
             protocol websockets\n"
        )
    }

    fn arg(&self, name: &str) -> String {
        self.path.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _it_may_be_gone = fs::remove_dir_all(&self.path);
        }
    }
}

/// mosquitto gives its rights up when root starts it, and then reads these files.
fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(path.join("kept")).unwrap();
    fs::set_permissions(path.join("kept"), fs::Permissions::from_mode(0o777)).unwrap();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}

/// A broker, which ends with the value.
struct Running(Child);

impl Running {
    fn start(mut command: Command, place: &Place, log: &str) -> Self {
        let log = fs::File::create(place.path.join(log)).unwrap();
        let copy = log.try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stdout(log).stderr(copy).spawn().unwrap();
        let running = Self(child);
        let deadline = Instant::now() + TIMEOUT;
        for port in [place.plain, place.secure, place.certified, place.web] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < deadline, "nothing listens on {port}: {command:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _it_may_be_over = self.0.kill();
        let _it_is_over = self.0.wait();
    }
}

/// What a client of mosquitto did: its exit code, and what it printed.
type Answer = (String, Option<i32>, String);

/// Runs a client.
fn client(program: &str, words: &[&str]) -> Answer {
    let mut command = peers::mosquitto(program).expect("mosquitto's clients");
    let output = command.args(words).stdin(Stdio::null()).output().unwrap();
    let name = format!("{program} {}", words.join(" "));
    // A wrong password is 0x86 here, as MQTT 5.0 has it, and 0x87 with mosquitto, as for whoever has none.
    let code = output.status.code().map(|code| if code == 0x86 { 0x87 } else { code });
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    // `Warning: Publish 1 failed: Not authorized.`
    let refused = String::from_utf8_lossy(&output.stderr).lines().any(|line| line.contains("Publish"));
    (name, code, if refused { format!("{printed}REFUSED") } else { printed })
}

/// Publishes as one and reads as the other: whether the message arrives.
fn arrives(publish: &[&str], subscribe: &[&str], filter: &str, topic: &str) -> Answer {
    let mut command = peers::mosquitto("mosquitto_sub").expect("mosquitto's clients");
    let sub = command
        .args(subscribe)
        .args(["-V", "5", "-t", filter, "-t", "public/mark", "-q", "1", "-C", "1", "-W", "10", "-F", "%t %p", "-d"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700)); // it says nothing that could be awaited, in either version
    let (_, code, _) = client("mosquitto_pub", &[publish, &["-V", "5", "-q", "1", "-t", topic, "-m", "x"]].concat());
    // Whoever may not read it gets this one instead.
    let mark = ["-p", publish[1], "-u", "marker", "-P", "marks"];
    let _ends_the_subscriber =
        client("mosquitto_pub", &[&mark[..], &["-q", "1", "-t", "public/mark", "-m", ""]].concat());
    let output = sub.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let got = text.lines().filter(|line| !line.starts_with("Client ") && !line.starts_with("Subscribed"));
    let name = format!("{} -> {filter}: {topic}", publish.join(" "));
    (name, code, got.collect::<Vec<_>>().join("\n"))
}

/// Everything that the clients of the plant do, and what comes of it.
fn day_of_the_plant(place: &Place) -> Vec<Answer> {
    let [plain, secure, certified] = [place.plain, place.secure, place.certified].map(|port| port.to_string());
    let (ca, van, key) = (place.arg("ca.crt"), place.arg("van7.pem"), place.arg("van7.key"));
    let (forged, forged_key) = (place.arg("forged.pem"), place.arg("forged.key"));
    let plain = ["-p", &*plain];
    let boiler = [&plain[..], &["-i", "b1", "-u", "boiler", "-P", "hot"]].concat();
    let reader = [&plain[..], &["-i", "r1", "-u", "reader", "-P", "all of it"]].concat();
    let umlaut = [&plain[..], &["-i", "u1", "-u", PASSWORDS[2].0, "-P", PASSWORDS[2].1]].concat();
    let nobody = [&plain[..], &["-i", "n1"]].concat();
    let by_tls = ["-h", "localhost", "-p", &*secure, "--cafile", &*ca, "-i", "t1", "-u", "boiler", "-P", "hot"];
    let certified = ["-h", "localhost", "-p", &*certified, "--cafile", &*ca, "-i", "v1"];
    let van7 = [&certified[..], &["--cert", &*van, "--key", &*key]].concat();
    let forger = [&certified[..], &["--cert", &*forged, "--key", &*forged_key]].concat();
    let send = |who: &[&str], topic: &str| {
        client("mosquitto_pub", &[who, &["-V", "5", "-q", "1", "-t", topic, "-m", "x"]].concat())
    };
    let mut answers = vec![
        send(&boiler, "plant/boiler/temperature"),
        send(&boiler, "plant/boiler/secret"),
        send(&boiler, "plant/other"),
        send(&boiler, "clients/b1/x"),
        send(&boiler, "clients/r1/x"),
        send(&boiler, "users/boiler/state"),
        send(&boiler, "users/reader/state"),
        send(&umlaut, "users/Ärger/state"),
        send(&nobody, "plant/boiler/temperature"),
        send(&nobody, "clients/n1/x"),
        send(&[&plain[..], &["-u", "boiler", "-P", "cold"]].concat(), "plant/boiler/temperature"),
        send(&[&plain[..], &["-u", "unknown", "-P", "hot"]].concat(), "plant/boiler/temperature"),
        send(&[&plain[..], &["-u", "boiler"]].concat(), "plant/boiler/temperature"),
        send(&by_tls, "plant/boiler/temperature"),
        send(&van7, "vans/van7/position"),
        send(&van7, "vans/van8/position"),
    ];
    // Whether these get in at all; the codes of TLS libraries differ.
    for (name, who) in [("forged", &forger), ("no certificate", &certified.to_vec())] {
        let (_, code, _) = send(who, "vans/van7/position");
        answers.push((name.to_owned(), code.map(|code| i32::from(code != 0)), String::new()));
    }
    answers.extend([
        arrives(&boiler, &reader, "plant/#", "plant/boiler/temperature"),
        arrives(&boiler, &reader, "#", "plant/boiler/temperature"),
        arrives(
            &boiler,
            &[&plain[..], &["-i", "r2", "-u", "boiler", "-P", "hot"]].concat(),
            "#",
            "plant/commands/boiler",
        ),
        arrives(&boiler, &[&plain[..], &["-i", "n2"]].concat(), "#", "plant/boiler/temperature"),
        arrives(&by_tls, &reader, "plant/+/temperature", "plant/boiler/temperature"),
    ]);
    answers
}

/// What is retained and what waits for a session that is away.
fn keep(place: &Place) -> Vec<Answer> {
    let port = place.plain.to_string();
    let reader = ["-p", &*port, "-i", "keeper", "-u", "reader", "-P", "all of it", "-c", "-q", "1"];
    let boiler = ["-p", &*port, "-u", "boiler", "-P", "hot", "-q", "1"];
    let first = client("mosquitto_sub", &[&reader[..], &["-t", "plant/boiler/n", "-E"]].concat());
    let mut answers = vec![first];
    for number in ["1", "2", "3"] {
        answers.push(client("mosquitto_pub", &[&boiler[..], &["-t", "plant/boiler/n", "-m", number]].concat()));
    }
    answers.push(client("mosquitto_sub", &[&reader[..], &["-t", "plant/boiler/n", "-C", "3", "-W", "10"]].concat()));
    answers.push(client("mosquitto_pub", &[&boiler[..], &["-r", "-t", "plant/boiler/state", "-m", "on"]].concat()));
    let words = ["-t", "plant/boiler/state", "-C", "1", "-W", "10", "-F", "%t %p %r"];
    answers.push(client("mosquitto_sub", &[&["-p", &*port, "-u", "reader", "-P", "all of it"][..], &words].concat()));
    answers
}

/// The marks of [`arrives`] come from a user of their own, so that the broker's own rules do not matter for it.
fn add_marker(place: &Place) {
    let mut command = peers::mosquitto("mosquitto_passwd").expect("mosquitto_passwd");
    let status = command.arg("-b").arg(place.arg("passwords")).args(["marker", "marks"]).stdout(Stdio::null()).status();
    assert!(status.unwrap().success());
    let mut acl = fs::OpenOptions::new().append(true).open(place.path.join("acl")).unwrap();
    acl.write_all(b"user marker\ntopic write public/mark\n").unwrap();
    open_to_all(&place.path);
}

#[test]
fn primer_takes_mosquitto_s_place() {
    let Some(place) = Place::new() else { return };
    add_marker(&place);
    let mut mosquitto = peers::mosquitto("mosquitto").unwrap();
    mosquitto.args(["-c", &place.arg("mosquitto.conf")]);
    let broker = Running::start(mosquitto, &place, "mosquitto.log");
    let before = (day_of_the_plant(&place), keep(&place));
    drop(broker);

    // The five minutes: one command makes the configuration, one checks it, one serves.
    let imported = ran::run(&["import", &place.arg("mosquitto.conf")], b"");
    assert_eq!(imported.code, Some(0), "{imported:?}");
    let _path = write(&place.path, "primer.toml", &imported.stdout);
    let config = place.arg("primer.toml");
    let checked = ran::run(&["config", "check", "--config", &config], b"");
    assert_eq!(checked.code, Some(0), "{checked:?}\n{}", imported.stdout);
    let mut primer = program::command();
    primer.args(["serve", "--config", &config]);
    let broker = Running::start(primer, &place, "primer.log");
    let after = (day_of_the_plant(&place), keep(&place));
    drop(broker);

    let log = fs::read_to_string(place.path.join("primer.log")).unwrap();
    for (one, other) in before.0.iter().chain(&before.1).zip(after.0.iter().chain(&after.1)) {
        assert_eq!(one, other, "mosquitto, Primer; its log:\n{log}");
    }
    assert_eq!((before.0.len(), before.1.len()), (after.0.len(), after.1.len()));
    // It was worth comparing: some went through and some did not.
    let (through, refused): (Vec<&Answer>, Vec<&Answer>) =
        before.0.iter().partition(|(_, code, text)| *code == Some(0) && text != "REFUSED");
    assert!(through.len() >= 8 && refused.len() >= 8, "{through:?}\n{refused:?}");
}
