//! A directory with files of rules, and the program.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use primer_harness::ran::{self, Ran};

/// A directory that goes with the test, unless it fails.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("primer-rules-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _none_was_left = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// With a file.
    pub(crate) fn with(name: &str, text: &str) -> Self {
        let place = Self::new();
        place.put(name, text);
        place
    }

    /// Puts a file there as a whole, as careful programs do.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let part = self.0.join(format!(".{name}.part"));
        fs::write(&part, text).expect("a file");
        fs::rename(part, self.0.join(name)).expect("a file");
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    /// The path of a file there, as an argument.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// Writes a file; its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, text).expect("a file");
        self.arg(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _it_may_be_gone = fs::remove_dir_all(&self.0);
        }
    }
}

/// Runs `primer rules` with these arguments.
#[track_caller]
pub(crate) fn rules(arguments: &[&str], input: &str) -> Ran {
    ran::run(&[&["rules"], arguments].concat(), input.as_bytes())
}
