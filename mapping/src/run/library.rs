//! The scripts of a node and their versions: what was loaded, applied and taken back, over restarts where the node has a
//! data directory.
//!
//! ```text
//! table "rules"
//!   v/NAME/NNNNNNNN   u64 when (ms since 1970), u8 0 from a file, 1 applied, then the text
//!   a/NAME            JSON: which version is active, and the hash of the file that was seen last
//! ```

use std::collections::BTreeMap;

use primer::{Table, TableError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Versions that are kept of a script.
pub(crate) const VERSIONS_MAX: usize = 10;

/// Where a version comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    File,
    Applied,
}

/// One version of a script.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) text: String,
    pub(crate) unix_ms: u64,
    pub(crate) from: From,
}

/// What is kept of a script beside its versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    active: Option<u32>,
    file: Option<u64>,
}

#[derive(Debug, Default)]
struct Script {
    versions: Vec<Version>,
    standing: Standing,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Library {
    table: Table,
    scripts: BTreeMap<String, Script>,
}

impl Library {
    /// What the table has.
    pub(crate) fn open(table: Table) -> Self {
        let mut scripts: BTreeMap<String, Script> = BTreeMap::new();
        for (key, value) in table.entries("v/") {
            if let Some((name, version)) = read_version(&key, &value) {
                scripts.entry(name).or_default().versions.push(version);
            }
        }
        for (name, script) in &mut scripts {
            let standing = table.get(&standing_key(name)).and_then(|value| serde_json::from_slice(&value).ok());
            script.standing = standing.unwrap_or_default();
        }
        Self { table, scripts }
    }

    /// The scripts that are active, with their texts.
    pub(crate) fn active(&self) -> BTreeMap<String, String> {
        let active = self.scripts.iter().filter_map(|(name, script)| {
            let version = script.version(script.standing.active?)?;
            Some((name.clone(), version.text.clone()))
        });
        active.collect()
    }

    /// Whether a file is other than when it was seen last.
    pub(crate) fn is_new(&self, name: &str, text: &str) -> bool {
        self.scripts.get(name).is_none_or(|script| script.standing.file != Some(hash(text)))
    }

    /// Scripts that were last seen as files, and are active.
    pub(crate) fn files(&self) -> Vec<String> {
        let of_files = self.scripts.iter().filter(|(_, script)| script.is_active_file());
        of_files.map(|(name, _)| name.clone()).collect()
    }

    /// The text of a version.
    pub(crate) fn text(&self, name: &str, number: u32) -> Option<String> {
        self.scripts.get(name)?.version(number).map(|version| version.text.clone())
    }

    /// The number of the active version, and of the one before it.
    pub(crate) fn standing(&self, name: &str) -> Option<(Option<u32>, Option<u32>)> {
        let script = self.scripts.get(name)?;
        let active = script.standing.active;
        let before = script.versions.iter().rev().map(|version| version.number);
        let before = before.filter(|number| active.is_none_or(|active| *number < active)).max();
        Some((active, before))
    }

    /// A text is active from now on: as a new version, if it is none of the last one's. Answers its number.
    pub(crate) fn add(&mut self, name: &str, text: &str, from: From, unix_ms: u64) -> Result<u32, TableError> {
        let script = self.scripts.entry(name.to_owned()).or_default();
        if from == From::File {
            script.standing.file = Some(hash(text));
        }
        let last = script.versions.last().filter(|last| last.text == text);
        let number = match last {
            Some(last) => last.number,
            None => {
                let number = script.versions.last().map_or(1, |last| last.number + 1);
                let version = Version { number, text: text.to_owned(), unix_ms, from };
                self.table.set(&version_key(name, number), Some(&write_version(&version)))?;
                script.versions.push(version);
                number
            }
        };
        script.standing.active = Some(number);
        while script.versions.len() > VERSIONS_MAX {
            let gone = script.versions.remove(0);
            self.table.set(&version_key(name, gone.number), None)?;
        }
        self.keep(name)
            .map(|()| number)
    }

    /// A version is active again, or none is.
    pub(crate) fn activate(&mut self, name: &str, number: Option<u32>) -> Result<(), TableError> {
        if let Some(script) = self.scripts.get_mut(name) {
            script.standing.active = number;
        }
        self.keep(name)
    }

    /// A file could not be loaded: it is not tried again until it is another one.
    pub(crate) fn seen(&mut self, name: &str, text: &str) -> Result<(), TableError> {
        self.scripts.entry(name.to_owned()).or_default().standing.file = Some(hash(text));
        self.keep(name)
    }

    /// A file is gone.
    pub(crate) fn unseen(&mut self, name: &str) -> Result<(), TableError> {
        if let Some(script) = self.scripts.get_mut(name) {
            script.standing = Standing::default();
        }
        self.keep(name)
    }

    fn keep(&self, name: &str) -> Result<(), TableError> {
        let Some(script) = self.scripts.get(name) else { return Ok(()) };
        let value = serde_json::to_vec(&script.standing).unwrap_or_default();
        self.table.set(&standing_key(name), Some(&value)).map(drop)
    }

    /// All scripts with their versions.
    pub(crate) fn view(&self) -> Value {
        let version = |version: &Version| {
            let from = if version.from == From::File { "file" } else { "applied" };
            json!({
                "version": version.number,
                "from": from,
                "time": version.unix_ms,
                "bytes": version.text.len(),
            })
        };
        let all = self.scripts.iter().map(|(name, script)| {
            let versions: Vec<Value> = script.versions.iter().map(version).collect();
            json!({"name": name, "active": script.standing.active, "versions": versions})
        });
        Value::Array(all.collect())
    }
}

impl Script {
    fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    fn is_active_file(&self) -> bool {
        self.standing.file.is_some() && self.standing.active.is_some()
    }
}

fn version_key(name: &str, number: u32) -> String {
    format!("v/{name}/{number:08}")
}

fn standing_key(name: &str) -> String {
    format!("a/{name}")
}

fn write_version(version: &Version) -> Vec<u8> {
    let mut value = version.unix_ms.to_le_bytes().to_vec();
    value.push(u8::from(version.from == From::Applied));
    value.extend_from_slice(version.text.as_bytes());
    value
}

fn read_version(key: &str, value: &[u8]) -> Option<(String, Version)> {
    let (name, number) = key.strip_prefix("v/")?.rsplit_once('/')?;
    let (unix_ms, rest) = value.split_first_chunk::<8>()?;
    let (from, text) = rest.split_first()?;
    let version = Version {
        number: number.parse().ok()?,
        text: String::from_utf8(text.to_vec()).ok()?,
        unix_ms: u64::from_le_bytes(*unix_ms),
        from: if *from == 1 { From::Applied } else { From::File },
    };
    Some((name.to_owned(), version))
}

/// FNV-1a: to see that a file is another one, over restarts and versions of the program.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
