//! The clauses that the codec holds peers to, by their numbers in MQTT 3.1.1 and in MQTT 5.0.
//!
//! `MQTT-x.y.z-n` is a numbered normative statement; `MQTT3 x.y.z` and `MQTT5 x.y.z` are sections, where the rule has
//! no number. MQTT 3.1 has no numbers; its peers are told those of 3.1.1.

use crate::{ReasonCode, Version, Violation};

/// One rule, by its name in each specification.
#[derive(Clone, Copy)]
pub(super) struct Clause {
    v3: &'static str,
    v5: &'static str,
}

impl Clause {
    const fn new(v3: &'static str, v5: &'static str) -> Self {
        Self { v3, v5 }
    }

    /// A rule that only MQTT 5.0 has.
    pub(super) const fn v5(v5: &'static str) -> Self {
        Self { v3: v5, v5 }
    }

    const fn of(self, version: Version) -> &'static str {
        if version.is_v5() { self.v5 } else { self.v3 }
    }

    #[cold]
    pub(super) const fn malformed(self, version: Version, detail: &'static str) -> Violation {
        Violation::malformed(self.of(version), detail)
    }

    #[cold]
    pub(super) const fn protocol(self, version: Version, detail: &'static str) -> Violation {
        Violation::protocol(self.of(version), detail)
    }

    #[cold]
    pub(super) const fn with(self, version: Version, reason: ReasonCode, detail: &'static str) -> Violation {
        Violation::with(reason, self.of(version), detail)
    }
}

macro_rules! clauses {
    ($($name:ident = $v3:literal, $v5:literal;)*) => {
        $(pub(super) const $name: Clause = Clause::new($v3, $v5);)*
    };
}

clauses! {
    // Data representation
    UTF8 = "MQTT-1.5.3-1", "MQTT-1.5.4-1";
    NUL = "MQTT-1.5.3-2", "MQTT-1.5.4-2";
    VARINT = "MQTT3 2.2.3", "MQTT5 1.5.5";
    VARINT_MINIMAL = "MQTT3 2.2.3", "MQTT-1.5.5-1";
    LENGTH = "MQTT-4.8.0-1", "MQTT-4.13.1-1";

    // Fixed header
    PACKET_TYPE = "MQTT3 2.2.1", "MQTT5 2.1.2";
    FLAGS = "MQTT-2.2.2-2", "MQTT-2.1.3-1";
    FLAGS_PUBREL = "MQTT-3.6.1-1", "MQTT-3.6.1-1";
    FLAGS_SUBSCRIBE = "MQTT-3.8.1-1", "MQTT-3.8.1-1";
    FLAGS_UNSUBSCRIBE = "MQTT-3.10.1-1", "MQTT-3.10.1-1";
    FLAGS_DISCONNECT = "MQTT-3.14.1-1", "MQTT-3.14.1-1";
    FLAGS_AUTH = "MQTT3 2.2.1", "MQTT-3.15.1-1";
    SIZE_TO_SERVER = "MQTT3 2.2.3", "MQTT-3.2.2-15";
    SIZE_TO_CLIENT = "MQTT3 2.2.3", "MQTT-3.1.2-24";

    // Packet identifiers
    ID_TO_SERVER = "MQTT-2.3.1-1", "MQTT-2.2.1-3";
    ID_TO_CLIENT = "MQTT-2.3.1-1", "MQTT-2.2.1-4";
    ID_ACK = "MQTT-2.3.1-6", "MQTT-2.2.1-5";
    ID_SUBACK = "MQTT-2.3.1-7", "MQTT-2.2.1-6";

    // CONNECT
    CONNECT_FIRST = "MQTT-3.1.0-1", "MQTT-3.1.0-1";
    CONNECT_ONCE = "MQTT-3.1.0-2", "MQTT-3.1.0-2";
    PROTOCOL_NAME = "MQTT-3.1.2-1", "MQTT-3.1.2-1";
    PROTOCOL_LEVEL = "MQTT-3.1.2-2", "MQTT-3.1.2-2";
    CONNECT_RESERVED = "MQTT-3.1.2-3", "MQTT-3.1.2-3";
    NO_WILL_QOS = "MQTT-3.1.2-13", "MQTT-3.1.2-11";
    WILL_QOS = "MQTT-3.1.2-14", "MQTT-3.1.2-12";
    NO_WILL_RETAIN = "MQTT-3.1.2-15", "MQTT-3.1.2-13";
    PASSWORD_ALONE = "MQTT-3.1.2-22", "MQTT5 3.1.2.9";

    // CONNACK
    CONNACK_FLAGS = "MQTT3 3.2.2.1", "MQTT-3.2.2-1";
    CONNACK_SESSION = "MQTT-3.2.2-4", "MQTT-3.2.2-6";
    CONNACK_CODE = "MQTT3 3.2.2.3", "MQTT-3.2.2-8";

    // PUBLISH
    PUBLISH_DUP = "MQTT-3.3.1-2", "MQTT-3.3.1-2";
    PUBLISH_QOS = "MQTT-3.3.1-4", "MQTT-3.3.1-4";
    TOPIC_WILDCARD = "MQTT-3.3.2-2", "MQTT-3.3.2-2";
    TOPIC_EMPTY = "MQTT-4.7.3-1", "MQTT-4.7.3-1";
    TOPIC_LONG = "MQTT-4.7.3-3", "MQTT-4.7.3-3";

    // Topics elsewhere
    NAME_WILDCARD = "MQTT-4.7.1-1", "MQTT-4.7.0-1";
    FILTER_MULTI = "MQTT-4.7.1-2", "MQTT-4.7.1-1";
    FILTER_SINGLE = "MQTT-4.7.1-3", "MQTT-4.7.1-2";
    FILTER_SHARE = "MQTT3 4.7.2", "MQTT-4.8.2-1";

    // SUBSCRIBE and its kin
    SUBSCRIBE_EMPTY = "MQTT-3.8.3-3", "MQTT-3.8.3-2";
    SUBSCRIBE_OPTIONS = "MQTT-3.8.3-4", "MQTT-3.8.3-5";
    SUBSCRIBE_QOS = "MQTT-3.8.3-4", "MQTT5 3.8.3.1";
    UNSUBSCRIBE_EMPTY = "MQTT-3.10.3-2", "MQTT-3.10.3-2";
    FILTER_COUNT = "MQTT3 3.8.3", "MQTT5 3.8.3";
    SUBACK_CODE = "MQTT-3.9.3-2", "MQTT-3.9.3-2";
    SUBACK_EMPTY = "MQTT-3.8.4-5", "MQTT-3.8.4-6";
    UNSUBACK_CODE = "MQTT3 3.11", "MQTT-3.11.3-2";
}

