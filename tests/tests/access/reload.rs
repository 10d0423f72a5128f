//! Who is connected when a reload changes who may connect.

use std::fs;

use primer_devices::passwords::{Hash, Kind};
use primer_harness::{Broker, Client, Launch};

use crate::place::Place;

fn line(user: &str, password: &str) -> String {
    let hash = Hash::new(Kind::Pbkdf2 { iterations: 101 }, password.as_bytes(), b"0123456789ab").expect("a hash");
    format!("{user}:{hash}\n")
}

fn write(place: &Place, config: &str, users: &[String]) {
    fs::write(place.path("users"), users.concat()).expect("a password file");
    fs::write(place.path("primer.toml"), format!("[access]\npassword_file = 'users'\n{config}")).expect("a file");
}

fn connect(broker: &Broker, name: &str, password: &str) -> Client {
    Client::v5_with(broker.addr(), name, |connect| connect.user(name).password(password.as_bytes()))
}

/// As in mosquitto: who has been taken out is disconnected. All others stay, also those whose line is another now: a
/// script that writes the whole file anew gives each its new salt.
#[test]
fn who_would_not_be_let_in_any_more_is_disconnected() {
    let place = Place::new();
    let users = [line("kept", "1"), line("changed", "2"), line("removed", "3")];
    write(&place, "users = ['listed:4', 'unlisted:5']\n", &users);
    let mut broker = Launch::new().args(&["--config", &place.path("primer.toml")]).start();
    let names = [("kept", "1"), ("changed", "2"), ("removed", "3"), ("listed", "4"), ("unlisted", "5")];
    let [mut kept_one, mut changed_one, mut removed_one, mut listed_one, mut unlisted_one] =
        names.map(|(name, password)| connect(&broker, name, password));
    // An older client cannot be told, and is disconnected all the same.
    let mut old = Client::v311_with(broker.addr(), "old", |connect| connect.user("removed").password(b"3"));

    write(&place, "users = ['listed:4']\n", &[line("changed", "other"), line("kept", "1")]);
    broker.hang_up_and_wait("Reloaded; 2 users");
    for gone in [&mut removed_one, &mut unlisted_one] {
        assert_eq!(gone.expect_closed(), Some(0x87));
    }
    assert_eq!(old.expect_closed(), None);
    for stays in [&mut kept_one, &mut changed_one, &mut listed_one] {
        stays.ping();
    }
    let _line = broker.wait_for_line("is not let in any more, and is disconnected");
    connect(&broker, "changed", "other").ping();
}

#[test]
fn guests_are_disconnected_when_guests_are_not_let_in_any_more() {
    let place = Place::new();
    write(&place, "allow_anonymous = true\n", &[line("alice", "1")]);
    let mut broker = Launch::new().args(&["--config", &place.path("primer.toml")]).start();
    let (mut guest, mut alice) = (Client::v5(broker.addr(), "guest"), connect(&broker, "alice", "1"));
    write(&place, "allow_anonymous = false\n", &[line("alice", "1")]);
    broker.hang_up_and_wait("Reloaded; 1 users");
    assert_eq!(guest.expect_closed(), Some(0x87));
    alice.ping();
}
