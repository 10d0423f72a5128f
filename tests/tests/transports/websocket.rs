//! MQTT over WebSocket, plain and secure.

use primer_harness::{Broker, Client, peers};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

use crate::fixture::{Place, address, goes_through, port};

const CONFIG: &str = "[listeners.ws.default]\nbind = '127.0.0.1:0'\n";
const CONNECT: &[u8] = b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04test";

type Socket = tungstenite::WebSocket<tungstenite::stream::MaybeTlsStream<std::net::TcpStream>>;

fn open(broker: &Broker, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
    let mut request = format!("ws://{}/mqtt", address(broker, "ws:default")).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    tungstenite::connect(request).map(|(socket, response)| {
        assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt"); // [MQTT-6.0.0-4]
        socket
    })
}

fn connected(broker: &Broker) -> Socket {
    let mut socket = open(broker, &[("sec-websocket-protocol", "mqtt")]).expect("a WebSocket");
    socket.send(Message::Binary(CONNECT.into())).unwrap();
    assert_eq!(bytes(&mut socket, 4), [0x20, 2, 0, 0]);
    socket
}

/// So many bytes of binary frames.
#[track_caller]
fn bytes(socket: &mut Socket, count: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < count {
        match socket.read().expect("a frame") {
            Message::Binary(bytes) => got.extend_from_slice(&bytes), // [MQTT-6.0.0-1]
            other => panic!("{other:?}"),
        }
    }
    got
}

