//! The two ports of access control: an authenticator says who somebody is, a decider what it may do.
//!
//! [`Guard`] is both, by a password file and an ACL file; here are the ones that need no file.

mod guard;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use primer_mqtt::{ReasonCode, auth::scram::Credentials, codec::packet::QoS};

pub use self::guard::{AccessError, AccessOptions, Guard, Loaded};
pub use primer_devices::Reading;

use crate::control::CONTROL;

/// Who a connection belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The client identifier.
    pub client_id: Arc<str>,
    /// The user name, if there is one.
    pub username: Option<Arc<str>>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What the user name is worth.
    pub standing: Standing,
    /// Whether it is a program of this machine: not a page in a browser of this machine, and nobody of whom a proxy
    /// does not say where it comes from.
    pub is_local: bool,
    /// Whether the user name stands in a client certificate that the listener has verified.
    pub is_certified: bool,
    /// What its listener says of clients without a user name; `None` if nothing.
    pub allow_anonymous: Option<bool>,
}

/// What a user name is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was proved, by a password or a certificate.
    Proven,
    /// The client says so; nobody has checked it.
    Claimed,
}

/// Whether an address is this machine's own; ::ffff:127.0.0.1 as well.
pub(crate) fn is_loopback(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

/// A CONNECT that wants to be let in.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The client identifier, made up by the server if the client sent none.
    pub client_id: &'a str,
    /// User name.
    pub username: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The name of the listener.
    pub listener: &'a str,
    /// Whether the user name stands in a client certificate that the listener has verified: there is no password then.
    pub is_certified: bool,
    /// What the listener says of clients without a user name; `None` if nothing.
    pub allow_anonymous: Option<bool>,
}

/// Says whether somebody is who it says.
pub trait Authenticator: Send + Sync + 'static {
    /// Lets the attempt in, and says what its user name is worth, or refuses it with the reason that CONNACK gives.
    ///
    /// # Errors
    /// 0x86 for a wrong user name or password, 0x87 for one that must not connect.
    fn authenticate(&self, attempt: &Attempt<'_>) -> Result<Standing, ReasonCode>;

    /// Whether somebody who was let in may stay. Asked of all that are connected when access has changed
    /// ([`Broker::access_changed`](crate::Broker::access_changed)); who may not is told 0x87 and disconnected.
    /// Passwords are not kept, so one cannot be asked for again.
    fn may_stay(&self, _: &Identity) -> bool {
        true
    }

    /// Whether [`authenticate`](Self::authenticate) computes or waits for long. Then it is called on a thread for
    /// blocking work, a few at a time.
    fn is_slow(&self) -> bool;

    /// What SCRAM-SHA-256 needs to know of a user; `None` for an unknown one.
    fn credentials(&self, username: &str) -> Option<Credentials>;

    /// Whether enhanced authentication with SCRAM-SHA-256 is offered.
    fn offers_scram(&self) -> bool;
}

/// Says what an identity may do.
pub trait Decider: Send + Sync + 'static {
    /// Whether `identity` may publish to `topic`.
    fn may_publish(&self, identity: &Identity, topic: &str, qos: QoS, retain: bool) -> bool;

    /// How much of what `filter` matches `identity` may read: with nothing the subscription is refused, with some of it
    /// each message is [asked about](Self::may_read). Without the prefix of a shared subscription. A queue is asked for
    /// by its own name (`$queue/NAME`, `$dead/NAME`), a look into it as `$browse/NAME`: these are all or nothing.
    fn may_subscribe(&self, identity: &Identity, filter: &str) -> Reading;

    /// Whether `identity` may get what is published to `topic`.
    fn may_read(&self, identity: &Identity, topic: &str) -> bool;

    /// Whether there is anybody who may not read everything. If not, nobody is asked about.
    fn restricts_reading(&self) -> bool {
        true
    }
}

/// Anybody may connect.
#[derive(Debug, Default)]
pub struct Anonymous;

impl Authenticator for Anonymous {
    fn authenticate(&self, _: &Attempt<'_>) -> Result<Standing, ReasonCode> {
        Ok(Standing::Claimed)
    }

    fn is_slow(&self) -> bool {
        false
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }

    fn offers_scram(&self) -> bool {
        false
    }
}

/// A fixed list of users, known by their SCRAM credentials only: no password is kept.
#[derive(Debug, Default)]
pub struct Users {
    users: BTreeMap<Box<str>, Credentials>,
}

impl Users {
    /// Adds or replaces a user.
    pub fn insert(&mut self, username: &str, credentials: Credentials) {
        self.users.insert(username.into(), credentials);
    }
}

impl Authenticator for Users {
    fn authenticate(&self, attempt: &Attempt<'_>) -> Result<Standing, ReasonCode> {
        let known = attempt.username.and_then(|name| self.users.get(name));
        // An unknown name takes as long as a known one, so that names cannot be found out.
        let credentials = known.or_else(|| self.users.values().next());
        let is_right = credentials.is_some_and(|c| c.verify(attempt.password.unwrap_or_default()));
        if is_right && known.is_some() && attempt.password.is_some() {
            return Ok(Standing::Proven);
        }
        Err(ReasonCode::BAD_USER_NAME_OR_PASSWORD)
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn credentials(&self, username: &str) -> Option<Credentials> {
        self.users.get(username).cloned()
    }

    fn offers_scram(&self) -> bool {
        true
    }
}

/// Everybody may publish and subscribe to everything, except publish to `$SYS`, which is the broker's own. Commands
/// (`$CONTROL/...`) are taken from this machine alone: anybody on the network could end queues otherwise.
#[derive(Debug, Default)]
pub struct Open;

impl Decider for Open {
    fn may_publish(&self, identity: &Identity, topic: &str, _: QoS, _: bool) -> bool {
        if topic.starts_with(CONTROL) {
            return identity.is_local;
        }
        !is_sys(topic)
    }

    fn may_subscribe(&self, _: &Identity, _: &str) -> Reading {
        Reading::All
    }

    fn may_read(&self, _: &Identity, _: &str) -> bool {
        true
    }

    fn restricts_reading(&self) -> bool {
        false
    }
}

/// Whether a topic is one that only the broker publishes to.
fn is_sys(topic: &str) -> bool {
    topic.starts_with("$SYS/") || topic == "$SYS"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_from_this_machine_alone() {
        let may = |peer: &str, topic: &str| {
            let peer: SocketAddr = peer.parse().unwrap();
            let (standing, is_local) = (Standing::Claimed, is_loopback(peer));
            let (is_certified, allow_anonymous) = (false, None);
            let client_id = "c".into();
            let identity =
                Identity { client_id, username: None, peer, standing, is_local, is_certified, allow_anonymous };
            Open.may_publish(&identity, topic, QoS::AtLeastOnce, false)
        };
        for (peer, is_here) in [
            ("127.0.0.1:1", true),
            ("127.8.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("192.168.0.7:1", false),
            ("[::ffff:192.168.0.7]:1", false),
            ("[2001:db8::1]:1", false),
            ("0.0.0.0:1", false),
        ] {
            assert_eq!(may(peer, "$CONTROL/queue/v1"), is_here, "{peer}");
            assert_eq!(may(peer, "$CONTROL/anything/else"), is_here, "{peer}");
            assert!(may(peer, "a/b"), "{peer}");
            assert!(!may(peer, "$SYS/broker/uptime"), "{peer}");
        }
    }
}
