//! What a client speaks that does not speak MQTT, by its first bytes: for an error that says what to do.

/// The second version of the PROXY protocol begins so.
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

const HTTP_METHODS: [&[u8]; 8] =
    [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"CONNECT "];

/// Says what these first bytes of a connection look like and what to do about it, if they are another protocol's.
#[must_use]
pub fn looks_like(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(&[0x16, 3]) {
        // A record of TLS, type handshake. To MQTT it would be a reserved packet with wrong flags.
        Some("this looks like TLS, and the listener has none: connect without TLS, or give the listener a certificate")
    } else if HTTP_METHODS.iter().any(|method| bytes.starts_with(method)) {
        Some("this looks like HTTP, and the listener speaks MQTT: use a listener with WebSocket")
    } else if bytes.starts_with(b"PROXY ") || bytes.starts_with(PROXY_V2) {
        Some(
            "this looks like a PROXY header, and the listener expects none from there: name the proxy in its `proxies`",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(bytes: &[u8], word: &str) {
        let said = looks_like(bytes).unwrap_or_default();
        assert!(said.contains(word), "{bytes:?}: {said}");
    }

    #[test]
    fn other_protocols_are_recognised() {
        says(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "TLS");
        says(b"GET /mqtt HTTP/1.1\r\n", "HTTP");
        says(b"OPTIONS * HTTP/1.1\r\n", "HTTP");
        says(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY");
        says(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "PROXY");
    }

    #[test]
    fn mqtt_and_noise_are_not() {
        for bytes in [&b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"[..], b"", b"\x16", b"GETTING", b"PROXYING", b"\xff\xff"]
        {
            assert_eq!(looks_like(bytes), None, "{bytes:?}");
        }
    }
}
