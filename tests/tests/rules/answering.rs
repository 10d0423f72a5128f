//! A broker that knows nothing but the commands about rules, and answers what the test says: whether `primer rules`
//! asks for the right thing, and what it makes of the answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use primer_harness::wire::{packet_length, parse, prop, puback, publish};
use primer_harness::{Packet, Publish, Version};
use serde_json::{Value, json};

const TOPIC: &str = "$CONTROL/rules/v1";

/// See the module's description. It runs in threads of the test until the test ends.
pub(crate) struct Answering {
    port: u16,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Answering {
    /// With the data, or the `{"error":...}`, of each command.
    pub(crate) fn start(answers: Value) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (heard, answers) = (Arc::clone(&asked), Arc::new(answers));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heard, answers) = (Arc::clone(&heard), Arc::clone(&answers));
                thread::spawn(move || serve(stream, &heard, &answers));
            }
        });
        Self { port, asked }
    }

    pub(crate) fn port(&self) -> String {
        self.port.to_string()
    }

    /// The commands since it was asked last.
    pub(crate) fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock().expect("no panic"))
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<Value>>, answers: &Value) {
    let mut unread = Vec::new();
    let mut bytes = [0; 65_536];
    loop {
        while let Some(length) = packet_length(&unread).expect("a packet").filter(|length| *length <= unread.len()) {
            let packet: Vec<u8> = unread.drain(..length).collect();
            match parse(&packet, true) {
                Packet::Connect(_) => stream.write_all(&[0x20, 3, 0, 0, 0]).expect("CONNACK"),
                Packet::Publish(command) => {
                    let answer = answer(&command, asked, answers);
                    stream.write_all(&puback(command.pid.expect("QoS 1"))).expect("PUBACK");
                    stream.write_all(&answer).expect("the answer");
                }
                _ => return,
            }
        }
        match stream.read(&mut bytes) {
            Ok(read @ 1..) => unread.extend_from_slice(&bytes[..read]),
            _ => return,
        }
    }
}

fn answer(command: &Publish, asked: &Mutex<Vec<Value>>, answers: &Value) -> Vec<u8> {
    assert_eq!(command.topic, TOPIC);
    let request: Value = serde_json::from_slice(&command.payload).expect("JSON");
    let one = request["commands"][0].clone();
    let name = one["command"].as_str().expect("a command").to_owned();
    asked.lock().expect("no panic").push(one);
    let known = &answers[&name];
    let response = match known.get("error") {
        Some(error) if known.as_object().is_some_and(|known| known.len() == 1) => {
            json!({"command": name, "error": error})
        }
        _ => json!({"command": name, "data": known}),
    };
    let to = prop::text(&command.props, prop::RESPONSE_TOPIC).expect("a response topic");
    let correlation = command.props.iter().filter(|prop| prop.id == prop::CORRELATION_DATA).cloned();
    let correlation: Vec<_> = correlation.collect();
    publish(Version::V5, to, json!({"responses": [response]}).to_string().as_bytes()).props(&correlation).build()
}
