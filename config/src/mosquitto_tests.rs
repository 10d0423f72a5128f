//! What becomes of a mosquitto.conf.

use std::path::Path;

use super::import;
use crate::{Flags, testing::Imagined};

fn imported(text: &str) -> (String, String) {
    let machine = Imagined::default().file("m.conf", text);
    let imported = import(Path::new("m.conf"), &machine).unwrap_or_else(|faults| panic!("{text}: {faults}"));
    let notes: Vec<String> = imported.notes.iter().map(ToString::to_string).collect();
    let body: Vec<&str> = imported.toml.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    for note in &notes {
        assert!(imported.toml.contains(&format!("# {note}\n")), "the file does not say {note}");
    }
    (body.join("\n"), notes.join("\n"))
}

#[track_caller]
fn assert_imported(table: &[(&str, &str)]) {
    for (text, toml) in table {
        assert_eq!(imported(text).0, *toml, "{text}");
    }
}

#[test]
fn each_line_becomes_its_counterpart() {
    assert_imported(&[
        ("", ""),
        ("# a comment\n\n   \n", ""),
        ("allow_anonymous false\npassword_file /p", "[access]\nallow_anonymous = false\npassword_file = \"/p\""),
        ("acl_file /a", "[access]\nacl_file = \"/a\"\ndenied_publish = \"drop\""),
        ("max_inflight_messages 0", "[mqtt]\nreceive_maximum = 65535\nmax_inflight = 65535"),
        (
            "max_queued_messages 5\nmax_queued_bytes 4096",
            "[sessions]\nmax_queued_messages = 5\nmax_queued_bytes = 4096",
        ),
        ("max_queued_messages 0", ""),
        ("max_packet_size 2000", "[mqtt]\nmax_packet_size = 2000"),
        ("max_packet_size 0", "[mqtt]\nmax_packet_size = 268435460"),
        ("message_size_limit 1000", "[mqtt]\nmax_packet_size = 66536"),
        ("max_packet_size 2000\nmessage_size_limit 1000", "[mqtt]\nmax_packet_size = 2000"),
        ("max_keepalive 30", "[mqtt]\nmax_keep_alive = 30"),
        ("memory_limit 2000000", "[node]\nmemory_limit = 2000000"),
        ("memory_limit 0\nglobal_max_connections -1\nset_tcp_nodelay true", ""),
        ("queue_qos0_messages true", "[sessions]\nqueue_qos0 = true"),
        ("retain_available false", "[mqtt]\nretain_available = false"),
        ("persistent_client_expiration 2w", "[mqtt]\nmax_session_expiry = \"14d\""),
        ("persistent_client_expiration 6h", "[mqtt]\nmax_session_expiry = \"6h\""),
        ("sys_interval 0", "[sys]\ninterval = 0"),
        (
            "persistence true\npersistence_location /var/lib/mosquitto/",
            "[storage]\ndirectory = \"/var/lib/mosquitto/primer\"",
        ),
        ("persistence false\npersistence_location /x", ""),
        ("log_type error\nlog_type warning\nlog_dest stderr", "[log]\nlevel = \"info\""),
        ("log_type none", "[log]\nlevel = \"error\""),
        ("log_type all", "[log]\nlevel = \"debug\""),
        ("max_qos 1", "[mqtt]\nmax_qos = 1"),
        ("max_connections 7", "[mqtt]\nmax_connections = 7"),
    ]);
}

