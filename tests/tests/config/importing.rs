//! `primer import mosquitto.conf`.

use crate::fixture::Folder;

const CONF: &str = "\
listener 1883 127.0.0.1
allow_anonymous true
autosave_interval 60
max_inflight_messages 40
connection other
address 192.0.2.1
";

#[test]
fn a_mosquitto_conf_becomes_a_primer_toml() {
    let folder = Folder::new(&[("mosquitto.conf", CONF)]);
    let said = folder.run("import mosquitto.conf", &[]);
    said.says(&[
        "[listeners.tcp.1883]\nbind = \"127.0.0.1:1883\"",
        "max_inflight = 40",
        "# mosquitto.conf:3: autosave",
    ]);
    let (lost, needless) = said.stderr.split_once("What is not needed:\n").expect("two groups");
    assert!(lost.starts_with("What is lost:\nmosquitto.conf:5: connection: other: bridges"), "{}", said.stderr);
    assert_eq!(lost.lines().count(), 2, "one line for a bridge: {lost}");
    assert!(needless.starts_with("mosquitto.conf:3: autosave_interval: "), "{}", said.stderr);
    folder.run("import mosquitto.conf --output primer.toml", &[]).says(&[]);
    assert_eq!(folder.read("primer.toml"), said.stdout);
    folder.run("config check -c primer.toml", &[]).says(&["ok\n"]);
    folder.run("import mosquitto.conf -o primer.toml", &[]).refuses(&["primer.toml: it is there already"]);
    // Before anything else: what the file to be read has does not matter.
    folder
        .run("import none.conf -o primer.toml", &[])
        .refuses(&["primer.toml: it is there already, and is not replaced: "]);
    assert_eq!(folder.read("primer.toml"), said.stdout);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let folder = Folder::new(&[("mosquitto.conf", "\nlistener x\nmax_qos 9\n")]);
    let said = folder.run("import mosquitto.conf", &[]);
    said.refuses(&["mosquitto.conf:2: listener: `x` is no port", "mosquitto.conf:3: max_qos: 9 is too much"]);
    assert!(said.stdout.is_empty(), "{}", said.stdout);
    folder.run("import none.conf", &[]).refuses(&["none.conf: cannot read it"]);
}

#[test]
fn words_that_no_mosquitto_has_end_it() {
    let folder = Folder::new(&[("m.conf", "listener 1883\nalow_anonymous true\n")]);
    let said = folder.run("import m.conf", &[]);
    said.refuses(&["m.conf:2: alow_anonymous: mosquitto has no such word; did you mean `allow_anonymous`?"]);
    assert_eq!((said.code, &*said.stdout), (Some(1), ""));
}

#[test]
fn a_mosquitto_conf_that_is_served_is_understood() {
    let folder = Folder::new(&[("mosquitto.conf", CONF)]);
    let said = folder.run("serve -c mosquitto.conf", &[]);
    let says = "primer: mosquitto.conf:1: this looks like a mosquitto.conf: `primer import mosquitto.conf` makes a \
                configuration of it\n";
    assert_eq!((said.code, &*said.stderr), (Some(1), says));
}
