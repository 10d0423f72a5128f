//! Listening sockets: bound, taken over, or left out.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::{limits, options::Bind};

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, SocketPath),
}

impl Listening {
    /// The address of a TCP socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// Where it listens, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string()),
            Self::Unix(_, path) => path.path.display().to_string(),
        }
    }
}

/// Where a Unix socket is. One that we have made goes with its listener.
#[derive(Debug)]
pub(crate) struct SocketPath {
    path: PathBuf,
    is_ours: bool,
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(%error, path = %self.path.display(), "the socket was not removed");
        }
    }
}

/// Binds, or takes what was given. `None` where there is no such address and that is allowed. `before` is the port of
/// the listener before this one.
pub(crate) fn bind(bind: &Bind, before: Option<u16>) -> io::Result<Option<Listening>> {
    match bind {
        Bind::Tcp(address) => match tcp(*address) {
            // All addresses, of a machine that has IPv4 alone.
            Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && is_absent(&error) => {
                tcp((Ipv4Addr::UNSPECIFIED, address.port()).into())
            }
            bound => bound,
        }
        .map(|listener| Some(Listening::Tcp(listener))),
        Bind::IfPresent(address) => {
            let mut address = *address;
            let follows = address.port() == 0 && before.is_some();
            address.set_port(before.filter(|_| follows).unwrap_or(address.port()));
            match tcp(address) {
                Ok(listener) => Ok(Some(Listening::Tcp(listener))),
                Err(error) if is_absent(&error) || (follows && error.kind() == ErrorKind::AddrInUse) => Ok(None),
                Err(error) => Err(error),
            }
        }
        Bind::Unix { path, mode } => {
            let listener = unix(path, *mode)?;
            Ok(Some(Listening::Unix(listener, SocketPath { path: path.clone(), is_ours: true })))
        }
        Bind::GivenTcp(listener) => {
            let listener = listener.try_clone()?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener).map(|listener| Some(Listening::Tcp(listener)))
        }
        Bind::GivenUnix(listener) => {
            let listener = listener.try_clone()?;
            listener.set_nonblocking(true)?;
            let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_path_buf));
            let listener = UnixListener::from_std(listener)?;
            Ok(Some(Listening::Unix(listener, SocketPath { path: path.unwrap_or_default(), is_ours: false })))
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?; // `::` serves IPv4 as well, whatever the system's default is
    }
    socket.set_reuse_address(true)?; // a restart must not wait for the old connections' TIME_WAIT
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Whether the machine has no such address, or no addresses of its kind.
fn is_absent(error: &io::Error) -> bool {
    const NO_SUCH_FAMILY: i32 = 97; // EAFNOSUPPORT of Linux
    matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported)
        || error.raw_os_error() == Some(NO_SUCH_FAMILY)
}

/// Whether nobody listens on a socket any more. One that does not take us, or not now, has an owner.
fn is_left_behind(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let connected = socket.connect(&socket2::SockAddr::unix(path)?);
    Ok(connected.is_err_and(|error| matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound)))
}

/// Binds beside the path and moves it there when its mode is right: nobody connects before, and a socket that was left
/// behind is replaced at once.
fn unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                "there is a file that is no socket; name another path",
            ));
        }
        Ok(_) if !is_left_behind(path)? => return Err(ErrorKind::AddrInUse.into()),
        _ => {}
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let listener = {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&socket2::SockAddr::unix(&beside)?)?;
        let made = (|| {
            std::fs::set_permissions(&beside, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            socket.listen(limits::BACKLOG)?;
            std::fs::rename(&beside, path)
        })();
        if let Err(error) = made {
            let _it_is_of_no_use = std::fs::remove_file(&beside);
            return Err(error);
        }
        socket
    };
    UnixListener::from_std(listener.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt, net::UnixStream as StdUnixStream};

    use super::*;

    fn folder() -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("primer-bind-{}-{:?}", std::process::id(), std::thread::current().id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[tokio::test]
    async fn a_unix_socket_has_its_mode_replaces_one_left_behind_and_goes_with_its_listener() {
        let folder = folder();
        let path = folder.join("s");
        let how = Bind::Unix { path: path.clone(), mode: 0o640 };
        let first = bind(&how, None).unwrap().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(bind(&how, None).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(first);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap()); // std leaves it there
        let second = bind(&how, None).unwrap().unwrap();
        assert!(StdUnixStream::connect(&path).is_ok());
        drop(second);
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(bind(&how, None).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn an_address_that_the_machine_has_not_is_left_out_where_that_is_allowed() {
        let absent: SocketAddr = "[2001:db8::1]:0".parse().unwrap();
        assert!(bind(&Bind::IfPresent(absent), None).unwrap().is_none());
        assert!(bind(&Bind::Tcp(absent), None).is_err());
    }

    #[tokio::test]
    async fn the_second_loopback_address_has_the_port_of_the_first() {
        let first = bind(&Bind::Tcp("127.0.0.1:0".parse().unwrap()), None).unwrap().unwrap();
        let port = first.address().unwrap().port();
        // ::1, if there is one; here 127.0.0.2 stands for it, which Linux always has.
        let second = bind(&Bind::IfPresent("127.0.0.2:0".parse().unwrap()), Some(port)).unwrap().unwrap();
        assert_eq!(second.address().unwrap().port(), port);
        let taken = bind(&Bind::IfPresent("127.0.0.2:0".parse().unwrap()), Some(port)).unwrap();
        assert!(taken.is_none(), "a port that we chose may be taken there");
        let asked = Bind::IfPresent(SocketAddr::new("127.0.0.2".parse().unwrap(), port));
        assert_eq!(bind(&asked, None).unwrap_err().kind(), ErrorKind::AddrInUse, "one that was asked for may not");
    }
}