#[test]
fn listeners_and_who_they_let_in_are_taken_over() {
    assert_imported(&[
        (
            "allow_anonymous true\nlistener 1883",
            "[access]\nallow_anonymous = true\n[listeners.tcp.1883]\nbind = \":1883\"",
        ),
        ("listener 1883\npassword_file /p", "[access]\npassword_file = \"/p\"\n[listeners.tcp.1883]\nbind = \":1883\""),
        ("listener 1883", "[access]\nallow_anonymous = false\n[listeners.tcp.1883]\nbind = \":1883\""),
        (
            "allow_anonymous true\nport 1884\nbind_address 127.0.0.1\nmax_connections 9",
            "[access]\nallow_anonymous = true\n[listeners.tcp.default]\nbind = \"127.0.0.1:1884\"\nmax_connections = 9",
        ),
        (
            "allow_anonymous true\nlistener 1883 ::1",
            "[access]\nallow_anonymous = true\n[listeners.tcp.1883]\nbind = \"[::1]:1883\"",
        ),
        (
            "allow_anonymous true\nlistener 1883 localhost\nlistener 1883 127.0.0.2",
            "[access]\nallow_anonymous = true\n[listeners.tcp.1883]\nbind = \"localhost:1883\"\n\
             [listeners.tcp.1883-2]\nbind = \"127.0.0.2:1883\"",
        ),
        (
            "allow_anonymous true\nlistener 1\nsocket_domain ipv4",
            "[access]\nallow_anonymous = true\n[listeners.tcp.1]\nbind = \"0.0.0.0:1\"",
        ),
        (
            "allow_anonymous true\nlistener 0 /run/m.sock",
            "[access]\nallow_anonymous = true\n[listeners.unix.socket]\nbind = \"/run/m.sock\"",
        ),
        (
            "allow_anonymous true\nlistener 9001\nprotocol websockets\nwebsockets_origin https://a",
            "[access]\nallow_anonymous = true\n[listeners.ws.9001]\nbind = \":9001\"\npath = \"/mqtt\"\n\
             origins = [\"https://a\"]",
        ),
        (
            "allow_anonymous false\nlistener 8883\ncertfile /c\nkeyfile /k\ncafile /ca\ncrlfile /crl\n\
             require_certificate true\nuse_identity_as_username true\ntls_version tlsv1.3",
            "[access]\nallow_anonymous = false\n[listeners.ssl.8883]\nbind = \":8883\"\ncertfile = \"/c\"\n\
             keyfile = \"/k\"\n\
             cafile = \"/ca\"\ncrlfile = \"/crl\"\nrequire_certificate = true\nuse_identity_as_username = true\n\
             tls_version = \"1.3\"",
        ),
        (
            "per_listener_settings true\nlistener 1883 127.0.0.1\nallow_anonymous true\n\
             listener 8084\nprotocol websockets\n\
             certfile /c\nkeyfile /k\nallow_anonymous false\npassword_file /p",
            "[access]\npassword_file = \"/p\"\n[listeners.tcp.1883]\nbind = \"127.0.0.1:1883\"\n\
             allow_anonymous = true\n\
             [listeners.wss.8084]\nbind = \":8084\"\npath = \"/mqtt\"\n\
             certfile = \"/c\"\nkeyfile = \"/k\"\nallow_anonymous = false",
        ),
    ]);
}

#[test]
fn what_has_no_counterpart_is_noted_with_its_line() {
    for (text, note) in [
        ("\nautosave_interval 60", "m.conf:2: autosave_interval: Primer writes each message"),
        (
            "connection bridge-01\naddress 192.0.2.1\nremote_password secret\ntopic # both",
            "m.conf:1: connection: bridge-01: bridges",
        ),
        ("plugin /usr/lib/x.so\nplugin_opt_password secret", "m.conf:2: plugin_opt_password: plugins"),
        ("upgrade_outgoing_qos true", "m.conf:1: upgrade_outgoing_qos: messages are delivered at the lower"),
        ("log_dest file /var/log/m.log", "m.conf:1: log_dest: the log goes to stderr"),
        ("log_type warning", "m.conf:1: log_type: clients that are refused, and where"),
        ("listener 1\nprotocol websockets", "m.conf:2: protocol: clients have to ask for /mqtt here"),
        ("persistence true", "m.conf:1: persistence: what mosquitto.db has is not taken over"),
        ("listener 1883", "m.conf:1: allow_anonymous: mosquitto lets nobody in"),
        ("listener 1883 eth0.example", "m.conf:1: listener: `eth0.example` is no IP address; the listener is left out"),
        ("listener 1883\nmount_point a/", "m.conf:2: mount_point: topics cannot be moved"),
        ("listener 8883\ncafile /ca", "m.conf:2: cafile: the listener has no certificate and key"),
        ("listener 8883\ncapath /ca", "m.conf:2: capath: a folder of authorities is not read"),
        ("listener 80\nprotocol http_api", "m.conf:2: protocol: a listener that speaks http_api is not there"),
        ("listener 1883\nenable_proxy_protocol 2", "m.conf:2: enable_proxy_protocol: name your proxies"),
        ("listener 1\nlistener 2\nmax_qos 1", "m.conf:3: max_qos: mqtt.max_qos is for all listeners"),
        ("listener 8883\ncertfile c\nkeyfile /k", "m.conf:2: certfile: a relative path is taken from the folder"),
        ("listener 8883\ncertfile /c\nkeyfile /k\ntls_version tlsv1.1", "m.conf:4: tls_version: TLS 1.2 is the oldest"),
        (
            "per_listener_settings true\nlistener 1\npassword_file /a\nlistener 2\npassword_file /b",
            "m.conf:5: password_file: one file is for all listeners, and it is another one",
        ),
        ("max_queued_messages 100", "mosquitto drops the newest message, Primer the oldest"),
    ] {
        let notes = imported(text).1;
        assert!(notes.contains(note), "{text}\n{notes}");
        assert!(!notes.contains("secret"), "{notes}");
    }
}

