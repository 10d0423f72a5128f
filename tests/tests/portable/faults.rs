//! Dumps that are not as they were written, and directories that are not free: refused, and nothing is changed.

use std::fs;
use std::path::Path;

use primer_harness::Client;

use crate::fixture::{Place, content, files, primer, primer_with, serve, small_store, stop};

/// A store, and its dump.
fn dumped(place: &Place) -> Vec<u8> {
    let data = place.arg("data");
    small_store(&data, "s", 20);
    primer(&["dump", "--data", &data]).good().stdout
}

/// Restores into a fresh directory by a file and by a stream: both refuse it, and leave nothing.
#[track_caller]
pub(crate) fn refused(place: &Place, dump: &[u8], texts: &[&str]) {
    let (file, target) = (place.arg("bad"), place.arg("target"));
    fs::write(&file, dump).expect("a file");
    primer(&["restore", "--data", &target, &file]).failed_with(texts);
    assert!(files_of(&place.path("target")).is_empty(), "something was written");
    primer_with(&["restore", "--data", &target, "-"], dump).failed_with(texts);
    assert!(files_of(&place.path("target")).is_empty(), "something was left");
}

fn files_of(directory: &Path) -> Vec<std::path::PathBuf> {
    if !directory.exists() {
        return Vec::new();
    }
    files(directory).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn a_dump_that_was_cut_off_is_refused_wherever_it_was_cut() {
    let place = Place::new();
    let dump = dumped(&place);
    let end = dump.len() - 1; // the line end of the last line does not count
    for len in [end - 1, end - 20, end - 100, dump.len() / 2, 200] {
        refused(&place, &dump[..len], &["cut off", "get it anew"]);
    }
    refused(&place, b"", &["no dump of Primer"]);
    // Whole lines only.
    let lines: Vec<&[u8]> = dump.split_inclusive(|byte| *byte == b'\n').collect();
    refused(&place, &lines[..lines.len() - 1].concat(), &["cut off", "after line 24"]);
    refused(&place, &[&lines[..3], &lines[4..]].concat().concat(), &["altered", "checksum"]);
    primer_with(&["restore", "--data", &place.arg("target"), "-"], &dump[..end]).good();
}

#[test]
fn a_dump_that_was_altered_is_refused() {
    let place = Place::new();
    let dump = dumped(&place);
    let text = String::from_utf8(dump.clone()).expect("text");
    refused(&place, text.replace("small/t", "small/u").as_bytes(), &["altered", "checksum"]);
    refused(&place, text.replace("\"sessions\":1", "\"sessions\":2").as_bytes(), &["altered", "1 sessions", "says 2"]);
    refused(&place, &[&dump[..], &dump[..]].concat(), &["comes after the last line"]);
    let packed = place.arg("packed.gz");
    primer(&["dump", "--data", &place.arg("data"), "--compress", &packed]).good();
    let mut packed = fs::read(packed).expect("the packed dump");
    refused(&place, &packed[..packed.len() - 9], &["cut off"]);
    let middle = packed.len() / 2;
    packed[middle] ^= 0x10;
    primer_with(&["restore", "--data", &place.arg("target"), "-"], &packed).failed_with(&["nothing was restored"]);
}

#[test]
fn bad_lines_are_told_with_their_number_and_what_was_expected() {
    let place = Place::new();
    let header = r#"{"primer_dump":{"format":1,"program":"0","time":"","incarnation":0}}"#;
    let session = |id: &str| {
        format!(r#"{{"session":{{"client_id":"{id}","expiry_s":null,"gone_unix_ms":1,"subscriptions":[]}}}}"#)
    };
    let message = |to: &str| format!(r#"{{"message":{{"sequence":1,"topic":"t","payload":"","to":[{to}]}}}}"#);
    let to_session = |id: &str, qos: u8| {
        message(&format!(r#"{{"session":{{"client_id":"{id}","position":0,"qos":{qos},"retain":false}}}}"#))
    };
    let retained = message(r#"{"retained":{"position":0,"qos":1}}"#);
    for (lines, texts) in [
        (vec!["hello"], vec!["no dump of Primer", "`hello`"]),
        (vec!["{}"], vec!["no dump of Primer", "expected {\"primer_dump\""]),
        (vec![&*header.replace("1,", "9,")], vec!["format 9", "newer"]),
        (vec![header, "garbage"], vec!["line 2", "expected", "JSON"]),
        (vec![header, "{\"what\":1}"], vec!["line 2", "unknown variant `what`"]),
        (vec![header, &session("a"), &session("a")], vec!["line 3", "\"a\"", "once in a dump"]),
        (vec![header, &session("")], vec!["line 2", "client_id"]),
        (vec![header, &to_session("a", 1)], vec!["line 2", "no session of \"a\"", "expected a session"]),
        (vec![header, &session("a"), &to_session("a", 3)], vec!["line 3", "QoS 3", "0, 1 or 2"]),
        (vec![header, &retained.replace("\"t\"", "\"t/#\"")], vec!["line 2", "wildcard", "topic name"]),
        (vec![header, &retained.replace("\"\"", "\"?\"")], vec!["line 2", "base64"]),
        (vec![header, &retained.replace("\"payload\":\"\",", "")], vec!["line 2", "missing field `payload`"]),
        (
            vec![header, &retained.replace("\"payload\"", "\"color\":1,\"payload\"")],
            vec!["line 2", "unknown field `color`"],
        ),
        (vec![header, &message("")], vec!["line 2", "goes nowhere"]),
        (vec![header, header], vec!["line 2", "second first line"]),
    ] {
        // Its last line is right: what is wrong is what the lines say.
        let body = lines.join("\n") + "\n";
        let end = format!(
            "{{\"end\":{{\"sessions\":0,\"messages\":0,\"left_out\":0,\"crc32c\":\"{:08x}\"}}}}\n",
            crc32c(body.as_bytes())
        );
        refused(&place, (body + &end).as_bytes(), &texts);
    }
}

/// CRC-32C, bit by bit.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn a_directory_with_a_store_or_a_broker_is_not_restored_into() {
    let place = Place::new();
    let dump = dumped(&place);
    let file = place.arg("dump");
    fs::write(&file, &dump).expect("a file");
    let other = place.arg("other");
    small_store(&other, "there", 1);
    let before = files(&place.path("other"));
    primer(&["restore", "--data", &other, &file]).failed_with(&[
        "not empty",
        "1 sessions, 0 queues, 0 tables and 3 messages",
        "--merge",
    ]);
    assert!(before == files(&place.path("other")), "a refused restore changes nothing");
    let broker = serve(&other);
    for args in [
        vec!["dump", "--data", &other],
        vec!["restore", "--data", &other, &file],
        vec!["restore", "--merge", "--data", &other, &file],
        vec!["store", "check", "--data", &other],
        vec!["store", "stats", "--data", &other],
        vec!["store", "compact", "--data", &other],
    ] {
        primer(&args).failed_with(&["in use by another process", &other]);
    }
    Client::v5(broker.addr(), "alive").ping();
    stop(broker);
    for args in [vec!["dump"], vec!["store", "check"], vec!["store", "stats"], vec!["store", "compact"]] {
        let nowhere = place.arg("nowhere");
        primer(&[&args[..], &["--data", &nowhere]].concat()).failed_with(&["no store in", &nowhere]);
        assert!(!place.path("nowhere").exists(), "looking made a directory");
    }
    // A store that a broker has begun and that holds nothing is as good as none.
    let empty = place.arg("empty");
    stop(serve(&empty));
    primer(&["restore", "--data", &empty, &file]).good();
    assert_eq!(content(&primer(&["dump", "--data", &empty]).good().stdout), content(&dump));
}

/// What cannot be written leaves no file of that name.
#[test]
fn a_dump_that_fails_leaves_no_file() {
    let place = Place::new();
    let _dump = dumped(&place);
    let file = place.arg("missing/dump");
    primer(&["dump", "--data", &place.arg("data"), &file]).failed_with(&["cannot write", "missing/dump"]);
    let target = place.arg("target");
    let dump = primer(&["dump", "--data", &place.arg("data")]).good().stdout;
    let too_large = String::from_utf8(dump).expect("text");
    primer_with(&["restore", "--data", &target, "--disk-limit", "1M", "-"], too_large.as_bytes())
        .failed_with(&["too little"]);
}
