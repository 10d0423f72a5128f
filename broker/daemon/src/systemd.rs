//! What the service manager gives and is told: listening sockets (socket activation), and how the broker is
//! (`Type=notify-reload`, `WatchdogSec=`). Without one all of this does nothing.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use listenfd::ListenFd;
use primer_broker::options::{Bind, ListenerOptions};
use sd_notify::NotifyState;

/// Sockets that the service manager has opened for the broker, with their names (`FileDescriptorName=`).
pub(crate) fn given_sockets() -> anyhow::Result<Vec<(String, Bind)>> {
    let mut given = ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        let name = names.next().unwrap_or_default().to_owned();
        let bind = match given.take_tcp_listener(index) {
            Ok(Some(listener)) => Bind::GivenTcp(Arc::new(listener)),
            _ => match given.take_unix_listener(index) {
                Ok(Some(listener)) => Bind::GivenUnix(Arc::new(listener)),
                _ => bail!("socket {} ({name}) of the service manager is neither TCP nor a Unix stream", index + 1),
            },
        };
        sockets.push((name, bind));
    }
    Ok(sockets)
}

/// Puts given sockets in the place of the listeners that have their name (`tcp.default`: a name of systemd's has no
/// colon) or their address; several of one name are all that listener. One that no listener wants is a listener of MQTT
/// of its own. The default listeners go then: the service manager has said where to listen.
pub(crate) fn give(
    listeners: &mut Vec<ListenerOptions>,
    are_default: bool,
    sockets: Vec<(String, Bind)>,
) -> anyhow::Result<()> {
    if are_default && !sockets.is_empty() {
        listeners.clear();
    }
    let mut given = Vec::new();
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for (name, bind) in sockets {
        let address = address_of(&bind)?;
        let has_name = |listener: &&ListenerOptions| listener.name.replace(':', ".") == name;
        let has_address = |listener: &&ListenerOptions| matches!(listener.bind, Bind::Tcp(own) if Some(own) == address);
        let options = if let Some(listener) = listeners.iter().find(has_name) {
            names.push(listener.name.clone());
            listener.clone()
        } else if let Some(listener) = listeners.iter().find(has_address) {
            addresses.extend(address);
            listener.clone()
        } else {
            ListenerOptions::on(if name.is_empty() { "given".to_owned() } else { name }, bind.clone())
        };
        given.push(ListenerOptions { bind, ..options });
    }
    listeners.retain(|listener| {
        let has_address = matches!(listener.bind, Bind::Tcp(own) if addresses.contains(&own));
        !names.contains(&listener.name) && !has_address
    });
    listeners.extend(given);
    Ok(())
}

fn address_of(bind: &Bind) -> anyhow::Result<Option<SocketAddr>> {
    match bind {
        Bind::GivenTcp(listener) => {
            listener.local_addr().map(Some).context("a socket of the service manager has no address")
        }
        _ => Ok(None),
    }
}

/// The broker serves.
pub(crate) fn tell_ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is read anew; [`tell_ready`] ends it.
pub(crate) fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "there is no monotonic clock"),
    }
}

/// The broker ends, and may take this long.
pub(crate) fn tell_stopping(at_most: Duration) {
    let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
}

/// Tells the watchdog that the runtime takes turns, as long as it does and one is set.
pub(crate) async fn feed_watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut turns = tokio::time::interval((limit / 3).max(Duration::from_millis(10)));
    loop {
        turns.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn socket() -> (Bind, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (Bind::GivenTcp(Arc::new(listener)), address)
    }

    fn named(listeners: &[ListenerOptions]) -> Vec<(&str, bool)> {
        listeners.iter().map(|one| (one.name.as_str(), matches!(one.bind, Bind::GivenTcp(_)))).collect()
    }

    #[test]
    fn a_given_socket_takes_the_place_of_the_default_listeners() {
        let mut listeners = ListenerOptions::local(1883);
        give(&mut listeners, true, Vec::new()).unwrap();
        assert_eq!(named(&listeners), [("local", false), ("local6", false)]);
        give(&mut listeners, true, vec![("primer.socket".to_owned(), socket().0)]).unwrap();
        assert_eq!(named(&listeners), [("primer.socket", true)]);
    }

    #[test]
    fn a_given_socket_is_known_by_its_name_or_its_address() {
        let ((by_name, _), (by_address, address), (other, _)) = (socket(), socket(), socket());
        let mut listeners = vec![
            ListenerOptions::on("ssl:default", Bind::Tcp("127.0.0.1:8883".parse().unwrap())),
            ListenerOptions::on("tcp:plain", Bind::Tcp(address)),
            ListenerOptions::on("tcp:own", Bind::Tcp("127.0.0.1:1884".parse().unwrap())),
        ];
        let sockets =
            vec![("ssl.default".to_owned(), by_name), ("x.socket".to_owned(), by_address), (String::new(), other)];
        give(&mut listeners, false, sockets).unwrap();
        let all = [("tcp:own", false), ("ssl:default", true), ("tcp:plain", true), ("given", true)];
        assert_eq!(named(&listeners), all);
    }
    /// A unit with two `ListenStream=` gives both sockets one name; a listener may have several addresses.
    #[test]
    fn several_sockets_of_a_name_are_all_that_listener() {
        let own = |address: &str| ListenerOptions::on("tcp:default", Bind::Tcp(address.parse().unwrap()));
        let mut listeners = vec![own("127.0.0.1:1883"), own("127.0.0.2:1883")];
        listeners.iter_mut().for_each(|listener| listener.connections_max = 7);
        let sockets = vec![("tcp.default".to_owned(), socket().0), ("tcp.default".to_owned(), socket().0)];
        give(&mut listeners, false, sockets).unwrap();
        assert_eq!(named(&listeners), [("tcp:default", true), ("tcp:default", true)]);
        assert!(listeners.iter().all(|listener| listener.connections_max == 7));
        let mut listeners = Vec::new();
        let sockets = vec![("primer.socket".to_owned(), socket().0), ("primer.socket".to_owned(), socket().0)];
        give(&mut listeners, false, sockets).unwrap();
        assert_eq!(listeners.len(), 2);
    }
}
