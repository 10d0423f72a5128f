//! SOCKS5 (RFC 1928), with a user name and password (RFC 1929) or without. The proxy resolves the broker's name.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::options::url::Url;

/// Where proxies listen.
pub(super) const PORT_DEFAULT: u16 = 1080;

/// Has the proxy connect the stream with a host.
///
/// # Errors
/// What the proxy said, or that it is none.
pub(super) async fn request(stream: &mut TcpStream, url: &Url, host: &str, port: u16) -> Result<(), String> {
    let user = url.username.as_deref();
    let method = if user.is_some() { 2 } else { 0 };
    stream.write_all(&[5, 1, method]).await.map_err(lost)?;
    match read::<2>(stream).await? {
        [5, chosen] if chosen == method => {}
        [5, 0xFF] if user.is_some() => return Err("it takes no user name".to_owned()),
        [5, 0xFF] => return Err("it wants a user name: socks5h://NAME:PASSWORD@HOST".to_owned()),
        _ => return Err("it is no SOCKS5 proxy".to_owned()),
    }
    if let Some(user) = user {
        let mut login = vec![1];
        push(&mut login, user, "the user name")?;
        push(&mut login, url.password.as_deref().unwrap_or_default(), "the password")?;
        stream.write_all(&login).await.map_err(lost)?;
        let [_, status] = read::<2>(stream).await?;
        if status != 0 {
            return Err("it refuses the user name and password".to_owned());
        }
    }
    let mut connect = vec![5, 1, 0, 3];
    push(&mut connect, host, "the name of the broker")?;
    connect.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&connect).await.map_err(lost)?;
    let [_, status, _, kind] = read::<4>(stream).await?;
    if status != 0 {
        return Err(refusal(status).to_owned());
    }
    let len = match kind {
        1 => 4,
        3 => usize::from(read::<1>(stream).await?[0]),
        4 => 16,
        _ => return Err("it is no SOCKS5 proxy".to_owned()),
    };
    let mut bound = vec![0; len + 2];
    stream.read_exact(&mut bound).await.map_err(lost)?;
    Ok(())
}

/// A text with its length before it.
fn push(into: &mut Vec<u8>, text: &str, what: &str) -> Result<(), String> {
    let len = u8::try_from(text.len()).map_err(|_| format!("{what} is longer than 255 bytes"))?;
    into.push(len);
    into.extend_from_slice(text.as_bytes());
    Ok(())
}

async fn read<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(lost)?;
    Ok(bytes)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn lost(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        _ => error.to_string(),
    }
}

const fn refusal(status: u8) -> &'static str {
    match status {
        2 => "its rules forbid this broker",
        3 => "it does not reach the network of the broker",
        4 => "it does not reach the broker",
        5 => "the broker refuses its connection",
        6 => "the broker does not answer it",
        _ => "it cannot connect to the broker",
    }
}
