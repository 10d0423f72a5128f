//! What keeps a broker from starting: one clear error, with the listener, the file and what to do.

use primer_harness::certificates::Authority;

use crate::fixture::Place;

#[track_caller]
fn does_not_start(place: &Place, config: &str, words: &[&str]) {
    let story = place.launch(config).try_start().unwrap_err();
    for word in words {
        assert!(story.contains(word), "no {word:?} in: {story}");
    }
    assert!(!story.contains("panicked"), "{story}");
    // And whoever asks first is told the same.
    let path = place.arg("primer.toml");
    let checked = primer_harness::ran::run(&["config", "check", "--config", &path], b"");
    assert_eq!(checked.code, Some(1), "{checked:?}");
    for word in words {
        assert!(checked.stderr.contains(word), "no {word:?} in: {checked:?}");
    }
}

fn ssl(certificate: &str, key: &str) -> String {
    format!("[listeners.ssl.default]\nbind = '127.0.0.1:0'\ncertfile = '{certificate}'\nkeyfile = '{key}'\n")
}

#[test]
fn files_of_tls_that_cannot_be_used_are_named() {
    let (place, mut authority) = Place::with_certificates();
    let _paths = authority.server(&["localhost"]).write(place.path(), "other");
    std::fs::write(place.path().join("empty.pem"), "").unwrap();
    std::fs::write(place.path().join("noise.pem"), b"\x30\x82\x01\x02binary").unwrap();
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(place.path().join("locked.key"), locked).unwrap();
    does_not_start(&place, &ssl("missing.pem", "server.key"), &["listeners.ssl.default.certfile", "missing.pem"]);
    does_not_start(&place, &ssl("empty.pem", "server.key"), &["ssl:default", "empty.pem", "certificate"]);
    does_not_start(&place, &ssl("noise.pem", "server.key"), &["ssl:default", "noise.pem", "PEM"]);
    does_not_start(&place, &ssl("server.pem", "other.key"), &["ssl:default", "other.key"]);
    does_not_start(&place, &ssl("server.pem", "locked.key"), &["locked.key", "openssl pkey"]);
    does_not_start(&place, &ssl("server.pem", "server.pem"), &["server.pem", "key"]);
    let authorities =
        format!("{}cafile = 'missing-ca.pem'\nrequire_certificate = true\n", ssl("server.pem", "server.key"));
    does_not_start(&place, &authorities, &["listeners.ssl.default.cafile", "missing-ca.pem"]);
}

/// A certificate that has run out is the client's to refuse: a gateway whose clock is wrong must not stay down.
#[test]
fn a_certificate_that_has_run_out_is_a_warning() {
    let (place, mut authority) = Place::with_certificates();
    let _paths = authority.expired_server(&["localhost"]).write(place.path(), "old");
    let broker = place.serve(&ssl("old.pem", "old.key"));
    let _line = broker.wait_for_line("2001");
    drop(broker);
    drop(Authority::new("unused"));
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = format!("[listeners.tcp.second]\nbind = '{address}'\n");
    let story = place.launch(&config).try_start().unwrap_err();
    for word in ["tcp:second", &address.to_string(), "ss -tlnp"] {
        assert!(story.contains(word), "no {word:?} in: {story}");
    }
    let story = place.launch("[listeners.tcp.far]\nbind = '192.0.2.1:1883'\n").try_start().unwrap_err();
    assert!(story.contains("tcp:far") && story.contains("192.0.2.1:1883"), "{story}");
}

#[test]
fn a_file_of_passwords_or_rights_that_is_wrong_is_named_with_its_line() {
    let place = Place::new();
    std::fs::write(place.path().join("passwords"), "# users\nboat:plain\n").unwrap();
    std::fs::write(place.path().join("acl"), "user van\ntopic reed a/#\n").unwrap();
    does_not_start(&place, "[access]\npassword_file = 'passwords'\n", &["passwords", "line 2", "primer passwd -U"]);
    does_not_start(&place, "[access]\npassword_file = 'gone'\n", &["gone"]);
    does_not_start(&place, "[access]\nacl_file = 'acl'\n", &["acl", "line 2", "reed"]);
}

#[test]
fn a_data_directory_that_cannot_be_one_is_named() {
    let place = Place::new();
    std::fs::write(place.path().join("file"), "mine").unwrap();
    does_not_start(&place, "[storage]\ndirectory = 'file'\n", &["data directory", "file"]);
}

#[test]
fn a_wrong_configuration_is_told_all_at_once() {
    let place = Place::new();
    let config = "[mqtt]\nmax_qos = 3\nmax_pcket_size = '1M'\n[listeners.ssl.x]\nbind = '127.0.0.1:0'\n";
    does_not_start(&place, config, &["primer.toml:2", "primer.toml:3", "max_packet_size", "certfile"]);
    does_not_start(&place, "[mqtt\nmax_qos = 1\n", &["primer.toml:1"]);
}
