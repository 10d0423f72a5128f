//! Names of files that say nothing about what is in them.

use super::Finding;

/// Each draws in whatever fits nowhere else.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "types", "util", "utils"];

pub(super) fn check(file: &str) -> Option<Finding> {
    let parts = file.strip_suffix(".rs").unwrap_or(file).split('/');
    let empty = parts.into_iter().find(|part| EMPTY_NAMES.contains(part))?;
    let says = format!("\"{empty}\" names no subject: name the file after what it holds (house rule 12)");
    Some(Finding::new(file, 0, says))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_says_nothing_is_found() {
        for file in ["a/src/utils.rs", "tests/common/mod.rs", "a/src/types.rs", "a/src/manager.rs"] {
            assert!(check(file).is_some(), "{file}");
        }
        for file in ["a/src/packet_types.rs", "a/src/session.rs"] {
            assert!(check(file).is_none(), "{file}");
        }
    }
}
