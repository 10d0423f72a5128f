//! A whole store takes the place of another: after any crash it is the one or the other, never a mixture.
//!
//! ```text
//! next.building/  a store in the making; removed when it was left behind
//! next/           it is whole: the segments beside it are to go, and the identity. Being named so is the commit
//! next.moving/    they are gone; its segments move up, one by one
//! ```
//!
//! Whoever takes the folder into use goes on where the last process ended ([`finish`]).

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::{Disk, Folder},
    identity,
    limits::ACTIVE_CACHE_BYTES,
    recover::OpenError,
    reserve, roster,
    segment::{About, Opener, Rows, is_unfinished, none, number_of},
    stats::Stats,
    store::{Options, Store},
};

const BUILDING: &str = "next.building";
const NEXT: &str = "next";
const MOVING: &str = "next.moving";

/// A store in the making. Dropped before [`take_place`](Self::take_place) it is gone.
#[derive(Debug)]
pub struct Building {
    directory: PathBuf,
    place: PathBuf,
}

impl Building {
    /// Begins one within a data directory, which the caller [holds](Folder::take).
    ///
    /// # Errors
    /// It cannot be made.
    pub fn begin(directory: &Path) -> io::Result<Self> {
        let place = directory.join(BUILDING);
        remove_all(&place)?;
        fs::create_dir(&place)?;
        Ok(Self { directory: directory.to_owned(), place })
    }

    /// Its files.
    ///
    /// # Errors
    /// They cannot be locked.
    pub(crate) fn disk(&self) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(Folder::take(&self.place, None).map_err(io::Error::other)?))
    }

    /// Opens a store in it that is that of a given life.
    ///
    /// # Errors
    /// Nothing can be written.
    pub fn store(&self, options: Options, incarnation: u64) -> Result<Store, OpenError> {
        let disk = self.disk().map_err(OpenError::Disk)?;
        let unwritable = |error: String| OpenError::Unwritable(error);
        let salt = identity::draw();
        identity::write(&*disk, salt).map_err(|error| unwritable(error.to_string()))?;
        let stats = Arc::new(Stats::default());
        let opener = Opener { disk: Arc::clone(&disk), stats, len_max: options.segment_bytes(), salt };
        let about = About { salt, number: 1, base: 1, parts: 0, incarnation, next_queue: 0, damaged: 0 };
        let made = opener.make(about, &[], Rows { stream: none(), kept: none() }, ACTIVE_CACHE_BYTES);
        drop(made.map_err(|error| unwritable(error.to_string()))?);
        Store::open(disk, options, &mut |_, _| {}).map(|(store, ..)| store)
    }

    /// Puts it into the place of what is in the data directory. It is closed, and nothing there is open.
    ///
    /// # Errors
    /// A file cannot be renamed or removed. What is there is the old store or the new one; if the new one, the next use
    /// of the directory completes it.
    pub fn take_place(self) -> io::Result<()> {
        sync(&self.place)?;
        fs::rename(&self.place, self.directory.join(NEXT))?;
        sync(&self.directory)?;
        finish(&self.directory)
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if let Err(error) = remove_all(&self.place) {
            tracing::warn!(%error, place = %self.place.display(), "an unfinished store stays behind");
        }
    }
}

/// Completes a replacement that was interrupted, or forgets one that was not whole.
pub(crate) fn finish(directory: &Path) -> io::Result<()> {
    let (next, moving) = (directory.join(NEXT), directory.join(MOVING));
    remove_all(&directory.join(BUILDING))?;
    if next.is_dir() && !is_store(&next)? {
        tracing::warn!(place = %next.display(), "a folder of somebody's own is left alone; a restore needs its name");
    } else if next.is_dir() {
        each_file(directory, |_, path| fs::remove_file(path))?;
        sync(directory)?;
        fs::rename(&next, &moving)?;
        sync(directory)?;
    }
    if moving.is_dir() {
        each_file(&moving, |name, path| fs::rename(path, directory.join(name)))?;
        sync(directory)?; // the new names before the old ones are gone
        sync(&moving)?;
        remove_all(&moving)?;
        sync(directory)?;
    }
    Ok(())
}

