//! Two ends of a WebSocket, the other one tungstenite's or raw bytes, and streams that take little.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        protocol::frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

use super::*;
use crate::options::WebSocketOptions;

/// Both ends, with room for this many bytes each way.
async fn connected(room: usize) -> (WebSocketStream<DuplexStream>, WebSocket<DuplexStream>) {
    let (client, server) = duplex(room);
    let mut request = "ws://broker/mqtt".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    let options = WebSocketOptions::default();
    let (client, server) = tokio::join!(client_async(request, client), accept(server, &options));
    let (client, response) = client.unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
    (client, server.unwrap())
}

/// The server's end, and a client that sends raw bytes.
fn raw(room: usize) -> (DuplexStream, WebSocket<DuplexStream>) {
    let (client, server) = duplex(room);
    (client, WebSocket::new(server))
}

/// A frame as a client sends it, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0], payload].concat()
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn wakes() -> (Arc<Wakes>, std::task::Waker) {
    let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
    (Arc::clone(&wakes), wakes.into())
}

#[tokio::test]
async fn bytes_go_both_ways_whatever_the_frames_are() {
    let (mut client, mut server) = connected(64 * 1024).await;
    client.send(Message::binary(&b"con"[..])).await.unwrap();
    client.send(Message::binary(&b""[..])).await.unwrap();
    client.send(Message::binary(&b"nect, publish"[..])).await.unwrap();
    let fragment = |data, opcode, is_last| Message::Frame(Frame::message(data, OpCode::Data(opcode), is_last));
    client.send(fragment(&b", sub"[..], Data::Binary, false)).await.unwrap();
    client.send(Message::Ping((&b"?"[..]).into())).await.unwrap();
    client.send(fragment(&b"scribe"[..], Data::Continue, true)).await.unwrap();
    let mut got = vec![0; 27];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(got, b"connect, publish, subscribe");
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong((&b"?"[..]).into()));
    server.write_all(b"connack").await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::binary(&b"connack"[..]));
}

#[tokio::test]
async fn a_large_write_is_frames_of_a_bounded_length() {
    let (mut client, mut server) = connected(1000).await;
    let sent: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 253).unwrap()).collect();
    let writing = async {
        server.write_all(&sent).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let reading = async {
        let mut got = Vec::new();
        while let Message::Binary(bytes) = client.next().await.unwrap().unwrap() {
            assert!(bytes.len() <= WEBSOCKET_FRAME_BYTES_MAX);
            got.extend_from_slice(&bytes);
        }
        got
    };
    let ((), got) = tokio::join!(writing, reading);
    assert!(got == sent);
}

#[tokio::test]
async fn a_text_frame_is_told_1003_after_what_came_before_it() {
    let (mut client, mut server) = connected(4096).await;
    client.send(Message::binary(&b"before"[..])).await.unwrap();
    client.send(Message::text("text")).await.unwrap();
    let mut got = [0; 6];
    server.read_exact(&mut got).await.unwrap();
    let error = server.read_u8().await.unwrap_err();
    assert!(error.to_string().contains("[MQTT-6.0.0-1]"), "{error}");
    let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else { panic!("no close frame") };
    assert_eq!(close.code, CloseCode::Unsupported);
    assert_eq!(server.read(&mut got).await.unwrap(), 0, "an error is told once");
    assert_eq!(server.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let (mut client, mut server) = connected(4096).await;
    client.send(Message::binary(&b"bye"[..])).await.unwrap();
    client.close(None).await.unwrap();
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"bye");
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Close(None));
    server.shutdown().await.unwrap();
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn a_server_that_closes_says_1000_and_hears_the_rest() {
    let (mut client, mut server) = connected(4096).await;
    server.write_all(b"disconnect").await.unwrap();
    server.shutdown().await.unwrap();
    client.send(Message::binary(&b"late"[..])).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::binary(&b"disconnect"[..]));
    let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else { panic!("no close frame") };
    assert_eq!(close.code, CloseCode::Normal);
    client.flush().await.unwrap();
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"late");
}

#[tokio::test]
async fn a_socket_that_ends_without_a_close_frame_is_an_end() {
    let (client, mut server) = raw(100);
    drop(client);
    assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_write_that_waits_has_taken_nothing_and_one_that_is_cut_short_is_kept() {
    let (mut client, mut server) = raw(10);
    let (wakes, waker) = wakes();
    let cx = &mut Context::from_waker(&waker);
    let mut write = |server: &mut WebSocket<_>, bytes: &[u8]| Pin::new(server).poll_write(cx, bytes);
    assert!(matches!(write(&mut server, b"123456789"), Poll::Ready(Ok(9))), "all of it, though 11 bytes do not fit");
    assert_eq!(server.unsent.len(), 1);
    assert!(write(&mut server, b"abc").is_pending());
    assert!(write(&mut server, b"abc").is_pending());
    assert_eq!(server.unsent.len(), 1, "a write that waits leaves nothing behind");
    let mut got = [0; 10];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(matches!(write(&mut server, b"another"), Poll::Ready(Ok(7))), "a caller may come back with other bytes");
    drop(server);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"9\x82\x07another");
}

