//! Words of mosquitto that have no counterpart, and why.

const BRIDGE: &str = "bridges are not taken over; Primer has none yet";
const DATABASE: &str = "Primer writes each message when it comes: there is nothing to be set";
const PLUGIN: &str = "plugins are not taken over";
const PSK: &str = "TLS by pre-shared keys is not there: use certificates";
const TLS: &str = "what TLS speaks is not to be set beyond tls_version";
const LOG: &str = "the log goes to stderr with the time of each line; the system's journal or the container keeps it";
const ALWAYS: &str = "Primer does so always";

/// Words with one meaning each.
const WORDS: &[(&str, &str)] = &[
    ("autosave_interval", DATABASE),
    ("autosave_on_changes", DATABASE),
    ("persistence_file", DATABASE),
    ("allow_duplicate_messages", "see mqtt.copy_each_overlap"),
    ("allow_zero_length_clientid", ALWAYS),
    ("auto_id_prefix", "Primer makes identifiers of its own"),
    ("clientid_prefixes", "an ACL or a rule can refuse clients"),
    ("check_retain_source", ALWAYS),
    ("retain_expiry_interval", "the publisher says how long a retained message is good"),
    ("upgrade_outgoing_qos", "messages are delivered at the lower QoS of publish and subscription, as MQTT says"),
    ("set_tcp_nodelay", ALWAYS),
    ("max_inflight_bytes", "bytes in flight have no bound of their own; max_outbox bounds what waits"),
    ("max_topic_alias_broker", "32 aliases, or fewer if the client says so"),
    ("accept_protocol_versions", "all versions are spoken: MQTT 3.1, 3.1.1 and 5.0"),
    ("mount_point", "topics cannot be moved below another"),
    ("use_username_as_clientid", "clients keep the identifiers that they send"),
    ("bind_interface", "an interface cannot be named: give its address"),
    ("http_dir", "files are not served"),
    ("websockets_headers_size", "the headers of a request have a fixed bound"),
    ("websockets_log_level", LOG),
    ("websockets_max_packet_size", "mqtt.max_packet_size holds"),
    ("packet_buffer_size", "buffers are of the size that is needed"),
    ("capath", "a folder of authorities is not read: put them into one file, and name that with cafile"),
    ("ciphers", TLS),
    ("ciphers_tls1.3", TLS),
    ("dhparamfile", TLS),
    ("tls_engine", TLS),
    ("tls_engine_kpass_sha1", TLS),
    ("tls_keyform", TLS),
    ("tls_keylog", TLS),
    ("disable_client_cert_date_checks", "an outdated certificate is always refused"),
    ("psk_file", PSK),
    ("psk_hint", PSK),
    ("proxy_protocol_v2_require_tls", "whether the proxy had TLS is not asked"),
    ("user", "the service manager says who the process runs as"),
    ("pid_file", "the service manager knows the process"),
    ("log_facility", LOG),
    ("log_dest", LOG),
    ("log_timestamp", LOG),
    ("log_timestamp_format", LOG),
    ("connection_messages", LOG),
    ("global_max_clients", "sessions are bounded by node.memory_limit"),
    ("enable_control_api", "`primer queue` and `primer rules` control a running broker"),
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

/// Beginnings of words.
const PREFIXES: &[(&str, &str)] =
    &[("auth_opt_", PLUGIN), ("plugin_opt_", PLUGIN), ("bridge_", BRIDGE), ("local_", BRIDGE), ("remote_", BRIDGE)];

/// Why a word has no counterpart.
pub(super) fn reason(word: &str) -> &'static str {
    let whole = WORDS.iter().find(|(known, _)| *known == word);
    let begun = || PREFIXES.iter().find(|(known, _)| word.starts_with(known));
    whole.or_else(begun).map_or("it is not known here; it is left out", |(_, why)| why)
}
