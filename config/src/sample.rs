//! config/primer.toml: every key with what it is for, what it allows and what it is, made of the table of keys.

use std::{collections::BTreeSet, fmt::Write};

use crate::{
    kind::Given,
    schema::{Default, Key, LISTENER_KEYS, SECTIONS, Transport},
};

const LINE_CHARS_MAX: usize = 118;

const HEAD: &str = "\
# The configuration of a Primer broker: primer serve --config primer.toml
#
# Every key may be left out; each stands here with its default behind a #. Of what is said several times the last
# counts: this file, the files that it includes in the order of their names, the environment (PRIMER_MQTT__MAX_QOS=1 is
# mqtt.max_qos), the command line. `primer config check` tells what is wrong, `primer config explain KEY` where a value
# comes from. A relative path is taken from the folder of the file it stands in.
#
# Sizes are bytes, or \"64K\", \"16M\", \"1G\" (powers of 1024). Times are seconds, or \"500ms\", \"30s\", \"5m\".
# (reload) marks what a running broker takes at `kill -HUP`; certificates, queues and rules are read anew then as well.

# Further files, which win over this one.
#include = \"conf.d/*.toml\"
";

const LISTENERS: &str = "
# Where clients connect: [listeners.KIND.NAME], as many as you like, each with a name of its own. Without any, and
# without -p and --bind, Primer listens on port 1883 of this machine alone. -p and --bind are about
# listeners.tcp.default, and leave all others as they are.
";

const QUEUES: &str = "
# Queues by the patterns of their names; config/queues.toml has every key.
#[queues.jobs]
#deliveries_max = 5
";

/// The file.
#[must_use]
pub fn text() -> String {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        let _ = writeln!(text, "\n# {}\n[{}]", section.doc, section.name);
        for key in section.keys {
            write_key(&mut text, key);
        }
    }
    text.push_str(LISTENERS);
    let mut said = BTreeSet::new();
    for transport in Transport::ALL {
        let what = match transport {
            Transport::Tcp => "MQTT over TCP.",
            Transport::Ssl => "MQTT over TLS.",
            Transport::Ws => "MQTT over WebSocket.",
            Transport::Wss => "MQTT over WebSocket in TLS.",
            Transport::Unix => "MQTT over a Unix socket.",
        };
        let name = transport.name();
        let _ = writeln!(text, "\n# {what}\n#[listeners.{name}.default]");
        for it in LISTENER_KEYS.iter().filter(|it| it.of.contains(transport)) {
            // What is said once need not be said of each kind; the path of a socket is another matter.
            let is_said = !said.insert((it.key.name, *transport == Transport::Unix && it.key.name == "bind"));
            if is_said { write_line(&mut text, &it.key) } else { write_key(&mut text, &it.key) }
        }
    }
    text.push_str(QUEUES);
    text
}

fn write_key(text: &mut String, key: &Key) {
    let mark = if key.is_live { " (reload)" } else { "" };
    let bounds = key.kind.bounds().map_or_else(String::new, |bounds| format!(" Allowed: {bounds}."));
    let absent = match key.default {
        Default::Nothing { means, .. } => format!(" Not set: {means}."),
        Default::Value(_) => String::new(),
    };
    for line in wrapped(&format!("{}{bounds}{absent}{mark}", key.doc)) {
        let _ = writeln!(text, "# {line}");
    }
    write_line(text, key);
}

fn write_line(text: &mut String, key: &Key) {
    let value = match key.default {
        Default::Nothing { example, .. } => example.to_owned(),
        Default::Value(word) => {
            key.kind.read(Given::Word(word), "".as_ref()).map_or_else(|_| String::new(), |value| value.to_toml())
        }
    };
    let _ = writeln!(text, "#{} = {value}", key.name);
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= LINE_CHARS_MAX => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{Flags, Origin, explain, testing::Imagined};

    #[test]
    fn the_file_in_the_repository_is_the_one_of_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("primer.toml");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, text()).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text(), "config/primer.toml is not what the table says: UPDATE=1 cargo test -p primer-config");
        assert!(text().lines().all(|line| line.chars().count() <= 120));
    }

    #[test]
    fn as_it_is_it_changes_nothing_and_says_everything() {
        let machine = Imagined::default().file("primer.toml", &text());
        let settings = machine.load(&Flags::default()).unwrap();
        assert_eq!(explain::overview(&settings, false), "");
        // Without the marks each line is one that counts.
        let uncommented: String = text()
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let names = ["passwords", "acl", "server.crt", "server.key", "ca.crt", "revoked.crl", "other.crt", "other.key"];
        let machine = names.iter().fold(Imagined::default().folder("rules"), |machine, name| machine.file(name, ""));
        let machine = machine.file("primer.toml", &uncommented);
        let settings = machine.load(&Flags::default()).unwrap();
        assert_eq!(settings.effective.listeners().count(), Transport::ALL.len());
        for (name, entry) in settings.effective.entries() {
            assert!(entry.value.is_some() && entry.origin != Origin::Default, "the sample does not show {name}");
        }
    }
}
