//! Connections to small servers of the test's own.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixListener},
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::handshake::server::{ErrorResponse, Request, Response},
};

use super::*;
use crate::options::url;

fn server_at(port: u16) -> Server {
    Server { host: Some("127.0.0.1".to_owned()), port: Some(port), ..Server::default() }
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Sends back what comes, until it ends.
async fn echo(stream: impl AsyncRead + AsyncWrite) {
    let (mut read, mut write) = tokio::io::split(stream);
    let _ = tokio::io::copy(&mut read, &mut write).await;
}

async fn say(link: &mut Link, text: &[u8]) -> Vec<u8> {
    link.write_all(text).await.unwrap();
    link.flush().await.unwrap();
    let mut back = vec![0; text.len()];
    link.read_exact(&mut back).await.unwrap();
    back
}

async fn refused(server: &Server) -> String {
    match open(server, None).await {
        Ok(_) => panic!("connected"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn tcp_and_unix_sockets_carry_bytes() {
    let (listener, port) = listener().await;
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let mut server = server_at(port);
    server.bind = Some("127.0.0.1".parse().unwrap());
    let mut link = open(&server, None).await.unwrap();
    assert_eq!(say(&mut link, b"hello").await, b"hello");

    let path = std::env::temp_dir().join(format!("primer-client-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let server = Server { unix: Some(path.clone()), ..Server::default() };
    let mut link = open(&server, None).await.unwrap();
    assert_eq!(say(&mut link, b"hello").await, b"hello");
    std::fs::remove_file(&path).unwrap();
    let why = refused(&server).await;
    assert!(why.contains("no broker at the socket") && why.contains(".sock"), "{why}");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let (listener, port) = listener().await;
    drop(listener);
    let why = refused(&server_at(port)).await;
    assert!(why.contains(&format!("no broker at 127.0.0.1:{port}: connection refused. Is it running?")), "{why}");
    let server = Server { host: Some("no such host".to_owned()), ..Server::default() };
    let why = refused(&server).await;
    assert!(why.contains("\"no such host\" is no name or address of a host (-h)"), "{why}");
    let server = Server { bind: Some("192.0.2.1".parse().unwrap()), ..server_at(port) };
    let why = refused(&server).await;
    assert!(why.starts_with("-A 192.0.2.1: "), "{why}");
    let server = Server { bind: Some("::1".parse().unwrap()), ..server_at(port) };
    let why = refused(&server).await;
    assert!(why.contains("cannot be reached from it"), "{why}");
}

#[tokio::test]
async fn websocket_carries_bytes_however_they_are_cut() {
    let (listener, port) = listener().await;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        use futures_util::{SinkExt, StreamExt};
        let (stream, _) = listener.accept().await.unwrap();
        let mut asked = None;
        #[expect(clippy::result_large_err, reason = "the signature is the library's")]
        let check = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            let protocol = request.headers().get("Sec-WebSocket-Protocol").cloned();
            asked = Some((request.uri().to_string(), protocol.clone()));
            if let Some(protocol) = protocol {
                response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
            }
            Ok(response)
        };
        let mut socket = accept_hdr_async(stream, check).await.unwrap();
        let _ = sender.send(asked);
        while let Some(Ok(message)) = socket.next().await {
            if message.is_binary() {
                for byte in message.into_data() {
                    socket.send(vec![byte].into()).await.unwrap();
                }
            }
        }
    });
    let websocket_path = Some("/a/b?c=d".to_owned());
    let server = Server { websocket: true, websocket_path, ..server_at(port) };
    let mut link = open(&server, None).await.unwrap();
    let (path, protocol) = receiver.await.unwrap().expect("a request");
    assert_eq!((&*path, protocol.unwrap().to_str().unwrap()), ("/a/b?c=d", "mqtt"));
    assert_eq!(say(&mut link, b"hello").await, b"hello");
    link.shutdown().await.unwrap();
    assert_eq!(link.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_without_websocket_is_told() {
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    });
    let why = refused(&Server { websocket: true, ..server_at(port) }).await;
    assert!(why.contains("it answers at /mqtt (--ws-path) 404 Not Found: is this a WebSocket port"), "{why}");
}

/// A proxy that expects these bytes and gives these, in turn.
async fn proxy(script: Vec<(&'static [u8], &'static [u8])>) -> Server {
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for (wanted, answer) in script {
            let mut came = vec![0; wanted.len()];
            stream.read_exact(&mut came).await.unwrap();
            assert_eq!(came, wanted);
            stream.write_all(answer).await.unwrap();
        }
        echo(stream).await;
    });
    let url = url::parse(&format!("socks5h://me:pw@127.0.0.1:{port}")).unwrap();
    Server { host: Some("broker".to_owned()), port: Some(1883), proxy: Some(url), ..Server::default() }
}

const CONNECT: &[u8] = b"\x05\x01\x00\x03\x06broker\x07\x5b";

#[tokio::test]
async fn a_proxy_connects_us() {
    let login = (&b"\x01\x02me\x02pw"[..], &b"\x01\x00"[..]);
    let bound = b"\x05\x00\x00\x03\x04host\x00\x01";
    let server = proxy(vec![(b"\x05\x01\x02", b"\x05\x02"), login, (CONNECT, bound)]).await;
    let mut link = open(&server, None).await.unwrap();
    assert_eq!(say(&mut link, b"hello").await, b"hello");
    let mut server =
        proxy(vec![(b"\x05\x01\x00", b"\x05\x00"), (CONNECT, b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01")]).await;
    (server.proxy.as_mut().unwrap().username, server.proxy.as_mut().unwrap().password) = (None, None);
    let mut link = open(&server, None).await.unwrap();
    assert_eq!(say(&mut link, b"hello").await, b"hello");
}

#[tokio::test]
async fn a_proxy_that_does_not_connect_us_says_why() {
    let login = (&b"\x05\x01\x02"[..], &b"\x05\x02"[..]);
    for (script, says) in [
        (vec![(&b"\x05\x01\x02"[..], &b"\x05\xff"[..])], "it takes no user name"),
        (vec![(&b"\x05\x01\x02"[..], &b"HT"[..])], "it is no SOCKS5 proxy"),
        (vec![login, (b"\x01\x02me\x02pw", b"\x01\x01")], "it refuses the user name and password"),
        (vec![login, (b"\x01\x02me\x02pw", b"\x01\x00"), (CONNECT, b"\x05\x05\x00\x01")], "the broker refuses"),
    ] {
        let why = refused(&proxy(script).await).await;
        assert!(why.starts_with("the proxy at 127.0.0.1:") && why.contains(says), "{why}");
    }
}
