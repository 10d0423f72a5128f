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
    for note in ["mosquitto.conf:3: autosave_interval: ", "mosquitto.conf:5: connection: bridges"] {
        assert!(said.stderr.contains(note), "no {note} in {}", said.stderr);
    }
    folder.run("import mosquitto.conf --output primer.toml", &[]).says(&[]);
    assert_eq!(folder.read("primer.toml"), said.stdout);
    folder.run("config check -c primer.toml", &[]).says(&["ok\n"]);
    folder.run("import mosquitto.conf -o primer.toml", &[]).refuses(&["cannot make primer.toml", "File exists"]);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let folder = Folder::new(&[("mosquitto.conf", "\nlistener x\nmax_qos 9\n")]);
    let said = folder.run("import mosquitto.conf", &[]);
    said.refuses(&["mosquitto.conf:2: listener: `x` is no port", "mosquitto.conf:3: max_qos: 9 is too much"]);
    assert!(said.stdout.is_empty(), "{}", said.stdout);
    folder.run("import none.conf", &[]).refuses(&["none.conf: cannot read it"]);
}
