//! File systems in memory, for what a test would not do to the machine's disk. They need root; where there is none a
//! test says so and passes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A tmpfs, unmounted with the value.
#[derive(Debug)]
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts one with these options; `None`, and a word about it, when the system does not let us.
    pub(crate) fn tmpfs(options: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("primer-mount-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a place to mount on");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).stdin(Stdio::null());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(path)),
            refused => {
                println!("skipped: a tmpfs cannot be mounted: {refused:?}");
                let _ = std::fs::remove_dir(&path);
                None
            }
        }
    }

    /// Mounts it again with other options.
    #[track_caller]
    pub(crate) fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status().expect("mount");
        assert!(status.success(), "{options}");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a broker that a failed test left may still have a file open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