// What only MQTT 5.0 knows
pub(super) const NO_LOCAL_SHARED: Clause = Clause::v5("MQTT-3.8.3-4");
pub(super) const RETAIN_HANDLING: Clause = Clause::v5("MQTT5 3.8.3.1");
pub(super) const UNSUBACK_EMPTY: Clause = Clause::v5("MQTT5 3.11.3");
pub(super) const ALIAS_MISSING: Clause = Clause::v5("MQTT5 3.3.2.1");
pub(super) const ALIAS_ZERO: Clause = Clause::v5("MQTT-3.3.2-8");
pub(super) const RESPONSE_TOPIC: Clause = Clause::v5("MQTT-3.3.2-14");
pub(super) const SUBSCRIPTION_ID_TO_SERVER: Clause = Clause::v5("MQTT-3.3.4-6");
pub(super) const EXPIRY_TO_CLIENT: Clause = Clause::v5("MQTT-3.14.2-2");
pub(super) const AUTH_DATA_ALONE: Clause = Clause::v5("MQTT5 3.1.2.11.10");
pub(super) const AUTH_METHOD: Clause = Clause::v5("MQTT5 3.15.2.2.2");
pub(super) const PROPERTY_UNKNOWN: Clause = Clause::v5("MQTT5 2.2.2.2");
pub(super) const PUBACK_CODE: Clause = Clause::v5("MQTT-3.4.2-1");
pub(super) const PUBREC_CODE: Clause = Clause::v5("MQTT-3.5.2-1");
pub(super) const PUBREL_CODE: Clause = Clause::v5("MQTT-3.6.2-1");
pub(super) const PUBCOMP_CODE: Clause = Clause::v5("MQTT-3.7.2-1");
pub(super) const DISCONNECT_CODE: Clause = Clause::v5("MQTT-3.14.2-1");
pub(super) const AUTH_CODE: Clause = Clause::v5("MQTT-3.15.2-1");
