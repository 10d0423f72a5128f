//! What a program gets that embeds `primer`: Rust, and nothing of any protocol. No C compiler is involved, and no MQTT.

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Crates that compile or link C, and those of the protocols, which the crate `primer` must do without.
const BANNED: &[&str] = &["bindgen", "cc", "cmake", "pkg-config", "vcpkg", "primer-mqtt", "primer-broker", "rumqttc"];

/// Names that end so link C, but for those that only declare what the system has.
const LINKS_C: &str = "-sys";
const DECLARES_ONLY: &[&str] = &["windows-sys", "linux-raw-sys"];

/// Looks through the tree of `primer`, for all platforms that it is built for.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let args = ["tree", "-p", "primer", "-e", "normal,build", "--prefix", "none", "--format", "{p}", "--target", "all"];
    let output = workspace.cargo(&args).output().context("cargo does not start")?;
    if !output.status.success() {
        bail!("cargo {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    let tree = String::from_utf8(output.stdout).context("cargo tree writes text")?;
    let found = banned(&tree);
    if !found.is_empty() {
        bail!(
            "the crate primer has to do without {}: see who brings it with cargo tree -p primer -i",
            found.join(", ")
        );
    }
    Ok(())
}

fn banned(tree: &str) -> Vec<&str> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let is_banned = |name: &&str| BANNED.contains(name) || (name.ends_with(LINKS_C) && !DECLARES_ONLY.contains(name));
    let mut found: Vec<&str> = names.filter(is_banned).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compiles_or_links_c_or_speaks_mqtt_is_found() {
        let tree = "primer v0.1.0 (x)\nredb v4.6.0\nlibc v0.2.1\nwindows-sys v0.60.0\nzstd-sys v2.0.0\ncc v1.0.0\n\
                    primer-mqtt v0.1.0 (x)\ncc v1.0.0\n";
        assert_eq!(banned(tree), ["cc", "primer-mqtt", "zstd-sys"]);
        assert!(banned("primer v0.1.0 (x)\nredb v4.6.0\n").is_empty());
    }
}
