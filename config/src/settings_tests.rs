//! Layers, faults and what comes out of them.

use std::net::Ipv4Addr;

use primer_broker::options::{Bind, CertificateName};

use super::*;
use crate::{explain, testing::Imagined};

fn with(text: &str) -> Imagined {
    Imagined::default().file("primer.toml", text)
}

fn flags(keys: &[(&str, &str)]) -> Flags {
    let keys = keys.iter().map(|(name, text)| ((*name).to_owned(), vec![(*text).to_owned()])).collect();
    Flags { keys, ..Flags::default() }
}

fn load_text(text: &str) -> Settings {
    with(text).load(&Flags::default()).unwrap_or_else(|faults| panic!("{text}: {faults}"))
}

fn faults(machine: &Imagined) -> String {
    machine.load(&Flags::default()).map(|_| ()).unwrap_err().to_string()
}

fn binds(settings: &Settings) -> Vec<String> {
    let of = |bind: &Bind| match bind {
        Bind::Tcp(address) => address.to_string(),
        Bind::IfPresent(address) => format!("{address}?"),
        Bind::Unix { path, mode } => format!("{} {mode:o}", path.display()),
        _ => String::new(),
    };
    settings.broker.listeners.iter().map(|listener| format!("{} {}", listener.name, of(&listener.bind))).collect()
}

#[test]
fn nothing_said_is_the_broker_s_own_defaults() {
    let settings = Imagined::default().load(&Flags::default()).unwrap();
    assert_eq!(binds(&settings), ["tcp:default 127.0.0.1:1883", "tcp:default [::1]:1883?"]);
    let mut broker = settings.broker.clone();
    let defaults = Options::default();
    // Names and memory are the machine's; all else is the crates' own.
    broker.listeners = defaults.listeners.clone();
    assert_eq!(broker.node.memory_bytes_max, 4 << 30);
    broker.node.memory_bytes_max = defaults.node.memory_bytes_max;
    assert_eq!(format!("{broker:?}"), format!("{defaults:?}"));
    assert!(settings.access.allow_anonymous && settings.access.users.is_empty() && settings.warnings.is_empty());
    assert_eq!((settings.log.level.as_str(), settings.log.is_json), ("info", false));
    assert_eq!((settings.rules, settings.drain_timeout), (None, Duration::from_secs(5)));
    let stored = load_text("[storage]\ndirectory = 'd'").broker.data.unwrap();
    let defaults = journal::Options { budget_bytes: 512 << 20, ..journal::Options::default() };
    assert_eq!(format!("{:?}", stored.store), format!("{defaults:?}"), "half of what is free");
    assert_eq!(stored.directory, Path::new("d"));
}

/// The store's own files were not counted as free: with each start the limit was less, and at the next publish messages
/// had to go that were acknowledged, without a word.
#[test]
fn the_limit_of_the_disk_has_room_for_what_is_there() {
    const MIB: u64 = 1 << 20;
    let limit = |free, used| {
        let machine =
            Imagined::default().file("primer.toml", "[storage]\ndirectory = 'd'").disk(free * MIB, used * MIB);
        machine.load(&Flags::default()).unwrap().broker.data.unwrap().store.budget_bytes / MIB
    };
    assert_eq!(limit(150, 0), 75);
    assert_eq!(limit(110, 40), 75, "at the next start");
    assert_eq!(limit(60, 75), 112, "others have filled the disk");
    assert_eq!(limit(0, 75), 75, "nothing is free");
    assert_eq!(limit(10, 0), 34, "the least");
    assert_eq!(limit(1 << 20, 0), 4096);
    assert_eq!(limit(1 << 20, 6000), 9000, "it was run with a larger limit");
}

