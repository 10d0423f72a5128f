//! Crashes at every point of a recorded workload: what was reported durable is there, and nothing else than was asked
//! for.

mod sim;

use sim::{
    Crashes, Op, Random, SimDisk,
    drive::{Driver, Profile, check_crash, small},
    seed,
};

fn record(from: u64, steps: usize, profile: &Profile) -> (Vec<Op>, Driver) {
    let disk = SimDisk::new().record();
    let mut driver = Driver::new(&disk, &small());
    let mut random = Random(from);
    for step in 0..steps {
        driver.random_step(&mut random, profile);
        assert!(driver.submit(), "step {step}: {:?}", driver.store.figures());
    }
    driver.store.close();
    (disk.log(), driver)
}

/// Every place of a short workload, with several fates of what is not sure.
#[test]
fn every_crash_point_of_a_short_workload_keeps_what_was_durable() {
    let profile = Profile { messages: 3, bytes: 300, long_in: 8, long_bytes: 140_000, backlog: 4 };
    let (log, driver) = record(seed(1), 20, &profile);
    let mut crashes = Crashes::default();
    for (at, op) in log.iter().enumerate() {
        for fate in [at as u64 % 2, 2 + seed(0) + at as u64] {
            let says = format!("before operation {at} of {}, fate {fate}", log.len());
            check_crash(crashes.cut(fate), &driver.models, crashes.durable, crashes.submitted, &says);
        }
        crashes.pass(op);
    }
}

/// A workload that rotates and cleans. Cut at each sync, at each name that changes, and at places by chance.
#[test]
fn crash_points_of_a_long_workload_keep_what_was_durable() {
    let profile = Profile { messages: 60, bytes: 4_000, long_in: 40, long_bytes: 200_000, backlog: 60 };
    let (log, driver) = record(seed(7), 150, &profile);
    let figures = driver.store.figures();
    assert!(figures.cleaned_bytes > 0, "nothing was cleaned: {figures:?}");
    let (mut crashes, mut random) = (Crashes::default(), Random(seed(99)));
    let mut cuts = 0;
    for (at, op) in log.iter().enumerate() {
        let is_special = !matches!(op, Op::Write { .. } | Op::Submitted(_) | Op::Durable(_) | Op::Sync { .. });
        if is_special || random.below(90) == 0 {
            cuts += 1;
            let fate = random.next();
            let says = format!("before operation {at} of {} ({cuts} cuts), fate {fate}", log.len());
            check_crash(crashes.cut(fate), &driver.models, crashes.durable, crashes.submitted, &says);
        }
        crashes.pass(op);
    }
    assert!(cuts > 300, "only {cuts} of {} places", log.len());
}
