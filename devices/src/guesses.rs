//! What slows down who guesses passwords: after some failures an address has to wait before each further attempt.
//!
//! A machine that knows no clock. Nobody is locked out for ever, no address has to wait for another, and memory is
//! bounded. An IPv6 address counts with its /64: that is what one customer has.
//!
//! A user that has come in from an address has a *lane* of its own there: what others guess from that address does not
//! slow it down (a plant behind one address, one device of which has an old password), and its own success says nothing
//! of theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::limits::{FAILURES_FREE, LANES_MAX, QUIET_MS, USERS_MAX, WAIT_MS_MAX, WAIT_MS_MIN};

/// An address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Attempts that count together: those of an address, or those for a user that has come in from there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    from: From,
    user: Option<u64>,
}

/// What is known of a lane.
#[derive(Debug, Clone, Copy)]
struct Known {
    failures: u32,
    last_ms: u64,
}

/// Times are milliseconds of one clock that does not go back. A user is the hash of its name, by a function that
/// clients cannot foresee.
#[derive(Debug, Default)]
pub struct Guesses {
    failing: Table<Lane>,
    /// Users that have come in, with when that was last.
    welcome: Table<(From, u64)>,
}

impl Guesses {
    /// The lane of an attempt.
    #[must_use]
    pub fn lane(&self, ip: IpAddr, user: u64) -> Lane {
        let from = From::of(ip);
        Lane { from, user: Some(user).filter(|user| self.welcome.entries.contains_key(&(from, *user))) }
    }

    /// Whether attempts of this lane are to be looked at one after another: there were failures.
    #[must_use]
    pub fn is_slowed(&self, lane: Lane, now_ms: u64) -> bool {
        self.failures(lane, now_ms) >= FAILURES_FREE
    }

    /// How many milliseconds this lane has to wait until a password is looked at; 0 for not at all.
    #[must_use]
    pub fn wait_ms(&self, lane: Lane, now_ms: u64) -> u64 {
        let Some(more) = self.failures(lane, now_ms).checked_sub(FAILURES_FREE) else { return 0 };
        let wait_ms = (WAIT_MS_MIN << more.min(16)).min(WAIT_MS_MAX);
        let last_ms = self.failing.entries.get(&lane).map_or(0, |known| known.last_ms);
        (last_ms + wait_ms).saturating_sub(now_ms)
    }

    /// A password was wrong.
    pub fn failed(&mut self, lane: Lane, now_ms: u64) {
        self.failing.forget_before((now_ms + 1).saturating_sub(QUIET_MS));
        let failures = self.failures(lane, now_ms).saturating_add(1);
        self.failing.put(lane, Known { failures, last_ms: now_ms }, LANES_MAX);
    }

    /// A password was right: the user has a lane of its own from now on. What others have failed at is not forgotten,
    /// or whoever has one password could guess all.
    pub fn succeeded(&mut self, ip: IpAddr, user: u64, now_ms: u64) {
        let from = From::of(ip);
        self.failing.take(Lane { from, user: Some(user) });
        self.welcome.put((from, user), Known { failures: 0, last_ms: now_ms }, USERS_MAX);
    }

    fn failures(&self, lane: Lane, now_ms: u64) -> u32 {
        let known = self.failing.entries.get(&lane);
        known.filter(|known| now_ms.saturating_sub(known.last_ms) < QUIET_MS).map_or(0, |known| known.failures)
    }
}

