//! The port to the disk: a folder of files that redb can write. Tests put one of their own in its place.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use redb::{StorageBackend, backends::FileBackend};

/// A flat folder of files.
pub trait Disk: Send + Sync + std::fmt::Debug + 'static {
    /// The names of all files, in any order.
    ///
    /// # Errors
    /// The folder cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file, or makes an empty one if `create` says so.
    ///
    /// # Errors
    /// It cannot be opened or made.
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageBackend>>;

    /// Gives a file another name; durable with the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// It cannot be renamed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// It cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable.
    ///
    /// # Errors
    /// The folder cannot be synced.
    fn sync(&self) -> io::Result<()>;

    /// Whether a segment can be opened without ending the process, asked before it is opened when an earlier start came
    /// to no end: redb may abort on a damaged file. `Ok` where there is no reason or no way to ask.
    ///
    /// # Errors
    /// It cannot; the text says why.
    fn probe(&self, name: &str) -> Result<(), String>;

    /// All files have been opened and read: the start has come to its end.
    fn started(&self) {}
}

/// A probe of a segment file in another process.
pub type Probe = Box<dyn Fn(&Path) -> Result<(), String> + Send + Sync>;

/// A folder of the file system, held by one process at a time.
pub struct Folder {
    path: PathBuf,
    /// Locked as long as the folder is in use; none where there is none, and none can be made.
    _lock: Option<File>,
    probe: Option<Probe>,
    /// The file system, or who asks, may only read.
    is_read_only: bool,
    /// An earlier start came to no end.
    is_suspect: bool,
}

/// There from the beginning of a start to its end.
const STARTING: &str = "STARTING";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// It cannot be made, or its lock file cannot.
    #[error("cannot use the data directory {}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the data directory {} is in use by another process: stop it, or choose another directory", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
}

impl Folder {
    /// Takes a folder into use; makes it if it is missing.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn take(path: &Path, probe: Option<Probe>) -> Result<Self, FolderError> {
        let unusable = |source| FolderError::Unusable { path: path.to_owned(), source };
        make(path).map_err(unusable)?;
        let lock_path = path.join("LOCK");
        let lock = writable().create(true).truncate(false).open(lock_path).map_err(unusable)?;
        hold(&lock, path)?;
        crate::offline::finish(path).map_err(unusable)?;
        let marker = path.join(STARTING);
        let is_suspect = marker.exists();
        if let Err(error) = File::create(&marker) {
            tracing::debug!(%error, "should this start come to no end, the next will not know");
        }
        Ok(Self { path: path.to_owned(), _lock: Some(lock), probe, is_read_only: false, is_suspect })
    }

    /// Takes a folder to look at what is in it: also one on a file system that is, or has become, read-only, and one
    /// of somebody else's.
    ///
    /// # Errors
    /// Another process has it, or it cannot be read.
    pub fn take_to_read(path: &Path, probe: Option<Probe>) -> Result<Self, FolderError> {
        match Self::take(path, probe) {
            Err(FolderError::Unusable { source, .. }) if may_be_read(&source) && path.is_dir() => {}
            taken => return taken,
        }
        let lock = match File::open(path.join("LOCK")) {
            Ok(lock) => {
                hold(&lock, path)?;
                Some(lock)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(FolderError::Unusable { path: path.to_owned(), source }),
        };
        Ok(Self { path: path.to_owned(), _lock: lock, probe: None, is_read_only: true, is_suspect: false })
    }
}

/// Nobody else has the folder from here on.
fn hold(lock: &File, path: &Path) -> Result<(), FolderError> {
    lock.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => FolderError::InUse { path: path.to_owned() },
        fs::TryLockError::Error(source) => FolderError::Unusable { path: path.to_owned(), source },
    })
}

/// Whether it is for writing alone that a folder cannot be used.
fn may_be_read(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Makes a folder that is there for its owner alone: messages are in it.
fn make(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        _ => Ok(()),
    }
}

/// How files of a folder are opened to be written: a new one is for its owner alone.
fn writable() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageBackend>> {
        let path = self.path.join(name);
        let file = if self.is_read_only {
            File::open(path)?
        } else {
            writable().read(true).create(create).truncate(false).open(path)?
        };
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(backend))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn probe(&self, name: &str) -> Result<(), String> {
        let probe = self.probe.as_ref().filter(|_| self.is_suspect);
        probe.map_or(Ok(()), |probe| probe(&self.path.join(name)))
    }

    fn started(&self) {
        if let Err(error) = fs::remove_file(self.path.join(STARTING)) {
            tracing::debug!(%error, "the next start will be a careful one");
        }
    }
}