#[test]
fn each_layer_wins_over_the_one_before_and_says_so() {
    let file =
        "include = 'conf.d/*.toml'\n[mqtt]\nmax_qos = 0\nreceive_maximum = 1\nmax_inflight = 1\nmax_packet_size = 16\n";
    let machine = with(file)
        .file("conf.d/20.toml", "[mqtt]\nmax_inflight = 3\n")
        .file("conf.d/10.toml", "[mqtt]\nreceive_maximum = 2\nmax_inflight = 2\nmax_packet_size = 17")
        .file("conf.d/.hidden.toml", "nonsense")
        .file("conf.d/notes.txt", "nonsense")
        .variable("PRIMER_MQTT__MAX_INFLIGHT", "4")
        .variable("PRIMER_MQTT__MAX_PACKET_SIZE", "18");
    let settings = machine.load(&flags(&[("mqtt.max_packet_size", "19")])).unwrap();
    let origins = explain::key(&settings, "mqtt").unwrap();
    for line in [
        "mqtt.max_qos = 0  # primer.toml:3",
        "mqtt.receive_maximum = 2  # conf.d/10.toml:2",
        "mqtt.max_inflight = 4  # PRIMER_MQTT__MAX_INFLIGHT",
        "mqtt.max_packet_size = 19  # --max-packet-size",
        "mqtt.topic_alias_maximum = 32  # default",
    ] {
        assert!(origins.contains(line), "no {line} in {origins}");
    }
    let protocol = &settings.broker.protocol;
    assert_eq!((protocol.qos_max, protocol.receive_maximum), (QoS::AtMostOnce, 2));
    assert_eq!((protocol.inflight_max, protocol.packet_bytes_max), (4, 19));
}

#[test]
fn a_listener_is_told_of_in_several_files() {
    let machine = with("include = 'conf.d/*.toml'\n[listeners.tcp.a]\nenabled = false\n[listeners.tcp.b]\nbind = ':1'")
        .file("conf.d/a.toml", "[listeners.tcp.a]\nbind = ':2'\n[listeners.tcp.b]\nmax_connections = 3\n");
    let settings = machine.load(&Flags::default()).unwrap();
    assert_eq!(binds(&settings), ["tcp:b [::]:1"], "what is off stays off");
    assert_eq!(settings.broker.listeners.first().map(|it| it.connections_max), Some(3));
    let machine = machine.variable("PRIMER_LISTENERS__TCP__A__ENABLED", "true");
    assert_eq!(binds(&machine.load(&Flags::default()).unwrap()), ["tcp:a [::]:2", "tcp:b [::]:1"]);
}

#[test]
fn every_option_reaches_the_broker() {
    let text = "
[node]\nname = 'n'\nmemory_limit = '2M'\ndrain_timeout = 7
[log]\nlevel = 'warn'\nformat = 'json'
[access]\nallow_anonymous = true\nusers = ['ann:secret']
[mqtt]\nmax_keep_alive = 30\nmax_session_expiry = '1d'\nmax_qos = 1\nretain_available = false\ntopic_alias_maximum = 5
response_information = 'r'\nconnect_timeout = '2s'\ncopy_each_overlap = true\nmax_connections = 3
max_connection_rate = 4
max_publish_rate = 5\nmax_byte_rate = '6K'
[sessions]\nmax_queued_messages = 8\nmax_queued_bytes = '9K'\noverflow = 'dead_letter'\nqueue_qos0 = true
max_outbox = '10K'
disconnect_slow_consumers = true\nshare = 'sticky'
[storage]\ndirectory = 'data'\nsync = 'each'\ndisk_limit = '1G'\ngather = '20ms'\ndaily_write_budget = '1G'
[sys]\ninterval = 0
";
    let settings = load_text(text);
    let broker = &settings.broker;
    assert_eq!((broker.node_name.as_str(), broker.node.memory_bytes_max), ("n", 2 << 20));
    assert_eq!(settings.drain_timeout, Duration::from_secs(7));
    assert_eq!(settings.log, Log { level: "warn".to_owned(), is_json: true });
    assert_eq!(settings.access.users, [("ann".to_owned(), "secret".to_owned())]);
    assert!(settings.access.allow_anonymous);
    let protocol = &broker.protocol;
    assert_eq!((protocol.keep_alive_max_s, protocol.session_expiry_max_s, protocol.alias_maximum), (30, 86_400, 5));
    assert_eq!((protocol.qos_max, protocol.retain_available), (QoS::AtLeastOnce, false));
    assert_eq!(protocol.response_information.as_deref(), Some("r"));
    assert_eq!((broker.connect_timeout, broker.overlap), (Duration::from_secs(2), Overlap::CopyEach));
    assert_eq!((broker.connections_max, broker.connection_rate_max, broker.publish_rate_max), (3, 4, 5));
    assert_eq!((broker.byte_rate_max, broker.outbox_bytes_max), (6 << 10, 10 << 10));
    assert_eq!((broker.queue.messages_max, broker.queue.bytes_max), (8, 9 << 10));
    assert_eq!((broker.queue.overflow, broker.buries_overflow), (OverflowPolicy::Reject, true));
    assert!(broker.queue_qos0 && broker.disconnect_slow_consumers);
    assert_eq!((broker.share, broker.sys_interval), (ShareStrategy::StickyByPublisher, Duration::ZERO));
    let store = &broker.data.as_ref().unwrap().store;
    assert_eq!((store.budget_bytes, store.gather), (1 << 30, Duration::from_millis(20)));
    assert!(matches!(store.sync, Sync::Each) && !store.evicts);
    assert_eq!(store.daily_write_budget_bytes, 1 << 30);
}

