//! The options of the three clients, once: the parser, `--help` and the completions of shells read this table.
//!
//! Names, short forms and the number of values are those of mosquitto_pub, mosquitto_sub and mosquitto_rr.

use clap::{Arg, ArgAction, Command, builder::NonEmptyStringValueParser};

use crate::Tool;

/// An option.
#[derive(Debug)]
pub(super) struct Flag {
    /// What the parser knows it by: the long name, or the letter where there is none.
    pub(super) name: &'static str,
    short: Option<char>,
    /// What each of its values is; none for a switch.
    pub(super) values: &'static [&'static str],
    /// Which clients have it: some of `p`, `s` and `r`.
    tools: &'static str,
    group: &'static str,
    help: &'static str,
}

const SERVER: &str = "The broker";
const CLIENT: &str = "The connection";
const MESSAGE: &str = "What is published";
const SUBSCRIPTION: &str = "What is subscribed to";
const OUTPUT: &str = "What is printed";
const WILL: &str = "Will";
const TLS: &str = "TLS";
const OTHER: &str = "Other";

const fn flag(
    short: Option<char>,
    name: &'static str,
    values: &'static [&'static str],
    tools: &'static str,
    group: &'static str,
    help: &'static str,
) -> Flag {
    Flag { name, short, values, tools, group, help }
}

