//! Takes the words of a command line, one option after the other.

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;
use std::time::Duration;

use primer_core::topic;
use primer_mqtt::{
    Version,
    codec::packet::{QoS, RetainHandling},
};

use super::{OptionError, Options, Source, Taken, Tls, property, table, url};
use crate::{Tool, format::Format};

impl Options {
    /// Takes one option after the other.
    pub(super) fn take(&mut self, words: &[OsString]) -> Result<Taken, OptionError> {
        let mut rest = words;
        while let [word, after @ ..] = rest {
            let written = word.to_string_lossy();
            let flag = table::find(self.tool, &written).ok_or_else(|| unknown(self.tool, &written))?;
            match flag.name {
                "help" => return Ok(Taken::Help),
                "version" => return Ok(Taken::Version),
                _ => {}
            }
            let is_pair = flag.name == "property" && after.get(1).is_some_and(|name| name == property::USER);
            let len = flag.values.len() + usize::from(is_pair);
            let Some(values) = after.get(..len) else {
                let what = flag.values.get(after.len()).unwrap_or(&"VALUE");
                return Err(no_value(&flag.written(), what));
            };
            let value = values.first().map_or(OsStr::new(""), OsString::as_os_str);
            let result = match values.len() {
                0 => self.switch(flag.name),
                1 => self.value(flag.name, value),
                _ => {
                    self.version = Version::V5;
                    property::add(self, values)
                }
            };
            result.map_err(|why| match values {
                [] => OptionError::Combination(format!("{}: {why}", flag.written())),
                values => {
                    let value = values.join(OsStr::new(" "));
                    OptionError::Value { flag: flag.written(), value, why }
                }
            })?;
            rest = after.get(len..).unwrap_or_default();
        }
        Ok(Taken::All)
    }

    /// Turns something on.
    pub(super) fn switch(&mut self, name: &str) -> Result<(), String> {
        match name {
            "ws" => self.server.websocket = true,
            "srv" => return Err("DNS SRV records are not supported. Name the host (-h) and port (-p)".to_owned()),
            "disable-clean-session" => self.clean = false,
            "stdin-file" => return self.set_source(Source::Stdin),
            "stdin-line" => return self.set_source(Source::Lines),
            "null-message" => return self.set_source(Source::Bytes(Vec::new())),
            "retain" => self.retain = true,
            "no-retained" => self.no_retained = true,
            "retained-only" => self.retained_only = true,
            "remove-retained" => self.remove_retained = true,
            "retain-as-published" => self.retain_as_published = true,
            "exit-after-sub" => self.exit_after_sub = true,
            "verbose" => self.verbose = true,
            "no-eol" => self.eol = false,
            "pretty" => self.pretty = true,
            "message-rate" => self.message_rate = true,
            "watch" => self.watch = true,
            "will-retain" => self.will_retain = true,
            "tls-use-os-certs" => self.server.tls.os_certs = true,
            "no-tls" => self.server.tls.is_off = true,
            "insecure" => self.server.tls.insecure = true,
            "debug" => self.debug = true,
            "quiet" => self.quiet = true,
            // TCP_NODELAY is always on.
            _ => {}
        }
        Ok(())
    }

    /// Takes an option with one value.
    fn value(&mut self, name: &str, value: &OsStr) -> Result<(), String> {
        match name {
            "host" | "port" | "url" | "unix" | "bind" | "ws-path" | "proxy" => self.server_value(name, value),
            "cafile"
            | "capath"
            | "cert"
            | "key"
            | "keyform"
            | "tls-version"
            | "ciphers"
            | "tls-alpn"
            | "tls-engine"
            | "tls-engine-kpass-sha1"
            | "psk"
            | "psk-identity" => self.server.tls.value(name, value),
            "topic" | "response-topic" | "unsubscribe" | "filter-out" | "will-topic" => self.topic_value(name, value),
            "count" | "timeout" | "format" | "random-filter" => self.output_value(name, value),
            _ => self.client_value(name, value),
        }
    }