#[test]
fn listeners_become_the_broker_s() {
    let text = "
[listeners.tcp.lan]\nbind = ['127.0.0.1:1883', ':1884']\nmax_connections = 5
allow_anonymous = true\nproxies = ['10.0.0.0/8']
[listeners.tcp.off]\nenabled = false\nbind = 'localhost:1883'
[listeners.wss.web]\nbind = 8084\ncertfile = 'c'\nkeyfile = '/k'\ncafile = 'ca'\ncrlfile = 'crl'
require_certificate = true\nuse_subject_as_username = true\ntls_version = '1.3'
certificates = [{ certfile = 'c', keyfile = '/k' }]
path = '/m'\norigins = ['https://a']
[listeners.unix.here]\nbind = 's'\nmode = '0600'
[access]\nusers = ['a:b']
";
    let machine = Imagined::default()
        .file("etc/primer.toml", text)
        .file("etc/c", "")
        .file("/k", "")
        .file("etc/ca", "")
        .file("etc/crl", "");
    let settings = machine.load(&Flags { config: Some("etc/primer.toml".into()), ..Flags::default() }).unwrap();
    assert_eq!(
        binds(&settings),
        ["tcp:lan 127.0.0.1:1883", "tcp:lan [::]:1884", "wss:web [::]:8084", "unix:here etc/s 600"]
    );
    let [lan, _, web, here] = settings.broker.listeners.as_slice() else { panic!("four listeners") };
    assert_eq!((lan.connections_max, lan.allow_anonymous), (5, Some(true)));
    assert_eq!(lan.proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert!(lan.tls.is_none() && lan.websocket.is_none() && here.allow_anonymous.is_none());
    let tls = web.tls.as_ref().unwrap();
    assert_eq!((tls.certificates.as_path(), tls.key.as_path()), (Path::new("etc/c"), Path::new("/k")));
    assert_eq!(
        (tls.client_authorities.as_deref(), tls.revoked.as_deref()),
        (Some(Path::new("etc/ca")), Some(Path::new("etc/crl")))
    );
    assert!(tls.requires_certificate && tls.only_tls13);
    assert_eq!(tls.others, [(PathBuf::from("etc/c"), PathBuf::from("/k"))]);
    let websocket = web.websocket.as_ref().unwrap();
    assert_eq!((websocket.path.as_str(), websocket.origins.as_slice()), ("/m", &["https://a".to_owned()][..]));
    assert_eq!(web.certificate_name, CertificateName::Subject);
    assert!(settings.warnings.iter().any(|it| it.key == "listeners.tcp.lan.bind"), "{:?}", settings.warnings);
}

#[test]
fn port_and_bind_are_about_the_default_listener_alone() {
    let bind = |port: Option<u16>, bind: &[Ipv4Addr]| Flags {
        port,
        bind: bind.iter().map(|address| (*address).into()).collect(),
        ..Flags::default()
    };
    let anywhere = Ipv4Addr::new(192, 0, 2, 1);
    let ws = "[listeners.ws.default]\n";
    let tcp = "[listeners.tcp.default]\nbind = '127.0.0.2:5000'\n";
    let off = "[listeners.tcp.default]\nenabled = false\n";
    for (text, flags, wanted) in [
        ("", bind(Some(7), &[]), vec!["tcp:default 127.0.0.1:7", "tcp:default [::1]:7?"]),
        ("", bind(None, &[anywhere]), vec!["tcp:default 192.0.2.1:1883"]),
        (tcp, bind(Some(7), &[]), vec!["tcp:default 127.0.0.2:7"]),
        (tcp, bind(None, &[anywhere]), vec!["tcp:default 192.0.2.1:5000"]),
        (ws, bind(None, &[]), vec!["ws:default 127.0.0.1:8083", "ws:default [::1]:8083?"]),
        (
            ws,
            bind(Some(7), &[anywhere]),
            vec!["tcp:default 192.0.2.1:7", "ws:default 127.0.0.1:8083", "ws:default [::1]:8083?"],
        ),
        (off, bind(Some(7), &[anywhere]), vec!["tcp:default 192.0.2.1:7"]),
    ] {
        let settings = with(text).load(&flags).unwrap();
        assert_eq!(binds(&settings), wanted, "{text} {flags:?}");
    }
    let machine = Imagined::default().variable("PRIMER_PORT", "9").variable("PRIMER_BIND", "0.0.0.0, [::1]");
    let settings = machine.load(&Flags::default()).unwrap();
    assert_eq!(binds(&settings), ["tcp:default 0.0.0.0:9", "tcp:default [::1]:9"]);
    let settings = machine.load(&bind(Some(8), &[])).unwrap();
    assert_eq!(binds(&settings), ["tcp:default 0.0.0.0:8", "tcp:default [::1]:8"]);
}

#[test]
fn variables_reach_everything_and_a_slip_is_refused() {
    let machine = Imagined::default()
        .file("secrets", "ann:1\nbob:2,3\r\n")
        .file("pw", "")
        .variable("PRIMER_LISTENERS__TCP__DEFAULT__BIND", "0.0.0.0:1")
        .variable("PRIMER_LISTENERS__WS__MY_WEB__PATH", "/x")
        .variable("PRIMER_ACCESS__PASSWORD_FILE", "pw")
        .variable("PRIMER_ACCESS__USERS_FILE", "secrets")
        .variable("PRIMER_ACCESS__ACL_FILE", "")
        .variable("PRIMER_NODE", "short")
        .variable("PRIMER_NODE__NAME", "long")
        .variable("PRIMER_LOG", "debug")
        .variable("PRIMER_SOMETHING", "else")
        .variable("OTHER__THING", "else");
    let settings = machine.load(&Flags::default()).unwrap();
    assert_eq!(binds(&settings), ["tcp:default 0.0.0.0:1", "ws:my_web 127.0.0.1:8083", "ws:my_web [::1]:8083?"]);
    assert_eq!(settings.access.password_file.as_deref(), Some(Path::new("pw")));
    assert_eq!(settings.access.users, [("ann".to_owned(), "1".to_owned()), ("bob".to_owned(), "2,3".to_owned())]);
    assert_eq!(settings.broker.node_name, "long");
    for (name, value, says) in [
        (
            "PRIMER_MQTT__MAX_QOSS",
            "1",
            "PRIMER_MQTT__MAX_QOSS: there is no such variable; did you mean PRIMER_MQTT__MAX_QOS?",
        ),
        ("PRIMER_ACCESS_PASSWORD_FILE", "pw", "did you mean PRIMER_ACCESS__PASSWORD_FILE?"),
        ("PRIMER_PASSWORD_FILE", "pw", "did you mean PRIMER_ACCESS__PASSWORD_FILE?"),
        ("PRIMER_ACL_FILE", "acl", "did you mean PRIMER_ACCESS__ACL_FILE?"),
        ("PRIMER_USERS", "a:b", "did you mean PRIMER_ACCESS__USERS?"),
        ("PRIMER_USERS_FILE", "f", "did you mean PRIMER_ACCESS__USERS_FILE?"),
        ("PRIMER_ACCESS_USERS_FILE", "pw", "did you mean PRIMER_ACCESS__USERS_FILE?"),
        ("PRIMER_LISTENERS_SSL_MAIN_CERTFILE", "pw", "did you mean PRIMER_LISTENERS__SSL__MAIN__CERTFILE?"),
        ("PRIMER_LISTENERS__SSL__MAIN__CERTFIEL", "pw", "did you mean PRIMER_LISTENERS__SSL__MAIN__CERTFILE?"),
        ("PRIMER_access__users", "a:b", "did you mean PRIMER_ACCESS__USERS?"),
        ("PRIMER_NO__SUCH", "1", "there is no such variable; `primer config explain"),
        (
            "PRIMER_MQTT__MAX_QOS",
            "3",
            "PRIMER_MQTT__MAX_QOS: mqtt.max_qos: `3` is too much: it is a whole number from 0 to 2",
        ),
        ("PRIMER_MQTT__MAX_QOS_FILE", "pw", "there is no such variable"),
        ("PRIMER_USER_FILE", "none", "PRIMER_USER_FILE: cannot read none"),
        ("PRIMER_USER", "secret", "PRIMER_USER: access.users: what is given is not a list of users"),
        ("PRIMER_PORT", "tcp://10.0.0.1:1883", "enableServiceLinks"),
        ("PRIMER_PORT", "70000", "PRIMER_PORT: `70000` is no port"),
        ("PRIMER_BIND", "example.org", "PRIMER_BIND: `example.org` is no IP address"),
        ("PRIMER_CONFIG", "none.toml", "PRIMER_CONFIG: cannot read none.toml"),
        ("PRIMER_DATA", "", ""),
    ] {
        let loaded = Imagined::default().file("pw", "").variable(name, value).load(&Flags::default());
        match loaded {
            Ok(_) => assert!(says.is_empty(), "{name}={value} is read"),
            Err(faults) => {
                let text = faults.to_string();
                assert!(!says.is_empty() && text.contains(says), "{name}: {text}");
                assert_eq!(text.lines().count(), 1, "{text}");
            }
        }
    }
}

/// Asserts that each text has one fault, which says this.
#[track_caller]
fn assert_faults(table: &[(&str, &str)]) {
    for (text, says) in table {
        let said = faults(&with(text).file("k", "").folder("dir"));
        assert!(said.contains(says), "{text}\n{said}");
        assert_eq!(said.lines().count(), 1, "{text}\n{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn each_fault_is_a_line_with_its_place_and_what_is_allowed() {
    assert_faults(&[
        ("[mqtt]\nmax_qos = 3", "primer.toml:2: mqtt.max_qos: 3 is too much: it is a whole number from 0 to 2"),
        (
            "[mqtt]\nmax_packet_sise = 1",
            "primer.toml:2: mqtt.max_packet_sise: there is no such key; did you mean `mqtt.max_packet_size`?",
        ),
        (
            "[mqtt]\n\nmax_queued_messages = 1",
            "primer.toml:3: mqtt.max_queued_messages: there is no such key here; did you mean \
             `sessions.max_queued_messages`?",
        ),
        (
            "allow_anonymous = true",
            "primer.toml:1: allow_anonymous: there is no such key here; did you mean `access.allow_anonymous`?",
        ),
        ("[log]\ncolour = 1", "primer.toml:2: log.colour: there is no such key; [log] has level, format"),
        ("[bridge]", "primer.toml:1: bridge: there is no such table; there are node, log,"),
        ("[listener.tcp.a]", "did you mean `listeners`?"),
        ("mqtt = 5", "primer.toml:1: mqtt: it is a table: [mqtt]"),
        ("listeners = 5", "primer.toml:1: listeners: it is a table"),
        ("[listeners]\ntcp = 1883", "primer.toml:2: listeners.tcp: it is a table: [listeners.tcp.NAME]"),
        (
            "[listeners.tcp]\nbind = ':1883'",
            "primer.toml:2: listeners.tcp.bind: a listener has a name: write it under [listeners.tcp.default]",
        ),
        ("[listeners.tls.a]", "primer.toml:1: listeners.tls: there are no such listeners; "),
        ("[listeners.tcp.'My Name']", "small letters, digits, - and _ alone"),
        (
            "[listeners.tcp.a]\ncertfile = 'x'",
            "primer.toml:2: listeners.tcp.a.certfile: a listener of `tcp` has no certfile: it is for TLS, \
             [listeners.ssl.a]",
        ),
        ("[listeners.ws.a]\ncertfile = 'x'", "it is for TLS, [listeners.wss.a]"),
        ("[listeners.tcp.a]\norigins = []", "it is for WebSocket, [listeners.ws.a]"),
        ("[listeners.tcp.a]\nbnid = ':1'", "did you mean `listeners.tcp.a.bind`?"),
        ("[listeners.tcp.a]\nport = 1", "there is no such key; [listeners.tcp.a] has enabled, bind"),
    ]);
}

#[test]
fn what_does_not_go_together_is_a_fault() {
    assert_faults(&[
        ("[listeners.ssl.a]\nkeyfile = 'k'", "primer.toml:1: listeners.ssl.a.certfile: it is missing"),
        (
            "[listeners.ssl.a]\nkeyfile = 'none'\ncertfile = 'k'",
            "primer.toml:2: listeners.ssl.a.keyfile: none: there is no such file",
        ),
        (
            "[listeners.ssl.a]\ncertfile = 'dir'\nkeyfile = 'k'",
            "primer.toml:2: listeners.ssl.a.certfile: dir is a folder",
        ),
        (
            "[listeners.ssl.a]\ncertfile = 'k'\nkeyfile = 'k'\nrequire_certificate = true",
            "primer.toml:4: listeners.ssl.a.require_certificate: it needs the authorities",
        ),
        (
            "[listeners.ssl.a]\ncertfile = 'k'\nkeyfile = 'k'\ncrlfile = 'k'",
            "primer.toml:4: listeners.ssl.a.crlfile: it needs",
        ),
        (
            "[listeners.ssl.a]\ncertfile = 'k'\nkeyfile = 'k'\ncafile = 'k'\n\
             use_identity_as_username = true\nuse_subject_as_username = true",
            "primer.toml:6: listeners.ssl.a.use_subject_as_username: a client has one",
        ),
        (
            "[listeners.ssl.a]\ncertfile = 'k'\nkeyfile = 'k'\ncertificates = [{ certfile = 'k', keyfile = 'none' }]",
            "primer.toml:4: listeners.ssl.a.certificates: none: there is no such file",
        ),
        ("[listeners.unix.a]", "primer.toml:1: listeners.unix.a.bind: it is missing"),
        (
            "[listeners.tcp.a]\nbind = ':5'\n[listeners.ws.b]\nbind = '127.0.0.1:5'",
            "primer.toml:4: listeners.ws.b.bind: 127.0.0.1:5 is taken by listeners.tcp.a.bind, which listens on [::]:5",
        ),
        (
            "[listeners.tcp.a]\nbind = 'localhost:5'\n[listeners.tcp.b]\nbind = 'localhost:5'",
            "primer.toml:4: listeners.tcp.b.bind: 127.0.0.1:5 is taken",
        ),
        (
            "[listeners.unix.a]\nbind = 's'\n[listeners.unix.b]\nbind = 's'",
            "primer.toml:4: listeners.unix.b.bind: s is taken by listeners.unix.a.bind",
        ),
        ("[listeners.tcp.a]\nenabled = false", "no listener is enabled"),
        ("[access]\nallow_anonymous = false", "primer.toml:2: access.allow_anonymous: nobody could connect"),
        (
            "[listeners.tcp.a]\nallow_anonymous = false",
            "primer.toml:2: listeners.tcp.a.allow_anonymous: nobody could connect",
        ),
        ("[access]\npassword_file = 'none'", "primer.toml:2: access.password_file: none: there is no such file"),
        ("[access]\nusers = ['secret']", "primer.toml:2: access.users: what is given is not"),
        (
            "[storage]\ndisk_limit = '1G'",
            "primer.toml:2: storage.disk_limit: it says how much the data directory may take",
        ),
        ("[storage]\ndirectory = 'd'\ndisk_limit = '1M'", "\"1M\" is too little: it is a size from"),
        ("[rules]\ndirectory = 'none'", "primer.toml:2: rules.directory: none: there is no such directory"),
    ]);
}

#[test]
fn what_is_no_configuration_at_all_is_a_fault() {
    assert_faults(&[
        ("include = 'conf.d'", "primer.toml:1: include: conf.d is not FOLDER/*.toml"),
        ("include = 5", "primer.toml:1: include: it is text"),
        ("queues = 5", "primer.toml:1: queues: it is a table"),
        ("[queues]\na = 5", "primer.toml:2: queues.a: it is a table"),
        ("[mqtt]\nmax_qos = ", "primer.toml:2: column 11: "),
        ("[mqtt]\nmax_qos = 1\nmax_qos = 2", "primer.toml:3: column 1: duplicate key: `max_qos = 2`"),
        ("[mqtt\nmax_qos = 1", "primer.toml:1: column 6: "),
        ("[access]\nusers = [ann:secret]", "`users =...`"),
        ("[access]\nusers = [\n 'ann:secret\n]", "`...`"),
    ]);
}

#[test]
fn all_faults_are_told_at_once() {
    let machine = with("include = 'conf.d/*.toml'\n[mqtt]\nmax_qos = 9\nmax_inflight = 0\n[listeners.ssl.a]\n")
        .file("conf.d/a.toml", "include = 'x'\n[log]\nlevel = 'loud'\n")
        .file("conf.d/b.toml", "a = \nb = \n")
        .variable("PRIMER_SYS__INTERVAL", "often");
    let said = faults(&machine);
    for word in [
        "primer.toml:3:",
        "primer.toml:4:",
        "conf.d/a.toml:1: include: a file that is included includes no other",
        "conf.d/a.toml:3: log.level",
        "conf.d/b.toml:1:",
        "conf.d/b.toml:2:",
        "PRIMER_SYS__INTERVAL: sys.interval",
        "listeners.ssl.a.certfile",
        "listeners.ssl.a.keyfile",
    ] {
        assert!(said.contains(word), "no {word} in {said}");
    }
    let many: String = (0..50).map(|number| format!("no_{number} = 1\n")).collect();
    assert!(faults(&with(&many)).ends_with("and 30 more"));
}

#[test]
fn what_is_strange_is_a_warning() {
    for (text, key, says) in [
        ("[listeners.tcp.a]\nbind = ':5'", "listeners.tcp.a.bind", "everybody who reaches it is let in"),
        ("[listeners.tcp.a]\nbind = ':5'\n[access]\nusers = ['a:b']", "", ""),
        ("[listeners.tcp.a]\nbind = '127.0.0.9:5'", "", ""),
        ("[listeners.tcp.a]\nbind = ':5'\nenabled = false\n[listeners.tcp.b]", "", ""),
        ("include = 'conf.d/*.toml'", "include", "there is no folder conf.d"),
    ] {
        let warnings = load_text(text).warnings;
        match warnings.as_slice() {
            [] => assert!(key.is_empty(), "{text}"),
            [warning] => assert!(warning.key == key && warning.says.contains(says), "{text}: {warning}"),
            several => panic!("{text}: {several:?}"),
        }
    }
    // A listener that lets in by certificate alone needs no users.
    let text = "[access]\nallow_anonymous = false\n[listeners.ssl.a]\ncertfile = 'k'\nkeyfile = 'k'\ncafile = 'k'\n\
                require_certificate = true\nuse_identity_as_username = true";
    assert!(with(text).file("k", "").load(&Flags::default()).is_ok());
}

#[test]
fn queues_stand_in_any_file_and_the_last_counts() {
    let machine = with("include = 'conf.d/*.toml'\n[queues.a]\npriority = 1\n[queues.'x/+']\npriority = 2\n[queues.c]")
        .file("conf.d/q.toml", "[queues.a]\npriority = 3\n")
        .file("q.toml", "[queues.c]\npriority = 5\n");
    let settings = machine.load(&Flags { queues: Some("q.toml".into()), ..Flags::default() }).unwrap();
    let queues: Vec<_> = settings.broker.queues.iter().map(|(pattern, it)| (pattern.as_str(), it.priority)).collect();
    assert_eq!(queues, [("a", 3), ("c", 5), ("x/+", 2)]);
    let shown = explain::show(&settings);
    assert!(shown.contains("[queues.\"x/+\"]\n") && shown.contains("priority = 2\n"), "{shown}");
    assert!(explain::overview(&settings, false).contains("# conf.d/q.toml:1"));
    let faults = with("").file("q.toml", "[mqtt]\nmax_qos = 1\n");
    let said = faults.load(&Flags { queues: Some("q.toml".into()), ..Flags::default() }).map(|_| ()).unwrap_err();
    assert!(said.to_string().starts_with("q.toml:1: mqtt: a file of queues has `queues` alone"), "{said}");
}

#[test]
fn what_is_shown_says_the_same_when_it_is_read() {
    let text = "[mqtt]\nmax_session_expiry = '7d'\n[listeners.tcp.a]\nbind = ['localhost:1', '192.0.2.1:2']\n\
                proxies = ['10.0.0.0/8']\n[queues.'$dead/#']\nkey = { property = 'p' }\nttl_ms = 5\nbind = ['a/+']\n";
    let settings = load_text(text);
    let again = load_text(&explain::show(&settings));
    assert_eq!(format!("{:?}", settings.broker), format!("{:?}", again.broker));
    assert_eq!(settings.differences(&again), []);
    let secret = load_text("[access]\nusers = ['ann:secret']");
    for text in
        [explain::show(&secret), explain::overview(&secret, true), explain::key(&secret, "access.users").unwrap()]
    {
        assert!(text.contains("[\"ann:***\"]") && !text.contains("secret"), "{text}");
    }
}

#[test]
fn a_key_is_explained() {
    let settings = load_text("[mqtt]\nmax_qos = 1");
    let text = explain::key(&settings, "mqtt.max_qos").unwrap();
    for line in [
        "mqtt.max_qos = 1\n",
        "  from      primer.toml:2\n",
        "  default   2\n",
        "  allowed   a whole number from 0 to 2\n",
        "  option    --max-qos QOS\n",
        "  variable  PRIMER_MQTT__MAX_QOS\n",
        "  reload    changes nothing: a new value needs a restart\n",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    let text = explain::key(&settings, "node.memory_limit").unwrap();
    assert!(text.contains("node.memory_limit is not set; here it is 4G"), "{text}");
    assert!(explain::key(&settings, "listeners.tcp.default.bind").unwrap().contains("\"localhost:1883\""));
    assert!(explain::key(&settings, "mqtt.no").is_none() && explain::key(&settings, "mq").is_none());
    for (name, says) in [("mqtt.maxqos", "`mqtt.max_qos`"), ("max_qos", "`mqtt.max_qos`"), ("bridge", "explain --all")]
    {
        assert!(explain::unknown(&settings, name).contains(says), "{name}");
    }
}

#[test]
fn a_reload_knows_what_it_can_take() {
    let old = load_text("[log]\nlevel = 'info'\n[queues.a]\npriority = 1\n[queues.gone]\n[listeners.tcp.a]");
    let new = load_text(
        "[log]\nlevel = 'debug'\n[mqtt]\nmax_qos = 1\n[access]\nusers = ['a:secret']\n[queues.a]\npriority = 2\n\
         [queues.b]\n[listeners.ws.b]",
    );
    let differences: Vec<_> = old.differences(&new).into_iter().map(|it| (it.name, it.is_live, it.says)).collect();
    let wanted = [
        ("log.level", true, "\"info\" becomes \"debug\""),
        ("access.users", true, "[] becomes [\"a:***\"]"),
        ("mqtt.max_qos", false, "2 becomes 1"),
        ("listeners.tcp.a", false, "it is taken away"),
        ("listeners.ws.b", false, "it is new"),
        ("queues.a", true, "it is changed, for queues that are made from now on"),
        ("queues.b", true, "it is new"),
        ("queues.gone", false, "it is taken away"),
    ];
    let wanted: Vec<_> = wanted.map(|(name, is_live, says)| (name.to_owned(), is_live, says.to_owned())).to_vec();
    assert_eq!(differences, wanted);
    assert_eq!(old.differences(&old), []);
}

#[test]
fn a_word_of_mosquitto_s_and_the_last_part_of_a_key_are_explained() {
    let machine = Imagined::default();
    let settings = machine.load(&Flags::default()).unwrap();
    for (word, texts) in [
        (
            "max_inflight_messages",
            &[
                "mosquitto's max_inflight_messages is mqtt.max_inflight and mqtt.receive_maximum here\n",
                "mqtt.max_inflight = 512\n",
                "mqtt.receive_maximum = 1024\n",
            ][..],
        ),
        ("password_file", &["access.password_file is not set"]),
        (
            "allow_anonymous",
            &["is access.allow_anonymous here\n", "access.allow_anonymous is not set; here it is true"],
        ),
        ("persistence_location", &["is storage.directory here\n", "storage.directory is not set"]),
        ("port", &["listeners.tcp.default.bind = "]),
        ("receive_maximum", &["mqtt.receive_maximum = 1024\n", "reload"]),
        ("enabled", &["listeners.tcp.default.enabled = true\n"]),
    ] {
        let text = explain::key(&settings, word).unwrap_or_else(|| panic!("{word} is not found"));
        assert!(texts.iter().all(|wanted| text.contains(wanted)), "{word}: {text}");
    }
    for (word, says) in [
        ("autosave_interval", "it is mosquitto's, and there is no such key: Primer writes each message"),
        ("certfile", "it is a key of listeners, and there is none that has it: listeners.ssl.NAME.certfile, "),
    ] {
        assert!(explain::key(&settings, word).is_none(), "{word}");
        let text = explain::unknown(&settings, word);
        assert!(text.contains(says), "{word}: {text}");
    }
}

#[test]
fn a_file_in_mosquitto_s_words_is_told_as_one() {
    for (text, line) in [("listener 1883\nallow_anonymous true\n", 1), ("# mine\n\nport 1883\n", 3)] {
        let faults = Imagined::default().file("primer.toml", text).load(&Flags::default()).unwrap_err().to_string();
        let says = format!(
            "primer.toml:{line}: this looks like a mosquitto.conf: `primer import primer.toml` makes a \
                            configuration of it"
        );
        assert_eq!(faults, says);
    }
    for (text, says) in [
        ("port = 1\n", "primer.toml:1: port: there is no such key here; did you mean `listeners.tcp.default.bind`?"),
        ("max_inflight_messages = 1\n", "did you mean `mqtt.max_inflight`?"),
        ("port 1 = 2 = 3\n", "this looks like"),
        ("other 1\n", "primer.toml:1: column "),
        ("port = = 1\n", "primer.toml:1: column "),
    ] {
        let faults = Imagined::default().file("primer.toml", text).load(&Flags::default()).unwrap_err().to_string();
        assert!(faults.contains(says), "{text}: {faults}");
    }
}
