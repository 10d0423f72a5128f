//! The options of `primer serve`, made of the table of keys: one for each key that has an option. No value is decided
//! here; what is given goes to the configuration, which knows what else is said.

use std::{net::IpAddr, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, builder::PossibleValuesParser};
use primer_config::{
    Flags, Given, Kind,
    schema::{Default, Flag, Key, SECTIONS, Takes},
};

/// What says how a broker is to be. Sizes are bytes, or numbers with K, M or G (powers of 1024); times are seconds, or
/// numbers with ms, s, m, h or d.
#[derive(Debug, Args)]
pub(crate) struct Said {
    /// The configuration: config/primer.toml is one with every key. Options win over variables of the environment, and
    /// these over the file [env: PRIMER_CONFIG].
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Port to listen on; 0 lets the system choose one [default: 1883] [env: PRIMER_PORT]. It is the port of
    /// listeners.tcp.default; other listeners of the configuration stay as they are.
    #[arg(short, long)]
    port: Option<u16>,
    /// Address to listen on; may be given several times; `::` is all of IPv6 and IPv4. Only this machine can connect if
    /// it is not given [env: PRIMER_BIND].
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = primer_config::ip_address)]
    bind: Vec<IpAddr>,
    /// What queues are to be, by the patterns of their names: a TOML file beside the configuration, which may have them
    /// as well; config/queues.toml is one with everything [env: PRIMER_QUEUES].
    #[arg(long, value_name = "FILE")]
    queues: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
}

/// Options of the table of keys: the key's whole name, and what was given.
#[derive(Debug)]
struct Keys(Vec<(String, Vec<String>)>);

impl Said {
    pub(crate) fn into_flags(self) -> Flags {
        let Self { config, port, bind, queues, keys } = self;
        Flags { config, port, bind, queues, keys: keys.0 }
    }
}