/// Entries, of which the oldest go when there are too many.
#[derive(Debug)]
struct Table<K> {
    entries: BTreeMap<K, Known>,
    /// The same, the longest ago first.
    by_age: BTreeSet<(u64, K)>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), by_age: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Table<K> {
    fn put(&mut self, key: K, known: Known, entries_max: usize) {
        self.take(key);
        if self.entries.len() >= entries_max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.entries.insert(key, known);
        self.by_age.insert((known.last_ms, key));
    }

    fn take(&mut self, key: K) {
        if let Some(known) = self.entries.remove(&key) {
            self.by_age.remove(&(known.last_ms, key));
        }
    }

    fn forget_before(&mut self, ms: u64) {
        while let Some((last_ms, key)) = self.by_age.first().copied()
            && last_ms < ms
        {
            self.take(key);
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
        let lane = guesses.lane(from, 0);
        (0..times).for_each(|_| guesses.failed(lane, now_ms));
    }

    fn wait(guesses: &Guesses, from: IpAddr, now_ms: u64) -> u64 {
        guesses.wait_ms(guesses.lane(from, 0), now_ms)
    }

    #[test]
    fn the_first_failures_are_free_and_then_the_wait_doubles_to_its_bound() {
        let mut guesses = Guesses::default();
        let here = ip("192.0.2.1");
        let waits: Vec<u64> = (0..12)
            .map(|_| {
                fail(&mut guesses, here, 1, 500);
                wait(&guesses, here, 500)
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000]);
        assert_eq!(wait(&guesses, here, 8_499), 1);
        assert_eq!(wait(&guesses, here, 8_500), 0, "the wait is over");
        assert!(guesses.is_slowed(guesses.lane(here, 0), 8_500), "and one is looked at after another");
        fail(&mut guesses, here, 100, 40_000);
        assert_eq!(wait(&guesses, here, 40_000), 8_000, "however often");
    }

    #[test]
    fn no_address_waits_for_another() {
        let mut guesses = Guesses::default();
        fail(&mut guesses, ip("192.0.2.1"), 9, 0);
        assert_eq!(wait(&guesses, ip("192.0.2.2"), 0), 0);
        assert!(wait(&guesses, ip("::ffff:192.0.2.1"), 0) > 0, "the same address");
        fail(&mut guesses, ip("2001:db8:1:2:3::4"), 9, 0);
        assert!(wait(&guesses, ip("2001:db8:1:2:5::6"), 0) > 0, "the same network");
        assert_eq!(wait(&guesses, ip("2001:db8:1:3:3::4"), 0), 0);
    }

    #[test]
    fn a_quiet_time_is_a_new_start() {
        let mut guesses = Guesses::default();
        let here = ip("192.0.2.1");
        fail(&mut guesses, here, 9, 0);
        assert!(guesses.is_slowed(guesses.lane(here, 0), QUIET_MS - 1));
        assert!(!guesses.is_slowed(guesses.lane(here, 0), QUIET_MS));
        fail(&mut guesses, ip("192.0.2.9"), 1, 2 * QUIET_MS);
        assert_eq!(guesses.failing.entries.len(), 1, "who is forgotten takes no memory");
    }

    /// A plant behind one address: a device with an old password slows down who is not known there yet, nobody else.
    #[test]
    fn a_user_that_has_come_in_has_a_lane_of_its_own() {
        let mut guesses = Guesses::default();
        let here = ip("192.0.2.1");
        guesses.succeeded(here, 7, 0);
        fail(&mut guesses, here, 9, 1);
        let (known, unknown) = (guesses.lane(here, 7), guesses.lane(here, 8));
        assert_eq!((guesses.wait_ms(known, 1), guesses.wait_ms(unknown, 1)), (0, 8000));
        assert_ne!(guesses.lane(ip("192.0.2.2"), 7), known, "from there alone");
        (0..9).for_each(|_| guesses.failed(known, 2));
        assert_eq!(guesses.wait_ms(known, 2), 8000, "its own failures count");
        guesses.succeeded(here, 7, 3);
        assert_eq!(guesses.wait_ms(guesses.lane(here, 7), 3), 0);
    }

    /// Whoever has one password cannot have the failures at those of others forgotten with it.
    #[test]
    fn a_success_says_nothing_of_others() {
        let mut guesses = Guesses::default();
        let here = ip("192.0.2.1");
        for round in 0..3 {
            fail(&mut guesses, here, 4, round);
            guesses.succeeded(here, 7, round);
        }
        assert!(guesses.is_slowed(guesses.lane(here, 0), 3));
    }

    #[test]
    fn the_tables_are_bounded_and_the_oldest_go() {
        let mut guesses = Guesses::default();
        let address = |n: usize| -> IpAddr {
            if n.is_multiple_of(2) { Ipv4Addr::from(n as u32).into() } else { Ipv6Addr::from((n as u128) << 64).into() }
        };
        let first = address(0);
        fail(&mut guesses, first, 9, 0);
        for n in 1..LANES_MAX {
            fail(&mut guesses, address(n), 1, n as u64);
        }
        assert_eq!(guesses.failing.entries.len(), LANES_MAX);
        assert!(wait(&guesses, first, 5) > 0);
        fail(&mut guesses, address(LANES_MAX), 1, 70_000);
        assert_eq!((guesses.failing.entries.len(), guesses.failing.by_age.len()), (LANES_MAX, LANES_MAX));
        assert_eq!(wait(&guesses, first, 70_000), 0, "it was the oldest");
        for n in 0..USERS_MAX + 10 {
            guesses.succeeded(first, n as u64, n as u64);
        }
        assert_eq!((guesses.welcome.entries.len(), guesses.welcome.by_age.len()), (USERS_MAX, USERS_MAX));
        assert_eq!(guesses.lane(first, 0).user, None);
        assert_eq!(guesses.lane(first, 10).user, Some(10));
    }
}
