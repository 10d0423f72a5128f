//! SUBSCRIBE and UNSUBSCRIBE (3.8, 3.10): a list of topic filters, the first with options.
//!
//! The filters stay in their bytes and are checked once. `$share/` has no meaning before 5.0, so there a filter that
//! begins with it and lacks a group or a filter passes as the plain filter that it is.

use super::{
    EncodeError,
    clause::{self, Clause},
    packet::{Filters, QoS, RetainHandling, Subscribe, SubscribeOptions, Unsubscribe},
    properties::{self, Place},
    reader::Reader,
    writer::Writer,
};
use crate::{ReasonCode, Version, Violation, limits};
use primer_core::topic::{self, TopicError};

const SHARE: &str = "$share/";

pub(super) fn decode_subscribe(body: &[u8], version: Version) -> Result<Subscribe<'_>, Violation> {
    let mut reader = Reader::new(body, version);
    let packet_id = reader.packet_id(clause::ID_TO_SERVER)?;
    let (properties, found) = properties::read(&mut reader, Place::Subscribe)?;
    let filters = read_filters(&reader, true, clause::SUBSCRIBE_EMPTY)?;
    Ok(Subscribe { packet_id, subscription_id: found.subscription_id, properties, filters })
}

pub(super) fn decode_unsubscribe(body: &[u8], version: Version) -> Result<Unsubscribe<'_>, Violation> {
    let mut reader = Reader::new(body, version);
    let packet_id = reader.packet_id(clause::ID_TO_SERVER)?;
    let (properties, _) = properties::read(&mut reader, Place::Unsubscribe)?;
    let filters = read_filters(&reader, false, clause::UNSUBSCRIBE_EMPTY)?;
    Ok(Unsubscribe { packet_id, properties, filters })
}

/// Checks all that is left as filters; `empty` is the clause that demands one.
fn read_filters<'a>(rest: &Reader<'a>, with_options: bool, empty: Clause) -> Result<Filters<'a>, Violation> {
    let mut reader = *rest;
    let version = reader.version();
    let mut count = 0_u16;
    while !reader.is_empty() {
        let filter = reader.utf8()?;
        check_filter(filter, version)?;
        if with_options {
            let options = read_options(reader.u8()?, version)?;
            if options.no_local && filter.starts_with(SHARE) {
                return Err(clause::NO_LOCAL_SHARED.protocol(version, "no local on a shared subscription"));
            }
        }
        if count == limits::FILTERS_MAX {
            let reason = ReasonCode::QUOTA_EXCEEDED;
            return Err(clause::FILTER_COUNT.with(version, reason, "more filters than are taken at once"));
        }
        count += 1;
    }
    if count == 0 {
        return Err(empty.protocol(version, "a request without a topic filter"));
    }
    Ok(Filters { bytes: rest.rest(), with_options, count })
}

fn check_filter(filter: &str, version: Version) -> Result<(), Violation> {
    let mut plain = filter;
    if !version.is_v5() {
        while let Some(rest) = plain.strip_prefix(SHARE) {
            plain = rest;
        }
        if plain.is_empty() && !filter.is_empty() {
            return Ok(());
        }
    }
    topic::check_filter(plain).map_err(|error| match error {
        TopicError::Nul => clause::NUL.malformed(version, "a topic filter holds U+0000"),
        TopicError::Empty => clause::TOPIC_EMPTY.with(version, INVALID, "a topic filter is empty"),
        TopicError::MultiLevel => {
            clause::FILTER_MULTI.with(version, INVALID, "'#' is not the last level of a topic filter")
        }
        TopicError::SingleLevel => {
            clause::FILTER_SINGLE.with(version, INVALID, "'+' is not a whole level of a topic filter")
        }
        TopicError::Share => {
            clause::FILTER_SHARE.with(version, INVALID, "a shared subscription without a share name and a filter")
        }
        _ => clause::TOPIC_LONG.with(version, INVALID, "a text is no topic filter"),
    })
}

const INVALID: ReasonCode = ReasonCode::TOPIC_FILTER_INVALID;

