//! Files of rules, read and compiled here; `primer rules check`.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use primer_mapping::{Host, LoadError, LoadErrors, Ruleset, SCRIPT_BYTES_MAX, Stage};
use serde_json::{Value, json};

use crate::{
    control::write,
    table::{Align, Table, plain},
    units,
};

/// The options of `primer rules check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Files of rules, or directories of which all that end in .rhai are taken. They are checked as one set.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print one JSON value, for programs.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(check: &Check) -> anyhow::Result<ExitCode> {
    let files = read(&check.files)?;
    let checked = Ruleset::load(&Host::new(), &files);
    if check.json {
        write(format!("{}\n", json(&checked)).as_bytes())?;
    }
    match checked {
        Ok(rules) if check.json => drop(rules),
        Ok(rules) => {
            warn(&rules);
            write(table(&rules).as_bytes())?;
        }
        Err(wrong) => {
            if !check.json {
                eprintln!("{wrong}\n\nprimer: {}", sum(&wrong));
            }
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what may be meant otherwise.
pub(super) fn warn(rules: &Ruleset) {
    rules.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
}

/// `2 things are wrong`.
pub(super) fn sum(LoadErrors(wrong): &LoadErrors) -> String {
    match wrong.len() {
        1 => "1 thing is wrong".to_owned(),
        count => format!("{count} things are wrong"),
    }
}

/// Reads files, and those of directories: each a name and its text.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let cannot = || format!("the directory {}", path.display());
        let mut found = Vec::new();
        for entry in path.read_dir().with_context(cannot)? {
            let file = entry.with_context(cannot)?.path();
            if file.extension().is_some_and(|extension| extension == "rhai") {
                found.push(file);
            }
        }
        if found.is_empty() {
            bail!("the directory {} has no file that ends in .rhai", path.display());
        }
        found.sort_unstable();
        files.extend(found);
    }
    files.sort_unstable();
    files.dedup();
    files.iter().map(|file| one(file).with_context(|| format!("the file {}", file.display()))).collect()
}

fn one(path: &Path) -> anyhow::Result<(String, String)> {
    let mut text = Vec::new();
    File::open(path)?.take(SCRIPT_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    if text.len() > SCRIPT_BYTES_MAX {
        bail!("it has more than {SCRIPT_BYTES_MAX} bytes, which is the most of a script: make two of it");
    }
    let text = String::from_utf8(text).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        anyhow::anyhow!("line {line} has bytes that are no UTF-8: save it as UTF-8")
    })?;
    Ok((path.to_string_lossy().into_owned(), text))
}

fn json(checked: &Result<Ruleset, LoadErrors>) -> Value {
    let told = |errors: &[LoadError]| -> Vec<Value> {
        let one = |error: &LoadError| {
            let LoadError { file, line, column, message, text } = error;
            json!({"file": file, "line": line, "column": column, "message": message, "text": text})
        };
        errors.iter().map(one).collect()
    };
    match checked {
        Err(LoadErrors(wrong)) => json!({"rules": [], "errors": told(wrong), "warnings": []}),
        Ok(set) => {
            let rules = set.rules().iter().map(|rule| {
                let limits = rule.limits();
                json!({
                    "id": rule.id(),
                    "source": rule.source().to_string(),
                    "stage": stage(rule.stage()),
                    "script": rule.file(),
                    "line": rule.line(),
                    "operations_max": limits.operations,
                    "wall_ms_max": units::millis(limits.wall),
                })
            });
            json!({"rules": rules.collect::<Vec<Value>>(), "errors": [], "warnings": told(set.warnings())})
        }
    }
}

fn table(set: &Ruleset) -> String {
    if set.rules().is_empty() {
        return "nothing is wrong, but there is no rule: rule(\"id\", \"topic/filter\", |msg| { ... });\n".to_owned();
    }
    let mut table = Table::new(&[
        ("RULE", Align::Left),
        ("STAGE", Align::Left),
        ("SOURCE", Align::Left),
        ("OPERATIONS", Align::Right),
        ("TIME", Align::Right),
        ("SCRIPT", Align::Left),
    ]);
    for rule in set.rules() {
        let limits = rule.limits();
        table.row(vec![
            plain(rule.id()),
            stage(rule.stage()).to_owned(),
            plain(&rule.source().to_string()),
            units::count(limits.operations),
            units::span(units::millis(limits.wall)),
            format!("{}:{}", plain(rule.file()), rule.line()),
        ]);
    }
    table.print(None)
}

pub(super) const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Group => "group",
        Stage::Ingress => "ingress",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_listed_with_their_limits() {
        let script = "rule(\"a\", \"x/+\", #{ stage: \"ingress\", operations: 1000 }, |msg| { ok });";
        let set = Ruleset::load(&Host::new(), &[("f.rhai", script)]);
        let data = json(&set);
        assert_eq!(
            (&data["rules"][0]["stage"], &data["rules"][0]["operations_max"]),
            (&json!("ingress"), &json!(1000))
        );
        let lines = table(&set.unwrap());
        assert!(lines.ends_with("a     ingress  x/+          1,000  20 ms  f.rhai:1\n"), "{lines}");
        assert!(table(&Ruleset::default()).contains("no rule"));
        let wrong = Ruleset::load(&Host::new(), &[("f.rhai", "rule(\"a\", \"x/+\", |msg| { jsn(msg) });")]);
        let errors = &json(&wrong)["errors"];
        assert_eq!((&errors[0]["file"], &errors[0]["line"]), (&json!("f.rhai"), &json!(1)), "{errors}");
        assert_eq!(sum(&wrong.unwrap_err()), "1 thing is wrong");
    }
}
