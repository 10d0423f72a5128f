//! The header with which a proxy says where a client comes from: PROXY protocol, versions 1 and 2, as HAProxy's
//! document has it. It stands before everything else, TLS as well, and is read to its last byte and no further.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What every header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, with its line end.
const LINE_BYTES_MAX: usize = 107;

/// The longest rest of a header of version 2 that is read: addresses and what proxies add to them.
const REST_BYTES_MAX: usize = 4096;

/// What a proxy says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Where the client comes from; `None` if it is the proxy itself, or unknown.
    pub(super) source: Option<SocketAddr>,
    /// The common name of a client certificate that the proxy has verified.
    pub(super) common_name: Option<String>,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
    #[error("a proxy's header (PROXY protocol) is wanted, and there is none: does the proxy send it (send-proxy-v2)?")]
    Missing,
    #[error("the proxy's header is damaged: {0}")]
    Damaged(&'static str),
}

/// Reads the header. The caller bounds the time.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Told, ProxyError> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        let [command, family, high, low] = {
            let mut rest = [0; 4];
            stream.read_exact(&mut rest).await?;
            rest
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len > REST_BYTES_MAX {
            return Err(ProxyError::Damaged("it has more than 4096 bytes"));
        }
        let mut rest = vec![0; len];
        stream.read_exact(&mut rest).await?;
        return second(command, family, &rest);
    }
    if !start.starts_with(b"PROXY ") {
        return Err(ProxyError::Missing);
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE_BYTES_MAX {
            return Err(ProxyError::Damaged("its line has no end"));
        }
        line.push(stream.read_u8().await?);
    }
    line.truncate(line.len() - 2);
    std::str::from_utf8(&line).map_err(|_| ProxyError::Damaged("it is no text")).and_then(first)
}

/// Version 1: `PROXY TCP4 SOURCE DESTINATION PORT PORT`.
fn first(line: &str) -> Result<Told, ProxyError> {
    let mut words = line.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Told::default());
    }
    let address = |word: Option<&str>| {
        let address: IpAddr = match (family, word.unwrap_or_default()) {
            ("TCP4", word) => word.parse::<Ipv4Addr>().ok()?.into(),
            ("TCP6", word) => word.parse::<Ipv6Addr>().ok()?.into(),
            _ => return None,
        };
        Some(address)
    };
    let port = |word: Option<&str>| {
        let word = word.filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        word.and_then(|word| word.parse::<u16>().ok())
    };
    let parts = (address(words.next()), address(words.next()), port(words.next()), port(words.next()), words.next());
    let (Some(source), Some(_), Some(source_port), Some(_), None) = parts else {
        return Err(ProxyError::Damaged("its line is not PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT"));
    };
    Ok(Told { source: Some(canonical(source, source_port)), common_name: None })
}

/// Version 2: version and command, family and protocol, addresses, and what is added (type, length, value).
fn second(command: u8, family: u8, rest: &[u8]) -> Result<Told, ProxyError> {
    match command {
        0x20 => return Ok(Told::default()), // LOCAL: the proxy speaks for itself, to see whether we are there
        0x21 => {}
        _ => return Err(ProxyError::Damaged("its version or command is unknown")),
    }
    let short = || ProxyError::Damaged("its addresses are cut short");
    let (source, added) = match family {
        0x11 => {
            let (addresses, added) = rest.split_first_chunk::<12>().ok_or_else(short)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *addresses;
            (Some(canonical(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))), added)
        }
        0x21 => {
            let (addresses, added) = rest.split_first_chunk::<36>().ok_or_else(short)?;
            let (source, ports) = addresses.split_first_chunk::<16>().ok_or_else(short)?;
            let port = ports.get(16..18).and_then(|port| port.try_into().ok()).map(u16::from_be_bytes);
            (Some(canonical(Ipv6Addr::from(*source).into(), port.unwrap_or_default())), added)
        }
        0x31 => (None, rest.get(216..).ok_or_else(short)?), // a Unix socket of the proxy's machine
        0x00 => return Ok(Told::default()),
        _ => return Err(ProxyError::Damaged("its family and protocol are none of a byte stream")),
    };
    if !is_whole(added) {
        return Err(ProxyError::Damaged("what is added to its addresses does not end where it should"));
    }
    Ok(Told { source, common_name: common_name(added) })
}

/// An IPv4 client is called by its IPv4 address, however the proxy writes it.
fn canonical(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

/// The common name of the client's certificate, if there was one and the proxy found it to be in order.
fn common_name(added: &[u8]) -> Option<String> {
    const SSL: u8 = 0x20;
    const SSL_COMMON_NAME: u8 = 0x22;
    /// The client gave a certificate over this connection or in this session.
    const GIVEN: u8 = 0x02 | 0x04;
    let (given, rest) = find(added, SSL)?.split_first()?;
    let (unverified, parts) = rest.split_first_chunk::<4>()?;
    if given & GIVEN == 0 || *unverified != [0; 4] {
        return None;
    }
    let name = find(parts, SSL_COMMON_NAME)?;
    // As for a certificate that the broker itself has seen, one with a control character is no name.
    String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty() && !name.chars().any(char::is_control))
}

