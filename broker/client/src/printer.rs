//! Standard output: messages, and what `-d` prints.

use std::collections::HashMap;
use std::io::{self, Write};

use jiff::Zoned;

use crate::{complain, options::Options, session::Message};

/// The first line of the screen that a topic gets.
const WATCH_LINE_FIRST: usize = 2;

/// Prints messages as the options have it.
pub(crate) struct Printer<'a> {
    options: &'a Options,
    /// With `--watch`: the line of each topic.
    lines: HashMap<String, usize>,
    /// With `--message-rate`: how many came since they were counted last.
    since: u64,
    /// The state of a xorshift generator.
    dice: u64,
}

/// Why nothing can be printed any more.
#[derive(Debug)]
pub(crate) enum Gone {
    /// Nobody reads: whoever did has what it wanted.
    Unread,
    /// It cannot be written, as to a disk that is full.
    Failed(io::Error),
}

impl<'a> Printer<'a> {
    pub(crate) fn new(options: &'a Options) -> Self {
        // Which messages a random filter takes is nothing that anybody relies on.
        let dice = getrandom::u64().unwrap_or(1) | 1;
        Self { options, lines: HashMap::new(), since: 0, dice }
    }

    /// Prints one.
    ///
    /// # Errors
    /// It cannot be.
    pub(crate) fn print(&mut self, message: &Message) -> Result<(), Gone> {
        if self.options.random_filter < 10_000 && self.roll() >= self.options.random_filter {
            return Ok(());
        }
        if self.options.message_rate {
            self.since += 1;
            return Ok(());
        }
        let mut out = Vec::with_capacity(message.payload.len() + 64);
        if self.options.watch {
            self.move_to(&message.topic, &mut out);
        }
        self.message(message, &mut out);
        write(&out)
    }

    /// Prints how many came since the last time.
    ///
    /// # Errors
    /// It cannot be.
    pub(crate) fn print_rate(&mut self) -> Result<(), Gone> {
        let since = std::mem::take(&mut self.since);
        write(format!("{since}\n").as_bytes())
    }

    fn message(&self, message: &Message, out: &mut Vec<u8>) {
        let options = self.options;
        let mut has_line = true;
        if let Some(format) = &options.format {
            if let Err(error) = format.print(message, &Zoned::now(), options.pretty, out) {
                complain(options, &format!("Error: {error}."));
            }
        } else if message.payload.is_empty() {
            has_line = options.verbose;
            if options.verbose && options.eol {
                out.extend_from_slice(message.topic.as_bytes());
                out.extend_from_slice(b" (null)");
            }
        } else {
            if options.verbose {
                out.extend_from_slice(message.topic.as_bytes());
                out.push(b' ');
            }
            out.extend_from_slice(&message.payload);
        }
        if has_line && options.eol {
            out.push(b'\n');
        }
    }

    /// Goes to the line of a topic, and clears it; the first time, the whole screen.
    fn move_to(&mut self, topic: &str, out: &mut Vec<u8>) {
        if self.lines.is_empty() {
            out.extend_from_slice(b"\x1b[2J\x1b[1;1H");
            out.extend_from_slice(format!("Broker: {}\n", self.options.server.place()).as_bytes());
        }
        let next = self.lines.len() + WATCH_LINE_FIRST;
        let line = *self.lines.entry(topic.to_owned()).or_insert(next);
        out.extend_from_slice(format!("\x1b[{line};1H\x1b[2K").as_bytes());
    }

    /// A number below 10,000.
    fn roll(&mut self) -> u32 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        u32::try_from(self.dice % 10_000).unwrap_or(0)
    }
}

/// Lines of `-d`. Whether anybody reads them is found at the next message.
pub(crate) fn print_lines(lines: &[String]) {
    if !lines.is_empty() {
        let mut text = lines.join("\n");
        text.push('\n');
        let _ = write(text.as_bytes());
    }
}

fn write(bytes: &[u8]) -> Result<(), Gone> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| if error.kind() == io::ErrorKind::BrokenPipe { Gone::Unread } else { Gone::Failed(error) })
}
