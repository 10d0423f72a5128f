//! The foreign clients that interop tests run: those of mosquitto, paho-mqtt and gmqtt in Python, MQTT.js in Node.
//!
//! `.ci/run` installs them, in `target/interop` where they are not of the system. Where one is missing a test says so
//! and passes, but not in CI (`CI` is set): there a missing peer is a failure.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::program::workspace;

/// A program of Debian's mosquitto packages: `mosquitto`, `mosquitto_pub`, `mosquitto_sub`, `mosquitto_rr`.
///
/// # Panics
/// In CI, when it is not installed.
#[must_use]
#[track_caller]
pub fn mosquitto(program: &str) -> Option<Command> {
    present(program, on_path(program).map(Command::new))
}

/// A Python that has this module: that of `PRIMER_PYTHON`, of `target/interop/venv`, or of the system.
///
/// # Panics
/// In CI, when there is none.
#[must_use]
#[track_caller]
pub fn python_with(module: &str) -> Option<Command> {
    let named = std::env::var_os("PRIMER_PYTHON").map(PathBuf::from);
    let import = format!("import {module}");
    let found =
        named.into_iter().chain([interop_dir().join("venv/bin/python"), PathBuf::from("python3")]).find(|path| {
            let status = Command::new(path).args(["-c", &import]).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        });
    present(module, found.map(Command::new))
}

/// Node with MQTT.js in `target/interop/node_modules`; scripts may `require("mqtt")`. A machine may do without Node.
///
/// # Panics
/// In CI, when there is Node and it is not installed.
#[must_use]
#[track_caller]
pub fn node_with_mqtt() -> Option<Command> {
    if on_path("node").is_none() {
        eprintln!("skipped: there is no Node");
        return None;
    }
    let modules = interop_dir().join("node_modules");
    let command = modules.join("mqtt").is_dir().then(|| {
        let mut command = Command::new("node");
        command.env("NODE_PATH", &modules);
        command
    });
    present("MQTT.js", command)
}

/// Where a program is; Debian puts servers where the path of a user does not lead.
fn on_path(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// Where `.ci/run` puts them: not in `CARGO_TARGET_DIR`, which differs from one shell to the next.
fn interop_dir() -> PathBuf {
    workspace().join("target/interop")
}

#[track_caller]
fn present(name: &str, command: Option<Command>) -> Option<Command> {
    if command.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed; .ci/run should have done it");
        eprintln!("skipped: {name} is not installed");
    }
    command
}
