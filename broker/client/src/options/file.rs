//! Files of options: one option a line, its value after the first space, `#` begins a comment.
//!
//! mosquitto reads `mosquitto_pub` (`_sub`, `_rr`) in `$XDG_CONFIG_HOME` or `~/.config`, and so do these clients. A
//! file `primer_pub` (`_sub`, `_rr`) beside it is read instead where there is one.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::{OptionError, Options, property};
use crate::{Tool, limits::OPTIONS_FILE_BYTES_MAX};

/// The two variables of the environment that say where files of options are.
#[derive(Debug, Default)]
pub(crate) struct Home {
    pub(crate) xdg_config_home: Option<PathBuf>,
    pub(crate) home: Option<PathBuf>,
}

/// The file that is read when none is named; `None` when there is none.
pub(super) fn default_path(tool: Tool, home: &Home) -> Option<PathBuf> {
    let folder = match (&home.xdg_config_home, &home.home) {
        (Some(folder), _) => folder.clone(),
        (None, Some(home)) => home.join(".config"),
        (None, None) => return None,
    };
    let names = [format!("primer_{}", tool.name()), format!("mosquitto_{}", tool.name())];
    names.map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
}

/// Takes the options of a file.
///
/// # Errors
/// The file cannot be read, or has an option that cannot be, with the line.
pub(super) fn read(options: &mut Options, path: &Path) -> Result<(), OptionError> {
    let bytes = content(path).map_err(|why| OptionError::File { path: path.to_owned(), why })?;
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.first().is_none_or(|first| *first == b'#') {
            continue;
        }
        let words = words(line);
        options.take(&words).map_err(|source| OptionError::InFile {
            path: path.to_owned(),
            line: at + 1,
            source: Box::new(source),
        })?;
    }
    Ok(())
}

fn content(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("it cannot be read: {error}"),
    })?;
    let mut bytes = Vec::new();
    file.take(OPTIONS_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > OPTIONS_FILE_BYTES_MAX {
        return Err("it is larger than 1 MiB".to_owned());
    }
    Ok(bytes)
}

/// The option and its value, which is the rest of the line. A property has more than one value: there each space
/// counts, but for those in the last.
fn words(line: &[u8]) -> Vec<OsString> {
    let mut parts = line.splitn(2, |byte| *byte == b' ').map(<[u8]>::to_vec);
    let mut words: Vec<OsString> = parts.by_ref().take(1).map(OsString::from_vec).collect();
    let Some(rest) = parts.next().map(|rest| rest.trim_ascii_start().to_vec()).filter(|rest| !rest.is_empty()) else {
        return words;
    };
    let is_property = words.iter().any(|word| word == "-D" || word == "--property");
    let is_pair = rest.split(|byte| *byte == b' ').nth(1) == Some(property::USER.as_bytes());
    let len = if is_property { 3 + usize::from(is_pair) } else { 1 };
    words.extend(rest.splitn(len, |byte| *byte == b' ').map(|word| OsString::from_vec(word.to_vec())));
    words
}

/// What the help says about it.
pub(crate) fn about(tool: Tool) -> String {
    let name = tool.name();
    format!(
        "Without -o, options are read from primer_{name} in $XDG_CONFIG_HOME or ~/.config, or where there is none, \
         from mosquitto_{name}: one option a line, its value after a space."
    )
}
