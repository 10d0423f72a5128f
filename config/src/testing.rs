//! A machine for tests, which has what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use crate::{Faults, Flags, Machine, Settings, Thing, load};

/// Files, folders and variables that are not there.
#[derive(Debug, Default)]
pub(crate) struct Imagined {
    files: BTreeMap<PathBuf, String>,
    folders: BTreeSet<PathBuf>,
    variables: BTreeMap<String, String>,
    free: Option<u64>,
    used: u64,
}

impl Imagined {
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        let path = PathBuf::from(name);
        self.folders.extend(path.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned));
        self.files.insert(path, text.to_owned());
        self
    }

    /// Bytes that are free on the disk, and those of the files in any folder.
    pub(crate) const fn disk(mut self, free: u64, used: u64) -> Self {
        (self.free, self.used) = (Some(free), used);
        self
    }

    pub(crate) fn folder(mut self, name: &str) -> Self {
        self.folders.insert(PathBuf::from(name));
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Loads `primer.toml` if it is there and no other is named.
    pub(crate) fn load(&self, flags: &Flags) -> Result<Settings, Faults> {
        let mut flags = flags.clone();
        let file = PathBuf::from("primer.toml");
        if flags.config.is_none() && self.files.contains_key(&file) {
            flags.config = Some(file);
        }
        load(&flags, &self.variables, self)
    }
}

impl Machine for Imagined {
    fn read(&self, file: &Path) -> io::Result<String> {
        self.files.get(file).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        if !self.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(self.files.keys().filter(|file| file.parent() == Some(folder)).rev().cloned().collect())
    }

    fn look(&self, path: &Path) -> Option<Thing> {
        let is_file = self.files.contains_key(path);
        is_file.then_some(Thing::File).or_else(|| self.folders.contains(path).then_some(Thing::Folder))
    }

    fn memory_bytes(&self) -> u64 {
        8 << 30
    }

    fn free_bytes(&self, _folder: &Path) -> Option<u64> {
        Some(self.free.unwrap_or(1 << 30))
    }

    fn used_bytes(&self, _folder: &Path) -> u64 {
        self.used
    }
}
