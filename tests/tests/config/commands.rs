//! `primer config check | explain | show`, and `primer serve --test-config`.

use crate::fixture::Folder;

const GOOD: &str = "[mqtt]\nmax_qos = 1\n[listeners.tcp.lan]\nbind = ':18830'\n";

#[test]
fn a_configuration_in_order_is_ok_with_what_is_strange() {
    let folder = Folder::new(&[("primer.toml", GOOD)]);
    for line in ["config check -c primer.toml", "serve --config primer.toml --test-config"] {
        let said = folder.run(line, &[]);
        said.says(&["warning: primer.toml:4: listeners.tcp.lan.bind: everybody who reaches it", "\nok\n"]);
    }
    let said = folder.run("config check", &[("PRIMER_CONFIG", "primer.toml"), ("PRIMER_USER", "a:b")]);
    said.says(&["ok\n"]);
    assert_eq!(said.stdout, "ok\n", "with users it is not strange");
}

#[test]
fn all_faults_are_told_and_nothing_starts() {
    let text = "[mqtt]\nmax_qos = 7\n[listeners.ssl.a]\nkeyfile = 'none.key'\n[acess]\n";
    let folder = Folder::new(&[("etc/primer.toml", text)]);
    for line in
        ["config check -c etc/primer.toml", "serve -c etc/primer.toml", "serve -c etc/primer.toml --test-config"]
    {
        let said = folder.run(line, &[("PRIMER_MQTT__MAX_QOSS", "1")]);
        assert_eq!(said.code, Some(1), "{}", said.stderr);
        said.refuses(&[
            "PRIMER_MQTT__MAX_QOSS: there is no such variable; did you mean PRIMER_MQTT__MAX_QOS?",
            "etc/primer.toml:2: mqtt.max_qos: 7 is too much: it is a whole number from 0 to 2",
            "etc/primer.toml:3: listeners.ssl.a.certfile: it is missing",
            "etc/primer.toml:4: listeners.ssl.a.keyfile: etc/none.key: there is no such file",
            "etc/primer.toml:5: acess: there is no such table; did you mean `access`?",
        ]);
        assert_eq!(said.stderr.lines().count(), 5, "{}", said.stderr);
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = Folder::new(&[("folder/x", ""), ("bad.toml", "a = [1,\n")]);
    std::fs::write(folder.path("binary.toml"), [0xff, 0xfe, 0]).expect("a file");
    folder.run("config check -c none.toml", &[]).refuses(&["--config: cannot read none.toml: No such file"]);
    folder.run("config check -c folder", &[]).refuses(&["--config: cannot read folder: Is a directory"]);
    folder.run("config check -c binary.toml", &[]).refuses(&["cannot read binary.toml: ", "UTF-8"]);
    folder.run("config check -c bad.toml", &[]).refuses(&["bad.toml:", "column "]);
    // A file without an end is read no further than it may be.
    folder.run("config check -c /dev/zero", &[]).refuses(&["cannot read /dev/zero: it has more than 4 MiB"]);
}

#[test]
fn a_value_is_explained_with_where_it_comes_from() {
    let folder = Folder::new(&[("primer.toml", GOOD)]);
    let explain = |line: &str, environment: &[(&str, &str)]| folder.run(&format!("config explain {line}"), environment);
    explain("-c primer.toml mqtt.max_qos", &[]).says(&["mqtt.max_qos = 1\n", "from      primer.toml:2"]);
    let environment = [("PRIMER_CONFIG", "primer.toml"), ("PRIMER_MQTT__MAX_QOS", "0")];
    explain("mqtt.max_qos", &environment).says(&["mqtt.max_qos = 0\n", "from      PRIMER_MQTT__MAX_QOS\n"]);
    explain("mqtt.max_qos --max-qos 2", &environment).says(&["mqtt.max_qos = 2\n", "from      --max-qos\n"]);
    let said = explain("-c primer.toml --gather 20", &[]);
    said.says(&["mqtt.max_qos = 1  # primer.toml:2\n", "storage.gather = \"20ms\"  # --gather\n"]);
    assert!(!said.stdout.contains("default"), "{}", said.stdout);
    explain("--all", &[]).says(&["listeners.tcp.default.bind = \"localhost:1883\"  # default\n"]);
    explain("max_inflight_messages", &[]).says(&["mosquitto's max_inflight_messages is mqtt.max_inflight and "]);
    explain("mqtt.max_qoss", &[]).refuses(&["mqtt.max_qoss: there is no such key; did you mean `mqtt.max_qos`?"]);
}

#[test]
fn what_is_shown_can_be_served_and_has_no_password() {
    let folder = Folder::new(&[("primer.toml", GOOD), ("q.toml", "[queues.'a/+']\npriority = 7\n")]);
    let said = folder.run("config show -c primer.toml --queues q.toml --data d --max-inflight 9", &[]);
    said.says(&[
        "max_qos = 1\n",
        "[listeners.tcp.lan]\n",
        "[queues.\"a/+\"]\n",
        "priority = 7\n",
        "max_inflight = 9\n",
    ]);
    folder.write("again.toml", &said.stdout);
    folder.run("config check -c again.toml", &[]).says(&["ok\n"]);
    assert_eq!(folder.run("config show -c again.toml", &[]).stdout, said.stdout);
    let said = folder.run("config show --user ann:secret", &[]);
    said.says(&["users = [\"ann:***\"]"]);
    assert!(!said.stdout.contains("secret"));
    let said = folder.run("config check --user :secret", &[]);
    said.refuses(&["--user: access.users: what is given is not a list of users"]);
    assert!(!said.stderr.contains("secret"), "{}", said.stderr);
}

#[test]
fn the_samples_are_in_order() {
    let folder = Folder::new(&[]);
    let sample = |name: &str| format!("{}/../config/{name}", env!("CARGO_MANIFEST_DIR"));
    let line = format!("config check -c {} --queues {}", sample("primer.toml"), sample("queues.toml"));
    assert_eq!(folder.run(&line, &[]).stdout, "ok\n");
}

#[test]
fn an_option_that_is_wrong_is_refused_by_its_name() {
    let folder = Folder::new(&[]);
    for (line, text) in [
        ("serve --max-qos 3", "--max-qos"),
        ("serve --max-packet-size 15", "--max-packet-size"),
        ("serve --max-packet-size 257M", "--max-packet-size"),
        ("serve --node a/b", "--node"),
        ("serve --overflow burn", "drop-oldest"),
        ("serve --bind example.org", "--bind"),
        ("serve --port 70000", "--port"),
        ("serve --rules none", "--rules: rules.directory: none: there is no such directory"),
        ("serve --user nobody", "--user: access.users"),
        ("serve --queues none", "--queues: cannot read none"),
        ("serve --disk-limit 1G", "--data"),
    ] {
        folder.run(line, &[]).refuses(&[text]);
    }
}
