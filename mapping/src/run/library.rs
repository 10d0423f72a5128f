//! The scripts of a node and their versions: what was loaded, applied and taken back, over restarts where the node has
//! a data directory.
//!
//! ```text
//! table "rules"
//!   v/NAME/NNNNNNNN   u64 when (ms since 1970), u8 0 from a file, 1 applied, then the text
//! a/NAME            JSON: which version is active, the hash of the file that was seen last, and what is wrong with it
//! ```

use std::collections::BTreeMap;

use primer::{Table, TableError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::functions::fnv;

/// Versions that are kept of a script; fewer where the table is full.
pub(crate) const VERSIONS_MAX: usize = 10;

/// Bytes of an error that are kept.
const ERROR_BYTES_MAX: usize = 4_096;

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
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
        self.scripts.get(name).is_none_or(|script| script.standing.file != Some(fnv(text.as_bytes())))
    }

    /// What is wrong with the last text of a script, which is why an older one is active, or none.
    pub(crate) fn error(&self, name: &str) -> Option<&str> {
        self.scripts.get(name)?.standing.error.as_deref()
    }

    /// Scripts that were seen as files.
    pub(crate) fn files(&self) -> Vec<String> {
        let of_files = self.scripts.iter().filter(|(_, script)| script.standing.file.is_some());
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

    /// A text is active from now on: as a new version, if it is none of the last one's. Answers its number, and whether
    /// the next process will know of it.
    pub(crate) fn add(&mut self, name: &str, text: &str, from: From, unix_ms: u64) -> (u32, Result<(), TableError>) {
        let script = self.scripts.entry(name.to_owned()).or_default();
        let last = script.versions.last();
        let known = last.filter(|last| last.text == text).map(|last| last.number);
        let number = known.unwrap_or_else(|| last.map_or(1, |last| last.number + 1));
        script.standing.active = Some(number);
        script.standing.error = None;
        if from == From::File {
            script.standing.file = Some(fnv(text.as_bytes()));
        }
        if known.is_none() {
            script.versions.push(Version { number, text: text.to_owned(), unix_ms, from });
        }
        (number, self.keep_version(name, number, known.is_some()))
    }

    fn keep_version(&mut self, name: &str, number: u32, is_known: bool) -> Result<(), TableError> {
        while let Some(script) = self.scripts.get_mut(name).filter(|script| script.versions.len() > VERSIONS_MAX) {
            let gone = script.versions.remove(0);
            self.table.set(&version_key(name, gone.number), None)?;
        }
        let version = self.scripts.get(name).and_then(|script| script.version(number)).filter(|_| !is_known);
        if let Some(value) = version.map(write_version) {
            self.set(&version_key(name, number), &value)?;
        }
        self.keep(name)
    }

    /// A version is active again, or none is.
    pub(crate) fn activate(&mut self, name: &str, number: Option<u32>) -> Result<(), TableError> {
        if let Some(script) = self.scripts.get_mut(name) {
            script.standing.active = number;
            script.standing.error = None;
        }
        self.keep(name)
    }

    /// A text could not be loaded. A file is not tried again until it is another one, or somebody asks for it.
    pub(crate) fn fail(&mut self, name: &str, text: &str, from: From, error: &str) -> Result<(), TableError> {
        let standing = &mut self.scripts.entry(name.to_owned()).or_default().standing;
        if from == From::File {
            standing.file = Some(fnv(text.as_bytes()));
        }
        standing.error = Some(error[..error.floor_char_boundary(ERROR_BYTES_MAX)].to_owned());
        self.keep(name)
    }

    /// A file is gone, and with it its script, unless somebody has applied another text since.
    pub(crate) fn unseen(&mut self, name: &str) -> Result<(), TableError> {
        if let Some(script) = self.scripts.get_mut(name) {
            let active = script.standing.active.and_then(|number| script.version(number));
            let stays = active.filter(|version| version.from == From::Applied).map(|version| version.number);
            script.standing = Standing { active: stays, ..Standing::default() };
        }
        self.keep(name)
    }

    /// Whether the script of a file that is gone goes as well.
    pub(crate) fn ends_with_its_file(&self, name: &str) -> bool {
        self.scripts.get(name).is_some_and(|script| {
            let active = script.standing.active.and_then(|number| script.version(number));
            active.is_some_and(|version| version.from == From::File)
        })
    }

    /// Puts a version; the oldest ones that are not active make room.
    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), TableError> {
        loop {
            match self.table.set(key, Some(value)) {
                Ok(_it_is_waited_for_elsewhere) => return Ok(()),
                Err(full @ TableError::Full { .. }) => {
                    let old = self.scripts.iter().flat_map(|(name, script)| {
                        let idle = move |version: &&Version| Some(version.number) != script.standing.active;
                        script.versions.iter().filter(idle).map(move |version| (version.unix_ms, name, version.number))
                    });
                    let Some((_, name, number)) = old.min() else { return Err(full) };
                    let name = name.clone();
                    self.table.set(&version_key(&name, number), None)?;
                    if let Some(script) = self.scripts.get_mut(&name) {
                        script.versions.retain(|version| version.number != number);
                    }
                }
                Err(error) => return Err(error),
            }
        }
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
            let Standing { active, error, .. } = &script.standing;
            json!({"name": name, "active": active, "versions": versions, "error": error})
        });
        Value::Array(all.collect())
    }
}

impl Script {
    fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A script that cannot be kept acted until the next change of any other, and then it was gone without a word.
    #[tokio::test]
    async fn a_script_that_the_table_has_no_room_for_is_active_in_this_process() {
        let node = primer::Node::builder().start().await.expect("a node");
        let table = node.table("rules");
        let filling = vec![0; primer::TABLE_VALUE_BYTES_MAX];
        let fits = |number: &usize| table.set(&format!("other/{number}"), Some(&filling)).is_ok();
        assert!((0..).take_while(fits).count() > 10);
        let mut library = Library::open(table);
        let text = "x".repeat(250 << 10);
        let kept = (0..10).map(|number| library.add(&number.to_string(), &text, From::Applied, number).1);
        let kept: Vec<Result<(), TableError>> = kept.collect();
        assert!(kept.iter().any(|kept| matches!(kept, Err(TableError::Full { .. }))), "{kept:?}");
        assert_eq!(library.active().len(), 10, "all act, kept or not");
        node.shutdown(std::time::Duration::ZERO).await;
    }
}
