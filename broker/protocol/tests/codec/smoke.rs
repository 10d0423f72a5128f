//! The fuzz targets for a bounded number of inputs: the committed corpus, valid packets with bytes changed, and noise.
//! The open-ended run is cargo-fuzz's, in `tests/fuzz`.

#![expect(clippy::disallowed_methods, reason = "the corpus is files; the crate under test reads none")]

use crate::{
    generate::{Sample, Source, VERSIONS, kinds},
    targets,
};
use primer_mqtt::{
    Version,
    codec::{Role, encode},
};
use std::{env, fs, path::PathBuf};

const MUTATIONS: usize = 30_000;

/// splitmix64: the same inputs in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        let [byte, ..] = self.next().to_le_bytes();
        byte
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// One to four small changes: a bit, a byte, a piece taken out, doubled or cut off.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            let len = self.below(8).min(bytes.len() - at);
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.byte(),
                2 => bytes[at] = [0x00, 0x7F, 0x80, 0xFF][self.below(4)],
                3 => drop(bytes.drain(at..at + len)),
                4 => {
                    let piece = bytes[at..at + len].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => bytes.truncate(at),
            }
        }
    }
}

fn target(role: Role) -> fn(&[u8]) {
    match role {
        Role::Client => targets::decode_server,
        Role::Server => targets::decode_client,
    }
}

/// The choice of a version in the first byte of an input (see `targets::decode_server`); CONNECT comes before it.
fn choice(version: Version, bytes: &[u8]) -> u8 {
    match version {
        _ if bytes.first().is_some_and(|first| first >> 4 == 1) => 0,
        Version::V31 => 1,
        Version::V311 => 2,
        Version::V5 => 3,
    }
}

/// A stream of one to three valid packets of `sender`.
fn stream(sender: Role, version: Version, random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(3) {
        let kinds = kinds(sender, version);
        let kind = kinds[random.below(kinds.len())];
        let sample = Sample::new(kind, version, sender, &mut Source::new(&random.bytes(120)));
        encode(&sample.packet(), version, &mut bytes).unwrap();
    }
    [vec![choice(version, &bytes), 0], bytes].concat()
}

#[test]
fn mutated_packets_never_panic() {
    let mut random = Random(1);
    for _ in 0..MUTATIONS {
        let version = VERSIONS[random.below(3)];
        let sender = [Role::Client, Role::Server][random.below(2)];
        let mut bytes = stream(sender, version, &mut random);
        target(sender)(&bytes);
        random.mutate(&mut bytes);
        target(sender)(&bytes);
    }
}

#[test]
fn noise_never_panics() {
    let mut random = Random(2);
    for _ in 0..MUTATIONS {
        let len = random.below(80);
        let bytes = random.bytes(len);
        targets::decode_server(&bytes);
        targets::decode_client(&bytes);
        targets::roundtrip(&bytes);
    }
}

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target)
}

/// The seeds: one packet of each type, version and sender, small.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut random = Random(3);
    for version in VERSIONS {
        for sender in [Role::Client, Role::Server] {
            for kind in kinds(sender, version) {
                let choices = random.bytes(60);
                let sample = Sample::new(kind, version, sender, &mut Source::new(&choices));
                let mut bytes = Vec::new();
                encode(&sample.packet(), version, &mut bytes).unwrap();
                let target = if sender == Role::Client { "decode_server" } else { "decode_client" };
                let name = format!("{kind:?}-{version:?}").to_lowercase();
                if bytes.len() < 400 {
                    seeds.push((target, name, [vec![choice(version, &bytes), 0], bytes].concat()));
                }
            }
        }
    }
    for at in 0..24 {
        seeds.push(("roundtrip", format!("choices-{at:02}"), random.bytes(20 + 8 * at)));
    }
    seeds
}

/// `PRIMER_WRITE_CORPUS=1` writes the seeds; without it they have to be there, as they are made.
#[test]
fn the_corpus_has_the_seeds() {
    for (target, name, bytes) in seeds() {
        let path = corpus(target).join(name);
        if env::var_os("PRIMER_WRITE_CORPUS").is_some() {
            fs::create_dir_all(corpus(target)).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(fs::read(&path).ok(), Some(bytes), "{}", path.display());
    }
}

#[test]
fn the_corpus_never_panics() {
    for name in ["decode_server", "decode_client", "roundtrip"] {
        let target = match name {
            "decode_server" => targets::decode_server,
            "decode_client" => targets::decode_client,
            _ => targets::roundtrip,
        };
        let mut random = Random(4);
        let mut files = 0;
        for entry in fs::read_dir(corpus(name)).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            target(&bytes);
            for _ in 0..200 {
                let mut changed = bytes.clone();
                random.mutate(&mut changed);
                target(&changed);
            }
            files += 1;
        }
        assert!(files >= 20, "{name} has {files} seeds");
    }
}
