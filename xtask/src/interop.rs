//! `cargo xtask interop`: the tests with clients that others wrote. Says what they need, and fails if something of it
//! is missing: nothing is skipped.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{check, workspace::Workspace};

/// Something that the tests need.
struct Peer {
    name: &'static str,
    /// A shell line that succeeds where it is there.
    probe: &'static str,
    /// How it gets there.
    install: &'static str,
}

/// Where `.ci/run` puts what is not of the system.
const PEERS: &[Peer] = &[
    Peer {
        name: "mosquitto_pub, mosquitto_sub, mosquitto_rr",
        probe: "command -v mosquitto_pub && command -v mosquitto_sub && command -v mosquitto_rr",
        install: "apt install mosquitto-clients",
    },
    Peer {
        name: "mosquitto (the broker, for the migration)",
        probe: "PATH=$PATH:/usr/sbin command -v mosquitto && PATH=$PATH:/usr/sbin command -v mosquitto_passwd",
        install: "apt install mosquitto",
    },
    Peer {
        name: "paho-mqtt for Python",
        probe: "target/interop/venv/bin/python -c 'import paho.mqtt.client'",
        install: "python3 -m venv target/interop/venv; target/interop/venv/bin/pip install paho-mqtt",
    },
    Peer {
        name: "gmqtt for Python",
        probe: "target/interop/venv/bin/python -c 'import gmqtt'",
        install: "target/interop/venv/bin/pip install gmqtt",
    },
    Peer {
        name: "MQTT.js for Node",
        probe: "command -v node && test -d target/interop/node_modules/mqtt",
        install: "apt install nodejs npm; npm install --prefix target/interop mqtt",
    },
];

/// The test programs that run them.
const TARGETS: &[&str] = &["interop", "migration"];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut missing = Vec::new();
    for peer in PEERS {
        let is_there = is_there(workspace, peer)?;
        println!("{} {}", if is_there { "found  " } else { "missing" }, peer.name);
        if !is_there {
            missing.push(format!("  {}: {}", peer.name, peer.install));
        }
    }
    if !missing.is_empty() {
        bail!(
            "these have to be installed (.ci/run does it, with the versions that are tested):\n{}",
            missing.join("\n")
        );
    }
    for target in TARGETS {
        check::cargo(workspace, &["test", "--package", "primer-tests", "--test", target])?;
    }
    Ok(())
}

fn is_there(workspace: &Workspace, peer: &Peer) -> Result<bool> {
    let status = Command::new("sh")
        .args(["-c", peer.probe])
        .current_dir(workspace.root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(status.success())
}
