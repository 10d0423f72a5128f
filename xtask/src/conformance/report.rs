//! The counts a version, as a table for people.

use std::fmt::Write;

use super::manifest::{Concerns, Statement, Version};

/// One line for each version.
pub(super) fn table(statements: &[Statement]) -> String {
    let mut out = String::new();
    for version in [Version::V311, Version::V5] {
        let of_version: Vec<_> = statements.iter().filter(|statement| statement.version == version).collect();
        let count = |is_it: fn(&Statement) -> bool| of_version.iter().filter(|statement| is_it(statement)).count();
        let musts = count(Statement::binds_a_server);
        let tested = count(|statement| statement.binds_a_server() && !statement.tests.is_empty());
        let open = count(|statement| statement.open.is_some());
        let client_only = count(|statement| statement.concerns == Concerns::Client);
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "MQTT {:<5} {:>4} statements: {tested} of {musts} server MUSTs tested, {open} open with a reason, \
             {client_only} about clients alone",
            version.name(),
            of_version.len(),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Manifest;
    use super::*;

    #[test]
    fn each_version_has_its_counts() {
        let statement = |id: u8, rest: &str| {
            format!("[[statement]]\nid = \"MQTT-{id}\"\nversion = \"5.0\"\nsays = \"x\"\n{rest}\n")
        };
        let text = [
            statement(1, "level = \"MUST\"\nconcerns = \"server\"\ntests = [\"a\"]"),
            statement(2, "level = \"MUST NOT\"\nconcerns = \"both\"\nopen = \"later\""),
            statement(3, "level = \"MUST\"\nconcerns = \"client\""),
            statement(4, "level = \"SHOULD\"\nconcerns = \"server\"\ntests = [\"a\"]"),
        ];
        let manifest: Manifest = toml::from_str(&text.concat()).expect("a manifest");
        let table = table(&manifest.statement);
        assert!(table.starts_with("MQTT 3.1.1    0 statements: 0 of 0"), "{table}");
        let expected = "4 statements: 1 of 2 server MUSTs tested, 1 open with a reason, 1 about clients alone";
        assert!(table.contains(expected), "{table}");
    }
}
