//! A folder for files, and the program run to its end in it.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use primer_harness::program;

/// A folder of its own, removed with the value.
pub(crate) struct Folder(PathBuf);

/// What a run of the program said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("primer-config-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        let folder = Self(path);
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("a file")
    }

    /// The whole path of a file, for a program that runs elsewhere.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path").to_owned()
    }

    /// Runs `primer` in the folder.
    pub(crate) fn run(&self, line: &str, environment: &[(&str, &str)]) -> Said {
        let output = program::command()
            .args(line.split_whitespace())
            .envs(environment.iter().copied())
            .current_dir(&self.0)
            .output()
            .expect("the program starts");
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Said {
    /// Asserts that it went well and has these texts on stdout.
    #[track_caller]
    pub(crate) fn says(&self, texts: &[&str]) {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        for text in texts {
            assert!(self.stdout.contains(text), "no {text:?} in {}", self.stdout);
        }
    }

    /// Asserts that it was refused with these texts on stderr.
    #[track_caller]
    pub(crate) fn refuses(&self, texts: &[&str]) {
        assert!(matches!(self.code, Some(1 | 2)), "{:?}: {}{}", self.code, self.stdout, self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in {}", self.stderr);
        }
    }
}