impl FromArgMatches for Keys {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut said = Vec::new();
        for (table, key, flag) in all() {
            let values: Vec<String> = if matches!(flag.takes, Takes::Nothing { .. }) {
                if matches.get_flag(flag.long) { vec![String::new()] } else { Vec::new() }
            } else {
                matches.get_many::<String>(flag.long).into_iter().flatten().cloned().collect()
            };
            if !values.is_empty() {
                said.push((format!("{table}.{}", key.name), values));
            }
        }
        Ok(Self(said))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Keys {
    fn augment_args(command: Command) -> Command {
        all().fold(command, |command, (_, key, flag)| command.arg(argument(key, flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Every key that has an option, with its table.
fn all() -> impl Iterator<Item = (&'static str, &'static Key, Flag)> {
    SECTIONS
        .iter()
        .flat_map(|section| section.keys.iter().filter_map(|key| key.flag.map(|flag| (section.name, key, flag))))
}

fn argument(key: &'static Key, flag: Flag) -> Arg {
    let argument = Arg::new(flag.long).long(flag.long).help(help(key, flag));
    let argument = if let Some(short) = flag.short { argument.short(short) } else { argument };
    match (flag.takes, key.kind) {
        (Takes::Nothing { .. }, _) => argument.action(ArgAction::SetTrue),
        (Takes::Value(name), Kind::Choice(words)) => {
            // Options are written with dashes.
            let dashed = words.iter().map(|word| word.replace('_', "-"));
            let words = dashed.zip(words.iter()).map(|(dashed, word)| {
                let value = clap::builder::PossibleValue::new(dashed.clone());
                if dashed == **word { value } else { value.alias(*word) }
            });
            argument.value_name(name).value_parser(PossibleValuesParser::new(words))
        }
        (Takes::Value(name), kind) => {
            // A message about a value shows it, so secrets are looked at later.
            if key.is_secret() {
                return argument.value_name(name).action(ArgAction::Append);
            }
            argument.value_name(name).value_parser(move |text: &str| checked(kind, text, text))
        }
        (Takes::Milliseconds, kind) => argument.value_name("MS").value_parser(move |text: &str| {
            let is_bare = text.ends_with(|last: char| last.is_ascii_digit());
            if is_bare { checked(kind, &format!("{text}ms"), text) } else { checked(kind, text, text) }
        }),
    }
}

/// Refuses at once what the key does not allow, so that the message is about the option.
fn checked(kind: Kind, read: &str, text: &str) -> Result<String, String> {
    kind.read(Given::Word(read), "".as_ref()).map(|_| text.to_owned())
}

/// The key's own sentence, with what holds if the option is not given.
fn help(key: &Key, flag: Flag) -> String {
    let doc = if let Takes::Nothing { doc: Some(doc), .. } = flag.takes { doc } else { key.doc };
    let mut text = doc.trim_end_matches('.').to_owned();
    if matches!(flag.takes, Takes::Milliseconds) {
        text.push_str(", in milliseconds");
    }
    match (flag.takes, key.default) {
        (Takes::Nothing { .. }, _) | (_, Default::Value("")) => {}
        (_, Default::Value(value)) => text.push_str(&format!(" [default: {}]", value.replace('_', "-"))),
        (_, Default::Nothing { means, .. }) => text.push_str(&format!(" [default: {means}]")),
    }
    if let Some(variable) = key.variable {
        text.push_str(&format!(" [env: {variable}]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        said: Said,
    }

    fn said(arguments: &[&str]) -> Result<Flags, String> {
        let line = Line::try_parse_from([&["serve"], arguments].concat());
        line.map(|line| line.said.into_flags()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_given_is_handed_on_and_nothing_else() {
        assert!(said(&[]).unwrap().keys.is_empty());
        let flags =
            said(&["-v", "--user", "a:b", "--user", "c:d", "--overflow", "dead-letter", "--gather", "20"]).unwrap();
        let keys: Vec<_> = flags.keys.iter().map(|(name, values)| (name.as_str(), values.join(" "))).collect();
        let wanted = [
            ("log.level", String::new()),
            ("access.users", "a:b c:d".to_owned()),
            ("sessions.overflow", "dead_letter".to_owned()),
            ("storage.gather", "20".to_owned()),
        ];
        assert_eq!(keys.iter().map(|it| it.0).collect::<Vec<_>>(), wanted.iter().map(|it| it.0).collect::<Vec<_>>());
        assert_eq!(keys[1], wanted[1]);
        assert!(said(&["--overflow", "drop_oldest"]).is_ok());
        assert!(said(&["--gather", "50ms"]).is_ok() && said(&["--gather", "5s"]).is_ok(), "a unit may be said");
        assert!(said(&["--user", ":secret"]).is_ok(), "a secret is refused where it is not shown");
        let flags = said(&["-c", "f", "-p", "1", "--bind", "::1,[::2]"]).unwrap();
        assert_eq!((flags.config, flags.port, flags.bind.len()), (Some("f".into()), Some(1), 2));
    }

    #[test]
    fn what_is_not_allowed_is_refused_by_its_option() {
        for (arguments, words) in [
            (["--max-qos", "3"], &["--max-qos", "`3` is too much", "0 to 2"][..]),
            (["--disk-limit", "1M"], &["--disk-limit", "too little"]),
            (["--overflow", "burn"], &["--overflow", "drop-oldest", "dead-letter", "reject"]),
            (["--gather", "20000"], &["--gather", "too much"]),
            (["--bind", "example.org"], &["--bind", "no IP address"]),
        ] {
            let why = said(&arguments).unwrap_err();
            assert!(words.iter().all(|word| why.contains(word)), "{arguments:?}: {why}");
        }
    }

    #[test]
    fn each_option_says_what_holds_without_it() {
        let help = <Said as Args>::augment_args(Command::new("serve")).render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in ["[default: 16M]", "[default: drop-oldest]", "PRIMER_DISK_LIMIT", "half of what the machine"] {
            assert!(help.contains(text), "no {text} in {help}");
        }
    }
}
