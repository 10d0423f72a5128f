//! What the machine has: memory, file descriptors and files.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use primer_config::{Machine, Thing, limits::FILE_BYTES_MAX};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Assumed where the system does not say how much memory there is.
const MEMORY_BYTES_UNKNOWN: u64 = 2 << 30;

/// Bytes of memory of the machine, or of its container where that is less.
fn memory_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(container).min().unwrap_or(MEMORY_BYTES_UNKNOWN)
}

/// Bytes that are free where a directory is, or is going to be.
fn free_bytes(directory: &Path) -> Option<u64> {
    let there = directory.ancestors().find(|path| path.exists()).filter(|path| !path.as_os_str().is_empty());
    let stat = rustix::fs::statvfs(there.unwrap_or(Path::new("."))).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// The machine that the program runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThisMachine;

impl Machine for ThisMachine {
    fn read(&self, file: &Path) -> io::Result<String> {
        let mut text = String::new();
        let kind = fs::metadata(file)?.file_type();
        if kind.is_fifo() || kind.is_socket() {
            return Err(io::Error::other("it is no regular file")); // a pipe would be waited for
        }
        fs::File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        Ok(text)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn look(&self, path: &Path) -> Option<Thing> {
        let is_folder = fs::metadata(path).ok()?.is_dir();
        Some(if is_folder { Thing::Folder } else { Thing::File })
    }

    fn memory_bytes(&self) -> u64 {
        memory_bytes()
    }

    fn free_bytes(&self, folder: &Path) -> Option<u64> {
        free_bytes(folder)
    }

    fn used_bytes(&self, folder: &Path) -> u64 {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
    }
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Raises the soft limit of open files, which bounds the connections, to the hard one; answers what it is now.
///
/// # Errors
/// The system does not let it.
pub(crate) fn raise_descriptor_limit() -> Result<u64, rustix::io::Errno> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_in_kibibytes() {
        assert_eq!(total_of("MemTotal:       24689764 kB\nMemFree: 1 kB\n"), Some(24_689_764 * 1024));
        assert_eq!(total_of("nothing of the kind"), None);
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(memory_bytes() > 1 << 20);
    }
}
