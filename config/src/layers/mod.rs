//! Where values come from, weakest first: the table's defaults, the file and what it includes, the environment, the
//! command line.

mod environment;
mod file;
mod unknown;

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use crate::{
    Machine,
    kind::{Given, Wanted},
    limits::{FILE_BYTES_MAX, INCLUDED_FILES_MAX},
    problem::{Origin, Problems},
    queues::QueueRule,
    schema::{Key, Takes, Transport},
    value::Value,
};

pub use self::environment::ip_address;
pub(crate) use self::file::line_of;

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--port`: the port of the listener `tcp.default`.
    pub port: Option<u16>,
    /// `--bind`: the addresses of the listener `tcp.default`.
    pub bind: Vec<IpAddr>,
    /// `--queues`: a file with queues alone.
    pub queues: Option<PathBuf>,
    /// Options of the table of keys: the key's whole name, and what was given; for an option that may be repeated, all
    /// of it.
    pub keys: Vec<(String, Vec<String>)>,
}

/// A value that a layer gives a key.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) key: &'static Key,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// What is said about the listener `tcp.default` without naming it, and about the file of queues.
#[derive(Debug, Default)]
pub(crate) struct Shortcuts {
    pub(crate) port: Option<(u16, Origin)>,
    pub(crate) bind: Option<(Vec<IpAddr>, Origin)>,
    pub(crate) queues: Option<(PathBuf, Origin)>,
    pub(crate) config: Option<(PathBuf, Origin)>,
}

/// All layers, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) settings: Vec<Setting>,
    /// The listeners that files tell of.
    pub(crate) listeners: Vec<(Transport, String, Origin)>,
    pub(crate) queues: Vec<QueueRule>,
    pub(crate) shortcuts: Shortcuts,
}

/// Reads all layers; what is wrong with a value leaves that value out.
pub(crate) fn read(
    flags: &Flags,
    environment: &BTreeMap<String, String>,
    machine: &dyn Machine,
    problems: &mut Problems,
) -> Layers {
    let mut layers = Layers::default();
    let (of_environment, mut shortcuts) = environment::read(environment, machine, problems);
    let flag = |name: &str| Origin::Flag(format!("--{name}"));
    let of_flags = Shortcuts {
        port: flags.port.map(|port| (port, flag("port"))),
        bind: (!flags.bind.is_empty()).then(|| (flags.bind.clone(), flag("bind"))),
        queues: flags.queues.clone().map(|file| (file, flag("queues"))),
        config: flags.config.clone().map(|file| (file, flag("config"))),
    };
    shortcuts.port = of_flags.port.or(shortcuts.port);
    shortcuts.bind = of_flags.bind.or(shortcuts.bind);
    shortcuts.queues = of_flags.queues.or(shortcuts.queues);
    shortcuts.config = of_flags.config.or(shortcuts.config);
    if let Some((file, origin)) = &shortcuts.config {
        read_file(file, origin, machine, problems, &mut layers);
    }
    layers.settings.extend(of_environment);
    layers.settings.extend(of_keys(flags, problems));
    if let Some((file, origin)) = &shortcuts.queues {
        let text = text_of(file, origin, machine, problems);
        layers.queues.extend(text.into_iter().flat_map(|text| file::queues_of(file, &text, problems)));
    }
    layers.shortcuts = shortcuts;
    layers
}

/// Reads a file and what it includes.
fn read_file(file: &Path, origin: &Origin, machine: &dyn Machine, problems: &mut Problems, layers: &mut Layers) {
    let mut files = vec![(file.to_owned(), origin.clone())];
    let mut is_first = true;
    while let Some((file, origin)) = files.pop() {
        let Some(text) = text_of(&file, &origin, machine, problems) else { continue };
        let read = file::read(&file, &text, is_first, problems);
        layers.settings.extend(read.settings);
        layers.listeners.extend(read.listeners);
        layers.queues.extend(read.queues);
        if let Some((pattern, origin)) = read.include {
            let mut included = included(&pattern, &origin, machine, problems);
            included.reverse();
            files.extend(included.into_iter().map(|file| (file, origin.clone())));
        }
        is_first = false;
    }
}

/// The files of `FOLDER/*.toml`, in the order of their names.
fn included(pattern: &Path, origin: &Origin, machine: &dyn Machine, problems: &mut Problems) -> Vec<PathBuf> {
    let (Some(folder), Some("*.toml")) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str())) else {
        problems.fault(origin, "include", format!("{} is not FOLDER/*.toml, as conf.d/*.toml", pattern.display()));
        return Vec::new();
    };
    if machine.look(folder).is_none() {
        problems.warn(origin, "include", format!("there is no folder {}: nothing is included", folder.display()));
        return Vec::new();
    }
    let mut files = match machine.list(folder) {
        Ok(files) => files,
        Err(error) => {
            problems.fault(origin, "include", format!("{}: {error}", folder.display()));
            return Vec::new();
        }
    };
    // A name that begins with a dot is an editor's, or half written.
    files.retain(|file| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".toml") && !name.starts_with('.')
    });
    files.sort();
    if files.len() > INCLUDED_FILES_MAX {
        let says = format!("{} has {} files; {INCLUDED_FILES_MAX} at most", folder.display(), files.len());
        problems.fault(origin, "include", says);
        files.clear();
    }
    files
}

fn text_of(file: &Path, origin: &Origin, machine: &dyn Machine, problems: &mut Problems) -> Option<String> {
    let text = machine.read(file).and_then(|text| {
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it has more than {} MiB", FILE_BYTES_MAX >> 20)));
        }
        Ok(text)
    });
    text.map_err(|error| problems.fault(origin, "", format!("cannot read {}: {error}", file.display()))).ok()
}

/// What options of the table of keys say.
fn of_keys(flags: &Flags, problems: &mut Problems) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (name, texts) in &flags.keys {
        let Some(key) = crate::schema::find(name) else { continue };
        let Some(flag) = key.flag else { continue };
        let origin = Origin::Flag(format!("--{}", flag.long));
        let text = match flag.takes {
            Takes::Nothing { value, .. } => value.to_owned(),
            Takes::Value(_) => texts.join("\n"),
            Takes::Milliseconds => {
                let text = texts.concat();
                if text.ends_with(|last: char| last.is_ascii_digit()) { format!("{text}ms") } else { text }
            }
        };
        settings.extend(setting(name, key, Given::Word(&text), Path::new(""), origin, problems));
    }
    settings
}

/// Reads one value, or tells what is wrong with it.
fn setting(
    name: &str,
    key: &'static Key,
    given: Given<'_>,
    folder: &Path,
    origin: Origin,
    problems: &mut Problems,
) -> Option<Setting> {
    match key.kind.read(given, folder) {
        Ok(value) => Some(Setting { name: name.to_owned(), key, value, origin }),
        Err(says) => {
            problems.fault(&origin, name, says);
            None
        }
    }
}

/// Tells of paths that lead nowhere.
pub(crate) fn check_paths<'a>(
    values: impl Iterator<Item = (&'a str, &'static Key, &'a Value, &'a Origin)>,
    machine: &dyn Machine,
    problems: &mut Problems,
) {
    for (name, key, value, origin) in values {
        match (key.kind, value) {
            (crate::kind::Kind::Path(wanted), Value::Path(path)) => {
                check_path(path, wanted, name, origin, machine, problems);
            }
            (_, Value::Certificates(pairs)) => {
                for path in pairs.iter().flat_map(|(certificate, key)| [certificate, key]) {
                    check_path(path, Wanted::File, name, origin, machine, problems);
                }
            }
            _ => {}
        }
    }
}

fn check_path(
    path: &Path,
    wanted: Wanted,
    name: &str,
    origin: &Origin,
    machine: &dyn Machine,
    problems: &mut Problems,
) {
    use crate::Thing::{File, Folder};
    let shown = path.display();
    let says = match (wanted, machine.look(path)) {
        (Wanted::Nothing, _) | (Wanted::File, Some(File)) | (Wanted::Folder, Some(Folder)) => return,
        (Wanted::File, None) => format!("{shown}: there is no such file"),
        (Wanted::File, Some(Folder)) => format!("{shown} is a folder; it is to be a file"),
        (Wanted::Folder, None) => format!("{shown}: there is no such directory"),
        (Wanted::Folder, Some(File)) => format!("{shown} is a file; it is to be a folder"),
    };
    problems.fault(origin, name, says);
}
