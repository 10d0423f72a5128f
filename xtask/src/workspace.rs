//! The workspace on disk: its root, the files that git knows or would take, and its packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The workspace.
pub(crate) struct Workspace {
    root: PathBuf,
    files: Vec<String>,
}

/// A package as `cargo metadata` tells it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency of a package.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` is a normal one; others are `dev` and `build`.
    pub(crate) kind: Option<String>,
    /// Where it is, for one of the workspace.
    pub(crate) path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built in.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?.to_owned();
        let output = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .context("git does not start")?;
        if !output.status.success() {
            bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
        }
        let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let mut files: Vec<String> = names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        // Files that were removed and not yet taken out of the index are still listed.
        files.retain(|name| root.join(name).is_file());
        files.sort();
        files.dedup();
        Ok(Self { root, files })
    }

    /// The root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The files that git tracks or would take, relative to the root, with `/`.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// The files whose names end so.
    pub(crate) fn files_ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = &'a str> {
        self.files().filter(move |name| name.ends_with(end))
    }

    /// The text of a file.
    pub(crate) fn read(&self, file: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(file)).with_context(|| file.to_owned())
    }

    /// The packages of the workspace.
    pub(crate) fn packages(&self) -> Result<Vec<Package>> {
        Ok(self.metadata()?.packages)
    }

    /// Where cargo builds.
    pub(crate) fn target_directory(&self) -> Result<PathBuf> {
        Ok(self.metadata()?.target_directory)
    }

    fn metadata(&self) -> Result<Metadata> {
        let output = self.cargo(&["metadata", "--format-version", "1", "--no-deps"]).output()?;
        if !output.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).context("cargo metadata")
    }

    /// A call of cargo in the root.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args).current_dir(&self.root);
        command
    }
}
