//! One normative statement as the manifest has it.
//!
//! ```toml
//! [[statement]]
//! id = "MQTT-3.1.0-1"
//! version = "3.1.1"
//! level = "MUST"
//! concerns = "client"
//! says = "CONNECT is the first packet of a client."
//! tests = ["tests/tests/connect.rs::first_packet_is_connect"]
//! ```

use serde::Deserialize;

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    #[serde(default)]
    pub(super) statement: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Statement {
    /// The name that the standard gives it.
    pub(super) id: String,
    pub(super) version: Version,
    pub(super) level: Level,
    pub(super) concerns: Concerns,
    /// What it says, in our own words.
    pub(super) says: String,
    /// `file::function`, the file relative to the root of the workspace.
    #[serde(default)]
    pub(super) tests: Vec<String>,
    /// Why there is no test.
    pub(super) open: Option<String>,
    /// The file of the manifest.
    #[serde(skip)]
    pub(super) file: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    #[serde(rename = "3.1.1")]
    V311,
    #[serde(rename = "5.0")]
    V5,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum Level {
    #[serde(rename = "MUST")]
    Must,
    #[serde(rename = "MUST NOT")]
    MustNot,
    #[serde(rename = "SHOULD")]
    Should,
    #[serde(rename = "SHOULD NOT")]
    ShouldNot,
    #[serde(rename = "MAY")]
    May,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Concerns {
    Server,
    Client,
    Both,
}

impl Statement {
    /// Notes where it was read.
    pub(super) fn of_file(mut self, file: &str) -> Self {
        file.clone_into(&mut self.file);
        self
    }

    /// Whether a server breaks the standard when it does not keep to it.
    pub(super) fn binds_a_server(&self) -> bool {
        self.concerns != Concerns::Client && matches!(self.level, Level::Must | Level::MustNot)
    }
}

impl Version {
    /// As the manifest writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }
}
