//! Reading a password file, and replacing it: at every moment there is the old one or the new one, whole.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};

/// What errors about a file begin with.
pub(super) fn at(path: &Path) -> String {
    format!("the password file {}", path.display())
}

/// The text of a file.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).map_err(|error| {
        let is_missing = error.kind() == ErrorKind::NotFound;
        let error = anyhow::Error::new(error).context(at(path));
        if is_missing { error.context("there is no such file: -c begins one") } else { error }
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        anyhow!("{}: line {line}: it is not UTF-8", at(path))
    })
}

/// How many users a file has that is about to be replaced, whatever else is in it; none if it cannot be read.
pub(super) fn users(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.starts_with(b"#") && line.contains(&b':')).count()
}

/// Replaces a file, which keeps its owner, and its mode unless it begins anew; one that is new is for its owner alone.
pub(super) fn write(path: &Path, text: &str, is_new: bool) -> anyhow::Result<()> {
    // A link stays one.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let before = match fs::metadata(path) {
        Ok(before) if !before.is_file() => bail!("{}: it is no file", at(path)),
        Ok(before) => Some(before),
        Err(_) => None,
    };
    let (part, mut file) = create_beside(path)?;
    let written = (|| {
        if let Some(before) = before {
            let now = file.metadata()?;
            if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                fchown(&file, Some(before.uid()), Some(before.gid()))?;
            }
            if !is_new {
                file.set_permissions(Permissions::from_mode(before.mode() & 0o7777))?;
            }
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(folder(path))?.sync_all()
    })();
    written.with_context(|| {
        let _it_may_be_gone = fs::remove_file(&part);
        format!("{} cannot be replaced", at(path))
    })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// A new file in the same folder, which nobody else can read.
fn create_beside(path: &Path) -> anyhow::Result<(PathBuf, File)> {
    let name = path.file_name().with_context(|| format!("{}: it has no name", at(path)))?;
    let part = folder(path).join(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    // Of a process of this number that was killed.
    let _mostly_there_is_none = fs::remove_file(&part);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    Ok((part, file.with_context(|| format!("{}: no file can be made in its folder", at(path)))?))
}
