//! What belongs to one connection of a session and ends with it.

use super::{
    alias::{AliasesIn, AliasesOut},
    connect::Terms,
    options::ServerOptions,
};
use crate::{Version, codec::packet::QoS};

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) version: Version,
    /// Publishes that may be unacknowledged towards the client.
    pub(super) window: u16,
    /// Publishes that are, on this connection.
    pub(super) unacked: u16,
    /// Publishes of the client that the server has not answered to the end, on this connection.
    /// Below zero when PUBCOMPs of earlier connections' exchanges gave the client more places (4.9).
    pub(super) unanswered: i32,
    pub(super) receive_maximum: u16,
    /// Answers to publishes that were not counted on this connection and still give a place, as the client counts
    /// (4.9). It bounds how far `unanswered` can fall.
    pub(super) grace: u16,
    pub(super) packet_bytes_max: u32,
    pub(super) problem_information: bool,
    pub(super) qos_max: QoS,
    pub(super) retain_available: bool,
    /// Whether CONNECT asked for a session that ends with the connection (then DISCONNECT cannot prolong it).
    pub(super) ends_with_connection: bool,
    pub(super) authentication_method: Option<Box<str>>,
    pub(super) aliases_in: AliasesIn,
    pub(super) aliases_out: AliasesOut,
}

impl Link {
    pub(super) fn new(terms: &Terms, options: &ServerOptions) -> Self {
        Self {
            version: terms.version,
            window: terms.window,
            unacked: 0,
            unanswered: 0,
            // Before 5.0 a client cannot know of a Receive Maximum and is not held to one.
            receive_maximum: if terms.version.is_v5() { options.receive_maximum } else { u16::MAX },
            grace: options.receive_maximum,
            packet_bytes_max: terms.packet_bytes_max,
            problem_information: terms.problem_information,
            qos_max: options.qos_max,
            retain_available: options.retain_available,
            ends_with_connection: terms.asked_for_no_expiry,
            authentication_method: terms.authentication_method.clone(),
            aliases_in: AliasesIn::new(if terms.version.is_v5() { options.alias_maximum } else { 0 }),
            aliases_out: AliasesOut::new(terms.alias_out_maximum),
        }
    }
}

impl Link {
    /// A publish of the client takes a place; `false` when none is left.
    pub(super) fn take_place(&mut self) -> bool {
        let has_place = self.unanswered < i32::from(self.receive_maximum);
        self.unanswered += i32::from(has_place);
        has_place
    }

    /// The client's publish is answered to the end: its place is free, whether or not it was counted here.
    pub(super) fn give_place(&mut self, was_counted: bool) {
        if was_counted {
            self.unanswered -= 1;
        } else if self.grace > 0 {
            self.grace -= 1;
            self.unanswered -= 1;
        }
    }
}
