//! Files that change while the broker runs: new clients are served with what is new, those that are there stay.

use primer_harness::Client;
use primer_harness::certificates::{Authority, write};

use crate::fixture::{Place, goes_through, port, run, stays_out};

const CONFIG: &str = "[listeners.ssl.default]\nbind = '127.0.0.1:0'\ncertfile = 'server.pem'\nkeyfile = 'server.key'\n";

#[test]
fn a_certificate_that_changes_is_taken_without_a_word_and_nobody_is_cut() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(CONFIG);
    let (port, old) = (port(&broker, "ssl:default"), place.arg("ca.pem"));
    let mut sub = Client::v5(broker.addr(), "watcher");
    sub.subscribe("stays", 1);
    let tls = ["-h", "localhost", "-p", &*port, "--cafile", &*old];
    // A client that stays over the change: it reads lines and publishes each.
    let mut stays = primer_harness::ran::start(&[&["pub", "-l", "-q", "1", "-t", "stays"][..], &tls].concat());
    let mut stdin = stays.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"before\n").unwrap();
    assert_eq!(&*sub.recv().payload, b"before");

    let mut fresh = Authority::new("fresh");
    let new = write(place.path(), "new-ca.pem", &fresh.certificate_pem);
    let _paths = fresh.server(&["localhost"]).write(place.path(), "server");
    let _line = broker.wait_for_line("serves new certificates");
    goes_through(&broker, &["-h", "localhost", "-p", &port, "--cafile", new.to_str().unwrap()]);
    stays_out(&tls);

    std::io::Write::write_all(&mut stdin, b"after\n").unwrap();
    assert_eq!(&*sub.recv().payload, b"after");
    drop(stdin);
    assert_eq!(primer_harness::ran::end(stays).code, Some(0));

    // What cannot be used is told, and what was there is served on; SIGHUP says so again.
    std::fs::write(place.path().join("server.pem"), "no certificate").unwrap();
    let _line = broker.wait_for_line("cannot be used");
    goes_through(&broker, &["-h", "localhost", "-p", &port, "--cafile", new.to_str().unwrap()]);
}

/// Passwords and rights are read again on SIGHUP. A file with one bad line changes nothing.
#[test]
fn passwords_and_rights_change_with_a_signal_and_nobody_is_cut() {
    let place = Place::new();
    let user = |name: &str, password: &str| {
        let file = place.arg("passwords");
        let ran = run(&["passwd", "-b", "-H", "sha512-pbkdf2", "-I", "1000", &file, name, password]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    std::fs::write(place.path().join("passwords"), "").unwrap();
    user("watcher", "w");
    write_acl(&place, "user watcher\ntopic read #\nuser van\ntopic write a/#\n");
    let mut broker = place.serve("[access]\npassword_file = 'passwords'\nacl_file = 'acl'\n");
    let mut watcher = Client::v5_with(broker.addr(), "watcher", |connect| connect.user("watcher").password(b"w"));
    watcher.subscribe("#", 1);
    let port = broker.port().to_string();
    let publish = |topic: &str| {
        run(&["pub", "-V", "5", "-p", &port, "-u", "van", "-P", "secret", "-q", "1", "-t", topic, "-m", topic])
    };
    assert_ne!(publish("a/1").code, Some(0), "there is no such user yet");
    user("van", "secret");
    broker.hang_up_and_wait("Reloaded");
    assert_eq!(publish("a/1").code, Some(0));
    assert_eq!(watcher.recv().topic, "a/1");
    write_acl(&place, "user watcher\ntopic read b/#\nuser van\ntopic write b/#\n");
    broker.hang_up_and_wait("Reloaded");
    assert!(publish("a/1").stderr.to_lowercase().contains("not authori"));
    assert_eq!(publish("b/1").code, Some(0));
    assert_eq!(watcher.recv().topic, "b/1");

    write_acl(&place, "user van\ntopic write #\nnonsense\n");
    broker.hang_up_and_wait("line 3: `nonsense`");
    assert!(publish("a/1").stderr.to_lowercase().contains("not authori"), "the old rights hold");
    assert_eq!(publish("b/2").code, Some(0));
    assert_eq!(watcher.recv().topic, "b/2");
    watcher.expect_no_publish_before_ping();
}

fn write_acl(place: &Place, text: &str) {
    let _path = write(place.path(), "acl", text);
}

/// A configuration that is wrong changes nothing of a broker that runs.
#[test]
fn a_wrong_configuration_leaves_a_running_broker_as_it_was() {
    let place = Place::new();
    let mut broker = place.serve("[mqtt]\nmax_qos = 2\n");
    let _path = write(place.path(), "primer.toml", "[mqtt]\nmax_qso = 2\n");
    broker.hang_up_and_wait("primer.toml:2");
    goes_through(&broker, &["-p", &broker.port().to_string()]);
    // And what takes a restart is named.
    let _path = write(place.path(), "primer.toml", "[mqtt]\nmax_qos = 1\n");
    broker.hang_up_and_wait("mqtt.max_qos");
}

/// A full disk, or an editor caught in the middle, must not open a broker.
#[test]
fn a_configuration_that_lost_its_users_opens_nothing() {
    let place = Place::new();
    let mut broker = place.serve("[access]\nusers = ['van:secret']\n");
    let _path = write(place.path(), "primer.toml", "");
    broker.hang_up_and_wait("names no users any more");
    let port = broker.port().to_string();
    stays_out(&["-p", &port]);
    let _path = write(place.path(), "primer.toml", "[access]\nallow_anonymous = true\n");
    broker.hang_up_and_wait("Reloaded");
    goes_through(&broker, &["-p", &port]);
}

/// A pipe in the place of a file is not waited for.
#[test]
fn a_pipe_in_the_place_of_a_file_is_refused() {
    let place = Place::new();
    write_acl(&place, "topic #\n");
    let mut broker = place.serve("[access]\nacl_file = 'acl'\n");
    for name in ["acl", "primer.toml"] {
        std::fs::remove_file(place.path().join(name)).unwrap();
        let made = std::process::Command::new("mkfifo").arg(place.path().join(name)).status().unwrap();
        assert!(made.success());
        broker.hang_up_and_wait("no regular file");
    }
    goes_through(&broker, &["-p", &broker.port().to_string()]);
    broker.terminate();
    assert!(broker.wait(primer_harness::TIMEOUT).is_some_and(|status| status.success()));
}
