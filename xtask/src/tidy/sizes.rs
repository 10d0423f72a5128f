//! How long a file may be: 250 lines of code are the aim, 700 the end, and what is over 450 may only shrink.
//!
//! Counted are lines that have code, without tests. How long a function may be is clippy's business
//! (`too-many-lines-threshold` in `clippy.toml`).

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Finding;

/// The files that are over [`LISTED_ABOVE`], with their sizes.
pub(super) const RATCHET: &str = "xtask/ratchet.toml";

/// What a file should have.
const AIM: usize = 250;

/// A file that is longer than this must be listed, and may then only shrink.
const LISTED_ABOVE: usize = 450;

/// What no file may exceed.
const MAX: usize = 700;

#[derive(Deserialize)]
struct Ratchet {
    #[serde(default)]
    files: BTreeMap<String, usize>,
}

/// The sizes of all files, as they are met.
pub(super) struct Sizes {
    listed: BTreeMap<String, usize>,
    files: usize,
    over_aim: usize,
}

impl Sizes {
    /// From the text of the ratchet file.
    pub(super) fn new(ratchet: &str) -> Result<Self> {
        let ratchet: Ratchet = toml::from_str(ratchet).context(RATCHET)?;
        Ok(Self { listed: ratchet.files, files: 0, over_aim: 0 })
    }

    /// Holds a file to its limit.
    pub(super) fn check(&mut self, file: &str, lines: usize) -> Option<Finding> {
        self.files += 1;
        self.over_aim += usize::from(lines > AIM);
        let says = match self.listed.remove(file) {
            _ if lines > MAX => format!("has {lines} lines of code; no file has more than {MAX}: split it by subject"),
            None if lines > LISTED_ABOVE => format!(
                "has {lines} lines of code; the aim is {AIM}: split it by subject, or add \"{file}\" = {lines} to \
                 {RATCHET} and say in the commit why it cannot be split"
            ),
            Some(listed) if lines > listed => {
                format!("has {lines} lines of code and had {listed} ({RATCHET}); a listed file only shrinks")
            }
            Some(listed) if lines <= LISTED_ABOVE => {
                format!("has shrunk from {listed} to {lines} lines of code: remove it from {RATCHET}")
            }
            Some(listed) if lines < listed => {
                format!("has shrunk from {listed} lines of code: tighten {RATCHET} to \"{file}\" = {lines}")
            }
            _ => return None,
        };
        Some(Finding::new(file, 0, says))
    }

    /// Finds what is listed and was not met.
    pub(super) fn check_leftovers(&self) -> Vec<Finding> {
        let leftover = |file: &String| Finding::new(RATCHET, 0, format!("lists {file}, which is not there: remove it"));
        self.listed.keys().map(leftover).collect()
    }

    /// One line for the log.
    pub(super) fn summary(&self) -> String {
        format!("{} files, {} of them over the aim of {AIM} lines of code", self.files, self.over_aim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(ratchet: &str, lines: usize) -> Option<String> {
        Sizes::new(ratchet).expect("a ratchet").check("a.rs", lines).map(|finding| finding.says)
    }

    #[test]
    fn a_file_within_its_limit_passes() {
        assert_eq!(says("", 450), None);
        assert_eq!(says("[files]\n\"a.rs\" = 500", 500), None);
    }

    #[test]
    fn a_long_file_is_listed_or_split() {
        assert!(says("", 451).is_some_and(|says| says.contains("\"a.rs\" = 451")));
        assert!(says("[files]\n\"a.rs\" = 900", 701).is_some_and(|says| says.contains("more than 700")));
    }

    #[test]
    fn a_listed_file_only_shrinks_and_the_list_with_it() {
        let ratchet = "[files]\n\"a.rs\" = 500";
        assert!(says(ratchet, 501).is_some_and(|says| says.contains("only shrinks")));
        assert!(says(ratchet, 499).is_some_and(|says| says.contains("tighten") && says.contains("= 499")));
        assert!(says(ratchet, 450).is_some_and(|says| says.contains("remove it")));
    }

    #[test]
    fn a_listed_file_that_is_gone_is_found() {
        let sizes = Sizes::new("[files]\n\"gone.rs\" = 500").expect("a ratchet");
        assert_eq!(sizes.check_leftovers().len(), 1);
    }
}
