//! Tests of the session machine: clause by clause, a simulated client behind a lossy link, and random packets.

#![expect(clippy::expect_used, reason = "tests fail by panicking")]

mod aliases;
mod arbitrary;
mod connack;
mod farewell;
mod inbound;
mod negotiation;
mod outbound;
mod packet_ids;
mod proof;
mod receive_maximum;
mod resume;
mod rig;
mod simulation;
