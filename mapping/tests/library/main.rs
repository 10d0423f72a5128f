//! The ready rules of `config/rules`: each does what its comment promises, and messages that are not for it do not
//! fail.

mod any;
mod devices;
mod player;
mod queues;
mod shapes;
mod sparkplug;
mod values;

use std::{fs, path::PathBuf};

use primer_mapping::{Host, Ruleset};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config/rules")
}

fn text_of(file: &str) -> String {
    fs::read_to_string(directory().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The names of all ready rules.
fn files() -> Vec<String> {
    let entries = fs::read_dir(directory()).expect("is there");
    let names = entries.map(|entry| entry.expect("can be read").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".rhai")).collect();
    names.sort();
    names
}

#[test]
fn all_load_together_and_none_goes_round_in_circles() {
    let texts: Vec<(String, String)> = files().into_iter().map(|name| (name.clone(), text_of(&name))).collect();
    let rules = Ruleset::load(&Host::new(), &texts).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(rules.warnings(), []);
    for name in files() {
        assert!(rules.rules().iter().any(|rule| rule.file() == name), "{name} makes no rule");
    }
}

#[test]
fn the_list_names_each_and_no_other() {
    let list = text_of("README.md");
    let listed: Vec<&str> =
        list.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)).collect();
    assert_eq!(listed.len(), files().len(), "{listed:?}");
    for name in files() {
        assert!(listed.contains(&name.as_str()), "{name} is not in README.md");
    }
}

#[test]
fn each_says_what_to_change_and_what_comes_of_what() {
    for name in files() {
        let text = text_of(&name);
        for part in ["\n// Change: ", "\n// In:  ", "\n// Out: "] {
            assert!(text.starts_with("// ") && text.contains(part), "{name} lacks {part:?}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{name} has long lines");
    }
}
