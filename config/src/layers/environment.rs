//! The environment: `PRIMER_` and the key, with `__` for each point.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{Setting, Shortcuts, setting, text_of, unknown};
use crate::{
    Machine,
    kind::Given,
    problem::{Origin, Problems},
    schema::{self, Key, VARIABLE_PREFIX, named_keys, variable_of},
};

/// Ends the name of a variable whose value names a file that has the secret.
const FILE_SUFFIX: &str = "_FILE";

/// Reads all variables that are the broker's. One without a value counts as not there.
pub(super) fn read(
    variables: &BTreeMap<String, String>,
    machine: &dyn Machine,
    problems: &mut Problems,
) -> (Vec<Setting>, Shortcuts) {
    let mut short = Vec::new();
    let mut long = Vec::new();
    let mut shortcuts = Shortcuts::default();
    for (name, text) in variables.iter().filter(|(name, text)| name.starts_with(VARIABLE_PREFIX) && !text.is_empty()) {
        let origin = Origin::Variable(name.clone());
        if shortcut(name, text, &origin, &mut shortcuts, problems) {
            continue;
        }
        let (found, is_in_file) = match (find(name), name.strip_suffix(FILE_SUFFIX).and_then(find)) {
            (Some(found), _) => (found, false),
            (None, Some(found)) if found.1.is_secret() => (found, true),
            _ => {
                if name.contains("__") {
                    problems.fault(&origin, "", unknown::variable(name));
                } else if let Some(meant) = nearly(name) {
                    problems.fault(&origin, "", format!("there is no such variable; did you mean {meant}?"));
                }
                continue;
            }
        };
        let (key_name, key) = found;
        let secret = if is_in_file { text_of(Path::new(text), &origin, machine, problems) } else { None };
        let text = match (is_in_file, &secret) {
            (true, None) => continue,
            (true, Some(secret)) => match secret.trim_end_matches(['\r', '\n']) {
                "" => {
                    // One that was not filled yet would otherwise leave the broker open.
                    problems.fault(&origin, &*key_name, format!("{text}: the file is empty"));
                    continue;
                }
                secret => secret,
            },
            (false, _) => text,
        };
        let layer = if name.contains("__") { &mut long } else { &mut short };
        layer.extend(setting(&key_name, key, Given::Word(text), Path::new(""), origin, problems));
    }
    // The whole name of a key is closer to it than its short one.
    short.extend(long);
    (short, shortcuts)
}

/// The key of a variable.
fn find(name: &str) -> Option<(String, &'static Key)> {
    if let Some(found) = named_keys().find(|(_, key)| key.variable == Some(name)) {
        return Some(found);
    }
    let key_name = name.strip_prefix(VARIABLE_PREFIX)?.replace("__", ".").to_lowercase();
    let is_written_so = variable_of(&key_name) == name;
    schema::find(&key_name).filter(|_| is_written_so).map(|key| (key_name, key))
}

/// Variables that are no keys; whether this is one.
fn shortcut(name: &str, text: &str, origin: &Origin, shortcuts: &mut Shortcuts, problems: &mut Problems) -> bool {
    match name {
        "PRIMER_CONFIG" => shortcuts.config = Some((PathBuf::from(text), origin.clone())),
        "PRIMER_QUEUES" => shortcuts.queues = Some((PathBuf::from(text), origin.clone())),
        "PRIMER_PORT" => match text.parse() {
            Ok(port) => shortcuts.port = Some((port, origin.clone())),
            Err(_) if text.starts_with("tcp://") => problems.fault(
                origin,
                "",
                format!(
                    "`{text}` is no port: Kubernetes sets this for a service called primer; enableServiceLinks: false \
                     in the pod ends that, as does another name"
                ),
            ),
            Err(_) => problems.fault(origin, "", format!("`{text}` is no port: a number from 0 to 65535")),
        },
        "PRIMER_BIND" => match text.split(',').map(|text| ip_address(text.trim())).collect() {
            Ok(addresses) => shortcuts.bind = Some((addresses, origin.clone())),
            Err(says) => problems.fault(origin, "", says),
        },
        _ => return false,
    }
    true
}

/// Reads an address without a port.
///
/// # Errors
/// It is none: what is allowed.
pub fn ip_address(text: &str) -> Result<IpAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().map_err(|_| {
        format!("`{text}` is no IP address: write 127.0.0.1, ::1, or 0.0.0.0; the port goes to -p (PRIMER_PORT)")
    })
}

/// The variable that was meant where `_` stands for `__`, or the table is left out: a slip that would leave the broker
/// as open as it was.
fn nearly(name: &str) -> Option<String> {
    let bare = |name: &str| name.replace("__", "_");
    let is_secret_file =
        |key: &Key, variable: &str| key.is_secret() && bare(&format!("{variable}{FILE_SUFFIX}")) == name;
    let of_named = named_keys().find_map(|(key_name, key)| {
        let variable = variable_of(&key_name);
        let is_last_part =
            |name: &str| name.strip_prefix(VARIABLE_PREFIX).is_some_and(|rest| rest.eq_ignore_ascii_case(key.name));
        if bare(&variable) == name || is_last_part(name) {
            return Some(variable);
        }
        if key.is_secret() && name.strip_suffix(FILE_SUFFIX).is_some_and(is_last_part) {
            return Some(format!("{variable}{FILE_SUFFIX}"));
        }
        is_secret_file(key, &variable).then(|| format!("{variable}{FILE_SUFFIX}"))
    });
    let of_listener = || {
        let rest = name.strip_prefix("PRIMER_LISTENERS_")?;
        let (transport, rest) = rest.split_once('_')?;
        let transport = schema::Transport::named(&transport.to_lowercase())?;
        let key = transport.keys().find(|key| rest.to_lowercase().ends_with(&format!("_{}", key.name)))?;
        let listener = rest.get(..rest.len() - key.name.len() - 1)?.to_lowercase();
        Some(variable_of(&format!("listeners.{}.{listener}.{}", transport.name(), key.name)))
    };
    of_named.or_else(of_listener)
}
