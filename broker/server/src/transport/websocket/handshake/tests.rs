//! Requests of all kinds as raw bytes, and what comes back.

use tokio::io::duplex;

use super::*;

const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                    Sec-WebSocket-Protocol: mqtt\r\n\r\n";

/// Sends the request in pieces of this length; answers what came back and how the server's side ended.
async fn ask_in(request: &[u8], piece: usize, options: &WebSocketOptions) -> (String, Result<(), WebSocketError>) {
    let (client, server) = duplex(1024);
    let (mut read, mut write) = tokio::io::split(client);
    let asking = async {
        for piece in request.chunks(piece) {
            if write.write_all(piece).await.is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        read.read_to_end(&mut answer).await.unwrap();
        write.shutdown().await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let serving = async { accept(server, options).await.map(drop) };
    tokio::join!(asking, serving)
}

async fn ask(request: &str) -> (String, Result<(), WebSocketError>) {
    ask_in(request.as_bytes(), request.len(), &WebSocketOptions::default()).await
}

/// Asks with a request that is refused; answers the status line and body together, and the error.
async fn refused(request: &str) -> (String, WebSocketError) {
    let (answer, served) = ask(request).await;
    assert!(answer.contains("Connection: close\r\n"), "{answer}");
    let length: usize = answer.split("Content-Length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body.len(), length);
    (answer, served.unwrap_err())
}

#[tokio::test]
async fn a_good_request_is_answered_with_the_key_and_the_subprotocol() {
    let (answer, served) = ask(GOOD).await;
    served.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    let answer = answer.to_ascii_lowercase();
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    assert!(answer.contains("sec-websocket-protocol: mqtt\r\n"), "{answer}");
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_as_good() {
    for piece in [1, 2, 3, 7] {
        let (answer, served) = ask_in(GOOD.as_bytes(), piece, &WebSocketOptions::default()).await;
        served.unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    }
}

#[tokio::test]
async fn a_query_is_no_part_of_the_path() {
    let (answer, _) = ask(&GOOD.replace("/mqtt HTTP", "/mqtt?token=1 HTTP")).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
}

#[tokio::test]
async fn compression_is_not_agreed_on() {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let (answer, _) = ask(&GOOD.replace("mqtt\r\n\r\n", &format!("mqtt\r\n{offer}"))).await;
    assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.to_ascii_lowercase().contains("extensions"), "{answer}");
}

#[tokio::test]
async fn the_subprotocol_is_the_best_that_is_offered() {
    let lines = "mqttv3.1, other\r\nsec-websocket-protocol: mqtt\r\n\r\n";
    let cases = [("other, mqttv3.1\r\n\r\n", "mqttv3.1"), ("mqttv3.1 , mqtt\r\n\r\n", "mqtt"), (lines, "mqtt")];
    for (offered, chosen) in cases {
        let (answer, served) = ask(&GOOD.replace("mqtt\r\n\r\n", offered)).await;
        served.unwrap();
        let wanted = format!("sec-websocket-protocol: {chosen}\r\n");
        assert!(answer.to_ascii_lowercase().contains(&wanted), "{offered}: {answer}");
    }
}

#[tokio::test]
async fn without_a_subprotocol_of_mqtt_there_is_no_websocket() {
    for request in [GOOD.replace("Sec-WebSocket-Protocol: mqtt\r\n", ""), GOOD.replace("l: mqtt", "l: chat, MQTTX")] {
        let (answer, error) = refused(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("Sec-WebSocket-Protocol: mqtt"), "{answer}");
        assert!(matches!(error, WebSocketError::NoSubprotocol(_)), "{error}");
    }
}

#[tokio::test]
async fn another_path_is_not_found() {
    for path in ["/", "/mqtt/", "/MQTT", "/other"] {
        let (answer, error) = refused(&GOOD.replace("/mqtt HTTP", &format!("{path} HTTP"))).await;
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("is at /mqtt"), "{answer}");
        assert!(matches!(error, WebSocketError::WrongPath(asked) if asked == path));
    }
}

#[tokio::test]
async fn origins_are_held_to_the_list() {
    let options = WebSocketOptions { origins: vec!["https://good.example".to_owned()], ..WebSocketOptions::default() };
    let from = |origin: &str| GOOD.replace("Host:", &format!("Origin: {origin}\r\nHost:"));
    for origin in ["https://good.example", "HTTPS://Good.Example"] {
        let (answer, _) = ask_in(from(origin).as_bytes(), 4096, &options).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{origin}: {answer}");
    }
    for origin in ["http://good.example", "https://good.example.evil.example", "null", ""] {
        let (answer, served) = ask_in(from(origin).as_bytes(), 4096, &options).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{origin}: {answer}");
        assert!(matches!(served, Err(WebSocketError::WrongOrigin(_))), "{origin}");
    }
    let (answer, _) = ask_in(GOOD.as_bytes(), 4096, &options).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "no browser: {answer}");
}

#[tokio::test]
async fn a_browser_is_told_what_this_is() {
    let (answer, error) = refused("GET /mqtt HTTP/1.1\r\nHost: broker\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.contains("Upgrade: websocket\r\n"), "{answer}");
    assert!(answer.contains("This is the MQTT broker Primer."), "{answer}");
    assert!(error.to_string().contains("no upgrade was asked for"), "{error}");
}

#[tokio::test]
async fn wrong_requests_are_answered_with_what_is_wrong() {
    let cases = [
        (GOOD.replace("GET ", "POST "), "405 ", "GET"),
        (GOOD.replace("HTTP/1.1", "HTTP/1.0"), "400 ", "HTTP version"),
        (GOOD.replace("HTTP/1.1", "HTTQ/9"), "400 ", ""),
        (GOOD.replace("keep-alive, Upgrade", "keep-alive"), "400 ", "Connection"),
        (GOOD.replace("Upgrade: websocket", "Upgrade: h2c"), "400 ", "Upgrade"),
        (GOOD.replace("Version: 13", "Version: 8"), "426 ", "13"),
        (GOOD.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), "400 ", "Key"),
        (GOOD.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), "400 ", "Key"),
        (format!("{GOOD}\u{1}"), "400 ", "before it was answered"),
        (format!("GET /mqtt HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200)), "400 ", "headers"),
    ];
    for (request, status, says) in cases {
        let (answer, error) = refused(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(says), "{answer}");
        assert!(matches!(error, WebSocketError::NotWebSocket(_)), "{error}");
    }
}

#[tokio::test]
async fn a_head_has_a_limit() {
    for line in ["A: ", ""] {
        let request = format!("GET /mqtt HTTP/1.1\r\n{line}{}", "x".repeat(WEBSOCKET_HEAD_BYTES_MAX));
        let (answer, error) = refused(&request).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(matches!(error, WebSocketError::TooLarge));
    }
}

#[tokio::test]
async fn other_protocols_get_no_answer_and_are_named() {
    let cases: [(&[u8], &str); 4] = [
        (b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0", "looks like MQTT"),
        (&[0x16, 3, 1, 2, 0, 1, 0], "looks like TLS"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", "PROXY"),
        (&[0xff; 600], "has to connect with WebSocket"),
    ];
    for (bytes, says) in cases {
        let (answer, served) = ask_in(bytes, bytes.len(), &WebSocketOptions::default()).await;
        assert_eq!(answer, "");
        let error = served.unwrap_err();
        assert!(matches!(error, WebSocketError::NotHttp(hint) if hint.contains(says)), "{error}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_half_way_is_no_more_than_that() {
    let (mut client, server) = duplex(1024);
    client.write_all(&GOOD.as_bytes()[..50]).await.unwrap();
    drop(client);
    assert!(matches!(accept(server, &WebSocketOptions::default()).await, Err(WebSocketError::Closed)));
}
