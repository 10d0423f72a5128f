//! Where the program `primer` is: named by `PRIMER_BIN`, or built by cargo into the target directory of the test.
//!
//! Cargo gives a test the path of a binary only inside the binary's own package, so the harness asks cargo to build it.
//! It does so in the profile of the test, once a process, and only when a source file of the program is newer than it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

/// The program `primer`, to be given arguments; without the variables of the environment that it would read.
///
/// # Panics
/// When it cannot be found or built.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(primer());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PRIMER_") {
            command.env_remove(name);
        }
    }
    command
}

/// The program, built if need be.
///
/// # Panics
/// When it cannot be found or built.
pub(crate) fn primer() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match find() {
        Ok(path) => path,
        Err(error) => panic!("the program `primer` is not there to test: {error:#}"),
    })
}

fn find() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PRIMER_BIN") {
        let path = PathBuf::from(path);
        return path.canonicalize().with_context(|| format!("PRIMER_BIN names {}", path.display()));
    }
    let profile_dir = profile_dir()?;
    let program = profile_dir.join(format!("primer{}", std::env::consts::EXE_SUFFIX));
    if !is_fresh(&program) {
        build(&profile_dir)?;
    }
    if !program.is_file() {
        bail!("cargo built no {}", program.display());
    }
    Ok(program)
}

/// `target/debug`, from `target/debug/deps/the_test-0123`; an example or a bench is one folder down as well.
fn profile_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let dir = exe.parent().context("the test has no folder")?;
    let in_profile_dir = dir.ends_with("deps") || dir.ends_with("examples");
    let dir = if in_profile_dir { dir.parent().context("the test lies at the root")? } else { dir };
    Ok(dir.to_owned())
}

/// Whether the program is newer than all that cargo says it was made of, and than the manifests.
fn is_fresh(program: &Path) -> bool {
    let Some(built) = modified(program) else { return false };
    let Ok(sources) = fs::read_to_string(program.with_extension("d")) else { return false };
    let manifests = ["Cargo.toml", "Cargo.lock", "broker/daemon/Cargo.toml"].map(|name| workspace().join(name));
    let sources = sources_of(&sources);
    !sources.is_empty()
        && sources.iter().chain(&manifests).all(|file| modified(file).is_some_and(|changed| changed <= built))
}

/// The files in a `.d` file: `program: file file`, with spaces in names escaped by a backslash.
fn sources_of(depinfo: &str) -> Vec<PathBuf> {
    let Some((_, files)) = depinfo.lines().next().and_then(|line| line.split_once(": ")) else { return Vec::new() };
    files
        .replace("\\ ", "\0")
        .split(' ')
        .filter(|file| !file.is_empty())
        .map(|file| PathBuf::from(file.replace('\0', " ")))
        .collect()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// Builds the program alone and not with the workspace, so that it has the features that it ships with.
/// Cargo's own lock on the target directory keeps test processes apart.
fn build(profile_dir: &Path) -> Result<()> {
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let target_dir = profile_dir.parent().context("the profile's folder lies at the root")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--package", "primer-daemon", "--bin", "primer", "--profile", profile, "--target-dir"])
        .arg(target_dir)
        .stdin(Stdio::null())
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!("cargo build --package primer-daemon:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The root of the workspace: two folders above this package.
pub(crate) fn workspace() -> PathBuf {
    let mut dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    dir.pop();
    dir.pop();
    dir
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_read_from_the_depinfo() {
        let depinfo = "/t/debug/primer: /w/a.rs /w/my\\ dir/b.rs\n\n/w/a.rs:\n";
        assert_eq!(sources_of(depinfo), [PathBuf::from("/w/a.rs"), PathBuf::from("/w/my dir/b.rs")]);
        assert!(sources_of("").is_empty());
    }

    #[test]
    fn the_workspace_is_where_its_manifest_is() {
        let manifest = fs::read_to_string(workspace().join("Cargo.toml")).expect("the manifest of the workspace");
        assert!(manifest.contains("[workspace]"));
    }
}
