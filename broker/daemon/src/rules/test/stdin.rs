//! Messages of standard input: a line each.

use std::io::{BufRead, Read};

use anyhow::{Context, bail};
use primer_core::topic::check_topic;
use primer_mapping::{
    Content, Msg, Origin,
    record::{self},
};
use serde_json::Value;

use super::given::{Given, To};
use crate::units;

/// The longest line.
const LINE_BYTES_MAX: u64 = 64 << 20;

pub(super) fn feed(
    input: &mut dyn BufRead,
    topic: Option<&str>,
    take: &mut dyn FnMut(Given<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if let Some(topic) = topic
        && let Err(why) = check_topic(topic)
    {
        bail!("--topic {topic:?} is no topic to publish to: it {why}");
    }
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = input.take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line).context("standard input")?;
        if read == 0 {
            break;
        }
        if read as u64 > LINE_BYTES_MAX {
            bail!("line {number} of standard input has more than {LINE_BYTES_MAX} bytes");
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let message = match topic {
            Some(topic) => of_payload(topic, text),
            None if text.trim_ascii().is_empty() => continue,
            None => of_json(text).with_context(|| format!("line {number} of standard input"))?,
        };
        take(Given { message, to: To::Publish })?;
    }
    Ok(())
}

fn of_payload(topic: &str, payload: &[u8]) -> Msg {
    let origin = Origin { time_unix_ms: units::now_unix_ms(), attempt: 1, ..Origin::default() };
    Msg::new(Content { topic: topic.into(), payload: payload.into(), origin: origin.into(), ..Content::default() })
}

fn of_json(line: &[u8]) -> anyhow::Result<Msg> {
    let mut value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => {
            let text = error.to_string();
            let what = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what);
            bail!(
                "column {}: {what}; a line is to be {{\"topic\":\"a/b\",\"payload\":...}}, or a payload with \
                 --topic TOPIC",
                error.column()
            );
        }
    };
    if let Some(all) = value.as_object_mut() {
        all.entry("time").or_insert_with(|| units::now_unix_ms().into());
    }
    Ok(record::from_json(&value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str, topic: Option<&str>) -> anyhow::Result<Vec<Msg>> {
        let mut all = Vec::new();
        feed(&mut input.as_bytes(), topic, &mut |given| {
            assert_eq!(given.to, To::Publish);
            all.push(given.message);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn lines_are_messages_or_payloads() {
        let all = read(
            "{\"topic\":\"a\",\"payload\":{\"x\":1},\"time\":7}\r\n\n{\"topic\":\"$queue/q\",\"payload\":\"\"}",
            None,
        );
        let all = all.unwrap();
        let [first, second] = &all[..] else { panic!("{all:?}") };
        assert_eq!((first.content().origin.time_unix_ms, &first.content().payload[..]), (7, &b"{\"x\":1}"[..]));
        assert!(second.content().origin.time_unix_ms > 1_700_000_000_000);
        assert_eq!(&*second.content().topic, "$queue/q");
        let all = read("1\n\n2\r\n", Some("t")).unwrap();
        let payloads: Vec<&[u8]> = all.iter().map(|message| &message.content().payload[..]).collect();
        assert_eq!(payloads, [&b"1"[..], b"", b"2"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (input, words) in [
            ("{\"topic\":\"a\",\"payload\":1}\n{", &["line 2 of standard input", "column 1", "--topic"][..]),
            ("{\"topic\":\"a\"}", &["line 1", "payload is missing"]),
            ("21.5", &["line 1", "a JSON object"]),
        ] {
            let error = format!("{:#}", read(input, None).unwrap_err());
            assert!(words.iter().all(|word| error.contains(word)), "{words:?} are not in: {error}");
        }
        assert!(read("", Some("a/+")).unwrap_err().to_string().contains("no topic to publish to"));
    }
}
