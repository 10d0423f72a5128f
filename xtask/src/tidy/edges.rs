//! Which crate of the workspace may depend on which: the table below, and nothing else.
//!
//! Normal and build dependencies are held to it. Dev-dependencies are free, since a test may use what the code under
//! test must not, but for the crates that only the binary and the tests may know.

use super::Finding;
use crate::workspace::{Dependency, Package};

/// What a crate may depend on, within the workspace.
enum Allowed {
    These(&'static [&'static str]),
    Anything,
}

use Allowed::{Anything, These};

/// The table. A new edge is a decision about the architecture: change `docs/ARCHITECTURE.md` with it.
const TABLE: &[(&str, Allowed)] = &[
    ("primer-core", These(&[])),
    ("primer-mqtt", These(&["primer-core"])),
    ("primer-storage", These(&[])),
    ("primer", These(&["primer-core", "primer-storage"])),
    ("primer-mapping", These(&["primer", "primer-core"])),
    ("primer-devices", These(&["primer-core"])),
    ("primer-broker", These(&["primer", "primer-core", "primer-devices", "primer-mapping", "primer-mqtt"])),
    ("primer-bench", These(&["primer-mqtt"])),
    ("primer-client", These(&["primer-core", "primer-mqtt"])),
    ("primer-config", These(&["primer", "primer-broker", "primer-core", "primer-mqtt"])),
    ("primer-daemon", Anything),
    ("primer-examples", These(&["primer", "primer-broker"])),
    ("primer-tests", Anything),
    // Its clients are the second opinion on Primer's codec, so they share no line with it.
    ("primer-harness", These(&[])),
    ("xtask", These(&[])),
];

/// Crates that nothing imports but the binary and the tests.
const TOP: &[&str] = &["primer-admin", "primer-config", "primer-daemon"];

/// Where the table is, for whoever runs into it.
const PLACE: &str = "the table is in xtask/src/tidy/edges.rs";

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let allowed = TABLE.iter().find(|(name, _)| *name == package.name).map(|(_, allowed)| allowed);
        let Some(allowed) = allowed else {
            findings.push(finding(package, format!("the crate is not in the table of edges; {PLACE}")));
            continue;
        };
        let inside = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
        findings.extend(inside.filter_map(|dependency| check_edge(package, dependency, allowed)));
    }
    for (name, _) in TABLE {
        if !packages.iter().any(|package| package.name == *name) {
            let says = format!("the table of edges has {name}, which is no crate of the workspace");
            findings.push(Finding::new("xtask/src/tidy/edges.rs", 0, says));
        }
    }
    findings
}

fn check_edge(package: &Package, dependency: &Dependency, allowed: &Allowed) -> Option<Finding> {
    let name = dependency.name.as_str();
    let is_test = matches!(package.name.as_str(), "primer-tests");
    if dependency.kind.as_deref() == Some("dev") {
        let is_bad = TOP.contains(&name) && !is_test;
        return is_bad
            .then(|| finding(package, format!("{name} may not be a dev-dependency: it sits on top; {PLACE}")));
    }
    match allowed {
        These(names) if !names.contains(&name) => {
            Some(finding(package, format!("depends on {name}, an edge that the architecture has not; {PLACE}")))
        }
        These(_) | Anything => None,
    }
}

fn finding(package: &Package, says: String) -> Finding {
    Finding::new(&package.name, 0, says)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
            path: Some(name.into()),
        };
        Package { name: name.to_owned(), dependencies: dependencies.iter().map(dependency).collect() }
    }

    /// The findings about one crate beside all others of the table, which have no edges.
    fn findings(name: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        let others = TABLE.iter().filter(|(other, _)| *other != name).map(|(other, _)| package(other, &[]));
        let packages: Vec<_> = others.chain([package(name, dependencies)]).collect();
        check(&packages).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_edge_of_the_table_passes() {
        assert!(findings("primer-mqtt", &[("primer-core", None), ("primer-harness", Some("dev"))]).is_empty());
        assert!(findings("primer-tests", &[("primer-daemon", Some("dev")), ("primer-mqtt", None)]).is_empty());
    }

    #[test]
    fn a_new_edge_fails_and_says_where_the_table_is() {
        let found = findings("primer-core", &[("primer-mqtt", None)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("primer-core: depends on primer-mqtt") && found[0].contains("edges.rs"));
        assert_eq!(findings("primer", &[("primer-mqtt", Some("build"))]).len(), 1);
    }

    #[test]
    fn nothing_imports_the_top_not_even_for_tests() {
        assert_eq!(findings("primer-broker", &[("primer-daemon", Some("dev"))]).len(), 1);
    }

    #[test]
    fn the_table_and_the_workspace_are_the_same_crates() {
        let found = findings("primer-new", &[]);
        assert!(found[0].contains("primer-new: the crate is not in the table"), "{found:?}");
        let found: Vec<_> = check(&[package("primer-core", &[])]).iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|says| says.contains("xtask, which is no crate")), "{found:?}");
    }

    #[test]
    fn a_crate_from_elsewhere_is_none_of_its_business() {
        let mut outside = package("primer-core", &[("bytes", None)]);
        outside.dependencies[0].path = None;
        let others = TABLE.iter().skip(1).map(|(other, _)| package(other, &[]));
        let packages: Vec<_> = others.chain([outside]).collect();
        assert!(check(&packages).is_empty());
    }
}
