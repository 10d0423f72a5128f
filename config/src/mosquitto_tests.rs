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
        ("log_type error\nlog_type warning\nlog_dest stderr", "[log]\nlevel = \"warn\""),
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
            "[access]\nallow_anonymous = true\n[listeners.ws.9001]\nbind = \":9001\"\norigins = [\"https://a\"]",
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
             [listeners.wss.8084]\nbind = \":8084\"\ncertfile = \"/c\"\nkeyfile = \"/k\"\nallow_anonymous = false",
        ),
    ]);
}

#[test]
fn what_has_no_counterpart_is_noted_with_its_line() {
    for (text, note) in [
        ("\nautosave_interval 60", "m.conf:2: autosave_interval: Primer writes each message"),
        (
            "connection bridge-01\naddress 192.0.2.1\nremote_password secret\ntopic # both",
            "m.conf:3: remote_password: bridges",
        ),
        ("plugin /usr/lib/x.so\nplugin_opt_password secret", "m.conf:2: plugin_opt_password: plugins"),
        ("upgrade_outgoing_qos true", "m.conf:1: upgrade_outgoing_qos: messages are delivered at the lower"),
        ("log_dest file /var/log/m.log", "m.conf:1: log_dest: the log goes to stderr"),
        ("some_new_option 1", "m.conf:1: some_new_option: it is not known here"),
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
            "m.conf:5: password_file: one file is for all listeners: this one is not read, /a is",
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
    let names: Vec<String> = imported.notes.iter().map(|note| note.origin.to_string()).collect();
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
