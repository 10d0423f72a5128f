//! From a data directory to a dump.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use primer::journal::{Folder, Probe, Reading, State};

use super::{
    PortableError, Progress,
    format::{End, FORMAT, Header, Line, Message},
    lines::hexadecimal,
    outward::{self, Gathering},
    queue_outward, tables,
};

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dumped {
    /// How much.
    pub progress: Progress,
    /// Records that are damaged or make no sense, and are not in the dump.
    pub left_out: u64,
    /// Files that did not open; what was found in them is in the dump.
    pub files_damaged: u64,
}

/// Whether there is a store in a directory.
///
/// # Errors
/// There is none.
pub fn look_for(directory: &Path) -> Result<(), PortableError> {
    let is_of_a_store = |name: &str| name.contains(".redb") || name.starts_with("next");
    let has_store = std::fs::read_dir(directory).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_of_a_store)))
    });
    if has_store { Ok(()) } else { Err(PortableError::NoStore { directory: directory.to_owned() }) }
}

/// Opens the store in a data directory to look at it.
///
/// # Errors
/// There is none, another process has it, or it does not open.
pub fn open(directory: &Path, probe: Option<Probe>) -> Result<Reading, PortableError> {
    look_for(directory)?;
    let folder = Arc::new(Folder::take_to_read(directory, probe)?);
    Reading::open(folder).map_err(|source| PortableError::Open { directory: directory.to_owned(), source })
}

/// Writes all that a store has. `program` is the version that says so.
///
/// # Errors
/// It cannot be written, or the store cannot be read.
pub fn dump(
    directory: &Path,
    reading: &mut Reading,
    program: &str,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Dumped, PortableError> {
    let mut writer = Writer { out, line: Vec::new(), crc: 0, error: None, done: Progress::default(), progress };
    let time = rfc3339(SystemTime::now());
    let incarnation = reading.report().incarnation;
    writer.write(&Line::PrimerDump(Header { format: FORMAT, program: program.to_owned(), time, incarnation }));
    let state = reading.state();
    let mut left_out = writer.sessions(state) + writer.queues(state) + writer.tables(state);
    let mut gathering = Gathering::default();
    let visited = reading.visit(&mut |state, stored| {
        if writer.error.is_none() {
            gathering.take(state, &stored, &mut |message| writer.message(message));
        }
    });
    gathering.end(&mut |message| writer.message(message));
    visited.map_err(|source| PortableError::Open { directory: directory.to_owned(), source })?;
    left_out += gathering.left_out + reading.report().damaged;
    let Progress { sessions, queues, tables, messages, .. } = writer.done;
    writer.write(&Line::End(End {
        sessions,
        queues: Some(queues),
        tables: Some(tables),
        messages,
        left_out,
        crc32c: hexadecimal(writer.crc),
    }));
    if let Some(error) = writer.error {
        return Err(PortableError::Write(error));
    }
    let files_damaged = reading.report().files_damaged();
    Ok(Dumped { progress: writer.done, left_out, files_damaged })
}

struct Writer<'w> {
    out: &'w mut dyn Write,
    line: Vec<u8>,
    crc: u32,
    /// After the first one nothing more is written: who visits a store cannot be stopped.
    error: Option<io::Error>,
    done: Progress,
    progress: &'w mut dyn FnMut(&Progress),
}

impl Writer<'_> {
    /// Answers how many entries make no sense.
    fn sessions(&mut self, state: &State) -> u64 {
        let mut left_out = 0;
        for (session, nonsense) in state.queues().filter_map(|(_, queue)| outward::session(queue)) {
            left_out += nonsense;
            self.done.sessions += 1;
            self.write(&Line::Session(session));
        }
        left_out
    }

    /// Answers how many entries make no sense.
    fn queues(&mut self, state: &State) -> u64 {
        let mut left_out = 0;
        for (queue, nonsense) in queue_outward::queues(state) {
            left_out += nonsense;
            self.done.queues += 1;
            self.write(&Line::Queue(queue));
        }
        left_out
    }

    /// Answers how many entries make no sense.
    fn tables(&mut self, state: &State) -> u64 {
        let mut left_out = 0;
        for (table, nonsense) in tables::tables(state) {
            left_out += nonsense;
            self.done.tables += 1;
            self.write(&Line::Table(table));
        }
        left_out
    }

    fn message(&mut self, message: Message<'_>) {
        self.done.messages += 1;
        self.write(&Line::Message(message));
    }

    fn write(&mut self, line: &Line<'_>) {
        if self.error.is_some() {
            return;
        }
        self.line.clear();
        let encoded = serde_json::to_writer(&mut self.line, line).map_err(io::Error::from);
        self.line.push(b'\n');
        self.crc = crc32c::crc32c_append(self.crc, &self.line);
        self.done.bytes += self.line.len() as u64;
        self.error = encoded.and_then(|()| self.out.write_all(&self.line)).err();
        (self.progress)(&self.done);
    }
}

/// A time as RFC 3339 has it, in UTC, with milliseconds.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = ((since.as_secs() / 86_400) as i64, since.as_secs() % 86_400);
    // Days to a date, by eras of 400 years that begin on 1 March (H. Hinnant, "chrono-compatible date algorithms").
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let milli = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_millis(unix_ms)), text);
        }
    }
}