#[test]
fn lines_that_are_wrong_are_faults() {
    for (text, fault) in [
        ("\nlistener abc", "m.conf:2: listener: `abc` is no port: a number from 0 to 65535"),
        ("port 70000", "m.conf:1: port: `70000` is no port"),
        ("max_qos 3", "m.conf:1: max_qos: 3 is too much"),
        ("max_inflight_messages many", "m.conf:1: max_inflight_messages: `many` is not a whole number"),
        ("retain_available perhaps", "m.conf:1: retain_available: `perhaps` is not true or false"),
        ("persistent_client_expiration 5", "m.conf:1: persistent_client_expiration: `5` is no time"),
        ("persistence maybe", "m.conf:1: persistence: `maybe` is not true or false"),
        ("message_size_limit -1", "m.conf:1: message_size_limit: `-1` is no number of bytes"),
        ("include_dir /none", "m.conf:1: include_dir: cannot read /none"),
        ("clientid_prefixes a-", "m.conf:1: clientid_prefixes: it keeps clients out"),
        (
            "\nalow_anonymous true",
            "m.conf:2: alow_anonymous: mosquitto has no such word; did you mean `allow_anonymous`?",
        ),
        ("bridge_cafiel /x", "m.conf:1: bridge_cafiel: mosquitto has no such word; did you mean `bridge_cafile`?"),
        ("some_other_thing 1", "m.conf:1: some_other_thing: mosquitto has no such word: take the line out"),
        ("max_connections 1 2\n", "m.conf:1: max_connections: `1 2` is not"),
    ] {
        let machine = Imagined::default().file("m.conf", text);
        let faults = import(Path::new("m.conf"), &machine).map(|it| it.toml).unwrap_err().to_string();
        assert!(faults.contains(fault), "{text}\n{faults}");
        assert!(!faults.lines().any(|line| !line.starts_with("m.conf:")), "{faults}");
    }
    let faults = import(Path::new("none.conf"), &Imagined::default()).map(|it| it.toml).unwrap_err().to_string();
    assert!(faults.starts_with("none.conf: cannot read it"), "{faults}");
}

#[test]
fn what_would_be_less_safe_is_off() {
    const TLS: &str = "listener 8883\ncertfile /c\nkeyfile /k\n";
    for (text, word) in [
        ("psk_file /p\nlistener 8883\npsk_hint x".to_owned(), "psk_hint: TLS by pre-shared keys is not there"),
        ("listener 8883\npsk_hint x\nuse_identity_as_username true".to_owned(), "in the clear, so it is off; give it"),
        ("per_listener_settings TRUE\nlistener 8883\npsk_file /p".to_owned(), "m.conf:3: psk_file: TLS by"),
        ("psk_hint x\nport 8883".to_owned(), "m.conf:1: psk_hint: TLS by"),
        ("listener 8883\nprotocol websockets\npsk_hint x".to_owned(), "m.conf:3: psk_hint: TLS by"),
        ("psk_hint x".to_owned(), "m.conf:1: psk_hint: TLS by"),
        ("listener 8883\ncertfile /c".to_owned(), "m.conf:2: certfile: there is no keyfile"),
        ("listener 8883\nkeyfile /c".to_owned(), "m.conf:2: keyfile: there is no certfile"),
        ("listener 1883\nuse_identity_as_username 1".to_owned(), "m.conf:2: use_identity_as_username: without a"),
        ("listener 1883\nconnection b\naddress h\nrequire_certificate true".to_owned(), "m.conf:4: require_cert"),
        (format!("{TLS}capath /x\nrequire_certificate true"), "m.conf:4: capath: a folder of authorities"),
        (format!("{TLS}tls_keyform engine"), "m.conf:4: tls_keyform: a key that is no PEM"),
        ("listener 1883\nmount_point a/".to_owned(), "m.conf:2: mount_point: "),
        ("listener 1883\nbind_interface eth0".to_owned(), "m.conf:2: bind_interface: "),
        ("listener 1883\nsocket_domain ipv6".to_owned(), "m.conf:2: socket_domain: "),
        ("listener 1883\nuse_username_as_clientid true".to_owned(), "m.conf:2: use_username_as_clientid: "),
        ("listener 1883\nproxy_protocol_v2_require_tls true".to_owned(), "m.conf:2: proxy_protocol_v2_require_tls: "),
    ] {
        let (toml, notes) = imported(&text);
        assert!(toml.contains("]\nenabled = false\nbind = ") && notes.contains(word), "{text}\n{toml}\n{notes}");
        let tells_tls = text.contains("psk_") || text.contains("certfile") || text.contains("keyfile");
        assert!(!tells_tls || !toml.contains("listeners.tcp") && !toml.contains("listeners.ws."), "{toml}");
    }
    let (toml, _) = imported("per_listener_settings true\nlistener 1\nacl_file /a\nlistener 2\nacl_file /b");
    assert!(toml.contains("[listeners.tcp.1]\nbind") && toml.contains("[listeners.tcp.2]\nenabled = false"), "{toml}");
    for text in [
        format!("{TLS}capath /x"),
        format!("{TLS}psk_hint x\ntls_keyform pem"),
        "psk_file /p\nlistener 1883\nuse_identity_as_username false".to_owned(),
        "listener 1883 127.0.0.1\nbind_interface lo\nuse_username_as_clientid false".to_owned(),
    ] {
        let (toml, _) = imported(&text);
        assert!(!toml.contains("enabled"), "{text}\n{toml}");
    }
}