    fn server_value(&mut self, name: &str, value: &OsStr) -> Result<(), String> {
        let server = &mut self.server;
        match name {
            "host" => (server.host, server.unix) = (Some(text(value)?), None),
            "port" => server.port = Some(number(value, 1, u16::MAX)?),
            "unix" => server.unix = Some(value.into()),
            "bind" => {
                let why = || "it is no IP address of this machine".to_owned();
                server.bind = Some(text(value)?.parse().map_err(|_| why())?);
            }
            "ws-path" => {
                let path = text(value)?;
                if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
                    return Err("it is a path as /mqtt: a slash, and then no spaces and no '#'".to_owned());
                }
                server.websocket_path = Some(path);
            }
            "proxy" => {
                let url = url::parse(&text(value)?)?;
                if !matches!(&*url.scheme, "socks5h" | "socks5") {
                    return Err(format!("{}:// is no proxy that is known: socks5h:// is", url.scheme));
                }
                server.proxy = Some(url);
            }
            _ => return self.url(value),
        }
        Ok(())
    }

    fn url(&mut self, value: &OsStr) -> Result<(), String> {
        let url = url::parse(&text(value)?)?;
        let (is_tls, websocket) = match &*url.scheme {
            "mqtt" => (false, false),
            "mqtts" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            other => return Err(format!("{other}:// is not one of mqtt://, mqtts://, ws:// and wss://")),
        };
        let topic = url.path.ok_or("it has no topic: write a / and the topic after the host")?;
        self.add_topic(topic)?;
        let server = &mut self.server;
        (server.host, server.unix) = (Some(url.host), None);
        server.port = Some(url.port.unwrap_or(if is_tls { 8883 } else { 1883 }));
        server.websocket |= websocket;
        server.tls.os_certs |= is_tls;
        self.username = url.username.or(self.username.take());
        self.password = url.password.map(String::into_bytes).or(self.password.take());
        Ok(())
    }

    fn topic_value(&mut self, name: &str, value: &OsStr) -> Result<(), String> {
        let value = text(value)?;
        match name {
            "topic" => return self.add_topic(value),
            "response-topic" => self.response_topic = Some(checked(value, topic::check_topic)?),
            "will-topic" => self.will_topic = Some(checked(value, topic::check_topic)?),
            "unsubscribe" => self.unsubscribe.push(checked(value, topic::check_filter)?),
            _ => self.filter_out.push(checked(value, topic::check_filter)?),
        }
        Ok(())
    }

    /// A filter more, or the topic.
    fn add_topic(&mut self, value: String) -> Result<(), String> {
        if self.tool == Tool::Subscribe {
            self.topics.push(checked(value, topic::check_filter)?);
        } else {
            self.topics = vec![checked(value, topic::check_topic)?];
        }
        Ok(())
    }

    fn output_value(&mut self, name: &str, value: &OsStr) -> Result<(), String> {
        match name {
            "count" => self.count = Some(number(value, 1, u32::MAX)?),
            "timeout" => self.timeout = Some(Duration::from_secs(number(value, 1, u32::MAX)?.into())),
            "format" => {
                self.format = Some(Format::parse(value.as_bytes()).map_err(|error| error.to_string())?);
            }
            _ => {
                let percent: f64 = number(value, 0.1, 100.0)?;
                // At most 10,000, as was just checked.
                self.random_filter = (percent * 100.0).round() as u32;
            }
        }
        Ok(())
    }

    fn client_value(&mut self, name: &str, value: &OsStr) -> Result<(), String> {
        match name {
            "username" => self.username = Some(text(value)?),
            "pw" => self.password = Some(value.as_bytes().to_vec()),
            "id" => (self.client_id, self.id_prefix) = self.identified(Some(text(value)?), None)?,
            "id-prefix" => (self.client_id, self.id_prefix) = self.identified(None, Some(text(value)?))?,
            "protocol-version" => {
                self.version = match &*text(value)? {
                    "31" | "mqttv31" => Version::V31,
                    "311" | "mqttv311" => Version::V311,
                    "5" | "mqttv5" => Version::V5,
                    _ => return Err("the versions are 31, 311 and 5".to_owned()),
                };
            }
            "keepalive" => {
                let seconds = number(value, 0, u16::MAX)?;
                if (1..5).contains(&seconds) {
                    return Err("it is a number from 5 to 65535, or 0 for none".to_owned());
                }
                self.keep_alive = seconds;
            }
            "session-expiry" => {
                self.session_expiry = Some(match &*text(value)? {
                    "\u{221e}" | "-1" => u32::MAX,
                    _ => number(value, 0, u32::MAX)?,
                });
            }
            "max-inflight" => self.inflight_max = number(value, 1, u16::MAX)?,
            "qos" => self.qos = qos(value)?,
            "will-qos" => self.will_qos = qos(value)?,
            "will-payload" => self.will_payload = Some(value.as_bytes().to_vec()),
            "message" => return self.set_source(Source::Bytes(value.as_bytes().to_vec())),
            "file" => return self.set_source(Source::File(value.into())),
            "repeat" => self.repeat = number(value, 1, u32::MAX)?,
            "repeat-delay" => {
                let seconds: f64 = number(value, 0.0, 4_294_967_295.0)?;
                self.repeat_delay = Duration::from_secs_f64(seconds);
            }
            "retain-handling" => {
                self.retain_handling = match &*text(value)? {
                    "always" => RetainHandling::Always,
                    "new" => RetainHandling::IfNew,
                    "never" => RetainHandling::Never,
                    _ => return Err("it is always, new or never".to_owned()),
                };
            }
            // The file of options was read before all others.
            _ => {}
        }
        Ok(())
    }

    fn identified(&self, id: Option<String>, prefix: Option<String>) -> Result<Identified, String> {
        if id.is_some() && self.id_prefix.is_some() || prefix.is_some() && self.client_id.is_some() {
            return Err("-i and -I do not go together".to_owned());
        }
        Ok((id, prefix))
    }

    fn set_source(&mut self, source: Source) -> Result<(), String> {
        if self.source.is_some() {
            return Err("only one of -f, -l, -m, -n and -s says what is published".to_owned());
        }
        self.source = Some(source);
        Ok(())
    }
}

