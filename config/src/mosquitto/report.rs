//! What is said of a mosquitto.conf: faults, and notes in three groups.

use std::fmt;

use crate::problem::{Origin, Problem};

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Something that mosquitto did and Primer does not.
    Lost,
    /// Something that is done in another way.
    Other,
    /// A line that Primer needs not.
    Needless,
}

impl Group {
    /// All, in the order in which they are said.
    pub const ALL: [Self; 3] = [Self::Lost, Self::Other, Self::Needless];

    /// What stands above its notes.
    #[must_use]
    pub const fn head(self) -> &'static str {
        match self {
            Self::Lost => "What is lost:",
            Self::Other => "What is other:",
            Self::Needless => "What is not needed:",
        }
    }
}

/// What is not taken over, or means something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The group that it belongs to.
    pub group: Group,
    /// Where and what.
    pub problem: Problem,
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(out)
    }
}

/// What was found while reading.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) faults: Vec<Problem>,
    pub(super) notes: Vec<Note>,
}

impl Report {
    pub(super) fn fault(&mut self, origin: &Origin, key: impl Into<String>, says: impl Into<String>) {
        self.faults.push(Problem { origin: origin.clone(), key: key.into(), says: says.into() });
    }

    pub(super) fn note(&mut self, group: Group, origin: &Origin, key: impl Into<String>, says: impl Into<String>) {
        let problem = Problem { origin: origin.clone(), key: key.into(), says: says.into() };
        self.notes.push(Note { group, problem });
    }

    pub(super) fn lost(&mut self, origin: &Origin, key: impl Into<String>, says: impl Into<String>) {
        self.note(Group::Lost, origin, key, says);
    }

    pub(super) fn other(&mut self, origin: &Origin, key: impl Into<String>, says: impl Into<String>) {
        self.note(Group::Other, origin, key, says);
    }

    /// The notes: by groups, and in the order of the lines.
    pub(super) fn into_notes(mut self) -> Vec<Note> {
        self.notes.sort_by_key(|note| (note.group, place(&note.problem.origin)));
        self.notes
    }
}

fn place(origin: &Origin) -> (String, usize) {
    match origin {
        Origin::File { file, line } => (file.to_string_lossy().into_owned(), *line),
        _ => (String::new(), 0),
    }
}
