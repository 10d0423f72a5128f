//! What slows down who guesses passwords: after some failures an address has to wait before each further attempt.
//!
//! A machine that knows no clock. Nobody is locked out for ever, no address has to wait for another, and memory is
//! bounded. An IPv6 address counts with its /64: that is what one customer has.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::limits::{ADDRESSES_MAX, FAILURES_FREE, QUIET_MS, WAIT_MS_MAX, WAIT_MS_MIN};

/// Whom a failure counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    V4([u8; 4]),
    /// The first 64 bits.
    V6(u64),
}

impl From {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

/// What is known of one address.
#[derive(Debug, Clone, Copy)]
struct Known {
    failures: u32,
    last_ms: u64,
}

impl Known {
    const fn is_forgotten(self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.last_ms) >= QUIET_MS
    }

    /// How long to wait after the last failure.
    fn wait_ms(self) -> u64 {
        match self.failures.checked_sub(FAILURES_FREE) {
            None => 0,
            Some(more) => (WAIT_MS_MIN << more.min(16)).min(WAIT_MS_MAX),
        }
    }
}

/// An attempt that is looked at.
#[derive(Debug)]
#[must_use]
pub struct Turn {
    /// It counts as failed already.
    is_counted: bool,
}

/// The addresses that have failed of late. Times are milliseconds of one clock that does not go back.
#[derive(Debug, Default)]
pub struct Guesses {
    known: BTreeMap<From, Known>,
    /// The same, the longest ago first.
    by_age: BTreeSet<(u64, From)>,
}

impl Guesses {
    /// How many milliseconds this address has to wait until a password of it is looked at; 0 for not at all.
    ///
    /// Ask again after the wait, right before the check: of several attempts that wait at a time, the first that fails
    /// has the others wait longer.
    #[must_use]
    pub fn wait_ms(&self, ip: IpAddr, now_ms: u64) -> u64 {
        match self.known.get(&From::of(ip)) {
            Some(known) if !known.is_forgotten(now_ms) => (known.last_ms + known.wait_ms()).saturating_sub(now_ms),
            _ => 0,
        }
    }

    /// Whether a password of this address may be looked at now; else how many milliseconds it has to wait, and to ask
    /// again. An address that has had to wait is given its turn as if the attempt had failed, until it has not: of many
    /// attempts that wait at a time one is looked at.
    ///
    /// # Errors
    /// The milliseconds to wait.
    pub fn begin(&mut self, ip: IpAddr, now_ms: u64) -> Result<Turn, u64> {
        match self.wait_ms(ip, now_ms) {
            0 => {
                let known = self.known.get(&From::of(ip)).filter(|known| !known.is_forgotten(now_ms));
                let is_counted = known.is_some_and(|known| known.failures >= FAILURES_FREE);
                if is_counted {
                    self.failed(ip, now_ms);
                }
                Ok(Turn { is_counted })
            }
            wait_ms => Err(wait_ms),
        }
    }

    /// What became of an attempt that had its turn.
    pub fn end(&mut self, turn: &Turn, ip: IpAddr, was_right: bool, now_ms: u64) {
        let Turn { is_counted } = *turn;
        if was_right {
            self.succeeded(ip);
        } else if !is_counted {
            self.failed(ip, now_ms);
        }
    }

    /// A password of this address was wrong.
    pub fn failed(&mut self, ip: IpAddr, now_ms: u64) {
        self.forget_old(now_ms);
        let from = From::of(ip);
        let before = self.forget(from);
        let failures = before.map_or(0, |known| known.failures).saturating_add(1);
        if self.known.len() >= ADDRESSES_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(from, Known { failures, last_ms: now_ms });
        self.by_age.insert((now_ms, from));
    }

    /// A password of this address was right: what failed before is forgotten.
    pub fn succeeded(&mut self, ip: IpAddr) {
        self.forget(From::of(ip));
    }

