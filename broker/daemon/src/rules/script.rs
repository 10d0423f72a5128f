//! Scripts of a running broker: shown, applied, taken back, ended, read again.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use primer_mapping::SCRIPT_BYTES_MAX;
use serde_json::{Value, json};

use super::{CONTROL, fields, list, names, tell, text};
use crate::{
    control::{Control, Target, print},
    table::plain,
};

/// The options of `primer rules show`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Show {
    /// Name of the script.
    name: String,
    /// A version of it; the active one if not given.
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    #[command(flatten)]
    target: Target,
}

/// The options of `primer rules apply`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Apply {
    /// The file; - is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the script at the broker; that of the file if not given.
    #[arg(long)]
    name: Option<String>,
    /// Change nothing: only say whether the broker would take it.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    target: Target,
}

/// The options of `primer rules rollback`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Rollback {
    /// Name of the script.
    name: String,
    /// Which version; the one before the active one if not given.
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    #[command(flatten)]
    target: Target,
}

/// The options of `primer rules rm`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Rm {
    /// Name of the script.
    name: String,
    #[command(flatten)]
    target: Target,
}

pub(super) fn show(show: &Show) -> anyhow::Result<()> {
    let asked = fields(&[("name", Some(json!(show.name))), ("version", show.version.map(|version| json!(version)))]);
    tell(&show.target, "getScript", &asked, |data| {
        let script = text(&data["text"]);
        format!("{script}{}", if script.ends_with('\n') { "" } else { "\n" })
    })
}

pub(super) fn apply(apply: &Apply) -> anyhow::Result<()> {
    let is_stdin = apply.file == Path::new("-");
    let name = match (&apply.name, apply.file.file_name()) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) if !is_stdin => name.to_string_lossy().into_owned(),
        _ => bail!("{}: say what the script is called, with --name NAME", apply.file.display()),
    };
    let script = if is_stdin {
        read(&mut io::stdin().lock()).context("standard input")?
    } else {
        let opened = File::open(&apply.file).map_err(anyhow::Error::from);
        opened.and_then(|mut file| read(&mut file)).with_context(|| format!("the file {}", apply.file.display()))?
    };
    let asked = json!({"name": name, "text": script, "check": apply.check});
    let mut control = Control::connect(&apply.target, &CONTROL)?;
    let data = control.ask("applyScript", &asked)?;
    control.end()?;
    if !apply.target.json {
        list(&data["warnings"]).iter().for_each(|warning| eprintln!("primer: {}", text(warning)));
    }
    print(&apply.target, &data, |data| applied(&name, data))
}

fn read(from: &mut dyn Read) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(SCRIPT_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    if text.len() > SCRIPT_BYTES_MAX {
        bail!("it has more than {SCRIPT_BYTES_MAX} bytes, which is the most of a script: make two of it");
    }
    Ok(text)
}

fn applied(name: &str, data: &Value) -> String {
    let rules = names(&data["rules"]);
    match data["version"].as_u64() {
        Some(version) => format!("the script {name:?} is active as version {version}; its rules: {rules}\n"),
        None => format!("the broker would take the script {name:?}; its rules: {rules}\n"),
    }
}

pub(super) fn rollback(rollback: &Rollback) -> anyhow::Result<()> {
    let version = rollback.version.map(|version| json!(version));
    let asked = fields(&[("name", Some(json!(rollback.name))), ("version", version)]);
    tell(&rollback.target, "rollbackScript", &asked, |data| {
        format!("the script {:?} is active again as version {}\n", rollback.name, data["version"])
    })
}

pub(super) fn rm(rm: &Rm) -> anyhow::Result<()> {
    tell(&rm.target, "removeScript", &json!({"name": rm.name}), |_| {
        format!("the script {:?} is gone, with its rules\n", rm.name)
    })
}

/// Has the directory read again. That a script is wrong is no success.
pub(super) fn reload(target: &Target) -> anyhow::Result<ExitCode> {
    let mut control = Control::connect(target, &CONTROL)?;
    let data = control.ask("reload", &json!({}))?;
    control.end()?;
    print(target, &data, reloaded)?;
    Ok(if list(&data["failed"]).is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn reloaded(data: &Value) -> String {
    let mut shown = format!("loaded: {}\nremoved: {}\n", names(&data["loaded"]), names(&data["removed"]));
    for failed in list(&data["failed"]) {
        let name = plain(text(&failed["name"]));
        shown.push_str(&format!("not loaded, and as it was before: {name}\n{}\n", text(&failed["error"])));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_script_is_said() {
        let data = json!({"version": 3, "rules": ["a", "b"], "warnings": []});
        assert_eq!(applied("x.rhai", &data), "the script \"x.rhai\" is active as version 3; its rules: a, b\n");
        let data = json!({"version": null, "rules": [], "warnings": []});
        assert_eq!(applied("x", &data), "the broker would take the script \"x\"; its rules: none\n");
        let data = json!({"loaded": ["a"], "removed": [], "failed": [{"name": "b", "error": "b:1:2: no"}]});
        let wanted = "loaded: a\nremoved: none\nnot loaded, and as it was before: b\nb:1:2: no\n";
        assert_eq!(reloaded(&data), wanted);
    }

    #[test]
    fn a_script_that_is_too_long_is_not_sent() {
        assert_eq!(read(&mut "rule".as_bytes()).unwrap(), "rule");
        let long = " ".repeat(SCRIPT_BYTES_MAX + 1);
        assert!(read(&mut long.as_bytes()).unwrap_err().to_string().contains("262144 bytes"));
    }
}
