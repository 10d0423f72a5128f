//! Whether files have changed, without reading them.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

/// What is known of a file without opening it. Links are followed: who renews certificates often only turns a link.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(Option<Facts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// The time of the last change of the file's entry: what a tool that sets the time of the content back cannot hide.
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let facts = |data: fs::Metadata| Facts {
            device: data.dev(),
            inode: data.ino(),
            bytes: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        };
        let looked: io::Result<fs::Metadata> = fs::metadata(path);
        Self(looked.ok().map(facts))
    }
}

/// What the files were when they were read, and at the last look since.
#[derive(Debug)]
pub(super) struct Watch {
    read: Vec<Stamp>,
    seen: Vec<Stamp>,
}

impl Watch {
    pub(super) fn new<'a>(files: impl Iterator<Item = &'a Path>) -> Self {
        let read: Vec<_> = files.map(Stamp::of).collect();
        Self { seen: read.clone(), read }
    }

    /// The files are about to be read.
    pub(super) fn take<'a>(&mut self, files: impl Iterator<Item = &'a Path>) {
        *self = Self::new(files);
    }

    /// Whether they are others than those that were read, and the same as at the last look: whoever writes them is
    /// done.
    pub(super) fn look<'a>(&mut self, files: impl Iterator<Item = &'a Path>) -> bool {
        let now: Vec<_> = files.map(Stamp::of).collect();
        let is_steady = now == self.seen;
        let is_new = now != self.read;
        self.seen = now;
        is_steady && is_new
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("primer-stamps-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_change_counts_when_two_looks_have_seen_it() {
        let folder = Folder::new("two");
        let file = folder.0.join("a");
        fs::write(&file, "1").unwrap();
        let files = || [file.as_path()].into_iter();
        let mut watch = Watch::new(files());
        assert!(!watch.look(files()));
        fs::write(&file, "22").unwrap();
        assert!(!watch.look(files()), "it may be half-way");
        fs::write(&file, "333").unwrap();
        assert!(!watch.look(files()), "it was");
        assert!(watch.look(files()));
        assert!(watch.look(files()), "as long as nobody takes it");
        watch.take(files());
        assert!(!watch.look(files()) && !watch.look(files()));
    }

    #[test]
    fn a_link_that_is_turned_is_a_change() {
        let folder = Folder::new("link");
        let (first, second, link) = (folder.0.join("1"), folder.0.join("2"), folder.0.join("current"));
        fs::write(&first, "same").unwrap();
        fs::write(&second, "same").unwrap();
        std::os::unix::fs::symlink(&first, &link).unwrap();
        let files = || [link.as_path()].into_iter();
        let mut watch = Watch::new(files());
        fs::remove_file(&link).unwrap();
        assert!(!watch.look(files()), "it is gone for a moment");
        std::os::unix::fs::symlink(&second, &link).unwrap();
        assert!(!watch.look(files()));
        assert!(watch.look(files()));
    }

    #[test]
    fn what_is_put_back_is_no_change() {
        let folder = Folder::new("back");
        let (file, aside) = (folder.0.join("a"), folder.0.join("b"));
        fs::write(&file, "1").unwrap();
        let missing = || [aside.as_path()].into_iter();
        let mut watch = Watch::new(missing());
        fs::write(&aside, "1").unwrap();
        assert!(!watch.look(missing()));
        fs::remove_file(&aside).unwrap();
        assert!(!watch.look(missing()) && !watch.look(missing()));
    }
}