#[test]
fn clients_come_in_by_websocket_and_secure_websocket() {
    let (place, _) = Place::with_certificates();
    let tls = "certfile = 'server.pem'\nkeyfile = 'server.key'\n";
    let broker = place.serve(&format!("{CONFIG}[listeners.wss.default]\nbind = '127.0.0.1:0'\npath = '/x'\n{tls}"));
    goes_through(&broker, &["--ws", "-p", &port(&broker, "ws:default")]);
    let secure = port(&broker, "wss:default");
    let Some(mut node) = peers::node_with_mqtt() else { return };
    let script = "const mqtt = require('mqtt'); const fs = require('fs');\
                  const ca = fs.readFileSync(process.argv[2]);\
                  const c = mqtt.connect(process.argv[1], { ca, reconnectPeriod: 0 });\
                  c.on('error', (e) => { console.error(e); process.exit(1); });\
                  c.on('connect', () => c.publish('js', 'secure', { qos: 1 }, () => c.end(() => process.exit(0))));";
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("js", 1);
    let url = format!("wss://localhost:{secure}/x");
    let output = node.args(["-e", script, &url, &place.arg("ca.pem")]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(&*sub.recv().payload, b"secure");
}

/// [MQTT-6.0.0-2]: packets do not begin and end with frames.
#[test]
fn packets_come_in_any_frames() {
    let place = Place::new();
    let broker = place.serve(CONFIG);
    let mut socket = open(&broker, &[("sec-websocket-protocol", "chat, mqtt")]).expect("a WebSocket");
    for byte in CONNECT {
        socket.send(Message::Binary(vec![*byte].into())).unwrap();
    }
    assert_eq!(bytes(&mut socket, 4), [0x20, 2, 0, 0]);
    socket.send(Message::Binary(b"\xc0\0\xc0\0\xc0".as_slice().into())).unwrap();
    socket.send(Message::Ping(b"here?".as_slice().into())).unwrap();
    socket.send(Message::Binary(b"\0".as_slice().into())).unwrap();
    let mut got = Vec::new();
    let mut has_pong = false;
    while got.len() < 6 || !has_pong {
        match socket.read().unwrap() {
            Message::Binary(bytes) => got.extend_from_slice(&bytes),
            Message::Pong(payload) => has_pong = &*payload == b"here?",
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, b"\xd0\0\xd0\0\xd0\0");
}

/// [MQTT-6.0.0-1]: data frames of another kind end the connection.
#[test]
fn a_text_frame_ends_the_connection() {
    let place = Place::new();
    let broker = place.serve(CONFIG);
    let mut socket = connected(&broker);
    socket.send(Message::Text("hello".into())).unwrap();
    let Message::Close(Some(frame)) = socket.read().unwrap() else { panic!("no close frame") };
    assert_eq!(frame.code, CloseCode::Unsupported);
    let _line = broker.wait_for_line("Client test disconnected");
}

/// [MQTT-6.0.0-3], [MQTT-6.0.0-4]: the client offers `mqtt`, and hears it; else there is no connection.
#[test]
fn a_request_that_is_none_of_ours_is_answered_with_what_to_do() {
    let place = Place::new();
    let broker = place.serve(&format!("{CONFIG}origins = ['https://plant.example']\n"));
    let status = |headers: &[(&'static str, &str)]| match open(&broker, headers) {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    };
    assert_eq!(status(&[]), 400);
    assert_eq!(status(&[("sec-websocket-protocol", "chat")]), 400);
    assert_eq!(status(&[("sec-websocket-protocol", "mqtt"), ("origin", "https://evil.example")]), 403);
    let mine = [("sec-websocket-protocol", "mqtt"), ("origin", "https://plant.example")];
    assert!(open(&broker, &mine).is_ok());
    let url = format!("http://{}/", address(&broker, "ws:default"));
    let wrong = url.replace("http", "ws").into_client_request().unwrap();
    match tungstenite::connect(wrong) {
        Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 404),
        other => panic!("{other:?}"),
    }
    let _line = broker.wait_for_line("evil.example");
}

/// A session of a browser that goes away without a word.
#[test]
fn a_will_comes_for_a_websocket_that_is_cut() {
    let place = Place::new();
    let broker = place.serve(CONFIG);
    let mut sub = Client::v5(broker.addr(), "sub");
    sub.subscribe("will", 1);
    let mut socket = open(&broker, &[("sec-websocket-protocol", "mqtt")]).expect("a WebSocket");
    let connect = b"\x10\x1c\0\x04MQTT\x04\x06\0\x3c\0\x04page\0\x04will\0\x04gone";
    socket.send(Message::Binary(connect.as_slice().into())).unwrap();
    assert_eq!(bytes(&mut socket, 4), [0x20, 2, 0, 0]);
    drop(socket);
    assert_eq!(&*sub.recv().payload, b"gone");
}

#[track_caller]
fn check_with_mqttjs(name: &str) {
    for version in ["4", "5"] {
        let place = Place::new();
        let broker = place.serve(CONFIG);
        let Some(mut node) = peers::node_with_mqtt() else { return };
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/mqttjs_checks.js");
        let port = port(&broker, "ws:default");
        let output = node.arg(script).args([&*port, name, version, "ws"]).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
}

#[test]
fn mqttjs_sends_and_gets_messages_of_each_qos() {
    check_with_mqttjs("pubsub");
}

#[test]
fn mqttjs_gets_a_thousand_messages_in_order() {
    check_with_mqttjs("many");
}

#[test]
fn mqttjs_resumes_a_session() {
    check_with_mqttjs("session");
}

#[test]
fn mqttjs_has_a_will() {
    check_with_mqttjs("will");
}

#[test]
fn paho_speaks_websocket() {
    let place = Place::new();
    let broker = place.serve(CONFIG);
    let Some(mut python) = peers::python_with("paho.mqtt.client") else { return };
    let script = "import sys, queue\n\
                  import paho.mqtt.client as mqtt\n\
                  got = queue.Queue()\n\
                  c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport='websockets', protocol=5)\n\
                  c.ws_set_options(path='/mqtt')\n\
                  c.on_connect = lambda c, u, f, r, p: c.subscribe('big', 1)\n\
                  c.on_subscribe = lambda c, u, m, r, p: c.publish('big', b'x' * 300000, 1)\n\
                  c.on_message = lambda c, u, m: got.put(m.payload)\n\
                  c.connect('127.0.0.1', int(sys.argv[1])); c.loop_start()\n\
                  assert got.get(timeout=20) == b'x' * 300000\n";
    let output = python.args(["-c", script, &port(&broker, "ws:default")]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A page of anybody's that a browser on this machine shows is not this machine: it may not give commands.
#[test]
fn a_page_may_not_give_commands() {
    let place = Place::new();
    let broker = place.serve(CONFIG);
    let request = br#"{"commands":[{"command":"listQueues"}]}"#;
    let topic = b"$CONTROL/queue/v1";
    let body = [&[0, 17][..], topic, &[0, 1], request].concat();
    let publish = [&[0x32, u8::try_from(body.len()).unwrap()][..], &body].concat();
    let program = open(&broker, &[("sec-websocket-protocol", "mqtt")]).expect("a WebSocket");
    let page = open(&broker, &[("sec-websocket-protocol", "mqtt"), ("origin", "http://localhost")]);
    for (mut socket, may) in [(program, true), (page.expect("a WebSocket"), false)] {
        socket.send(Message::Binary(CONNECT.into())).unwrap();
        assert_eq!(bytes(&mut socket, 4), [0x20, 2, 0, 0]);
        socket.send(Message::Binary(publish.clone().into())).unwrap();
        match socket.read() {
            Ok(Message::Binary(puback)) => assert!(may && *puback == [0x40, 2, 0, 1], "{puback:?}"),
            other => assert!(!may, "{other:?}"),
        }
    }
}
