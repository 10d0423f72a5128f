//! Every fixed bound of this crate, with its reason. What an operator may want to change stands in `options`.

use std::time::Duration;

/// Bytes that a worker reads at once; one buffer a worker thread, shared by its connections.
pub(crate) const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Reads of one connection in one turn; then the others come first (fairness).
pub(crate) const READS_PER_TURN_MAX: usize = 4;

/// Times that a connection takes what waits for it and writes it before it reads again: its client has to be heard
/// while others publish to it without a pause.
pub(crate) const WRITES_PER_FLUSH_MAX: usize = 16;

/// Bytes of publishes that wait while others, who became readable at the same time, have their turn.
pub(crate) const COURTESY_BYTES_MAX: usize = 1024;

/// Steps of one batch after which they are carried out, so that what a batch holds stays in cache.
pub(crate) const BATCH_PACKETS_MAX: usize = 2048;

/// Publishes that are routed together, under one lock of each destination: others wait for it meanwhile.
pub(crate) const BURST_MAX: usize = 256;

/// Bytes that may be gathered for a connection before messages wait in its queue instead. A socket takes less at once.
pub(crate) const PUMP_BYTES_MAX: usize = 64 * 1024;

/// Retained topics looked at in one turn of a connection, so that a wildcard over all of them stalls nobody.
pub(crate) const REPLAY_STEPS_MAX: usize = 512;

/// Bytes by which what a connection itself causes (acknowledgements, PINGRESP) may exceed its buffer's limit before it
/// is taken for one that never reads, and closed.
pub(crate) const ANSWERS_BYTES_MAX: usize = 1024 * 1024;

/// Payload bytes up to which a frame for many subscribers is encoded once and copied.
pub(crate) const SHARED_FRAME_BYTES_MAX: usize = 64 * 1024;

/// What a queued message costs beside its bytes: its entry and its allocation.
pub(crate) const QUEUED_OVERHEAD_BYTES: usize = 192;

/// How long accepting pauses when the process is out of file descriptors or memory.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often files of TLS are looked at. What has changed is taken when it was the same at two looks.
pub(crate) const CERTIFICATE_LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Days before its end from which the log says once a day that a certificate ends.
pub(crate) const CERTIFICATE_DAYS_WARNED: i64 = 14;

/// Lines a second that the log has of what clients may not do.
pub(crate) const DENIALS_A_SECOND_MAX: u32 = 10;

/// How long a closing connection may take to write its last bytes.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// The same for a broker that stops.
pub(crate) const LINGER_AT_STOP: Duration = Duration::from_millis(200);

/// How often queues and sessions are swept for what has expired.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Bytes of a client identifier that the server makes up, in hexadecimal digits.
pub(crate) const ASSIGNED_ID_BYTES: usize = 12;

/// The longest delay of `$delayed`, in seconds, as EMQX has it: about 49.7 days.
pub(crate) const DELAY_MAX_S: u32 = 4_294_967;

/// Subscriptions of one session; the next is refused (0x97). Their memory is charged on the budget, which is what
/// bounds them in practice.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 1_000_000;

/// Filters that are put into the routing table, or taken out of it, under one lock: publishers wait meanwhile.
pub(crate) const FILTERS_PER_LOCK_MAX: usize = 256;

/// Members of a share group that are asked whether they can take a message before one that is connected gets it.
pub(crate) const SHARE_LOOKS_MAX: usize = 64;

/// Growth of a session that nobody accounted for, as long as its connection has not run.
pub(crate) const UNACCOUNTED_BYTES_MAX: usize = 64 * 1024;

/// Passwords that are checked at the same time: each takes a millisecond or two of a core.
pub(crate) const PASSWORD_CHECKS_MAX: usize = 2;

/// Sessions that are swept before others have their turn.
pub(crate) const SWEEP_SLICE: usize = 256;

/// Steps of an enhanced authentication before it is given up.
pub(crate) const AUTHENTICATION_STEPS_MAX: usize = 8;

/// Bytes of a CONNECT, or of an AUTH before the connection is accepted: nobody is known yet who could be trusted with
/// more.
/// All of its fields but user properties fit: five of 64 KiB.
pub(crate) const CONNECT_BYTES_MAX: u32 = 512 * 1024;

/// Bytes that are still read and thrown away after the last word to a client, so that it hears that word.
pub(crate) const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// Connections that wait in the kernel to be accepted.
pub(crate) const BACKLOG: i32 = 4096;

/// What a session is charged with beside its messages: its cell, its maps, its place in the registry.
pub(crate) const SESSION_BYTES: usize = 1024;

/// What a subscription is charged with, beside its filter.
pub(crate) const SUBSCRIPTION_BYTES: usize = 192;

/// What each level of a filter is charged with: its node in the trie.
pub(crate) const LEVEL_BYTES: usize = 128;

/// Messages that are read back for one session at once, and their bytes: what a client's window mostly takes.
pub(crate) const LOAD_MESSAGES_MAX: usize = 512;
/// See [`LOAD_MESSAGES_MAX`].
pub(crate) const LOAD_BYTES_MAX: usize = 256 * 1024;

/// Messages that are ready in memory for a session that takes none, above which those that the store has go from it.
pub(crate) const READY_KEPT_MAX: usize = 256;

/// Queues, and sessions that have dropped something, that `$SYS` shows one by one.
pub(crate) const QUEUES_SHOWN_MAX: usize = 100;
/// See [`QUEUES_SHOWN_MAX`].
pub(crate) const SESSIONS_SHOWN_MAX: usize = 1_000;

/// Messages that a queue gives to one client at a time, however many it would take.
pub(crate) const PREFETCH_MAX: u32 = 1_000;

/// Messages that one look into a queue shows to a client, and those that are read at once.
pub(crate) const BROWSE_MAX: usize = 1_000;
/// See [`BROWSE_MAX`].
pub(crate) const BROWSE_PAGE: usize = 100;

/// Bytes of a request with commands about queues: many definitions, and no more.
pub(crate) const CONTROL_REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Bytes of any other: a script goes into it.
pub(crate) const OTHER_REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// Commands of one request.
pub(crate) const CONTROL_COMMANDS_MAX: usize = 100;

/// Requests that are carried out at the same time; more are refused, not queued.
pub(crate) const CONTROL_TASKS_MAX: usize = 16;

/// Queues or messages that one command shows.
pub(crate) const CONTROL_PAGE_MAX: usize = 1_000;

/// Bytes of a response, roughly: what comes behind is asked for page by page.
pub(crate) const CONTROL_RESPONSE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a payload that a look shows; whoever wants all of a larger one consumes it.
pub(crate) const CONTROL_PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// How long the end of a connection waits for the store to say what became of its publishes.
pub(crate) const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// Certificates that a listener sends in a handshake: a chain has a few, and a handshake has its bound.
pub(crate) const CHAIN_MAX: usize = 16;

/// Bytes of a file with certificates, keys or revocation lists: a list of a million certificates, and no more.
pub(crate) const PEM_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes that TLS keeps for a client that does not read, in front of the socket: what one write brings at most.
pub(crate) const TLS_UNSENT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the head of a WebSocket request: cookies of a page make it large.
pub(crate) const WEBSOCKET_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a WebSocket frame that is sent: the most whose length takes two bytes. What the socket does not take of a
/// frame is kept, as its length has been said.
pub(crate) const WEBSOCKET_FRAME_BYTES_MAX: usize = u16::MAX as usize;

/// Reads of one poll that bring nothing but frames without MQTT in them (pings, empty ones); then the others come
/// first.
pub(crate) const WEBSOCKET_IDLE_READS_MAX: usize = 8;