#[test]
fn a_plugin_that_is_lost_lets_nobody_in() {
    for plugin in ["auth_plugin /x.so", "plugin /x.so", "global_plugin /x.so", "plugin_load a /x.so"] {
        for rest in ["", "\nallow_anonymous true\nlistener 1883", "\npassword_file /p\nlistener 1883"] {
            let (toml, notes) = imported(&format!("{plugin}{rest}"));
            assert!(toml.contains("[access]\nallow_anonymous = false"), "{plugin}{rest}: {toml}");
            assert!(notes.contains("allow_anonymous: it is false, as a plugin decided who is let in"), "{notes}");
        }
    }
    let (toml, _) = imported("per_listener_settings true\nlistener 1883\nallow_anonymous true\nplugin /x.so");
    assert!(!toml.contains("true"), "{toml}");
}

#[test]
fn what_is_lost_comes_first_and_a_bridge_is_one_line() {
    let text = "autosave_interval 1\nmax_queued_messages 0\nlog_dest syslog\nconnection a\naddress h\ntopic # out\n\
                connection b\nremote_clientid x\nbridge_cafile /c\nallow_zero_length_clientid false";
    let machine = Imagined::default().file("m.conf", text);
    let imported = import(Path::new("m.conf"), &machine).unwrap();
    let told = imported.told();
    let begun: Vec<&str> = told.lines().map(|line| line.split(": ").nth(1).unwrap_or(line)).collect();
    assert_eq!(
        begun,
        [
            "What is lost:",
            "connection",
            "connection",
            "allow_zero_length_clientid",
            "What is other:",
            "max_queued_messages",
            "What is not needed:",
            "autosave_interval",
            "log_dest"
        ]
    );
    for line in told.lines() {
        assert!(imported.toml.contains(&format!("# {line}\n")), "{line}");
    }
}

#[test]
fn what_is_made_is_a_configuration() {
    let text = "
per_listener_settings false
include_dir /etc/mosquitto/conf.d
persistence true
persistence_location /var/lib/mosquitto/
log_dest syslog
user mosquitto
max_inflight_messages 40
password_file /etc/mosquitto/passwd
";
    let machine = Imagined::default()
        .file("/etc/mosquitto/mosquitto.conf", text)
        .file("/etc/mosquitto/conf.d/20-tls.conf", "listener 8883\ncertfile /c\nkeyfile /k\n")
        .file("/etc/mosquitto/conf.d/10-plain.conf", "listener 1883 127.0.0.1\n")
        .file("/etc/mosquitto/conf.d/README", "this is no configuration")
        .file("/etc/mosquitto/passwd", "")
        .file("/c", "")
        .file("/k", "");
    let imported = import(Path::new("/etc/mosquitto/mosquitto.conf"), &machine).unwrap();
    let names: Vec<String> = imported.notes.iter().map(|note| note.problem.origin.to_string()).collect();
    let lines = [4, 6, 7].map(|line| format!("/etc/mosquitto/mosquitto.conf:{line}"));
    assert!(lines.iter().all(|line| names.contains(line)), "{names:?}");
    let machine = machine.file("primer.toml", &imported.toml);
    let settings = machine.load(&Flags::default()).unwrap();
    let names: Vec<&str> = settings.broker.listeners.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["tcp:1883", "ssl:8883"]);
    assert_eq!(settings.access.password_file.as_deref(), Some(Path::new("/etc/mosquitto/passwd")));
    assert!(!settings.access.allow_anonymous);
    assert_eq!(settings.broker.protocol.inflight_max, 40);
}
