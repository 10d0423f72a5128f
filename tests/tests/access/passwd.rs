//! `primer passwd`, and that mosquitto and it read each other's files.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use primer_devices::Passwords;
use primer_harness::{Launch, peers, ran, ran::Ran};

use crate::place::Place;

/// What is said after a change of a file that was there.
const RELOAD: &str = "a running broker reads it again with kill -HUP\n";

#[track_caller]
fn passwd(arguments: &[&str], input: &str) -> Ran {
    ran::run(&[&["passwd"], arguments].concat(), input.as_bytes())
}

#[test]
fn users_are_added_changed_and_removed_and_all_else_stays() {
    let place = Place::new();
    let file = place.path("users");
    assert_eq!(passwd(&["-c", &file, "alice"], "secret\nsecond line\n").text(), "alice: added\n");
    let mode = fs::metadata(&file).expect("the file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o}");
    assert!(place.read("users").starts_with("alice:$argon2id$v=19$m=19456,t=2,p=1$"));
    fs::write(&file, format!("# people\n{}\n# devices\n", place.read("users"))).expect("the file");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("its mode");
    let owner = fs::metadata(&file).expect("the file").uid();
    assert_eq!(passwd(&["-b", "-H", "sha512", &file, "dev 1", "a:b"], "").text(), format!("dev 1: added\n{RELOAD}"));
    assert_eq!(passwd(&["-b", &file, "alice", "new"], "").text(), format!("alice: has a new password\n{RELOAD}"));
    let text = place.read("users");
    assert!(text.starts_with("# people\nalice:$argon2id$") && text.contains("\n\n# devices\ndev 1:$6$"), "{text}");
    let users = place.passwords("users");
    assert!(users.verify("alice", b"new") && !users.verify("alice", b"secret") && users.verify("dev 1", b"a:b"));
    assert_eq!(passwd(&["-D", &file, "dev 1"], "").text(), format!("dev 1: removed\n{RELOAD}"));
    let after = fs::metadata(&file).expect("the file");
    assert_eq!((after.permissions().mode() & 0o777, after.uid()), (0o640, owner), "it keeps its mode and owner");
    assert_eq!(place.names(), ["users"], "nothing is left beside it");
}

#[test]
fn a_file_that_begins_anew_says_how_many_users_it_had() {
    let place = Place::new();
    let file = place.path("users");
    fs::write(&file, "# people\nalice:x\n\nbob:y\n  carol:z\n").expect("a file");
    let said = |count: &str| format!("dora: added\nreplaced a file with {count}\n{RELOAD}");
    assert_eq!(passwd(&["-c", "-b", "-H", "sha512", &file, "dora", "x"], "").text(), said("3 users"));
    assert_eq!(passwd(&["-c", "-b", "-H", "sha512", &file, "dora", "x"], "").text(), said("1 user"));
    fs::write(&file, "").expect("a file");
    let text = passwd(&["-c", "-b", "-H", "sha512", &file, "dora", "x"], "");
    assert_eq!(text.text(), format!("dora: added\n{RELOAD}"));
}

#[test]
fn a_link_stays_one_and_its_file_is_changed() {
    let place = Place::new();
    let (file, link) = (place.path("users"), place.path("link"));
    fs::write(&file, "").expect("a file");
    std::os::unix::fs::symlink("users", &link).expect("a link");
    passwd(&["-b", "-H", "sha512", &link, "alice", "x"], "").text();
    assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
    assert!(place.passwords("users").knows("alice"));
}

