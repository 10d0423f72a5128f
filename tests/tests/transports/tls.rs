//! TLS: versions, clients' certificates and their names, server names, and what is refused.

use primer_harness::certificates::{Authority, write};
use primer_harness::{Client, peers};

use crate::fixture::{Place, address, goes_through, port, run, stays_out};

const PLAIN: &str = "[listeners.ssl.default]\nbind = '127.0.0.1:0'\ncertfile = 'server.pem'\nkeyfile = 'server.key'\n";

#[test]
fn clients_come_in_by_tls_of_both_versions() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(PLAIN);
    let (port, authority) = (port(&broker, "ssl:default"), place.arg("ca.pem"));
    for version in ["tlsv1.2", "tlsv1.3"] {
        goes_through(&broker, &["-h", "localhost", "-p", &port, "--cafile", &authority, "--tls-version", version]);
    }
    let foreign = Authority::new("somebody else");
    let foreign = write(place.path(), "foreign.pem", &foreign.certificate_pem);
    stays_out(&["-h", "localhost", "-p", &port, "--cafile", foreign.to_str().unwrap()]);
    stays_out(&["-h", "127.0.0.2", "-p", &port, "--cafile", &authority]); // not a host of the certificate
}

#[test]
fn only_tls_1_3_where_that_is_said() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(&format!("{PLAIN}tls_version = '1.3'\n"));
    let (port, authority) = (port(&broker, "ssl:default"), place.arg("ca.pem"));
    goes_through(&broker, &["-h", "localhost", "-p", &port, "--cafile", &authority]);
    stays_out(&["-h", "localhost", "-p", &port, "--cafile", &authority, "--tls-version", "tlsv1.2"]);
}

#[test]
fn mosquitto_s_clients_come_in_with_and_without_a_certificate() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(&format!("{PLAIN}cafile = 'ca.pem'\nuse_identity_as_username = true\n"));
    let (port, authority) = (port(&broker, "ssl:default"), place.arg("ca.pem"));
    let certified = ["--cert", &*place.arg("van.pem"), "--key", &*place.arg("van.key")].map(str::to_owned);
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("m/#", 1);
    for (topic, more) in [("m/plain", &[][..]), ("m/certified", &certified[..])] {
        let Some(mut command) = peers::mosquitto("mosquitto_pub") else { return };
        command.args(["-h", "localhost", "-p", &port, "--cafile", &authority, "-q", "1", "-t", topic, "-m", "x"]);
        let output = command.args(more).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(sub.recv().topic, topic);
    }
    assert!(broker.wait_for_line("u'van7'").contains("New client connected"));
}

/// The name in a client's certificate is its user name, which rights go by; nobody else gets it with a password.
#[test]
fn a_certificate_says_who_a_client_is() {
    let (place, mut authority) = Place::with_certificates();
    let _path = write(place.path(), "acl", "user van7\ntopic through/#\nuser boat\ntopic boats/#\n");
    let config = format!(
        "{PLAIN}cafile = 'ca.pem'\nrequire_certificate = true\nuse_identity_as_username = true\n\
         [access]\nacl_file = 'acl'\nallow_anonymous = false\nusers = ['sub:secret']\n"
    );
    let _path = write(place.path(), "acl", "user sub\ntopic #\nuser van7\ntopic through/#\n");
    let broker = place.serve(&config);
    let (port, ca) = (port(&broker, "ssl:default"), place.arg("ca.pem"));
    let base = ["-V", "5", "-h", "localhost", "-p", &*port, "--cafile", &*ca];
    let certified = |name: &str| {
        [&base[..], &["--cert", &*place.arg(&format!("{name}.pem")), "--key", &*place.arg(&format!("{name}.key"))]]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<String>>()
    };
    let publish = |words: &[String], topic: &str| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run(&[&["pub", "-q", "1", "-m", "x", "-t", topic][..], &words].concat())
    };
    assert_eq!(publish(&certified("van"), "through/1").code, Some(0));
    let denied = publish(&certified("van"), "boats/1");
    assert!(denied.stderr.to_lowercase().contains("not authori"), "{denied:?}");
    stays_out(&base);
    let _paths = authority.expired_client("van7").write(place.path(), "old");
    assert_ne!(publish(&certified("old"), "through/1").code, Some(0));
    let mut foreign = Authority::new("somebody else");
    let _paths = foreign.client("van7", None).write(place.path(), "forged");
    assert_ne!(publish(&certified("forged"), "through/1").code, Some(0));
    let _line = broker.wait_for_line("TLS:");
}

#[test]
fn the_whole_subject_can_be_the_user_name() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(&format!("{PLAIN}cafile = 'ca.pem'\nuse_subject_as_username = true\n"));
    let (port, ca) = (port(&broker, "ssl:default"), place.arg("ca.pem"));
    let (cert, key) = (place.arg("van.pem"), place.arg("van.key"));
    goes_through(&broker, &["-h", "localhost", "-p", &port, "--cafile", &ca, "--cert", &cert, "--key", &key]);
    let _line = broker.wait_for_line("u'CN=van7,O=Vans'");
}