/// All of them, in the order of the help.
pub(super) const FLAGS: &[Flag] = &[
    flag(Some('h'), "host", &["HOST"], "psr", SERVER, "Name or address of the broker. [default: localhost]"),
    flag(Some('p'), "port", &["PORT"], "psr", SERVER, "Its port, 1 to 65535. [default: 1883, or 8883 with TLS]"),
    flag(
        Some('L'),
        "url",
        &["URL"],
        "psr",
        SERVER,
        "All in one: mqtt://[NAME[:PASSWORD]@]HOST[:PORT]/TOPIC, or mqtts://, ws://, wss://. mqtts and wss trust the \
         certificates of the system unless --cafile or --capath is given. Nothing in it is percent-decoded.",
    ),
    flag(None, "unix", &["PATH"], "psr", SERVER, "Connect through this Unix socket instead of TCP."),
    flag(None, "ws", &[], "psr", SERVER, "Speak MQTT inside WebSocket."),
    flag(
        None,
        "ws-path",
        &["PATH"],
        "psr",
        SERVER,
        "The path at which WebSocket is asked for; what follows the host in -L is a topic. [default: /mqtt]",
    ),
    flag(Some('A'), "bind", &["ADDRESS"], "psr", SERVER, "The address of this machine to connect from."),
    flag(
        None,
        "proxy",
        &["URL"],
        "psr",
        SERVER,
        "Connect through a SOCKS5 proxy: socks5h://[NAME[:PASSWORD]@]HOST[:PORT]. [default port: 1080]",
    ),
    flag(Some('S'), "srv", &[], "psr", SERVER, "Look the broker up in DNS SRV records: not supported, is refused."),
    flag(None, "nodelay", &[], "psr", SERVER, "Do not collect small packets (TCP_NODELAY); it is always so."),
    flag(Some('u'), "username", &["NAME"], "psr", CLIENT, "User name."),
    flag(Some('P'), "pw", &["PASSWORD"], "psr", CLIENT, "Password: any bytes. Others can see it in the process list."),
    flag(Some('i'), "id", &["ID"], "psr", CLIENT, "Client identifier. [default: the broker makes one up]"),
    flag(Some('I'), "id-prefix", &["PREFIX"], "psr", CLIENT, "Client identifier: this and the process id."),
    flag(
        Some('V'),
        "protocol-version",
        &["VERSION"],
        "psr",
        CLIENT,
        "31, 311 or 5 (or mqttv31, mqttv311, mqttv5). [default: 311, of rr 5; 5 with -D]",
    ),
    flag(Some('k'), "keepalive", &["SECONDS"], "psr", CLIENT, "Keep alive, 5 to 65535; 0 for none. [default: 60]"),
    flag(
        Some('c'),
        "disable-clean-session",
        &[],
        "psr",
        CLIENT,
        "Keep the session: the broker collects messages of QoS 1 and 2 while this client is away. Needs -i.",
    ),
    flag(
        Some('x'),
        "session-expiry",
        &["SECONDS"],
        "psr",
        CLIENT,
        "MQTT 5.0: how long the session is kept after the end, 0 to 4294967294; -1, 4294967295 or \u{221e} for ever. \
         [default: for ever with -c, else 0]",
    ),
    flag(
        Some('M'),
        "max-inflight",
        &["N"],
        "psr",
        CLIENT,
        "Publishes of QoS 1 and 2 on their way at a time, 1 to 65535. [default: 20]",
    ),
    flag(
        Some('D'),
        "property",
        &["PACKET", "PROPERTY", "VALUE"],
        "psr",
        CLIENT,
        "MQTT 5.0: a property of connect, publish, subscribe, unsubscribe, disconnect or will. May be repeated. \
         `-D publish user-property NAME VALUE` takes one value more.",
    ),
    flag(Some('t'), "topic", &["TOPIC"], "psr", MESSAGE, "The topic; of sub a filter, which may be repeated."),
    flag(Some('e'), "response-topic", &["TOPIC"], "r", MESSAGE, "The topic on which the response is awaited."),
    flag(Some('q'), "qos", &["QOS"], "psr", MESSAGE, "Quality of service, 0 to 2. [default: 0]"),
    flag(Some('m'), "message", &["TEXT"], "pr", MESSAGE, "The payload: any bytes."),
    flag(Some('f'), "file", &["PATH"], "pr", MESSAGE, "Publish the content of this file."),
    flag(Some('s'), "stdin-file", &[], "pr", MESSAGE, "Publish all of standard input as one message."),
    flag(Some('l'), "stdin-line", &[], "p", MESSAGE, "Publish each line of standard input as a message."),
    flag(Some('n'), "null-message", &[], "pr", MESSAGE, "Publish a message of no bytes."),
    flag(Some('r'), "retain", &[], "p", MESSAGE, "Let the broker keep it for later subscribers."),
    flag(None, "repeat", &["N"], "p", MESSAGE, "Publish it so many times, each when the last is done. Not with -l."),
    flag(None, "repeat-delay", &["SECONDS"], "p", MESSAGE, "And wait between two, 0 or more; may be 0.5. [default: 0]"),
    flag(Some('U'), "unsubscribe", &["FILTER"], "s", SUBSCRIPTION, "Unsubscribe from this. May be repeated."),
    flag(Some('R'), "no-retained", &[], "sr", SUBSCRIPTION, "Neither ask for nor print retained messages."),
    flag(None, "retained-only", &[], "s", SUBSCRIPTION, "Print retained messages, and end at the first other one."),
    flag(None, "remove-retained", &[], "s", SUBSCRIPTION, "Remove each retained message that comes. Mind -T."),
    flag(
        None,
        "retain-as-published",
        &[],
        "sr",
        SUBSCRIPTION,
        "MQTT 5.0: keep the retain flag of the publisher on messages.",
    ),
    flag(
        None,
        "retain-handling",
        &["WHEN"],
        "s",
        SUBSCRIPTION,
        "MQTT 5.0: send retained messages `always`, for a `new` subscription alone, or `never`. [default: always]",
    ),
    flag(Some('T'), "filter-out", &["FILTER"], "s", SUBSCRIPTION, "Do not print topics that match. May be repeated."),
    flag(Some('C'), "count", &["N"], "s", OUTPUT, "End after so many messages, 1 or more."),
    flag(Some('E'), "exit-after-sub", &[], "s", OUTPUT, "End when the broker has answered the subscription."),
    flag(Some('W'), "timeout", &["SECONDS"], "sr", OUTPUT, "End after this time, 1 or more, with exit code 27."),
    flag(Some('v'), "verbose", &[], "sr", OUTPUT, "Print the topic before each payload."),
    flag(Some('N'), "no-eol", &[], "sr", OUTPUT, "Print no line end after each message."),
    flag(
        Some('F'),
        "format",
        &["FORMAT"],
        "sr",
        OUTPUT,
        "Print each message so: %t topic, %p payload, %x %X payload in hex, %q QoS, %r retain, %l length, %m packet \
         id, %j JSON, %J JSON with a JSON payload, %I %U time; of MQTT 5.0 %A topic alias, %C content type, \
         %D correlation data, %E expiry, %F payload format, %P user properties, %R response topic, %S subscription \
         identifier; %% is %. Between % and the letter: - to the left, 0 zeros, a width, .N at most N bytes. @ and a \
         letter are those of strftime (@N: nanoseconds, @@: @). \\n \\r \\t \\0 \\a \\e \\v \\\\ are what they are \
         in C.",
    ),
    flag(None, "pretty", &[], "sr", OUTPUT, "Print JSON of %j and %J on several lines."),
    flag(None, "random-filter", &["PERCENT"], "s", OUTPUT, "Print this share of the messages, 0.1 to 100, by chance."),
    flag(None, "message-rate", &[], "s", OUTPUT, "Print how many messages came, once a second, instead of them."),
    flag(
        Some('w'),
        "watch",
        &[],
        "s",
        OUTPUT,
        "Give each topic a line of the screen, and print its last message there.",
    ),
    flag(None, "will-topic", &["TOPIC"], "psr", WILL, "What the broker publishes when this client is lost: the topic,"),
    flag(None, "will-payload", &["TEXT"], "psr", WILL, "the payload [default: none],"),
    flag(None, "will-qos", &["QOS"], "psr", WILL, "the QoS, 0 to 2 [default: 0],"),
    flag(None, "will-retain", &[], "psr", WILL, "and whether it is to be retained."),
    flag(None, "cafile", &["PATH"], "psr", TLS, "Use TLS, and trust the certificates in this PEM file."),
    flag(None, "capath", &["DIRECTORY"], "psr", TLS, "Use TLS, and trust the certificates in files of this directory."),
    flag(None, "tls-use-os-certs", &[], "psr", TLS, "Use TLS, and trust the certificates of the system."),
    flag(None, "no-tls", &[], "psr", TLS, "Use no TLS, also where the other options say so."),
    flag(None, "cert", &["PATH"], "psr", TLS, "The certificate of this client, and its chain (PEM). Needs --key."),
    flag(None, "key", &["PATH"], "psr", TLS, "The private key of this client (PEM, without a password)."),
    flag(None, "keyform", &["FORM"], "psr", TLS, "The form of the key: pem."),
    flag(
        None,
        "insecure",
        &[],
        "psr",
        TLS,
        "Do not check that the certificate is for this host: whoever has one may be it.",
    ),
    flag(None, "tls-version", &["VERSION"], "psr", TLS, "tlsv1.3 or tlsv1.2, and no other. [default: both]"),
    flag(None, "ciphers", &["LIST"], "psr", TLS, "Cipher suites of TLS 1.2, by their OpenSSL names, with : between."),
    flag(None, "tls-alpn", &["NAME"], "psr", TLS, "Ask for this protocol (ALPN)."),
    flag(None, "tls-engine", &["NAME"], "psr", TLS, "Engines of OpenSSL: not supported, is refused."),
    flag(None, "tls-engine-kpass-sha1", &["HEX"], "psr", TLS, "Engines of OpenSSL: not supported, is refused."),
    flag(None, "psk", &["HEX"], "psr", TLS, "Pre-shared keys: not supported, is refused."),
    flag(None, "psk-identity", &["NAME"], "psr", TLS, "Pre-shared keys: not supported, is refused."),
    flag(
        Some('o'),
        "options-file",
        &["PATH"],
        "psr",
        OTHER,
        "Read options from this file, one a line, before those of the command line. [default: mosquitto's own file, \
         see below]",
    ),
    flag(Some('d'), "debug", &[], "psr", OTHER, "Print what is sent and received."),
    flag(None, "quiet", &[], "psr", OTHER, "Print no errors."),
    flag(None, "help", &[], "psr", OTHER, "Print this."),
    flag(None, "version", &[], "psr", OTHER, "Print the version."),
];