/// Whether there is a store in a folder: somebody may have made one of that name.
fn is_store(directory: &Path) -> io::Result<bool> {
    let (mut has_identity, mut has_segment) = (false, false);
    each_file(directory, |name, path| {
        has_identity |= name == identity::NAME && path.is_file();
        has_segment |= number_of(name).is_some() && path.is_file();
        Ok(())
    })?;
    Ok(has_identity && has_segment)
}

/// The files that make a store.
fn each_file(directory: &Path, mut act: impl FnMut(&str, &Path) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = |name: &&str| {
            number_of(name).is_some()
                || is_unfinished(name)
                || [identity::NAME, roster::NAME, reserve::NAME].contains(name)
        };
        if let Some(name) = name.to_str().filter(is_ours) {
            act(name, &entry.path())?;
        }
    }
    Ok(())
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn remove_all(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// A folder with an old and a new store, as a crash may leave them.
    fn folder(name: &str, place: Option<&str>, has_old: bool, moved: bool) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("primer-replace-{}-{name}", std::process::id()));
        remove_all(&directory).unwrap();
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("LOCK"), "").unwrap();
        fs::write(directory.join("0000000001.redb.damaged-1"), "aside").unwrap();
        if has_old {
            fs::write(directory.join("0000000001.redb"), "old").unwrap();
            fs::write(directory.join("0000000003.redb"), "old").unwrap();
            fs::write(directory.join("STORE"), "old").unwrap();
            fs::write(directory.join("SEGMENTS"), "old").unwrap();
        }
        if let Some(place) = place {
            fs::create_dir(directory.join(place)).unwrap();
            fs::write(directory.join(place).join("LOCK"), "").unwrap();
            fs::write(directory.join(place).join("0000000001.redb"), "new").unwrap();
            fs::write(directory.join(place).join("0000000002.redb"), "new").unwrap();
            fs::write(directory.join(place).join("STORE"), "new").unwrap();
            if moved {
                fs::rename(directory.join(place).join("0000000001.redb"), directory.join("0000000001.redb")).unwrap();
            }
        }
        directory
    }

    fn segments(directory: &Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        each_file(directory, |name, path| {
            found.push((name.to_owned(), fs::read_to_string(path)?));
            Ok(())
        })
        .unwrap();
        found.sort();
        assert!(directory.join("0000000001.redb.damaged-1").exists(), "what was set aside stays");
        assert_eq!(fs::read_dir(directory).unwrap().count(), found.len() + 2, "something was left behind");
        found
    }

    #[test]
    fn after_a_crash_it_is_the_old_store_or_the_new_one() {
        let of = |names: &[&str], content: &str| -> Vec<(String, String)> {
            names.iter().map(|name| ((*name).to_owned(), content.to_owned())).collect()
        };
        let old = of(&["0000000001.redb", "0000000003.redb", "SEGMENTS", "STORE"], "old");
        let new = of(&["0000000001.redb", "0000000002.redb", "STORE"], "new");
        for (case, place, has_old, moved, expected) in [
            ("a", None, true, false, &old),
            ("b", Some(BUILDING), true, false, &old),
            ("c", Some(NEXT), true, false, &new),
            ("d", Some(NEXT), false, false, &new),
            ("e", Some(MOVING), false, false, &new),
            ("f", Some(MOVING), false, true, &new),
        ] {
            let directory = folder(case, place, has_old, moved);
            finish(&directory).unwrap();
            assert_eq!(&segments(&directory), expected, "case {case}");
            remove_all(&directory).unwrap();
        }
    }

    /// A folder that somebody had made was taken for a store that takes the place of the old one, which was removed.
    #[test]
    fn a_folder_without_a_store_replaces_nothing() {
        let directory = folder("stray", None, true, false);
        for junk in [None, Some("notes.txt"), Some("STORE"), Some("0000000009.redb")] {
            fs::create_dir_all(directory.join(NEXT)).unwrap();
            if let Some(junk) = junk {
                fs::write(directory.join(NEXT).join(junk), "mine").unwrap();
            }
            finish(&directory).unwrap();
            for name in ["0000000001.redb", "0000000003.redb", "STORE", "SEGMENTS"] {
                assert_eq!(fs::read_to_string(directory.join(name)).unwrap(), "old", "{junk:?}");
            }
            assert!(junk.is_none_or(|junk| directory.join(NEXT).join(junk).exists()), "{junk:?}");
            remove_all(&directory.join(NEXT)).unwrap();
        }
        remove_all(&directory).unwrap();
    }
}
