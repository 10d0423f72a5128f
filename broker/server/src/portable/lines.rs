//! Reads a dump line by line, and holds it to its last line.

use std::io::{BufRead, Read};

use super::{
    PortableError, Progress,
    format::{End, FORMAT, FORMAT_OF_QUEUES, FORMAT_OF_TABLES, Header, Line},
};

/// The longest line that is read: a queue with as many identifiers as one may have, each as long as they are. A message
/// of the longest kind, in base64, with as much beside it, is half of that.
const LINE_BYTES_MAX: u64 = 1 << 30;

/// See the module's description.
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    pub(super) number: u64,
    crc: u32,
    pub(super) progress: Progress,
    pub(super) left_out: u64,
    /// Of the first line.
    format: u32,
}

impl<R: BufRead> Lines<R> {
    /// Begins, with the first line.
    pub(super) fn begin(input: R) -> Result<(Self, Header), PortableError> {
        let (line, progress) = (Vec::new(), Progress::default());
        let mut lines = Self { input, line, number: 0, crc: 0, progress, left_out: 0, format: 0 };
        if !lines.read()? {
            return Err(PortableError::NoDump { says: "not there: the file is empty".to_owned() });
        }
        let header = header(&lines.line)?;
        lines.count();
        lines.format = header.format;
        Ok((lines, header))
    }

    /// The next session, queue, table or message; `None` after the last line, when all is as it says.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, PortableError> {
        if !self.read()? {
            return Err(PortableError::CutOff { line: self.number });
        }
        if is_end(&self.line) {
            self.end()?;
            return Ok(None);
        }
        self.count();
        let (number, format, progress) = (self.number, self.format, &mut self.progress);
        let line = serde_json::from_slice(&self.line).map_err(|error| of_json(number, &error))?;
        match &line {
            Line::Session(_) => progress.sessions += 1,
            Line::Queue(_) if format >= FORMAT_OF_QUEUES => progress.queues += 1,
            Line::Table(_) if format >= FORMAT_OF_TABLES => progress.tables += 1,
            Line::Message(_) => progress.messages += 1,
            Line::Queue(_) => return Err(too_old(number, format, "queue", FORMAT_OF_QUEUES)),
            Line::Table(_) => return Err(too_old(number, format, "table", FORMAT_OF_TABLES)),
            Line::PrimerDump(_) | Line::End(_) => {
                let says = "a second first line".to_owned();
                let expected = "a session, a queue, a table, a message, or the end: one dump after another is no dump";
                return Err(PortableError::Line { line: number, says, expected: expected.to_owned() });
            }
        }
        Ok(Some(line))
    }

    /// Goes to the end and checks all but what the lines mean.
    pub(super) fn check(mut self, progress: &mut dyn FnMut(&Progress)) -> Result<(), PortableError> {
        loop {
            if !self.read()? {
                return Err(PortableError::CutOff { line: self.number });
            }
            if is_end(&self.line) {
                return self.last().map(drop);
            }
            self.count();
            progress(&self.progress);
        }
    }

    /// Reads a line; `false` at the end. A line without its end is cut off.
    fn read(&mut self) -> Result<bool, PortableError> {
        self.line.clear();
        let number = self.number;
        let read = (&mut self.input).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut self.line);
        let read = read.map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => PortableError::CutOff { line: number },
            _ => PortableError::Read { line: number, source },
        })?;
        if read as u64 > LINE_BYTES_MAX {
            let says = "it is too long".to_owned();
            let expected = format!("at most {LINE_BYTES_MAX} bytes");
            return Err(PortableError::Line { line: number + 1, says, expected });
        }
        // Only the last line may lack its end; whether it is the last is seen by what it is.
        if read == 0 || (self.line.last() != Some(&b'\n') && number > 0 && !is_end(&self.line)) {
            return Ok(false);
        }
        self.number += 1;
        Ok(true)
    }

    fn count(&mut self) {
        self.crc = crc32c::crc32c_append(self.crc, &self.line);
        self.progress.bytes += self.line.len() as u64;
    }

    fn last(&mut self) -> Result<End, PortableError> {
        let number = self.number;
        let end = match serde_json::from_slice(&self.line) {
            Ok(Line::End(end)) => end,
            Err(error) if !error.is_eof() => return Err(of_json(number, &error)),
            _ => return Err(PortableError::CutOff { line: number }),
        };
        let found = hexadecimal(self.crc);
        if found != end.crc32c {
            return Err(PortableError::Altered { found, says: end.crc32c });
        }
        if self.read()? {
            let says = "it comes after the last line".to_owned();
            return Err(PortableError::Line { line: self.number, says, expected: "the end of the dump".to_owned() });
        }
        Ok(end)
    }

    fn end(&mut self) -> Result<(), PortableError> {
        let end = self.last()?;
        self.left_out = end.left_out;
        let Progress { sessions, queues, tables, messages, .. } = self.progress;
        let counts = [
            ("sessions", sessions, Some(end.sessions), FORMAT),
            ("queues", queues, end.queues, FORMAT_OF_QUEUES),
            ("tables", tables, end.tables, FORMAT_OF_TABLES),
            ("messages", messages, Some(end.messages), FORMAT),
        ];
        for (what, found, says, since) in counts {
            let says = match says {
                Some(says) => says,
                None if self.format < since => 0,
                None => {
                    let (says, expected) = (format!("missing field `{what}`"), format!("how many {what} there are"));
                    return Err(PortableError::Line { line: self.number, says, expected });
                }
            };
            if found != says {
                return Err(PortableError::Count { what, found, says });
            }
        }
        Ok(())
    }
}

/// A line of a kind that the format of its dump did not have yet.
fn too_old(line: u64, format: u32, what: &str, since: u32) -> PortableError {
    let says = format!("a {what} in a dump of format {format}");
    let expected = format!("format {since} in the first line of a dump with {what}s");
    PortableError::Line { line, says, expected }
}

pub(super) fn hexadecimal(crc: u32) -> String {
    format!("{crc:08x}")
}

fn is_end(line: &[u8]) -> bool {
    let rest = line.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    rest.is_some_and(|rest| rest.starts_with(b"\"end\""))
}

/// The first line; its format counts before anything else of it.
fn header(line: &[u8]) -> Result<Header, PortableError> {
    const SHOWN: usize = 40;
    let value: Result<serde_json::Value, _> = serde_json::from_slice(line);
    let format = value.ok().and_then(|value| value.get("primer_dump")?.get("format")?.as_u64());
    let Some(format) = format else {
        let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
        return Err(PortableError::NoDump { says: format!("`{}`", text.trim_end().escape_debug()) });
    };
    if format > u64::from(FORMAT) {
        return Err(PortableError::Newer { found: u32::try_from(format).unwrap_or(u32::MAX), reads: FORMAT });
    }
    match serde_json::from_slice(line) {
        Ok(Line::PrimerDump(header)) => Ok(header),
        Ok(_) => Err(PortableError::NoDump { says: "something else".to_owned() }),
        Err(error) => Err(of_json(1, &error)),
    }
}

/// The parser says what it found and what it expected in one sentence, with a line that is always 1.
fn of_json(line: u64, error: &serde_json::Error) -> PortableError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    let (says, expected) = match text.split_once(", expected ") {
        Some((says, expected)) => (says, expected.to_owned()),
        None if error.is_data() => (text, "a field of a dump with a value that it may have".to_owned()),
        None => (text, "one JSON object a line".to_owned()),
    };
    PortableError::Line { line, says: format!("column {}: {says}", error.column()), expected }
}
