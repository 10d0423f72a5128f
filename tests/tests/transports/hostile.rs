//! Who opens connections and says little, nothing, or nonsense, on every transport: it is closed in time, costs bounded
//! memory, and others are served meanwhile.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use primer_harness::{Broker, Client, TIMEOUT};

use crate::fixture::{Place, address};

const CONFIG: &str = "[mqtt]\nconnect_timeout = '2s'\n\
    [listeners.ssl.default]\nbind = '127.0.0.1:0'\ncertfile = 'server.pem'\nkeyfile = 'server.key'\n\
    [listeners.ws.default]\nbind = '127.0.0.1:0'\n\
    [listeners.wss.default]\nbind = '127.0.0.1:0'\ncertfile = 'server.pem'\nkeyfile = 'server.key'\n\
    [listeners.tcp.behind]\nbind = '127.0.0.1:0'\nproxies = ['127.0.0.1']\n";

/// What each transport begins with, cut off before its end.
fn beginnings(broker: &Broker) -> Vec<(&'static str, SocketAddr, Vec<u8>)> {
    // A record of TLS that says to be longer than what comes.
    let hello = [&[0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3][..], &[7; 60]].concat();
    let request = b"GET /mqtt HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".to_vec();
    vec![
        ("tcp", broker.addr(), b"\x10\x10\0\x04MQTT\x04".to_vec()),
        ("ssl", address(broker, "ssl:default"), hello.clone()),
        ("ws", address(broker, "ws:default"), request),
        ("wss", address(broker, "wss:default"), hello),
        ("proxy", address(broker, "tcp:behind"), b"PROXY TCP4 192.0.2.1 ".to_vec()),
    ]
}

/// Whether the broker closes the connection; bytes that come before are nobody's.
fn closes(stream: &mut TcpStream, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    let mut sink = [0; 1024];
    loop {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        match stream.read(&mut sink) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                if Instant::now() > deadline {
                    return false;
                }
            }
            Err(_) => return true,
        }
    }
}

#[test]
fn a_beginning_without_an_end_is_closed_and_others_are_served() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(CONFIG);
    let mut held = Vec::new();
    for (name, address, beginning) in beginnings(&broker) {
        for length in [0, 1, beginning.len()] {
            for _ in 0..20 {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(&beginning[..length]).unwrap();
                held.push((name, length, stream));
            }
        }
    }
    let mut client = Client::v5(broker.addr(), "served");
    client.subscribe("x", 1);
    assert_eq!(client.publish("x", "y", 1), 0);
    client.recv();
    for (name, length, stream) in &mut held {
        assert!(closes(stream, TIMEOUT), "{name} after {length} bytes");
    }
    client.ping();
}

/// A byte now and then keeps no connection open: the time is for all of what comes before the session.
#[test]
fn slow_bytes_do_not_help() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(CONFIG);
    let slow = beginnings(&broker).into_iter().map(|(name, address, beginning)| {
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let deadline = Instant::now() + TIMEOUT;
            for byte in beginning.iter().cycle() {
                if stream.write_all(&[*byte]).is_err() || closes(&mut stream, Duration::from_millis(50)) {
                    return;
                }
                assert!(Instant::now() < deadline, "{name}: still open");
            }
        })
    });
    for thread in slow.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    Client::v5(broker.addr(), "served").ping();
}

#[test]
fn noise_is_closed_on_every_transport() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(CONFIG);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..length).map(|_| byte()).collect()
    };
    for (name, address, _) in beginnings(&broker) {
        for length in [1, 2, 7, 100, 20_000] {
            let mut stream = TcpStream::connect(address).unwrap();
            let _it_may_be_closed_already = stream.write_all(&noise(length));
            assert!(closes(&mut stream, TIMEOUT), "{name}: {length} bytes");
        }
    }
    Client::v5(broker.addr(), "served").ping();
    assert!(!broker.stderr().contains("panicked"), "{}", broker.stderr());
}

