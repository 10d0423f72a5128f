//! A folder with certificates and a configuration, a broker on it, and the program's own clients.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use primer_harness::certificates::{Authority, write};
use primer_harness::ran::{self, Ran};
use primer_harness::{Broker, Launch};

/// A folder that goes with the test, unless it fails.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("primer-transports-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _none_was_left = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    /// With an authority `ca.pem`, a server's certificate `server.pem` and `server.key` for this machine, and a
    /// client's `van.pem` and `van.key` with the name van7.
    pub(crate) fn with_certificates() -> (Self, Authority) {
        let place = Self::new();
        let mut authority = Authority::new("tests");
        let _path = write(place.path(), "ca.pem", &authority.certificate_pem);
        let _paths = authority.server(&["localhost", "127.0.0.1"]).write(place.path(), "server");
        let _paths = authority.client("van7", Some("Vans")).write(place.path(), "van");
        (place, authority)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file, as an argument.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// Starts a broker with this configuration.
    #[track_caller]
    pub(crate) fn serve(&self, config: &str) -> Broker {
        self.launch(config).start()
    }

    pub(crate) fn launch(&self, config: &str) -> Launch {
        let path = write(self.path(), "primer.toml", config);
        Launch::new().args(&["--config", path.to_str().expect("a path in UTF-8")])
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _it_may_be_gone = fs::remove_dir_all(&self.0);
        }
    }
}

/// Where a listener listens, which the broker says in its log.
#[track_caller]
pub(crate) fn address(broker: &Broker, listener: &str) -> SocketAddr {
    let line = broker.wait_for_line(&format!("({listener})"));
    let word = line.split_ascii_whitespace().map(|word| word.trim_end_matches(',')).find_map(|word| word.parse().ok());
    word.unwrap_or_else(|| panic!("no address in {line:?}"))
}

#[track_caller]
pub(crate) fn port(broker: &Broker, listener: &str) -> String {
    address(broker, listener).port().to_string()
}

/// `primer sub` as a process that ends after one message.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> Ran {
    ran::run(arguments, b"")
}

/// Publishes with these arguments and holds that it went well; a subscriber on the plain listener gets it.
#[track_caller]
pub(crate) fn goes_through(broker: &Broker, arguments: &[&str]) {
    let mut sub = primer_harness::Client::v5(broker.addr(), "sub");
    sub.subscribe("through/#", 1);
    let words = [&["pub", "-q", "1", "-t", "through/1", "-m", "here"][..], arguments].concat();
    let ran = run(&words);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{arguments:?}");
    let got = sub.recv();
    assert_eq!((&*got.topic, &*got.payload), ("through/1", &b"here"[..]));
}

/// Holds that a client with these arguments does not get in.
#[track_caller]
pub(crate) fn stays_out(arguments: &[&str]) -> Ran {
    let ran = run(&[&["pub", "-q", "1", "-t", "through/1", "-m", "x"][..], arguments].concat());
    assert_ne!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran
}
