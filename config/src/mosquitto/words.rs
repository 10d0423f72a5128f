//! Words of mosquitto: those that have no counterpart, and why; those that have one, and which.

use super::report::Group::{self, Lost, Needless, Other};
use crate::nearest::nearest;

/// Which group a word belongs to, and why it has no counterpart.
pub(super) type Reason = (Group, &'static str);

const BRIDGE: Reason = (Lost, "bridges are not taken over; Primer has none yet");
const DATABASE: Reason = (Needless, "Primer writes each message when it comes: there is nothing to be set");
const PLUGIN: Reason = (Lost, "plugins are not taken over");
const PSK: Reason = (Lost, "TLS by pre-shared keys is not there: use certificates");
const TLS: Reason = (Other, "what TLS speaks is not to be set beyond tls_version");
const LOG: Reason =
    (Needless, "the log goes to stderr with the time of each line; the system's journal or the container keeps it");
const ALWAYS: Reason = (Needless, "Primer does so always");

/// Words with one meaning each.
const WORDS: &[(&str, Reason)] = &[
    ("retry_interval", (Needless, "a message is sent again when its client is back, as MQTT says")),
    ("listener_auto_id_prefix", (Other, "Primer makes identifiers of its own")),
    ("autosave_interval", DATABASE),
    ("autosave_on_changes", DATABASE),
    ("persistence_file", DATABASE),
    ("allow_duplicate_messages", (Other, "see mqtt.copy_each_overlap")),
    ("allow_zero_length_clientid", ALWAYS),
    ("auto_id_prefix", (Other, "Primer makes identifiers of its own")),
    ("clientid_prefixes", (Lost, "an ACL or a rule can refuse clients")),
    ("check_retain_source", ALWAYS),
    ("retain_expiry_interval", (Lost, "the publisher says how long a retained message is good")),
    (
        "upgrade_outgoing_qos",
        (Other, "messages are delivered at the lower QoS of publish and subscription, as MQTT says"),
    ),
    ("set_tcp_nodelay", ALWAYS),
    ("max_inflight_bytes", (Other, "bytes in flight have no bound of their own; max_outbox bounds what waits")),
    ("max_topic_alias_broker", (Other, "32 aliases, or fewer if the client says so")),
    ("accept_protocol_versions", (Lost, "all versions are spoken: MQTT 3.1, 3.1.1 and 5.0")),
    ("mount_point", (Lost, "topics cannot be moved below another")),
    ("use_username_as_clientid", (Lost, "clients keep the identifiers that they send")),
    ("bind_interface", (Lost, "an interface cannot be named: give its address")),
    ("http_dir", (Lost, "files are not served")),
    ("websockets_headers_size", (Needless, "the headers of a request have a fixed bound")),
    ("websockets_log_level", LOG),
    ("websockets_max_packet_size", (Other, "mqtt.max_packet_size holds")),
    ("packet_buffer_size", (Needless, "buffers are of the size that is needed")),
    ("capath", (Lost, "a folder of authorities is not read: put them into one file, and name that with `cafile`")),
    ("ciphers", TLS),
    ("ciphers_tls1.3", TLS),
    ("dhparamfile", TLS),
    ("tls_engine", TLS),
    ("tls_engine_kpass_sha1", TLS),
    ("tls_keyform", TLS),
    ("tls_keylog", TLS),
    ("disable_client_cert_date_checks", (Lost, "an outdated certificate is always refused")),
    ("psk_file", PSK),
    ("psk_hint", PSK),
    ("proxy_protocol_v2_require_tls", (Lost, "whether the proxy had TLS is not asked")),
    ("user", (Needless, "the service manager says who the process runs as")),
    ("pid_file", (Needless, "the service manager knows the process")),
    ("log_facility", LOG),
    ("log_dest", LOG),
    ("log_timestamp", LOG),
    ("log_timestamp_format", LOG),
    ("connection_messages", LOG),
    ("global_max_clients", (Other, "sessions are bounded by node.memory_limit")),
    ("enable_control_api", (Other, "`primer queue` and `primer rules` control a running broker")),
    ("global_plugin", PLUGIN),
    ("plugin", PLUGIN),
    ("plugin_load", PLUGIN),
    ("plugin_use", PLUGIN),
    ("auth_plugin", PLUGIN),
    ("auth_plugin_deny_special_chars", PLUGIN),
    ("connection", BRIDGE),
    ("address", BRIDGE),
    ("addresses", BRIDGE),
    ("topic", BRIDGE),
    ("cleansession", BRIDGE),
    ("clientid", BRIDGE),
    ("idle_timeout", BRIDGE),
    ("keepalive_interval", BRIDGE),
    ("notifications", BRIDGE),
    ("notifications_local_only", BRIDGE),
    ("notification_topic", BRIDGE),
    ("password", BRIDGE),
    ("restart_timeout", BRIDGE),
    ("round_robin", BRIDGE),
    ("start_type", BRIDGE),
    ("threshold", BRIDGE),
    ("try_private", BRIDGE),
    ("username", BRIDGE),
];

/// Words of bridges that begin alike: a beginning, and what follows it.
const OF_BRIDGES: &[(&str, &[&str])] = &[
    (
        "bridge_",
        &[
            "alpn",
            "attempt_unsubscribe",
            "bind_address",
            "cafile",
            "capath",
            "certfile",
            "ciphers",
            "ciphers_tls1.3",
            "identity",
            "insecure",
            "keyfile",
            "max_packet_size",
            "max_topic_alias",
            "outgoing_retain",
            "protocol_version",
            "psk",
            "receive_maximum",
            "reload_type",
            "require_ocsp",
            "session_expiry_interval",
            "tcp_keepalive",
            "tcp_user_timeout",
            "tls_use_os_certs",
            "tls_version",
        ],
    ),
    ("local_", &["cleansession", "clientid", "password", "username"]),
    ("remote_", &["clientid", "password", "username"]),
];

/// Beginnings of words whose ends are a plugin's.
const OF_PLUGINS: &[&str] = &["auth_opt_", "plugin_opt_"];

/// Words that are taken over, and the keys that they become; none where it is more than a key.
const TAKEN: &[(&str, &[&str])] = &[
    ("include_dir", &[]),
    ("per_listener_settings", &[]),
    ("listener", &["listeners.tcp.default.bind"]),
    ("port", &["listeners.tcp.default.bind"]),
    ("bind_address", &["listeners.tcp.default.bind"]),
    ("protocol", &[]),
    ("socket_domain", &["listeners.tcp.default.bind"]),
    ("certfile", &[]),
    ("keyfile", &[]),
    ("cafile", &[]),
    ("crlfile", &[]),
    ("require_certificate", &[]),
    ("use_identity_as_username", &[]),
    ("use_subject_as_username", &[]),
    ("tls_version", &[]),
    ("websockets_origin", &[]),
    ("enable_proxy_protocol", &["listeners.tcp.default.proxies"]),
    ("max_connections", &["listeners.tcp.default.max_connections"]),
    ("listener_allow_anonymous", &["listeners.tcp.default.allow_anonymous"]),
    ("max_qos", &["mqtt.max_qos"]),
    ("maximum_qos", &["mqtt.max_qos"]),
    ("max_topic_alias", &["mqtt.topic_alias_maximum"]),
    ("allow_anonymous", &["access.allow_anonymous"]),
    ("password_file", &["access.password_file"]),
    ("acl_file", &["access.acl_file"]),
    ("persistence", &["storage.directory"]),
    ("retained_persistence", &["storage.directory"]),
    ("persistence_location", &["storage.directory"]),
    ("log_type", &["log.level"]),
    ("max_inflight_messages", &["mqtt.max_inflight", "mqtt.receive_maximum"]),
    ("max_queued_messages", &["sessions.max_queued_messages"]),
    ("max_queued_bytes", &["sessions.max_queued_bytes"]),
    ("max_packet_size", &["mqtt.max_packet_size"]),
    ("message_size_limit", &["mqtt.max_packet_size"]),
    ("max_keepalive", &["mqtt.max_keep_alive"]),
    ("memory_limit", &["node.memory_limit"]),
    ("global_max_connections", &["mqtt.max_connections"]),
    ("queue_qos0_messages", &["sessions.queue_qos0"]),
    ("retain_available", &["mqtt.retain_available"]),
    ("persistent_client_expiration", &["mqtt.max_session_expiry"]),
    ("sys_interval", &["sys.interval"]),
];

/// Why a word has no counterpart; `None` if it has one, or is none of mosquitto's.
pub(super) fn reason(word: &str) -> Option<Reason> {
    let whole = WORDS.iter().find(|(known, _)| *known == word).map(|(_, why)| *why);
    let of_bridge = || {
        let is_one = |(begin, ends): &(&str, &[&str])| word.strip_prefix(begin).is_some_and(|end| ends.contains(&end));
        OF_BRIDGES.iter().any(is_one).then_some(BRIDGE)
    };
    let of_plugin = || OF_PLUGINS.iter().any(|begin| word.starts_with(begin)).then_some(PLUGIN);
    whole.or_else(of_bridge).or_else(of_plugin)
}

/// The keys that a word becomes, none if it is more than a key; `None` if it has no counterpart.
pub(super) fn keys(word: &str) -> Option<&'static [&'static str]> {
    TAKEN.iter().find(|(known, _)| *known == word).map(|(_, keys)| *keys)
}

/// Whether some version of mosquitto has a word.
pub(super) fn is_known(word: &str) -> bool {
    keys(word).is_some() || reason(word).is_some()
}

/// Whether a word is about a bridge.
pub(super) fn is_of_bridge(word: &str) -> bool {
    reason(word) == Some(BRIDGE)
}

/// Whether a word is about a plugin.
pub(super) fn is_of_plugin(word: &str) -> bool {
    reason(word) == Some(PLUGIN)
}

/// What is said of a word that no version of mosquitto has.
pub(super) fn unknown(word: &str) -> String {
    let of_bridges = OF_BRIDGES.iter().flat_map(|(begin, ends)| ends.iter().map(move |end| format!("{begin}{end}")));
    let known: Vec<String> =
        TAKEN.iter().map(|(word, _)| *word).chain(WORDS.iter().map(|(word, _)| *word)).map(str::to_owned).collect();
    let known: Vec<String> = known.into_iter().chain(of_bridges).collect();
    match nearest(word, known.iter().map(String::as_str)) {
        Some(meant) => format!("mosquitto has no such word; did you mean `{meant}`?"),
        None => "mosquitto has no such word: take the line out".to_owned(),
    }
}
