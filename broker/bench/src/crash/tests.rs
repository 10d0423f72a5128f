//! The sums of rounds, and the table.

use super::*;
use crate::track::{Faults, Sent};

fn round(answered: &[u64], came: Faults) -> Result<Round, BenchError> {
    let sent = |messages: &u64| Sent { messages: *messages, refused: 0 };
    let published = Outcome { answered: answered.iter().map(sent).collect(), ..Outcome::empty() };
    Ok(Round { published, came: Outcome { faults: came, ..Outcome::empty() }, seconds_to_serve: 0.25 })
}

#[test]
fn rounds_are_added_up_and_told_in_a_table() {
    let lossy = Faults { lost: 7, doubled: 2, reordered: 1 };
    let rounds = vec![round(&[900, 100], Faults::default()), round(&[500], lossy)];
    let survivals = Survivals { brokers: vec![survival("one", rounds)], rounds: 2 };
    let row = "| one | 1,500 | 7 | 2 | 1 | 0; - | 0.25 s |\n";
    assert!(survivals.to_string().ends_with(row), "{survivals}");
    assert!(!survivals.is_clean());
}

#[test]
fn a_round_that_fails_is_told_below() {
    let failed = Err(BenchError::Options("no".to_owned()));
    let survivals = Survivals { brokers: vec![survival("one", vec![failed])], rounds: 1 };
    assert!(survivals.to_string().ends_with("\none failed: no\n"), "{survivals}");
    assert!(!survivals.is_clean());
}

#[test]
fn what_was_refused_was_not_acknowledged() {
    let answered = vec![Sent { messages: 10, refused: 4 }];
    let published = Outcome { answered, refused: 4, ..Outcome::empty() };
    let round = Round { published, came: Outcome::empty(), seconds_to_serve: 0.1 };
    let survival = survival("one", vec![Ok(round)]);
    assert_eq!((survival.acknowledged, survival.refused), (6, 4));
}