/// Bytes of memory that are the process's own.
fn resident(broker: &Broker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// A frame may claim any length: nothing is kept of it before it is a packet that is allowed. And headers have an end.
#[test]
fn what_is_claimed_costs_nothing() {
    let (place, _) = Place::with_certificates();
    let broker = place.serve(CONFIG);
    let ws = address(&broker, "ws:default");
    let before = resident(&broker);
    let mut held = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(ws).unwrap();
        stream
            .write_all(
                b"GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                  Sec-WebSocket-Protocol: mqtt\r\n\r\n",
            )
            .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        // A frame of 2^40 bytes, of which CONNECT comes, and then a PUBLISH that claims 256 MB.
        stream.write_all(&[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        stream.write_all(b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0").unwrap();
        stream.write_all(b"\x30\xff\xff\xff\x7f\0\x01a").unwrap();
        held.push(stream);
    }
    for stream in &mut held {
        assert!(closes(stream, TIMEOUT), "a packet that is too large was waited for");
    }
    let mut endless = TcpStream::connect(ws).unwrap();
    let line = [b"X-Filler: ".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
    let _until_it_is_closed = endless.write_all(b"GET /mqtt HTTP/1.1\r\n");
    for _ in 0..1000 {
        if endless.write_all(&line).is_err() {
            break;
        }
    }
    assert!(closes(&mut endless, TIMEOUT));
    let grown = resident(&broker).saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes");
    Client::v5(broker.addr(), "served").ping();
}

/// A wrong password is slowed down after a few, for its address alone, and the right one is let in.
#[test]
fn who_guesses_passwords_has_to_wait() {
    let place = Place::new();
    let config = "[access]\nallow_anonymous = false\nusers = ['van:secret']\n\
                  [listeners.tcp.behind]\nbind = '127.0.0.1:0'\nproxies = ['127.0.0.1']\n";
    let broker = place.serve(config);
    let behind = address(&broker, "tcp:behind");
    let try_it = |from: &str, password: &str| {
        let mut stream = TcpStream::connect(behind).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let head = format!("PROXY TCP4 {from} 192.0.2.1 1 1\r\n");
        let rest = [&b"\0\x04MQTT\x04\xc2\0\x3c\0\x01c\0\x03van\0\x06"[..], password.as_bytes()].concat();
        let connect = [&[0x10, u8::try_from(rest.len()).unwrap()][..], &rest].concat();
        stream.write_all(&[head.as_bytes(), &connect].concat()).unwrap();
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).unwrap();
        connack[3]
    };
    for _ in 0..5 {
        assert_eq!(try_it("192.0.2.66", "wrong!"), 4);
    }
    assert!(!broker.stderr().contains("waits"), "the first are free");
    assert_eq!(try_it("192.0.2.66", "wrong!"), 4);
    let _line = broker.wait_for_line("192.0.2.66 waits");
    assert_eq!(try_it("192.0.2.7", "secret"), 0, "another address does not wait");
    assert!(!broker.stderr().contains("192.0.2.7 waits"));
    assert_eq!(try_it("192.0.2.66", "secret"), 0, "and the right password is let in after the wait");
}

/// CONNECT with a user name and a password; the answer's code, or nothing where the connection is closed without one.
fn connect(address: SocketAddr, head: &str, user: &str, password: &str) -> Option<u8> {
    let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let rest = [&b"\0\x04MQTT\x04\xc2\0\x3c"[..], &text("c"), &text(user), &text(password)].concat();
    let packet = [&[0x10, u8::try_from(rest.len()).unwrap()][..], &rest].concat();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(&[head.as_bytes(), &packet].concat()).unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).ok().map(|()| connack[3])
}

/// A plant behind one address, one device of which has an old password and tries for ever: the others, who have been
/// there before, come in at once. And the success of one is no excuse for the guesses of another.
#[test]
fn who_was_let_in_before_does_not_wait_for_others() {
    let place = Place::new();
    let broker = place.serve("[access]\nallow_anonymous = false\nusers = ['van:secret', 'boat:other']\n");
    let try_it = |user: &str, password: &str| connect(broker.addr(), "", user, password);
    assert_eq!(try_it("van", "secret"), Some(0));
    for _ in 0..5 {
        assert_eq!(try_it("old", "wrong!"), Some(4));
    }
    assert_eq!(try_it("van", "secret"), Some(0));
    assert!(!broker.stderr().contains("waits"), "{}", broker.stderr());
    assert_eq!(try_it("boat", "other"), Some(0));
    let _line = broker.wait_for_line("waits");
}

/// An exchange that is broken off is no right password: it does not have the wrong ones forgotten.
#[test]
fn a_broken_off_exchange_is_no_success() {
    let place = Place::new();
    let broker = place.serve("[access]\nallow_anonymous = false\nusers = ['van:secret']\n");
    for _ in 0..4 {
        assert_eq!(connect(broker.addr(), "", "van", "wrong!"), Some(4));
        let mut stream = TcpStream::connect(broker.addr()).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let data = b"n,,n=van,r=abcdefghijklmnop";
        let method = b"SCRAM-SHA-256";
        let properties = [&[0x15, 0, 13][..], method, &[0x16, 0, 27], data].concat();
        let length = u8::try_from(properties.len()).unwrap();
        let rest = [&b"\0\x04MQTT\x05\x02\0\x3c"[..], &[length], &properties, b"\0\x01s"].concat();
        stream.write_all(&[&[0x10, u8::try_from(rest.len()).unwrap()][..], &rest].concat()).unwrap();
        let mut auth = [0; 2];
        stream.read_exact(&mut auth).unwrap();
        assert_eq!(auth[0], 0xf0, "AUTH");
    }
    assert_eq!(connect(broker.addr(), "", "van", "wrong!"), Some(4));
    assert_eq!(connect(broker.addr(), "", "van", "secret"), Some(0));
    let _line = broker.wait_for_line("waits");
}

/// Whoever opens many connections at once has as few attempts as with one.
#[test]
fn many_connections_are_no_help() {
    let place = Place::new();
    let broker = place.serve("[access]\nallow_anonymous = false\nusers = ['van:secret']\n");
    let address = broker.addr();
    let guesses = (0..60).map(|_| std::thread::spawn(move || connect(address, "", "van", "wrong!")));
    let answers: Vec<Option<u8>> = guesses.collect::<Vec<_>>().into_iter().map(|one| one.join().unwrap()).collect();
    // Five at a time until five have failed; then one after a second, two, four: as many as ten seconds have room for.
    let looked_at = answers.iter().filter(|answer| **answer == Some(4)).count();
    assert!((5..=16).contains(&looked_at), "{looked_at} were looked at");
}