#[test]
fn a_revoked_certificate_counts_no_more() {
    let (place, mut authority) = Place::with_certificates();
    let (good, bad) = (authority.client("good", None), authority.client("bad", None));
    let _paths = (good.write(place.path(), "good"), bad.write(place.path(), "bad"));
    let _path = write(place.path(), "revoked.pem", &authority.revoke(&[&bad]));
    let config = format!("{PLAIN}cafile = 'ca.pem'\nrequire_certificate = true\ncrlfile = 'revoked.pem'\n");
    let broker = place.serve(&config);
    let (port, ca) = (port(&broker, "ssl:default"), place.arg("ca.pem"));
    let base = ["-h", "localhost", "-p", &*port, "--cafile", &*ca];
    let with = |name: &str| {
        ["--cert", &*place.arg(&format!("{name}.pem")), "--key", &*place.arg(&format!("{name}.key"))].map(str::to_owned)
    };
    let good = with("good");
    let good: Vec<&str> = base.iter().copied().chain(good.iter().map(String::as_str)).collect();
    goes_through(&broker, &good);
    let bad = with("bad");
    let bad: Vec<&str> = base.iter().copied().chain(bad.iter().map(String::as_str)).collect();
    stays_out(&bad);
}

/// One address, several names: a client gets the certificate of the name that it asks for.
#[test]
fn server_names_have_certificates_of_their_own() {
    let (place, _) = Place::with_certificates();
    let mut other = Authority::new("another");
    let _path = write(place.path(), "other-ca.pem", &other.certificate_pem);
    let _paths = other.server(&["*.localhost"]).write(place.path(), "other");
    let config = format!("{PLAIN}certificates = [{{ certfile = 'other.pem', keyfile = 'other.key' }}]\n");
    let broker = place.serve(&config);
    let port = port(&broker, "ssl:default");
    goes_through(&broker, &["-h", "localhost", "-p", &port, "--cafile", &place.arg("ca.pem")]);
    let other = place.arg("other-ca.pem");
    stays_out(&["-h", "localhost", "-p", &port, "--cafile", &other]);
    // Names below localhost lead to this machine where the resolver knows RFC 6761.
    if std::net::ToSocketAddrs::to_socket_addrs(&("a.localhost", 1)).is_ok() {
        goes_through(&broker, &["-h", "a.localhost", "-p", &port, "--cafile", &other]);
    }
}

/// Large messages both ways, more than a socket takes at once: what TLS keeps back is flushed.
#[test]
fn large_messages_go_through_tls() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(PLAIN);
    let (port, ca) = (port(&broker, "ssl:default"), place.arg("ca.pem"));
    let payload: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(place.path().join("payload"), &payload).unwrap();
    let mut keeper = Client::v5(broker.addr(), "keeper");
    keeper.subscribe("big", 1);
    let file = place.arg("payload");
    let tls = ["-h", "localhost", "-p", &*port, "--cafile", &*ca, "-q", "1", "-t", "big"];
    assert_eq!(run(&[&["pub", "-r", "-f", &file][..], &tls].concat()).code, Some(0));
    assert!(keeper.recv().payload == payload, "another payload");
    let mut command = primer_harness::program::command();
    let output = command.args(["sub", "-N", "-C", "1"]).args(tls).output().unwrap();
    assert!(output.status.success() && output.stdout == payload, "{:?}", output.stderr);
}

#[test]
fn what_is_not_tls_is_told_so_in_the_log() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(PLAIN);
    let mut plain = primer_harness::Raw::connect(address(&broker, "ssl:default"));
    plain.send(b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04test");
    let _line = broker.wait_for_line("TLS:");
    stays_out(&["-h", "localhost", "-p", &broker.port().to_string(), "--cafile", &place.arg("ca.pem")]);
    let _line = broker.wait_for_line("this looks like TLS");
}

/// A listener where the certificate is the name: without one a client is nobody, whatever it calls itself, and one
/// whose certificate has no name does not come in.
#[test]
fn nobody_is_somebody_by_saying_so() {
    let (place, mut authority) = Place::with_certificates();
    let _path = write(place.path(), "acl", "topic read through/#\ntopic write through/#\nuser van7\ntopic vans/van7\n");
    let _paths = authority.client("", Some("Vans")).write(place.path(), "nameless");
    let config = "cafile = 'ca.pem'\nuse_identity_as_username = true\n[access]\nacl_file = 'acl'\n";
    let broker = place.serve(&format!("{PLAIN}{config}"));
    let (port, ca) = (port(&broker, "ssl:default"), place.arg("ca.pem"));
    let base = ["-V", "5", "-h", "localhost", "-p", &*port, "--cafile", &*ca, "-q", "1", "-m", "x"];
    let publish = |more: &[&str]| run(&[&["pub"][..], &base, more].concat());
    let (cert, key) = (place.arg("van.pem"), place.arg("van.key"));
    let with_certificate = publish(&["-t", "vans/van7", "--cert", &cert, "--key", &key]);
    assert_eq!((with_certificate.code, &*with_certificate.stderr), (Some(0), ""));
    let liar = publish(&["-t", "vans/van7", "-u", "van7", "-P", "x"]);
    assert!(liar.stderr.to_lowercase().contains("not authori"), "{liar:?}");
    let (cert, key) = (place.arg("nameless.pem"), place.arg("nameless.key"));
    let nameless = publish(&["-t", "through/1", "-u", "van7", "--cert", &cert, "--key", &key]);
    assert_ne!(nameless.code, Some(0), "{nameless:?}");
    let _line = broker.wait_for_line("has no name");
}