/// The option that is written so, if the client has it.
pub(super) fn find(tool: Tool, word: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.tools.contains(tool.letter()) && flag.is_written(word))
}

/// Whether another of the clients has it.
pub(super) fn is_of_another(word: &str) -> bool {
    FLAGS.iter().any(|flag| flag.is_written(word))
}

/// The spelling nearest to this, for those who mistype a long name.
pub(super) fn nearest(tool: Tool, word: &str) -> Option<String> {
    let word = word.strip_prefix("--")?;
    let known = FLAGS.iter().filter(|flag| flag.tools.contains(tool.letter()));
    let starts = |flag: &&Flag| word.len() > 2 && (flag.name.starts_with(word) || word.starts_with(flag.name));
    known.clone().find(starts).map(|flag| format!("--{}", flag.name))
}

impl Flag {
    fn is_written(&self, word: &str) -> bool {
        let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
        let is_short = self.short.is_some() && letters.next() == self.short && letters.next().is_none();
        is_short || word.strip_prefix("--") == Some(self.name)
    }

    /// As a person writes it: with one dash where it has a letter.
    pub(super) fn written(&self) -> String {
        self.short.map_or_else(|| format!("--{}", self.name), |letter| format!("-{letter}"))
    }
}

/// The client as clap knows it: for help and completions. Its words are read by the parser of [`super`], as mosquitto
/// reads them: a value may begin with a dash, and letters are not run together.
pub(crate) fn command(tool: Tool) -> Command {
    let mut command = Command::new(tool.name())
        .about(tool.about())
        .override_usage(tool.usage())
        .after_help(tool.after_help())
        .disable_help_flag(true)
        .disable_version_flag(true);
    for flag in FLAGS.iter().filter(|flag| flag.tools.contains(tool.letter())) {
        // What a subscriber has of these says what it subscribes to.
        let is_of_filters = tool == Tool::Subscribe && flag.group == MESSAGE;
        let group = if is_of_filters { SUBSCRIPTION } else { flag.group };
        let mut arg = Arg::new(flag.name).long(flag.name).help(flag.help).help_heading(group);
        if let Some(letter) = flag.short {
            arg = arg.short(letter);
        }
        command = command.arg(match (flag.name, flag.values.len()) {
            ("help", _) => arg.action(ArgAction::Help),
            (_, 0) => arg.action(ArgAction::SetTrue),
            ("property", _) => arg.value_names(flag.values).num_args(3..=4).action(ArgAction::Append),
            (_, _) => {
                let arg = arg.value_names(flag.values).action(ArgAction::Append).allow_hyphen_values(true);
                arg.value_parser(NonEmptyStringValueParser::new())
            }
        });
    }
    command
}
