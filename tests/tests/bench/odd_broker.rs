//! A broker of MQTT 3.1.1 and QoS 0 that keeps its promises but for one thing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    Nothing,
    /// Each tenth message is not delivered.
    DropsTenth,
    /// Each tenth message is delivered twice.
    DoublesTenth,
    /// Each tenth message is delivered after the one that follows it.
    SwapsTenth,
    /// At the hundredth message nothing goes on for 300 ms.
    Pauses,
    /// CONNECT is answered with code 5, and the connection closed with it.
    Refuses,
    /// CONNECT is answered with success, and the connection closed with it.
    ClosesAtOnce,
    /// It dies at the hundredth message: all connections are closed, and no new ones taken.
    Dies,
    /// After the hundredth message nothing is delivered any more, nor answered.
    Hangs,
    /// The hundredth message is one that MQTT does not know.
    Babbles,
    /// The hundredth message goes to all subscribers.
    Misroutes,
    /// The payload of the hundredth message is changed.
    Damages,
    /// SUBSCRIBE is granted with QoS 0 whatever is asked for.
    Downgrades,
}

use Oddity::{
    Babbles, ClosesAtOnce, Damages, Dies, DoublesTenth, Downgrades, DropsTenth, Hangs, Misroutes, Pauses, Refuses,
    SwapsTenth,
};

struct State {
    oddity: Oddity,
    subscribers: Vec<(Vec<u8>, TcpStream)>,
    connections: Vec<TcpStream>,
    messages: u64,
    held: Option<Vec<u8>>,
    is_dead: bool,
}

/// Runs in threads of the test until the test ends.
pub(crate) struct OddBroker {
    port: u16,
}

impl OddBroker {
    pub(crate) fn start(oddity: Oddity) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state =
            State { oddity, subscribers: Vec::new(), connections: Vec::new(), messages: 0, held: None, is_dead: false };
        let state = Arc::new(Mutex::new(state));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                stream.set_nodelay(true).expect("TCP_NODELAY");
                thread::spawn(move || serve(&state, stream));
            }
        });
        Self { port }
    }

    pub(crate) fn port(&self) -> String {
        self.port.to_string()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Serves a connection until it ends.
fn serve(state: &Mutex<State>, mut stream: TcpStream) {
    let mut ours = stream.try_clone().expect("a second handle");
    lock(state).connections.push(stream.try_clone().expect("a second handle"));
    while let Some((first, body)) = packet(&mut stream) {
        let mut state = lock(state);
        if state.is_dead {
            let _ = ours.shutdown(Shutdown::Both);
            return;
        }
        match first >> 4 {
            1 if state.oddity == Refuses => return drop(ours.write_all(&[0x20, 2, 0, 5])),
            1 if state.oddity == ClosesAtOnce => {
                // One segment with the end in it, before the client looks: it sees both in one event.
                let _ = ours.write_all(&[0x20, 2, 0, 0]);
                let _ = ours.shutdown(Shutdown::Both);
                return;
            }
            1 => write(&mut ours, &[0x20, 2, 0, 0]),
            3 => state.publish(first, &body),
            8 => state.subscribe(&body, &mut ours),
            12 if state.oddity == Hangs && state.messages >= 100 => {}
            12 => write(&mut ours, &[0xD0, 0]),
            14 => return,
            _ => {}
        }
    }
}

impl State {
    fn subscribe(&mut self, body: &[u8], stream: &mut TcpStream) {
        let length = usize::from(body[3]);
        let qos = if self.oddity == Downgrades { 0 } else { body[4 + length] };
        self.subscribers.push((body[4..4 + length].to_vec(), stream.try_clone().expect("a second handle")));
        write(stream, &[0x90, 3, body[0], body[1], qos]);
    }

    fn publish(&mut self, first: u8, body: &[u8]) {
        self.messages += 1;
        let (is_tenth, is_hundredth) = (self.messages % 10 == 5, self.messages == 100);
        let topic = body[2..2 + usize::from(body[1])].to_vec();
        let mut bytes = vec![first, u8::try_from(body.len()).expect("a small packet")];
        bytes.extend_from_slice(body);
        match self.oddity {
            DropsTenth if is_tenth => return,
            DoublesTenth if is_tenth => bytes.extend_from_within(..),
            SwapsTenth if is_tenth => {
                self.held = Some(bytes);
                return;
            }
            Pauses if is_hundredth => thread::sleep(Duration::from_millis(300)),
            Dies if is_hundredth => {
                self.is_dead = true;
                self.connections.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
                return;
            }
            Hangs if self.messages >= 100 => return,
            Babbles if is_hundredth => bytes = vec![0x3F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            Damages if is_hundredth => *bytes.get_mut(24 + topic.len()).expect("a payload") ^= 0x40,
            _ => {}
        }
        if let Some(held) = self.held.take() {
            bytes.extend_from_slice(&held);
        }
        let goes_to_all = self.oddity == Misroutes && is_hundredth;
        for (_, stream) in self.subscribers.iter_mut().filter(|(filter, _)| goes_to_all || *filter == topic) {
            write(stream, &bytes);
        }
    }
}

/// A client that is gone does not matter.
fn write(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// The next packet: its first byte and its body, which is small.
fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).ok()?;
    assert!(header[1] < 0x80, "a packet of more than 127 bytes");
    let mut body = vec![0; usize::from(header[1])];
    stream.read_exact(&mut body).ok()?;
    Some((header[0], body))
}
