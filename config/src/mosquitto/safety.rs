//! What a listener cannot do without: lines that kept clients out, or things from them, and have no counterpart. A
//! listener with one is taken over, but is off.

use super::{convert::Written, listener::Listener, report::Report};
use crate::{schema::Transport, value::quoted};

const KEYS: &str = "TLS by pre-shared keys is not there: this listener would be in the clear, so it is off; give it \
                    certificates (certfile, keyfile)";
const NO_KEY: &str = "there is no keyfile with it: the listener would have no TLS, so it is off";
const NO_CERTIFICATE: &str = "there is no certfile with it: the listener would have no TLS, so it is off";
const NO_AUTHORITIES: &str = "a folder of authorities is not read, and clients could not be told by their \
                              certificates: the listener is off; put the authorities into one file, and name that \
                              with `cafile`";
const NO_TLS: &str = "without a certificate and its key the listener has no TLS, and clients could not be told by \
                      theirs: it is off; give it certfile, keyfile and cafile";
const KEY_FORM: &str = "a key that is no PEM file is not read: the listener is off; give it one with `keyfile`";
const MOUNT_POINT: &str = "topics cannot be moved below another, and clients would see all: the listener is off; an \
                           ACL can say what they may";
const INTERFACE: &str = "an interface cannot be named, and all addresses would be more: the listener is off; give its \
                         address in `bind`";
const IPV6: &str = "all addresses are those of IPv4 as well: the listener is off; give its addresses in `bind`";
const IDENTIFIER: &str = "clients keep the identifiers that they send, and one could take that of another: the \
                          listener is off; take `enabled` out if that may be";
const PROXY: &str = "whether a client came to the proxy by TLS is not asked: the listener is off; take `enabled` out \
                     if the proxy has nothing but TLS";
const FILE: &str = "one file is for all listeners, and it is another one: this listener would go by that, so it is off";

/// Words that only a listener with TLS can keep.
const OF_CLIENTS: [&str; 3] = ["require_certificate", "use_identity_as_username", "use_subject_as_username"];

impl Listener {
    /// Whether its TLS is by pre-shared keys.
    pub(super) fn wants_keys(&self) -> bool {
        self.get("certfile").is_none() && ["psk_hint", "psk_file"].iter().any(|word| self.get(word).is_some())
    }

    /// The words without which it would let in, or show, more than it did: it is off then. Each is noted.
    pub(super) fn unsafe_lines(
        &self,
        transport: Transport,
        written: &Written,
        report: &mut Report,
    ) -> Vec<&'static str> {
        let is = |word: &str, value: &str| self.get(word).is_some_and(|line| line.value == value);
        let is_on = |word: &str| self.get(word).is_some() && !is(word, "false") && !is(word, "0");
        let has_address = self.begun.as_ref().is_some_and(|line| line.value.contains(char::is_whitespace))
            || self.get("bind_address").is_some();
        let is_halved = (self.get("certfile").is_none() || self.get("keyfile").is_none()) && !self.wants_keys();
        let needs_authorities = self.get("cafile").is_none() && OF_CLIENTS.iter().any(|word| is_on(word));
        let is_other_file = |word: &str| {
            let read = written.get(&format!("access.{word}"));
            self.get(word).is_some_and(|line| read != Some(&quoted(&line.value)))
        };
        let is_clear = !transport.is_encrypted();
        let of_clients = OF_CLIENTS.map(|word| (word, is_clear && is_on(word), NO_TLS));
        let others = [
            ("psk_hint", self.wants_keys(), KEYS),
            ("psk_file", self.wants_keys(), KEYS),
            ("certfile", is_halved, NO_KEY),
            ("keyfile", is_halved, NO_CERTIFICATE),
            ("capath", needs_authorities, NO_AUTHORITIES),
            ("tls_keyform", !is_clear && !is("tls_keyform", "pem"), KEY_FORM),
            ("mount_point", true, MOUNT_POINT),
            ("bind_interface", !has_address, INTERFACE),
            ("socket_domain", !has_address && is("socket_domain", "ipv6"), IPV6),
            ("use_username_as_clientid", is_on("use_username_as_clientid"), IDENTIFIER),
            ("proxy_protocol_v2_require_tls", is_on("proxy_protocol_v2_require_tls"), PROXY),
            ("password_file", is_other_file("password_file"), FILE),
            ("acl_file", is_other_file("acl_file"), FILE),
        ];
        let mut found = Vec::new();
        for (word, is_lost, says) in others.into_iter().chain(of_clients) {
            if let Some(line) = self.get(word).filter(|_| is_lost) {
                report.lost(&line.origin, line.key(), says);
                found.push(word);
            }
        }
        found
    }
}
