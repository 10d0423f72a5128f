//! Chance, as one seed gives it; and what a seed decides before the first step.

use crate::{Version, codec::packet::QoS, session::ServerOptions};

/// SplitMix64: the same numbers for the same seed, on every machine.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `bound - 1`; 0 when there is no choice.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from(self.next() % bound).unwrap()
    }

    pub(super) fn between(&mut self, low: u16, high: u16) -> u16 {
        low + u16::try_from(self.below(usize::from(high - low) + 1)).unwrap()
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn qos(&mut self) -> QoS {
        match self.below(10) {
            0 => QoS::AtMostOnce,
            1..5 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        }
    }
}

/// What stays the same through one run.
pub(super) struct Plan {
    pub(super) version: Version,
    pub(super) options: ServerOptions,
    /// How often a connection begins with a clean start.
    pub(super) clean_percent: usize,
    /// Exchanges that the client begins before it waits, where no Receive Maximum tells it.
    pub(super) client_window: usize,
    /// The client counts its places as 4.9 says, even where that gives it more than 3.3.4 does: PUBCOMP of an exchange
    /// of an earlier connection frees a place that was taken on this one.
    pub(super) counts_freely: bool,
    /// The client answers in the order in which it was asked.
    pub(super) is_orderly: bool,
    /// The client answers on a new connection what it was asked on an earlier one.
    pub(super) answers_late: bool,
    /// How often a commit ends as a refusal.
    pub(super) refused_percent: usize,
    /// How often the client refuses a message (5.0).
    pub(super) rejected_percent: usize,
    /// How often the client has a Maximum Packet Size that keeps large messages out (5.0).
    pub(super) small_percent: usize,
    /// How often a step is a cut, in thousandths.
    pub(super) cut_permille: usize,
    /// The server's identifiers begin near the end of their range.
    pub(super) begins_late: bool,
    pub(super) steps: usize,
}

impl Plan {
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self {
            version: if dice.chance(50) { Version::V5 } else { Version::V311 },
            options: ServerOptions {
                receive_maximum: dice.between(1, 6),
                inflight_max: dice.between(1, 6),
                alias_maximum: dice.between(0, 3),
                alias_out_maximum: dice.between(0, 3),
                ..ServerOptions::default()
            },
            clean_percent: [0, 0, 0, 20, 100][dice.below(5)],
            client_window: usize::from(dice.between(1, 12)),
            counts_freely: dice.chance(50),
            is_orderly: dice.chance(60),
            answers_late: dice.chance(30),
            refused_percent: [0, 10, 30][dice.below(3)],
            rejected_percent: [0, 10, 40][dice.below(3)],
            small_percent: [0, 0, 40][dice.below(3)],
            cut_permille: [2, 8, 20, 40][dice.below(4)],
            begins_late: dice.chance(25),
            steps: 400 + dice.below(800),
        }
    }
}
