//! Proxies that say where a client comes from.

use primer_harness::Raw;

use crate::fixture::{Place, address, stays_out};

const CONNECT: &[u8] = b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04test";

#[test]
fn a_proxy_says_where_a_client_comes_from() {
    let place = Place::new();
    let broker = place.serve("[listeners.tcp.behind]\nbind = '127.0.0.1:0'\nproxies = ['127.0.0.1']\n");
    let address = address(&broker, "tcp:behind");
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\xc0\0\x02\x01\x12\x67\x07\x5b";
    for (header, from) in [
        (&b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n"[..], "192.0.2.7:4711"),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 1883\r\n", "[2001:db8::7]:4711"),
        (v2, "192.0.2.9:4711"),
    ] {
        let mut client = Raw::connect(address);
        client.send_bytewise(&[header, CONNECT].concat());
        assert_eq!(client.recv_packet().unwrap(), [0x20, 2, 0, 0]);
        let _line = broker.wait_for_line(&format!("New client connected from {from} as test"));
    }
    let mut bare = Raw::connect(address);
    bare.send(CONNECT);
    bare.expect_closed();
    let _line = broker.wait_for_line("send-proxy-v2");
}

/// Otherwise anybody could say to be of this machine.
#[test]
fn only_the_proxies_that_are_named_may_say_so() {
    let place = Place::new();
    let broker = place.serve("[listeners.tcp.behind]\nbind = '127.0.0.1:0'\nproxies = ['192.0.2.0/24']\n");
    let mut client = Raw::connect(address(&broker, "tcp:behind"));
    client.send(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n");
    client.expect_closed();
    let _line = broker.wait_for_line("none of the proxies");
    // And on a listener without proxies a header is no MQTT.
    let mut client = Raw::connect(broker.addr());
    client.send(&[b"PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n", CONNECT].concat());
    client.expect_closed();
    let _line = broker.wait_for_line("this looks like a PROXY header");
}

/// The header comes before TLS, as proxies that pass TLS through send it.
#[test]
fn the_header_stands_before_tls() {
    let (place, _) = Place::with_certificates();
    let config = "[listeners.ssl.behind]\nbind = '127.0.0.1:0'\ncertfile = 'server.pem'\nkeyfile = 'server.key'\n\
                  proxies = ['127.0.0.0/8']\n";
    let broker = place.serve(config);
    let inner = address(&broker, "ssl:behind");
    // A proxy of one connection.
    let outer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outer.local_addr().unwrap().port().to_string();
    let proxy = std::thread::spawn(move || {
        use std::io::Write;
        let (client, _) = outer.accept().unwrap();
        let mut server = std::net::TcpStream::connect(inner).unwrap();
        server.write_all(b"PROXY TCP4 198.51.100.3 192.0.2.1 5 8883\r\n").unwrap();
        let (mut a, mut b) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let up = std::thread::spawn(move || drop(std::io::copy(&mut a, &mut b)));
        let (mut a, mut b) = (client, server);
        let _until_it_closes = std::io::copy(&mut b, &mut a);
        let _it_is_over = a.shutdown(std::net::Shutdown::Both);
        up.join().unwrap();
    });
    crate::fixture::goes_through(&broker, &["-h", "localhost", "-p", &port, "--cafile", &place.arg("ca.pem")]);
    let _line = broker.wait_for_line("New client connected from 198.51.100.3:5");
    proxy.join().unwrap();
    stays_out(&["-h", "localhost", "-p", &inner.port().to_string(), "--cafile", &place.arg("ca.pem")]);
}
