//! The directory of scripts and tables: what is in it, and whether somebody is still writing there.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::{limits::SCRIPT_BYTES_MAX, stamp::Stamp};

/// What the names of scripts end with.
pub(crate) const EXTENSION: &str = "rhai";
/// Bytes of a script's name.
const NAME_BYTES_MAX: usize = 128;

/// Looks after which files are read although one of them still changes.
const RESTLESS_LOOKS: u32 = 10;

/// A directory that is looked at again and again.
#[derive(Debug)]
pub(crate) struct Folder {
    directory: PathBuf,
    last: BTreeMap<PathBuf, Stamp>,
    /// Whether what is there now was taken in.
    is_taken: bool,
    /// Looks in a row that have each seen something else.
    restless: u32,
    /// Whether it was said that the directory cannot be read.
    is_told: bool,
}

/// The scripts of a directory; what is wrong with one is said where its text would be.
pub(crate) type Texts = BTreeMap<String, Result<String, String>>;

impl Folder {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, last: BTreeMap::new(), is_taken: false, restless: 0, is_told: false }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether something has changed since it was taken in, and nothing since this was asked last: a file that is being
    /// written is not read. One that never rests does not hold the others up for long.
    ///
    /// # Errors
    /// The directory cannot be read; said once.
    pub(crate) fn is_ready(&mut self) -> io::Result<bool> {
        let now = match stamps(&self.directory) {
            Ok(now) => now,
            Err(_) if self.is_told => return Ok(false),
            Err(error) => {
                (self.is_told, self.is_taken) = (true, false);
                return Err(error);
            }
        };
        self.is_told = false;
        let is_quiet = now == self.last;
        if !is_quiet {
            (self.last, self.is_taken) = (now, false);
        }
        self.restless = if is_quiet { 0 } else { self.restless + 1 };
        Ok(!self.is_taken && (is_quiet || self.restless.is_multiple_of(RESTLESS_LOOKS)))
    }

    /// All scripts as they are now.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn read(&mut self) -> io::Result<Texts> {
        self.last = stamps(&self.directory)?;
        self.is_taken = true;
        let scripts = self.last.keys().filter(|file| file.extension().is_some_and(|known| known == EXTENSION));
        let named = scripts.filter_map(|file| Some((file.file_name()?.to_string_lossy().into_owned(), file)));
        Ok(named
            .map(|(name, file)| {
                let text = text(&name, file);
                (name, text)
            })
            .collect())
    }
}

/// The name of a script as somebody writes it, with its extension.
///
/// # Errors
/// It cannot be one.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let name = match text.strip_suffix(".rhai") {
        Some(_) => text.to_owned(),
        None => format!("{text}.{EXTENSION}"),
    };
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fits = name.len() > EXTENSION.len() + 1 && name.len() <= NAME_BYTES_MAX;
    if !fits || name.starts_with('.') || !name.chars().all(is_valid) {
        return Err(format!(
            "{:?} cannot be the name of a script: at most {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -, and no dot at first",
            &text[..text.floor_char_boundary(80)]
        ));
    }
    Ok(name)
}

fn text(name: &str, file: &Path) -> Result<String, String> {
    self::name(name)?;
    let cannot = |error: io::Error| format!("{}: {error}", file.display());
    let bytes = file.metadata().map_err(cannot)?.len();
    if bytes > SCRIPT_BYTES_MAX as u64 {
        return Err(format!("{}: {bytes} bytes, and a script has {SCRIPT_BYTES_MAX} at most", file.display()));
    }
    let read = std::fs::read(file).map_err(cannot)?;
    String::from_utf8(read).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("{}: no text in UTF-8: the byte {at} is none", file.display())
    })
}

fn stamps(directory: &Path) -> io::Result<BTreeMap<PathBuf, Stamp>> {
    let mut found = BTreeMap::new();
    for entry in directory.read_dir()? {
        let file = entry?.path();
        let is_hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let is_ours = file.extension().and_then(|extension| extension.to_str());
        let is_ours = is_ours.is_some_and(|extension| matches!(extension, EXTENSION | "csv" | "json"));
        // It may be gone again, and what is no file is none of ours. Links are followed.
        if let Some(status) = file.metadata().ok().filter(|status| status.is_file() && is_ours && !is_hidden) {
            found.insert(file, Stamp::of(&status));
        }
    }
    Ok(found)
}
