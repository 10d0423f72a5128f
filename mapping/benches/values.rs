//! What reading and writing a value costs: every message of a rule that asks for its content pays it.

use divan::{Bencher, black_box};
use primer_mapping::bench::{from_cbor, from_json, to_cbor, to_json};

fn main() {
    divan::main();
}

const SMALL: &str = r#"{"celsius": 85.5, "unit":"C", "seq": 12}"#;

const PRECISE: &str = r#"{"id": 18446744073709551615, "value": 3.14159265358979323846264338328}"#;

const NESTED: &str = r#"{"battery":97,"linkquality":116,"position":{"lat":48.1374,"lon":11.5755},"update":{
"state":"idle","installed_version":587765297,"latest_version":587765297},
"readings":[21.5,21.6,21.4,21.5,21.7,21.8,21.6,21.5]}"#;

const ALL: [&str; 3] = [SMALL, PRECISE, NESTED];

#[divan::bench(args = ALL)]
fn read_json(bencher: Bencher<'_, '_>, json: &str) {
    bencher.bench_local(|| from_json(black_box(json.as_bytes())));
}

#[divan::bench(args = ALL)]
fn write_json(bencher: Bencher<'_, '_>, json: &str) {
    let value = from_json(json.as_bytes());
    bencher.bench_local(|| to_json(black_box(&value)));
}

#[divan::bench(args = ALL)]
fn read_cbor(bencher: Bencher<'_, '_>, json: &str) {
    let cbor = to_cbor(&from_json(json.as_bytes()));
    bencher.bench_local(|| from_cbor(black_box(&cbor)));
}

#[divan::bench(args = ALL)]
fn write_cbor(bencher: Bencher<'_, '_>, json: &str) {
    let value = from_json(json.as_bytes());
    bencher.bench_local(|| to_cbor(black_box(&value)));
}
