//! The keys of everything but listeners.

use primer::journal;

use super::{
    Default::{Nothing, Value},
    Key, Section,
};
use crate::kind::{
    Kind::{Boolean, Choice, Filters, Integer, Level, Path, Size, Text, Time, Users},
    Wanted,
};

const SECOND: u64 = 1000;
const DAY: u64 = 24 * 3600 * SECOND;

/// A size in which at least a small message has room.
const ROOM_BYTES_MIN: u64 = 1 << 10;

/// All tables, in the order in which they are shown.
pub static SECTIONS: &[Section] = &[
    Section { name: "node", doc: "The broker as a whole.", keys: NODE },
    Section { name: "log", doc: "What it says of itself, on stderr.", keys: LOG },
    Section { name: "access", doc: "Who is let in, and what they may do.", keys: ACCESS },
    Section { name: "mqtt", doc: "What clients are told and held to.", keys: MQTT },
    Section { name: "sessions", doc: "What waits for clients.", keys: SESSIONS },
    Section { name: "storage", doc: "What outlives the process. Without a directory all is in memory.", keys: STORAGE },
    Section { name: "rules", doc: "Mapping rules, see docs/guides/rules.md.", keys: RULES },
    Section { name: "sys", doc: "The topics below $SYS.", keys: SYS },
];

const NODE: &[Key] = &[
    Key::new("name", Level, Value("primer"), "The node's name, in `$SYS/brokers/NAME/...`.")
        .flag("node", "NODE")
        .variable("PRIMER_NODE"),
    Key::new(
        "memory_limit",
        Size(1 << 20, u64::MAX),
        Nothing { means: "half of what the machine or its container has", example: "\"2G\"" },
        "Memory for queues, buffers and stores together; above it new messages and sessions are refused.",
    )
    .flag("memory-limit", "BYTES"),
    Key::new("drain_timeout", Time(0, DAY, 1), Value("5s"), "Time that a graceful stop may take.")
        .flag("drain-timeout", "SECONDS")
        .live(),
];

const LOG: &[Key] = &[
    Key::new(
        "level",
        Choice(&["error", "warn", "info", "debug", "trace"]),
        Value("info"),
        "How much is said; the variable PRIMER_LOG sets the level of each part, as `info,primer_broker=debug`.",
    )
    .switch_to("debug", "verbose", Some('v'), "Log more, for people who work on the broker.")
    .live(),
    Key::new("format", Choice(&["text", "json"]), Value("text"), "Lines for people, or a JSON object a line."),
];

const ACCESS: &[Key] = &[
    Key::new(
        "allow_anonymous",
        Boolean,
        Nothing { means: "true if there is neither a password file nor a user, else false", example: "false" },
        "Whether clients without a user name are let in.",
    )
    .live(),
    Key::new(
        "password_file",
        Path(Wanted::File),
        Nothing { means: "none", example: "\"passwords\"" },
        "Users and the hashes of their passwords: a line NAME:HASH each, as mosquitto_passwd writes them.",
    )
    .live(),
    Key::new(
        "acl_file",
        Path(Wanted::File),
        Nothing { means: "none: everybody may publish and subscribe to everything", example: "\"acl\"" },
        "Who may publish and subscribe to what, in the words of mosquitto's file.",
    )
    .live(),
    Key::new(
        "users",
        Users,
        Value(""),
        "Users with their passwords, \"NAME:PASSWORD\", for small set-ups; by password or SCRAM-SHA-256.",
    )
    .flag("user", "NAME:PASSWORD")
    .variable("PRIMER_USER")
    .live(),
    Key::new(
        "denied_publish",
        Choice(&["disconnect", "drop"]),
        Value("disconnect"),
        "What becomes of a publish that its client may not make, before MQTT 5.0, which has no word for it: its \
         connection is closed, or it is acknowledged and dropped, as mosquitto does. MQTT 5.0 clients are told \
         either way.",
    ),
    Key::new(
        "reveal_denials",
        Boolean,
        Value("true"),
        "Whether clients of MQTT 5.0 hear that they may not do something (0x87), and not only that it was not done \
         (0x80).",
    ),
];

const MQTT: &[Key] = &[
    Key::new("max_packet_size", Size(16, 268_435_460), Value("16M"), "The largest packet that is read.")
        .flag("max-packet-size", "BYTES"),
    Key::new(
        "receive_maximum",
        Integer(1, 65_535),
        Value("1024"),
        "Unacknowledged QoS 1 and 2 publishes of one client (Receive Maximum).",
    )
    .flag("receive-maximum", "N"),
    Key::new(
        "max_inflight",
        Integer(1, 65_535),
        Value("512"),
        "Unacknowledged QoS 1 and 2 publishes towards one client.",
    )
    .flag("max-inflight", "N"),
    Key::new("topic_alias_maximum", Integer(0, 65_535), Value("32"), "Topic aliases of one client.")
        .flag("topic-alias-maximum", "N"),
    Key::new(
        "max_keep_alive",
        Time(0, 65_535 * SECOND, SECOND),
        Value("60s"),
        "The longest keep alive, told to MQTT 5.0 clients; 0 leaves it to the client. A client that turned the keep \
         alive off keeps it off.",
    )
    .flag("max-keep-alive", "SECONDS"),
    Key::new(
        "max_session_expiry",
        Time(0, (u32::MAX as u64 - 1) * SECOND, SECOND),
        Nothing { means: "sessions may live for ever", example: "\"7d\"" },
        "The longest life of a session without a connection.",
    )
    .flag("max-session-expiry", "SECONDS"),
    Key::new("max_qos", Integer(0, 2), Value("2"), "The highest QoS that clients may publish with.")
        .flag("max-qos", "QOS"),
    Key::new("retain_available", Boolean, Value("true"), "Whether retained messages are kept.").switch_to(
        "false",
        "no-retain",
        None,
        "Keep no retained messages.",
    ),
    Key::new(
        "response_information",
        Text,
        Nothing { means: "none", example: "\"answers/\"" },
        "Answered to MQTT 5.0 clients that request response information.",
    )
    .flag("response-information", "TEXT"),
    Key::new("connect_timeout", Time(SECOND, DAY, 1), Value("10s"), "Time that a client may take for its CONNECT.")
        .flag("connect-timeout", "SECONDS"),
    Key::new("copy_each_overlap", Boolean, Value("false"), "A copy for each matching subscription, not one for all.")
        .switch("copy-each-overlap"),
    Key::new("max_connections", Integer(1, u64::MAX), Value("1000000"), "Connections at a time.")
        .flag("max-connections", "N"),
    Key::new("max_connection_rate", Integer(0, u32::MAX as u64), Value("0"), "New connections a second; 0 for any.")
        .flag("max-connection-rate", "N"),
    Key::new(
        "max_publish_rate",
        Integer(0, u32::MAX as u64),
        Value("0"),
        "Publishes a second of one connection, above which it is read more slowly; 0 for any.",
    )
    .flag("max-publish-rate", "N"),
    Key::new(
        "max_byte_rate",
        Size(0, u32::MAX as u64),
        Value("0"),
        "Bytes a second of one connection, above which it is read more slowly; 0 for any.",
    )
    .flag("max-byte-rate", "BYTES"),
];

