//! The lines of a mosquitto.conf, and of the folders that it includes.

use std::path::{Path, PathBuf};

use super::report::{Group, Report};
use crate::{
    Machine,
    limits::{FILE_BYTES_MAX, INCLUDED_FILES_MAX},
    problem::Origin,
};

/// A line that says something.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// What it is about.
    pub(super) word: String,
    /// The rest.
    pub(super) value: String,
    /// Where it stands.
    pub(super) origin: Origin,
}

impl Line {
    /// How it is called in what is said about it. What a line has may be a password, and is not shown.
    pub(super) fn key(&self) -> &str {
        &self.word
    }

    /// Notes something about it.
    pub(super) fn note(&self, group: Group, report: &mut Report, says: &str) {
        report.note(group, &self.origin, self.key(), says);
    }
}

pub(super) fn read(file: &Path, machine: &dyn Machine, report: &mut Report) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in of_file(file, machine, report) {
        if line.word == "include_dir" {
            for file in included(&line, machine, report) {
                for line in of_file(&file, machine, report) {
                    if line.word == "include_dir" {
                        report.fault(&line.origin, line.key(), "a file that is included includes no other");
                    } else {
                        lines.push(line);
                    }
                }
            }
        } else {
            lines.push(line);
        }
    }
    lines
}

fn of_file(file: &Path, machine: &dyn Machine, report: &mut Report) -> Vec<Line> {
    let text = match machine.read(file) {
        Ok(text) if text.len() as u64 <= FILE_BYTES_MAX => text,
        Ok(_) => {
            report.fault(&Origin::file(file, 0), "", format!("it has more than {} MiB", FILE_BYTES_MAX >> 20));
            return Vec::new();
        }
        Err(error) => {
            report.fault(&Origin::file(file, 0), "", format!("cannot read it: {error}"));
            return Vec::new();
        }
    };
    let text = text.trim_start_matches('\u{feff}');
    let line = |(index, line): (usize, &str)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (word, value) = line.split_once(|c: char| c.is_whitespace()).unwrap_or((line, ""));
        let origin = Origin::file(file, index + 1);
        Some(Line { word: word.to_owned(), value: value.trim().to_owned(), origin })
    };
    text.lines().enumerate().filter_map(line).collect()
}

/// The *.conf of a folder, in the order of their names.
fn included(line: &Line, machine: &dyn Machine, report: &mut Report) -> Vec<PathBuf> {
    match machine.list(Path::new(&line.value)) {
        Ok(mut files) => {
            files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
            files.sort();
            if files.len() > INCLUDED_FILES_MAX {
                let says = format!("it has {} files; {INCLUDED_FILES_MAX} at most", files.len());
                report.fault(&line.origin, line.key(), says);
                files.clear();
            }
            files
        }
        Err(error) => {
            report.fault(&line.origin, line.key(), format!("cannot read {}: {error}", line.value));
            Vec::new()
        }
    }
}
