//! Unix sockets.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use crate::fixture::{Place, goes_through};

const CONFIG: &str = "[listeners.unix.local]\nbind = 'primer.sock'\nmode = '0660'\n";

#[test]
fn clients_come_in_by_a_unix_socket_which_goes_with_the_broker() {
    let place = Place::new();
    let mut broker = place.serve(CONFIG);
    let path = place.arg("primer.sock");
    goes_through(&broker, &["--unix", &path]);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    broker.restart(); // kill -9: the socket was left, and is replaced
    goes_through(&broker, &["--unix", &path]);
    broker.terminate();
    assert!(broker.wait(primer_harness::TIMEOUT).is_some_and(|status| status.success()));
    assert!(!std::path::Path::new(&path).exists());
}

/// Whoever reaches the socket is of this machine, and may give commands.
#[test]
fn commands_are_taken_by_a_unix_socket() {
    let place = Place::new();
    let broker = place.serve(CONFIG);
    let mut stream = UnixStream::connect(place.arg("primer.sock")).unwrap();
    stream.set_read_timeout(Some(primer_harness::TIMEOUT)).unwrap();
    stream.write_all(b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04unix").unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    let request = br#"{"commands":[{"command":"listQueues"}]}"#;
    let mut publish = vec![0x32, 0, 0, 17];
    publish.extend_from_slice(b"$CONTROL/queue/v1\0\x01");
    publish.extend_from_slice(request);
    publish[1] = u8::try_from(publish.len() - 2).unwrap();
    stream.write_all(&publish).unwrap();
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x40, 2, 0, 1]);
    drop(broker);
}

#[test]
fn a_file_in_the_way_is_left_alone() {
    let place = Place::new();
    std::fs::write(place.path().join("primer.sock"), "mine").unwrap();
    let story = place.launch(CONFIG).try_start().unwrap_err();
    assert!(story.contains("unix:local") && story.contains("primer.sock") && story.contains("no socket"), "{story}");
    assert_eq!(std::fs::read_to_string(place.path().join("primer.sock")).unwrap(), "mine");
}
