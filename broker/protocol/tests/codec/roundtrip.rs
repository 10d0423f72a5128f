//! Every packet of every version and sender comes back as it was, and no shorter piece of it is a packet or an error.

use crate::{
    generate::{Kind, Sample, Source, VERSIONS, kinds},
    targets,
};
use primer_mqtt::codec::Role;
use proptest::prelude::*;

/// Packets of one type in each version, by every sender that sends it.
fn check(kind: Kind, choices: &[u8]) {
    for version in VERSIONS {
        for sender in [Role::Client, Role::Server] {
            if kinds(sender, version).contains(&kind) {
                let sample = Sample::new(kind, version, sender, &mut Source::new(choices));
                targets::check_roundtrip(&sample, sender);
            }
        }
    }
}

macro_rules! round_trips {
    ($($name:ident: $kind:ident;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
            $(#[test]
            fn $name(choices in proptest::collection::vec(any::<u8>(), 0..300)) {
                check(Kind::$kind, &choices);
            })*
        }
    };
}

round_trips! {
    connect: Connect;
    connack: ConnAck;
    publish: Publish;
    puback: PubAck;
    pubrec: PubRec;
    pubrel: PubRel;
    pubcomp: PubComp;
    subscribe: Subscribe;
    suback: SubAck;
    unsubscribe: Unsubscribe;
    unsuback: UnsubAck;
    pingreq: PingReq;
    pingresp: PingResp;
    disconnect: Disconnect;
    auth: Auth;
}