/// Identifier and prefix.
type Identified = (Option<String>, Option<String>);

impl Tls {
    fn value(&mut self, name: &str, value: &OsStr) -> Result<(), String> {
        match name {
            "cafile" => self.cafile = Some(value.into()),
            "capath" => self.capath = Some(value.into()),
            "cert" => self.cert = Some(value.into()),
            "key" => self.key = Some(value.into()),
            "keyform" if value == "pem" => {}
            "keyform" => {
                return Err("keys are read from PEM files (pem): OpenSSL's engines are not supported".to_owned());
            }
            "tls-version" => {
                self.version = Some(match &*text(value)? {
                    "tlsv1.3" => 13,
                    "tlsv1.2" => 12,
                    "tlsv1.1" | "tlsv1" => return Err("TLS before 1.2 is not safe, and not supported".to_owned()),
                    _ => return Err("the versions are tlsv1.3 and tlsv1.2".to_owned()),
                });
            }
            "ciphers" => self.ciphers = Some(text(value)?),
            "tls-alpn" => self.alpn = Some(text(value)?),
            "psk" | "psk-identity" => {
                let why = "TLS with pre-shared keys is not supported. Give the broker a certificate, and its authority \
                           here (--cafile)";
                return Err(why.to_owned());
            }
            _ => return Err("OpenSSL's engines are not supported. Give the key as a PEM file (--key)".to_owned()),
        }
        Ok(())
    }
}

fn text(value: &OsStr) -> Result<String, String> {
    value.to_str().map(str::to_owned).ok_or_else(|| "it is not UTF-8".to_owned())
}

fn checked(value: String, check: fn(&str) -> Result<(), topic::TopicError>) -> Result<String, String> {
    check(&value).map_err(|error| format!("it {error}"))?;
    Ok(value)
}

fn number<T: Copy + FromStr + PartialOrd + Debug>(value: &OsStr, min: T, max: T) -> Result<T, String> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number
        .filter(|number| (&min..=&max).contains(&number))
        .ok_or_else(|| format!("it is a number from {min:?} to {max:?}"))
}

fn qos(value: &OsStr) -> Result<QoS, String> {
    Ok(match number(value, 0, 2)? {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    })
}

pub(super) fn no_value(flag: &str, what: &str) -> OptionError {
    OptionError::NoValue { flag: flag.to_owned(), what: what.to_owned() }
}

fn unknown(tool: Tool, word: &str) -> OptionError {
    let hint = if table::is_of_another(word) {
        format!(": `primer {}` has it not", tool.name())
    } else if let Some(near) = table::nearest(tool, word) {
        format!(": is it {near}?")
    } else if !word.starts_with('-') {
        ": topics follow -t, payloads -m".to_owned()
    } else if word.len() > 2 && !word.starts_with("--") {
        ": options of one letter are words of their own".to_owned()
    } else {
        String::new()
    };
    OptionError::Unknown { word: word.to_owned(), hint }
}