/// Whether these are (type, length, value), to the last byte.
fn is_whole(mut parts: &[u8]) -> bool {
    while let Some(([_, high, low], rest)) = parts.split_first_chunk::<3>() {
        let Some((_, next)) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))) else {
            return false;
        };
        parts = next;
    }
    parts.is_empty()
}

/// The value of a type among (type, length, value).
fn find(mut parts: &[u8], kind: u8) -> Option<&[u8]> {
    loop {
        let ([found, high, low], rest) = parts.split_first_chunk::<3>()?;
        let (value, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        if *found == kind {
            return Some(value);
        }
        parts = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> (Result<Told, String>, Vec<u8>) {
        let mut stream = bytes;
        let told = read(&mut stream).await.map_err(|error| error.to_string());
        (told, stream.to_vec())
    }

    fn from(address: &str) -> Told {
        Told { source: Some(address.parse().unwrap()), common_name: None }
    }

    fn version2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    #[tokio::test]
    async fn version_1_is_read_to_its_end_and_no_further() {
        for (line, told) in [
            ("PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n", from("192.0.2.7:4711")),
            ("PROXY TCP6 2001:db8::7 2001:db8::1 4711 1883\r\n", from("[2001:db8::7]:4711")),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 1883\r\n", from("192.0.2.7:4711")),
            ("PROXY UNKNOWN\r\n", Told::default()),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Told::default()),
        ] {
            let bytes = [line.as_bytes(), b"\x10rest"].concat();
            assert_eq!(read_all(&bytes).await, (Ok(told), b"\x10rest".to_vec()), "{line}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_told_from_a_damaged_one() {
        let (told, _) = read_all(b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04test").await;
        assert!(told.unwrap_err().contains("send-proxy-v2"));
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        for bytes in [
            b"PROXY TCP4 192.0.2.7 192.0.2.1 4711\r\n".as_slice(),
            b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883 7\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 +711 1883\r\n",
            b"PROXY TCP4 2001:db8::7 192.0.2.1 4711 1883\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 65536\r\n",
            b"PROXY TCP4 192.0.2.7  192.0.2.1 4711 1883\r\n",
            b"PROXY UDP4 192.0.2.7 192.0.2.1 4711 1883\r\n",
            b"PROXY TCP4 \xff\xfe 192.0.2.1 4711 1883\r\n",
            &endless,
            &version2(0x31, 0x11, &[0; 12]),
            &version2(0x22, 0x11, &[0; 12]),
            &version2(0x21, 0x11, &[0; 11]),
            &version2(0x21, 0x21, &[0; 35]),
            &version2(0x21, 0x31, &[0; 215]),
            &version2(0x21, 0x12, &[0; 12]),
            &version2(0x21, 0x11, &[&[0; 12][..], &[4, 0xff, 0xff]].concat()),
            &version2(0x21, 0x11, &[0; 5000]),
        ] {
            let (told, _) = read_all(bytes).await;
            assert!(told.as_ref().is_err_and(|error| error.contains("damaged")), "{bytes:?}: {told:?}");
        }
        for len in 0..28 {
            let whole = version2(0x21, 0x11, &[0; 12]);
            let (told, _) = read_all(whole.get(..len).unwrap()).await;
            assert!(told.unwrap_err().contains("lost"), "{len} bytes");
        }
    }

    #[tokio::test]
    async fn version_2_says_where_from_and_who() {
        let v4 = [192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x67, 0x07, 0x5b];
        let mut v6 = [0_u8; 36];
        v6[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        v6[32..].copy_from_slice(&[0x12, 0x67, 0x07, 0x5b]);
        for (bytes, told) in [
            (version2(0x21, 0x11, &v4), from("192.0.2.7:4711")),
            (version2(0x21, 0x21, &v6), from("[2001:db8::7]:4711")),
            (version2(0x20, 0x00, &[]), Told::default()),
            (version2(0x20, 0x11, &v4), Told::default()),
            (version2(0x21, 0x00, &[1, 2, 3]), Told::default()),
            (version2(0x21, 0x31, &[0; 216]), Told::default()),
        ] {
            let bytes = [bytes.as_slice(), b"\x10rest"].concat();
            assert_eq!(read_all(&bytes).await, (Ok(told), b"\x10rest".to_vec()));
        }
        let named = |given: u8, unverified: u8| {
            let name = [&[0x22, 0, 4][..], b"van7"].concat();
            let ssl = [&[given, 0, 0, 0, unverified][..], &[0x21, 0, 3], b"1.3", &name].concat();
            let len = u16::try_from(ssl.len()).unwrap().to_be_bytes();
            version2(0x21, 0x11, &[&v4[..], &[0x04, 0, 1, 9, 0x20], &len, &ssl].concat())
        };
        for (given, unverified, name) in
            [(0x07, 0, Some("van7")), (0x05, 0, Some("van7")), (0x01, 0, None), (7, 1, None)]
        {
            let told = read_all(&named(given, unverified)).await.0.unwrap();
            assert_eq!(told.common_name.as_deref(), name, "{given} {unverified}");
        }
    }
}