const SESSIONS: &[Key] = &[
    Key::new("max_queued_messages", Integer(1, u64::MAX), Value("1000000"), "Messages in the queue of one session.")
        .flag("max-queued-messages", "N"),
    Key::new("max_queued_bytes", Size(ROOM_BYTES_MIN, u64::MAX), Value("256M"), "Bytes in the queue of one session.")
        .flag("max-queued-bytes", "BYTES"),
    Key::new(
        "overflow",
        Choice(&["drop_oldest", "dead_letter", "reject"]),
        Value("drop_oldest"),
        "What a full queue does: trim its oldest, put new ones into the queue `$dead/sessions`, or refuse new ones \
         (0x97 to MQTT 5.0 publishers, a closed connection to older ones).",
    )
    .flag("overflow", "OVERFLOW"),
    Key::new("queue_qos0", Boolean, Value("false"), "Queue QoS 0 messages too for sessions without a connection.")
        .switch("queue-qos0"),
    Key::new(
        "max_outbox",
        Size(ROOM_BYTES_MIN, u64::MAX),
        Value("16M"),
        "Bytes that may wait for one slow connection.",
    )
    .flag("max-outbox", "BYTES"),
    Key::new(
        "disconnect_slow_consumers",
        Boolean,
        Value("false"),
        "Disconnect a consumer that is too slow instead of dropping its QoS 0 messages.",
    )
    .switch("disconnect-slow-consumers"),
    Key::new(
        "share",
        Choice(&["round_robin", "sticky"]),
        Value("round_robin"),
        "How share groups choose: in turn, those with free credit first; or all of one publisher to one member.",
    )
    .flag("share", "SHARE"),
];

const STORAGE: &[Key] = &[
    Key::new(
        "directory",
        Path(Wanted::Nothing),
        Nothing { means: "all is in memory and ends with the process", example: "\"data\"" },
        "Keep sessions, their messages, retained and delayed messages here, so that they outlive the process and the \
         power.",
    )
    .flag("data", "DIR")
    .variable("PRIMER_DATA"),
    Key::new(
        "sync",
        Choice(&["never", "group", "each"]),
        Value("group"),
        "When a publish to a session that lasts, or to be retained, is acknowledged: at once, when the disk has it \
         along with all that came meanwhile, or each for itself.",
    )
    .flag("sync", "SYNC")
    .variable("PRIMER_SYNC"),
    Key::new(
        "disk_limit",
        Size(journal::BUDGET_BYTES_MIN, u64::MAX),
        Nothing { means: "4G, or half of what is free without it if that is less", example: "\"8G\"" },
        "The most that the directory may take.",
    )
    .flag("disk-limit", "BYTES")
    .variable("PRIMER_DISK_LIMIT"),
    Key::new(
        "gather",
        Time(0, 10_000, 1),
        Value("0s"),
        "How long a commit waits for more while fewer than ten messages are there: less wear of a flash card for later \
         acknowledgements.",
    )
    .milliseconds("gather"),
    Key::new(
        "daily_write_budget",
        Size(0, u64::MAX),
        Value("0"),
        "Bytes a day above which writing to the disk raises an alarm; 0 for none.",
    )
    .flag("daily-write-budget", "BYTES"),
    Key::new(
        "topics_never",
        Filters,
        Value(""),
        "Topics whose publishes are acknowledged before the disk has them, whatever `sync` says. Of several lists that \
         match, the strictest counts. Queues have a `sync` of their own.",
    ),
    Key::new(
        "topics_group",
        Filters,
        Value(""),
        "Topics whose publishes wait for the disk, with all that came meanwhile.",
    ),
    Key::new("topics_each", Filters, Value(""), "Topics whose publishes wait for the disk, each for itself."),
];

const RULES: &[Key] = &[Key::new(
    "directory",
    Path(Wanted::Folder),
    Nothing { means: "no rules", example: "\"rules\"" },
    "Where the mapping rules are: every *.rhai, read again when it changes; *.csv and *.json are tables for `lookup`.",
)
.flag("rules", "DIR")
.variable("PRIMER_RULES")];

const SYS: &[Key] =
    &[Key::new("interval", Time(0, DAY, SECOND), Value("10s"), "Time between two publications of `$SYS`; 0 for none.")
        .flag("sys-interval", "SECONDS")];