    /// Addresses that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn forget(&mut self, from: From) -> Option<Known> {
        let known = self.known.remove(&from)?;
        self.by_age.remove(&(known.last_ms, from));
        Some(known)
    }

    fn forget_old(&mut self, now_ms: u64) {
        while let Some((last_ms, from)) = self.by_age.first().copied()
            && now_ms.saturating_sub(last_ms) >= QUIET_MS
        {
            self.forget(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(guesses: &mut Guesses, from: IpAddr, times: u32, now_ms: u64) {
        (0..times).for_each(|_| guesses.failed(from, now_ms));
    }

    #[test]
    fn the_first_failures_are_free_and_then_the_wait_doubles_to_its_bound() {
        let mut guesses = Guesses::default();
        let here = ip("192.0.2.1");
        let waits: Vec<u64> = (0..12)
            .map(|_| {
                guesses.failed(here, 500);
                guesses.wait_ms(here, 500)
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000]);
        assert_eq!(guesses.wait_ms(here, 8_499), 1);
        assert_eq!(guesses.wait_ms(here, 8_500), 0, "the wait is over");
        fail(&mut guesses, here, 100, 40_000);
        assert_eq!(guesses.wait_ms(here, 40_000), 8_000, "however often");
    }

    /// Whoever opens a thousand connections and waits on all of them has one attempt, not a thousand.
    #[test]
    fn of_many_that_wait_one_has_its_turn() {
        let mut guesses = Guesses::default();
        let here = ip("192.0.2.1");
        for _ in 0..FAILURES_FREE {
            let turn = guesses.begin(here, 0).unwrap();
            guesses.end(&turn, here, false, 0);
        }
        assert_eq!(guesses.begin(here, 0).unwrap_err(), 1000);
        let turn = guesses.begin(here, 1000).unwrap();
        assert_eq!(guesses.begin(here, 1000).unwrap_err(), 2000, "while the other is looked at");
        guesses.end(&turn, here, false, 1000);
        assert_eq!(guesses.wait_ms(here, 1000), 2000, "counted once");
        let turn = guesses.begin(here, 3000).unwrap();
        guesses.end(&turn, here, true, 3000);
        assert!(guesses.begin(here, 3000).is_ok(), "it was right");
    }

    #[test]
    fn no_address_waits_for_another() {
        let mut guesses = Guesses::default();
        fail(&mut guesses, ip("192.0.2.1"), 9, 0);
        assert_eq!(guesses.wait_ms(ip("192.0.2.2"), 0), 0);
        assert!(guesses.wait_ms(ip("::ffff:192.0.2.1"), 0) > 0, "the same address");
        fail(&mut guesses, ip("2001:db8:1:2:3::4"), 9, 0);
        assert!(guesses.wait_ms(ip("2001:db8:1:2:5::6"), 0) > 0, "the same network");
        assert_eq!(guesses.wait_ms(ip("2001:db8:1:3:3::4"), 0), 0);
        assert_eq!(guesses.len(), 2);
    }

    #[test]
    fn a_success_and_a_quiet_time_are_a_new_start() {
        let mut guesses = Guesses::default();
        let here = ip("192.0.2.1");
        fail(&mut guesses, here, 9, 0);
        guesses.succeeded(here);
        assert!(guesses.is_empty());
        fail(&mut guesses, here, 4, 1);
        assert_eq!(guesses.wait_ms(here, 1), 0, "four are free again");
        guesses.failed(here, QUIET_MS);
        assert_eq!(guesses.wait_ms(here, QUIET_MS), 1000, "not quiet for long enough");
        guesses.failed(here, 2 * QUIET_MS);
        assert_eq!(guesses.wait_ms(here, 2 * QUIET_MS), 0, "forgotten");
        guesses.failed(ip("192.0.2.9"), 3 * QUIET_MS);
        assert_eq!(guesses.len(), 1, "who is forgotten takes no memory");
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_go() {
        let mut guesses = Guesses::default();
        let address = |n: usize| -> IpAddr {
            if n.is_multiple_of(2) { Ipv4Addr::from(n as u32).into() } else { Ipv6Addr::from((n as u128) << 64).into() }
        };
        let first = address(0);
        fail(&mut guesses, first, 9, 0);
        for n in 1..ADDRESSES_MAX {
            guesses.failed(address(n), n as u64);
        }
        assert_eq!(guesses.len(), ADDRESSES_MAX);
        assert!(guesses.wait_ms(first, 5) > 0);
        guesses.failed(address(ADDRESSES_MAX), 70_000);
        assert_eq!((guesses.len(), guesses.by_age.len()), (ADDRESSES_MAX, ADDRESSES_MAX));
        assert!(!guesses.known.contains_key(&From::of(first)), "it was the oldest");
        guesses.failed(address(1), 70_001);
        guesses.failed(address(ADDRESSES_MAX + 2), 70_002);
        assert!(guesses.known.contains_key(&From::of(address(1))), "it has failed since");
        assert!(!guesses.known.contains_key(&From::of(address(2))));
    }
}
