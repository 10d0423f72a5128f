//! A broker that says exactly what a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use primer_harness::TIMEOUT;

/// What it reads, by the first byte of the packet, and what it answers.
pub(crate) type Script = &'static [(u8, &'static [u8])];

pub(crate) const CONNECT: u8 = 0x10;
pub(crate) const SUBSCRIBE: u8 = 0x82;

/// Serves all connections the same, one after the other, for as long as the test runs; gives its port.
pub(crate) fn broker(script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.map(|stream| serve(stream, script));
        }
    });
    port
}

/// Answers what is in the script, and then waits for the end of the connection.
fn serve(mut stream: TcpStream, script: Script) {
    let _ = stream.set_read_timeout(Some(TIMEOUT));
    for (first, answer) in script {
        if read_packet(&mut stream) != Some(*first) || stream.write_all(answer).is_err() {
            return;
        }
    }
    while read_packet(&mut stream).is_some_and(|first| first != 0xE0) {}
}

/// The first byte of the next packet, of which the rest is read. Packets are short here.
fn read_packet(stream: &mut TcpStream) -> Option<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let mut rest = vec![0; usize::from(head[1])];
    stream.read_exact(&mut rest).ok()?;
    Some(head[0])
}