fn read_options(byte: u8, version: Version) -> Result<SubscribeOptions, Violation> {
    let qos = match byte & 0x03 {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        _ => return Err(clause::SUBSCRIBE_QOS.protocol(version, "a subscription has QoS 3")),
    };
    let reserved = if version.is_v5() { 0xC0 } else { 0xFC };
    if byte & reserved != 0 {
        return Err(clause::SUBSCRIBE_OPTIONS.malformed(version, "reserved subscription options are set"));
    }
    let retain_handling = match byte >> 4 {
        0 => RetainHandling::Always,
        1 => RetainHandling::IfNew,
        2 => RetainHandling::Never,
        _ => return Err(clause::RETAIN_HANDLING.protocol(version, "a subscription has retain handling 3")),
    };
    Ok(SubscribeOptions { qos, no_local: byte & 0x04 != 0, retain_as_published: byte & 0x08 != 0, retain_handling })
}

const fn options_byte(options: SubscribeOptions) -> u8 {
    options.qos as u8
        | if options.no_local { 0x04 } else { 0 }
        | if options.retain_as_published { 0x08 } else { 0 }
        | (options.retain_handling as u8) << 4
}

/// Before 5.0 only the QoS of the options is written.
pub(super) fn encode_subscribe(subscribe: &Subscribe<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    if subscribe.filters.is_empty() {
        return Err(EncodeError::Empty);
    }
    writer.packet(0x82, |writer| {
        writer.u16(subscribe.packet_id.get());
        writer.properties(subscribe.properties)?;
        let is_v5 = writer.version().is_v5();
        for (filter, options) in subscribe.filters.iter() {
            writer.string(filter)?;
            writer.u8(if is_v5 { options_byte(options) } else { options.qos as u8 });
        }
        Ok(())
    })
}

pub(super) fn encode_unsubscribe(unsubscribe: &Unsubscribe<'_>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    if unsubscribe.filters.is_empty() {
        return Err(EncodeError::Empty);
    }
    writer.packet(0xA2, |writer| {
        writer.u16(unsubscribe.packet_id.get());
        writer.properties(unsubscribe.properties)?;
        unsubscribe.filters.iter().try_for_each(|(filter, _)| writer.string(filter))
    })
}

impl<'a> Filters<'a> {
    /// The filters with their options, in their order; UNSUBSCRIBE has the default ones.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, SubscribeOptions)> {
        let mut reader = Reader::new(self.bytes, Version::V5);
        std::iter::from_fn(move || {
            let filter = reader.utf8().ok()?;
            let options = if self.with_options { reader.u8().ok()? } else { 0 };
            Some((filter, read_options(options, Version::V5).ok()?))
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none, which a decoded packet does not have.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }
}

/// Builds the filters of a request, in the client's role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiltersBuf {
    bytes: Vec<u8>,
    with_options: bool,
    count: u16,
}

impl FiltersBuf {
    /// No filters yet, for a SUBSCRIBE.
    #[must_use]
    pub const fn subscribe() -> Self {
        Self { bytes: Vec::new(), with_options: true, count: 0 }
    }

    /// No filters yet, for an UNSUBSCRIBE.
    #[must_use]
    pub const fn unsubscribe() -> Self {
        Self { bytes: Vec::new(), with_options: false, count: 0 }
    }

    /// Appends a filter and returns true; `options` do not count in an UNSUBSCRIBE. A filter over 65,535 bytes, or
    /// the one after [`limits::FILTERS_MAX`], is left out, and false returned. The text is not checked to be a filter.
    pub fn push(&mut self, filter: &str, options: SubscribeOptions) -> bool {
        let Ok(len) = u16::try_from(filter.len()) else {
            return false;
        };
        if self.count == limits::FILTERS_MAX {
            return false;
        }
        self.count += 1;
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(filter.as_bytes());
        if self.with_options {
            self.bytes.push(options_byte(options));
        }
        true
    }

    /// The filters as a packet takes them.
    #[must_use]
    pub fn as_filters(&self) -> Filters<'_> {
        Filters { bytes: &self.bytes, with_options: self.with_options, count: self.count }
    }
}