#[test]
fn plain_passwords_are_hashed_and_hashes_are_left_alone() {
    let place = Place::new();
    let file = place.path("users");
    fs::write(&file, "alice:secret\n# bob is next\nbob:pass word\n").expect("a file");
    assert_eq!(
        passwd(&["-U", "-H", "sha512-pbkdf2", "-I", "1000", &file], "").text(),
        format!("2 passwords hashed\n{RELOAD}")
    );
    let text = place.read("users");
    assert!(text.contains("\n# bob is next\nbob:$7$1000$"), "{text}");
    assert!(place.passwords("users").verify("bob", b"pass word"));
    assert_eq!(passwd(&["-U", &file], "").text(), "0 passwords hashed\n");
    assert_eq!(place.read("users"), text);
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let place = Place::new();
    let file = place.path("users");
    let missing = place.path("nowhere");
    fs::write(&file, "alice:secret\nbob\n").expect("a file");
    for (arguments, words) in [
        (&["-b", &missing, "a", "x"][..], &["-c begins one", "nowhere", "No such file"][..]),
        (&["-b", &file, "a", "x"], &["users: line 2", "no colon"]),
        (&["-U", &file], &["users: line 2", "no colon"]),
        (&["-D", &file, "alice"], &["users: line 2", "no colon"]),
        (&["-c", "-b", &missing, "a:b", "x"], &["`a:b` is no user name"]),
        (&["-c", "-b", &missing, "a", ""], &["the password is empty"]),
        (&["-c", &missing, "a"], &["no password on standard input"]),
        (&["-c", "-b", "-I", "5", &missing, "a", "x"], &["-I is for -H sha512-pbkdf2"]),
        (&["-D", "-", "a"], &["name one"]),
        (&["-c", "-b", &place.path("no/folder"), "a", "x"], &["no/folder", "No such file"]),
        (&["-b", "-c", &place.path("."), "a", "x"], &["it is no file"]),
    ] {
        passwd(arguments, "").failed(1, words);
    }
    for arguments in [&[&*file, "a", "x"][..], &["-U", &file, "a"], &["-b", &file, "a"], &["-c", "-D", &file, "a"]] {
        passwd(arguments, "").failed(2, &["--help"]);
    }
    fs::write(&file, format!("alice:{}\n", "x")).expect("a file");
    passwd(&["-D", &file, "carol"], "").failed(1, &["no user `carol`", "users"]);
    fs::write(&file, b"alice:x\nb\xff:x\n").expect("a file");
    passwd(&["-D", &file, "alice"], "").failed(1, &["users: line 2: it is not UTF-8"]);
    assert_eq!(place.names(), ["users"]);
}

#[test]
fn a_dash_is_standard_output() {
    let ran = passwd(&["-H", "sha512-pbkdf2", "-I", "1000", "-", "alice"], "secret\n");
    let users = Passwords::parse(ran.text().as_bytes()).expect("a line");
    assert!(users.verify("alice", b"secret") && ran.text().starts_with("alice:$7$1000$"));
}

#[test]
fn a_file_of_mosquittos_program_is_read_and_changed() {
    let place = Place::new();
    let file = place.path("users");
    for arguments in [&["-c", "-b"][..], &["-c", "-b", "-H", "sha512"]] {
        let Some(mut theirs) = peers::mosquitto("mosquitto_passwd") else { return };
        let status = theirs.args(arguments).arg(&file).args(["alice", "sécret"]).status();
        assert!(status.expect("mosquitto_passwd").success());
        assert!(place.passwords("users").verify("alice", "sécret".as_bytes()));
    }
    passwd(&["-b", &file, "bob", "bobs"], "").text();
    let users = place.passwords("users");
    assert!(users.verify("alice", "sécret".as_bytes()) && users.verify("bob", b"bobs"));
}

#[test]
fn mosquitto_lets_in_by_a_file_of_ours() {
    let place = Place::new();
    let Some(mosquitto) = Launch::mosquitto() else { return };
    let (file, config) = (place.path("users"), place.path("conf"));
    passwd(&["-c", "-b", "-H", "sha512-pbkdf2", "-I", "1000", &file, "alice", "secret"], "").text();
    passwd(&["-b", "-H", "sha512", &file, "bob", "secret"], "").text();
    fs::set_permissions(&place.0, PermissionsExt::from_mode(0o755)).expect("its mode");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("mosquitto may have another user");
    fs::write(&config, format!("password_file {file}\nallow_anonymous false\n")).expect("a file");
    let broker = mosquitto.args(&["-c", &config]).start();
    for (user, password, wanted) in
        [("alice", "secret", true), ("bob", "secret", true), ("alice", "wrong", false), ("carol", "secret", false)]
    {
        let port = broker.port().to_string();
        let Some(mut mosquitto_pub) = peers::mosquitto("mosquitto_pub") else { return };
        let output = mosquitto_pub
            .args(["-h", "127.0.0.1", "-p", &port, "-u", user, "-P", password, "-t", "a", "-m", "x"])
            .output()
            .expect("mosquitto_pub");
        assert_eq!(output.status.success(), wanted, "{user} {password}: {output:?}");
    }
}
