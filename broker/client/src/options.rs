//! What the three clients are told: by their words, and before those by a file.
//!
//! The words are read as mosquitto reads them: each option is a word of its own, its value is the next word whatever
//! that begins with, and of options that are given twice the last counts.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use primer_mqtt::{
    Version,
    codec::{
        packet::{QoS, RetainHandling},
        properties::PropertiesBuf,
    },
};

use crate::{Tool, format::Format, limits};

mod check;
mod file;
mod property;
mod table;
mod take;
#[cfg(test)]
mod tests;
pub(crate) mod url;

pub(crate) use table::command;
use take::no_value;
use url::Url;

/// Why the words of a command line, or the lines of a file, are not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum OptionError {
    /// No client of this kind has it.
    #[error("unknown option '{word}'{hint}")]
    Unknown { word: String, hint: String },
    /// The words end before its value.
    #[error("{flag} given, but no {what} after it")]
    NoValue { flag: String, what: String },
    /// A value that cannot be.
    #[error("{flag} {value:?}: {why}")]
    Value { flag: String, value: OsString, why: String },
    /// Options that do not go together, or that lack another.
    #[error("{0}")]
    Combination(String),
    /// The same in a file.
    #[error("{}, line {line}: {source}", path.display())]
    InFile { path: PathBuf, line: usize, source: Box<OptionError> },
    /// A file of options that was asked for, and cannot be read.
    #[error("-o {}: {why}", path.display())]
    File { path: PathBuf, why: String },
}

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
    Stdin,
    Lines,
}

/// The client's will.
#[derive(Debug)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

/// Where the broker is, and how it is reached.
#[derive(Debug, Default)]
pub(crate) struct Server {
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) unix: Option<PathBuf>,
    pub(crate) bind: Option<IpAddr>,
    pub(crate) websocket: bool,
    /// Where WebSocket is asked for; begins with a slash.
    pub(crate) websocket_path: Option<String>,
    pub(crate) proxy: Option<Url>,
    pub(crate) tls: Tls,
}

/// What is said about TLS.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    pub(crate) cafile: Option<PathBuf>,
    pub(crate) capath: Option<PathBuf>,
    pub(crate) os_certs: bool,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) insecure: bool,
    /// 12 or 13, where only one is wanted.
    pub(crate) version: Option<u8>,
    pub(crate) ciphers: Option<String>,
    pub(crate) alpn: Option<String>,
    pub(crate) is_off: bool,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) tool: Tool,
    pub(crate) server: Server,
    pub(crate) version: Version,
    pub(crate) client_id: Option<String>,
    id_prefix: Option<String>,
    pub(crate) clean: bool,
    session_expiry: Option<u32>,
    pub(crate) keep_alive: u16,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) inflight_max: u16,
    will_topic: Option<String>,
    will_payload: Option<Vec<u8>>,
    will_qos: QoS,
    will_retain: bool,
    /// Made of the four by the checks.
    pub(crate) will: Option<Will>,
    pub(crate) connect_properties: PropertiesBuf,
    pub(crate) publish_properties: PropertiesBuf,
    pub(crate) subscribe_properties: PropertiesBuf,
    pub(crate) unsubscribe_properties: PropertiesBuf,
    pub(crate) disconnect_properties: PropertiesBuf,
    pub(crate) will_properties: PropertiesBuf,
    /// The topic of a publish, or the filters of subscriptions.
    pub(crate) topics: Vec<String>,
    pub(crate) response_topic: Option<String>,
    pub(crate) qos: QoS,
    pub(crate) source: Option<Source>,
    pub(crate) retain: bool,
    pub(crate) repeat: u32,
    pub(crate) repeat_delay: Duration,
    pub(crate) unsubscribe: Vec<String>,
    pub(crate) filter_out: Vec<String>,
    pub(crate) no_retained: bool,
    pub(crate) retained_only: bool,
    pub(crate) remove_retained: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) retain_handling: RetainHandling,
    pub(crate) count: Option<u32>,
    pub(crate) exit_after_sub: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) verbose: bool,
    pub(crate) eol: bool,
    pub(crate) format: Option<Format>,
    pub(crate) pretty: bool,
    /// Of 10,000.
    pub(crate) random_filter: u32,
    pub(crate) message_rate: bool,
    pub(crate) watch: bool,
    pub(crate) debug: bool,
    pub(crate) quiet: bool,
}

/// What the words ask for.
#[derive(Debug)]
pub(crate) enum Asked {
    Run(Box<Options>),
    Help,
    Version,
}

/// Reads the file of options, if there is one, and then the words, which do not have the name of the program.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn read(tool: Tool, words: &[OsString], home: &Home) -> Result<Asked, OptionError> {
    let mut options = Options::new(tool);
    match words.iter().position(|word| word == "-o" || word == "--options-file") {
        Some(at) => {
            let path = words.get(at + 1).ok_or_else(|| no_value("-o", "PATH"))?;
            file::read(&mut options, Path::new(path))?;
        }
        None => {
            if let Some(path) = file::default_path(tool, home) {
                file::read(&mut options, &path)?;
            }
        }
    }
    match options.take(words)? {
        Taken::Help => return Ok(Asked::Help),
        Taken::Version => return Ok(Asked::Version),
        Taken::All => {}
    }
    check::complete(&mut options)?;
    Ok(Asked::Run(Box::new(options)))
}

pub(crate) use file::{Home, about as about_file};

/// How a run of words ended.
enum Taken {
    All,
    Help,
    Version,
}

impl Options {
    fn new(tool: Tool) -> Self {
        Self {
            tool,
            server: Server::default(),
            version: if tool == Tool::Request { Version::V5 } else { Version::V311 },
            client_id: None,
            id_prefix: None,
            clean: true,
            session_expiry: None,
            keep_alive: 60,
            username: None,
            password: None,
            inflight_max: limits::INFLIGHT_DEFAULT,
            will_topic: None,
            will_payload: None,
            will_qos: QoS::AtMostOnce,
            will_retain: false,
            will: None,
            connect_properties: PropertiesBuf::new(),
            publish_properties: PropertiesBuf::new(),
            subscribe_properties: PropertiesBuf::new(),
            unsubscribe_properties: PropertiesBuf::new(),
            disconnect_properties: PropertiesBuf::new(),
            will_properties: PropertiesBuf::new(),
            topics: Vec::new(),
            response_topic: None,
            qos: QoS::AtMostOnce,
            source: None,
            retain: false,
            repeat: 1,
            repeat_delay: Duration::ZERO,
            unsubscribe: Vec::new(),
            filter_out: Vec::new(),
            no_retained: false,
            retained_only: false,
            remove_retained: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Always,
            count: None,
            exit_after_sub: false,
            timeout: None,
            verbose: false,
            eol: true,
            format: None,
            pretty: false,
            random_filter: 10_000,
            message_rate: false,
            watch: false,
            debug: false,
            quiet: false,
        }
    }
}