#[tokio::test]
async fn a_flush_and_a_read_bring_out_what_was_kept() {
    let (mut client, mut server) = raw(4);
    let (_, waker) = wakes();
    let cx = &mut Context::from_waker(&waker);
    assert!(matches!(Pin::new(&mut server).poll_write(cx, b"1234567890"), Poll::Ready(Ok(10))));
    assert!(Pin::new(&mut server).poll_flush(cx).is_pending());
    let mut got = [0; 4];
    client.read_exact(&mut got).await.unwrap();
    let mut bytes = [0; 8];
    assert!(Pin::new(&mut server).poll_read(cx, &mut ReadBuf::new(&mut bytes)).is_pending());
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"3456");
    assert!(matches!(Pin::new(&mut server).poll_flush(cx), Poll::Ready(Ok(()))));
    assert_eq!(server.unsent.capacity(), 0, "nothing is kept when there is nothing to keep");
}

#[tokio::test]
async fn pings_that_nobody_reads_the_answers_of_do_not_pile_up() {
    let (mut client, mut server) = raw(2000);
    let flood = frame(0x89, &[7; 125]).repeat(10);
    let (_, waker) = wakes();
    let cx = &mut Context::from_waker(&waker);
    for _ in 0..200 {
        client.write_all(&flood).await.unwrap();
        let mut bytes = [0; 4096];
        let mut buffer = ReadBuf::new(&mut bytes);
        assert!(Pin::new(&mut server).poll_read(cx, &mut buffer).is_pending());
        assert_eq!(buffer.filled(), b"");
        assert!(server.unsent.capacity() + server.answer.capacity() <= 2 * 256);
    }
    assert!(!server.unsent.is_empty() && !server.answer.is_empty(), "the client's side is full by now");
}

#[tokio::test]
async fn a_ping_is_answered_between_frames_and_not_inside_of_one() {
    let (mut client, mut server) = raw(6);
    let (_, waker) = wakes();
    let cx = &mut Context::from_waker(&waker);
    assert!(matches!(Pin::new(&mut server).poll_write(cx, b"12345678"), Poll::Ready(Ok(8))));
    client.write_all(&frame(0x89, b"")).await.unwrap();
    let mut bytes = [0; 8];
    assert!(Pin::new(&mut server).poll_read(cx, &mut ReadBuf::new(&mut bytes)).is_pending());
    let mut got = [0; 12];
    let (done, flushed) = tokio::join!(client.read_exact(&mut got), server.flush());
    done.unwrap();
    flushed.unwrap();
    assert_eq!(&got, b"\x82\x0812345678\x8a\0");
}

#[tokio::test]
async fn frames_of_one_byte_and_of_none_are_read_in_one_go() {
    let (mut client, mut server) = raw(1 << 20);
    let one = [frame(0x82, b""), frame(0x82, b"x")].concat();
    client.write_all(&one.repeat(50_000)).await.unwrap();
    let mut bytes = vec![0; 1 << 20];
    let n = server.read(&mut bytes).await.unwrap();
    assert!(n == 50_000 && bytes[..n].iter().all(|byte| *byte == b'x'), "{n}");
}

#[tokio::test]
async fn a_poll_that_brings_nothing_lets_others_run() {
    let (mut client, mut server) = raw(1 << 20);
    client.write_all(&frame(0x82, b"").repeat(1000)).await.unwrap();
    let (wakes, waker) = wakes();
    let mut bytes = [0; 6];
    let polled = Pin::new(&mut server).poll_read(&mut Context::from_waker(&waker), &mut ReadBuf::new(&mut bytes));
    assert!(polled.is_pending());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "it comes back by itself");
}

#[tokio::test]
async fn one_byte_at_a_time_is_as_good() {
    let (mut client, mut server) = raw(1);
    let bytes = [frame(0x82, b"ab"), frame(0x8a, b"pong"), frame(0x02, b"c"), frame(0x80, b"d")].concat();
    let sending = async { client.write_all(&bytes).await.unwrap() };
    let reading = async {
        let mut got = [0; 4];
        for byte in &mut got {
            *byte = server.read_u8().await.unwrap();
        }
        got
    };
    let ((), got) = tokio::join!(sending, reading);
    assert_eq!(&got, b"abcd");
}

#[tokio::test]
async fn a_read_that_is_given_up_loses_nothing() {
    let (mut client, mut server) = raw(100);
    let bytes = frame(0x82, b"abcdef");
    let (first, rest) = bytes.split_at(5);
    client.write_all(first).await.unwrap();
    {
        let mut buffer = [0; 10];
        let mut read = Box::pin(server.read(&mut buffer));
        assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await.is_pending());
    }
    client.write_all(rest).await.unwrap();
    let mut got = [0; 6];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"abcdef");
}

#[tokio::test]
async fn an_idle_connection_has_no_buffer() {
    let (mut client, mut server) = connected(4096).await;
    client.send(Message::binary(vec![1; 3000])).await.unwrap();
    client.send(Message::Ping(vec![2; 100].into())).await.unwrap();
    server.read_exact(&mut [0; 3000]).await.unwrap();
    server.write_all(&[3; 3000]).await.unwrap();
    server.flush().await.unwrap();
    let (_, waker) = wakes();
    let mut bytes = [0; 100];
    let cx = &mut Context::from_waker(&waker);
    assert!(Pin::new(&mut server).poll_read(cx, &mut ReadBuf::new(&mut bytes)).is_pending());
    assert_eq!((server.unsent.capacity(), server.answer.capacity()), (0, 0));
    assert!(size_of::<WebSocket<()>>() <= 192, "{}", size_of::<WebSocket<()>>());
}
