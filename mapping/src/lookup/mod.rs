//! Tables that rules look things up in: files of a directory, read again when they change.
//!
//! - `devices.csv` is the table `devices`: its first line names the columns, its first column is the key. A cell that
//!   is written like an integer or a decimal number of JSON is a number, `true` and `false` are themselves, an empty
//!   one is `()`, and all others are texts (`007` is one).
//! - `devices.json` is an object of keys and their values, or an array of objects, whose key is in the member `key`, or
//!   in `id` or `name` where there is none.
//!
//! Nobody waits while a file is read: the new table takes the place of the old one when it is whole. One that cannot be
//! read changes nothing.

mod read;
mod script;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};
use rhai::Dynamic;

use crate::stamp::Stamp;

pub(crate) use self::script::module;

/// Bytes of a file.
pub(crate) const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Rows of a table.
pub(crate) const ROWS_MAX: usize = 100_000;

/// Tables.
pub(crate) const TABLES_MAX: usize = 256;

/// All tables. Shared by all rules.
#[derive(Debug, Default)]
pub struct Lookups {
    directory: Option<PathBuf>,
    tables: RwLock<HashMap<String, Arc<Table>>>,
    files: Mutex<Files>,
}

/// What a table has.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: HashMap<String, Dynamic>,
    /// What can be asked of each row, where that is known.
    pub(crate) columns: Vec<String>,
}

/// What came of a file that had changed.
#[derive(Debug)]
#[non_exhaustive]
pub struct LookupReload {
    /// The file.
    pub file: PathBuf,
    /// Its table.
    pub table: String,
    /// How many rows the table has now, `None` when its file is gone; or why it is what it was.
    pub result: Result<Option<usize>, LookupError>,
}

/// Why a table was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The file or directory cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The name is none for a table.
    #[error("\"{0}\" cannot be the name of a table: letters, digits, _ and - are allowed")]
    Name(String),
    /// Another file has this table already.
    #[error("{} is the same table", .0.display())]
    Twice(PathBuf),
    /// The file is too long.
    #[error("{0} bytes, of which {FILE_BYTES_MAX} are allowed")]
    Bytes(u64),
    /// The table is too long.
    #[error("more than {ROWS_MAX} rows")]
    Rows,
    /// There are too many tables.
    #[error("more than {TABLES_MAX} tables")]
    Tables,
    /// The text is not what the file's name says.
    #[error("line {line}: {what}")]
    Malformed {
        /// From 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
}

/// What the directory had when it was looked at.
#[derive(Debug, Default)]
struct Files {
    /// By table.
    known: BTreeMap<String, Found>,
    /// Whether it was said that the directory cannot be read.
    told: bool,
}

/// A table's file as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    file: PathBuf,
    format: LookupFormat,
    stamp: Stamp,
    /// Another file of the same table: neither is read while it is there.
    twice: Option<PathBuf>,
}

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupFormat {
    /// A line a row.
    Csv,
    /// One object or array.
    Json,
}

impl Lookups {
    /// The tables of a directory. Nothing is read until [`Lookups::reload_if_changed`] is called.
    #[must_use]
    pub fn in_directory(directory: PathBuf) -> Self {
        Self { directory: Some(directory), ..Self::default() }
    }

    /// Sets a table from text, in place of one of that name. How many rows it has.
    ///
    /// # Errors
    ///
    /// Nothing has changed.
    pub fn set(&self, name: &str, format: LookupFormat, text: &[u8]) -> Result<usize, LookupError> {
        check_name(name)?;
        let table = read::table(format, text)?;
        let rows = table.rows.len();
        let mut tables = self.tables.write();
        if tables.len() >= TABLES_MAX && !tables.contains_key(name) {
            return Err(LookupError::Tables);
        }
        tables.insert(name.to_owned(), Arc::new(table));
        Ok(rows)
    }

    /// Reads the files that are other than they were. What came of each of those; none is the usual case.
    ///
    /// An error is answered once, and again when the file has changed again.
    pub fn reload_if_changed(&self) -> Vec<LookupReload> {
        let Some(directory) = &self.directory else { return Vec::new() };
        let mut files = self.files.lock();
        let found = match stamps(directory) {
            Ok(found) => found,
            Err(_) if files.told => return Vec::new(),
            Err(error) => {
                files.told = true;
                let (file, table) = (directory.clone(), String::new());
                return vec![LookupReload { file, table, result: Err(error.into()) }];
            }
        };
        files.told = false;
        let mut reloads = Vec::new();
        files.known.retain(|table, stamp| {
            let there = found.contains_key(table);
            if !there {
                self.tables.write().remove(table);
                reloads.push(LookupReload { file: stamp.file.clone(), table: table.clone(), result: Ok(None) });
            }
            there
        });
        for (table, stamp) in found {
            if files.known.get(&table) != Some(&stamp) {
                let result = self.read(&table, &stamp).map(Some);
                reloads.push(LookupReload { file: stamp.file.clone(), table: table.clone(), result });
                files.known.insert(table, stamp);
            }
        }
        reloads
    }

    /// A table, as it is now.
    pub(crate) fn table(&self, name: &str) -> Option<Arc<Table>> {
        self.tables.read().get(name).cloned()
    }

    /// The names of all tables, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tables.read().keys().cloned().collect();
        names.sort_unstable();
        names
    }

    fn read(&self, table: &str, found: &Found) -> Result<usize, LookupError> {
        if let Some(other) = &found.twice {
            return Err(LookupError::Twice(other.clone()));
        }
        self.set(table, found.format, &read::file(&found.file)?)
    }
}

fn check_name(name: &str) -> Result<(), LookupError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let valid = !name.is_empty() && name.len() <= 128 && name.chars().all(allowed);
    if valid { Ok(()) } else { Err(LookupError::Name(name.to_owned())) }
}

/// The files of tables in a directory, by table. Others are passed over.
fn stamps(directory: &Path) -> io::Result<BTreeMap<String, Found>> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for entry in directory.read_dir()? {
        let file = entry?.path();
        let format = match file.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => LookupFormat::Csv,
            Some("json") => LookupFormat::Json,
            _ => continue,
        };
        let Some(table) = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else { continue };
        // It may be gone again, and what is no file is none of a table.
        let Some(status) = file.metadata().ok().filter(std::fs::Metadata::is_file) else { continue };
        match found.get_mut(&table) {
            Some(first) => first.twice = Some(file),
            None => {
                found.insert(table, Found { file, format, stamp: Stamp::of(&status), twice: None });
            }
        }
    }
    Ok(found)
}
