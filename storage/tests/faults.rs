//! A disk that fails while the store runs: what was durable stays, what was refused is told, and the store comes back.

mod sim;

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use primer_storage::{Draft, Move, OpenError, QueueId, Store, Want, limits::RETRY_PAUSE};
use sim::{
    Crashes, Error, Fault, Random, SimDisk, What,
    drive::{Driver, Profile, identify, open, small},
    seed,
};

const PROFILE: Profile = Profile { messages: 5, bytes: 500, long_in: 12, long_bytes: 150_000, backlog: 6 };

fn until_admitted(store: &Store) {
    let end = Instant::now() + 10 * RETRY_PAUSE;
    while let Err(refusal) = store.admits() {
        assert!(Instant::now() < end, "the fault is over, and still: {refusal}");
        std::thread::yield_now();
    }
}

fn run_with_fault(fault: Fault, seed: u64) {
    let says = format!("{fault:?}, seed {seed}");
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let mut random = Random(seed);
    for _ in 0..4 {
        driver.random_step(&mut random, &PROFILE);
        assert!(driver.submit(), "{says}");
    }
    disk.set_fault(Some(fault));
    for _ in 0..5 {
        driver.random_step(&mut random, &PROFILE);
        driver.submit();
    }
    disk.set_fault(None);
    until_admitted(&driver.store);
    for _ in 0..3 {
        driver.random_step(&mut random, &PROFILE);
        assert!(driver.submit(), "{says}: the fault is over");
    }
    let check = |folder, how: &str| {
        let (_store, found) = open(&SimDisk::of(folder), &small()).unwrap_or_else(|error| panic!("{says}: {error}"));
        assert!(found.report.files_damaged() == 0 && found.report.damaged == 0, "{says}: {:?}", found.report);
        found.assert_order();
        let differs = found.differs_but_for(driver.model(), &driver.refused);
        assert_eq!(differs, None, "{says}, {how}");
    };
    check(disk.snapshot(), "killed");
    assert_eq!(load_all(&driver), Vec::<String>::new(), "{says}");
    driver.store.close();
    check(disk.snapshot(), "closed");
}

/// Loads all that the model says is there; answers what is wrong.
fn load_all(driver: &Driver) -> Vec<String> {
    let mut wants = Vec::new();
    for (id, queue) in &driver.model().queues {
        for position in queue.messages.keys() {
            let (sequence, _) = driver.where_is[&(*id, *position)].written().expect("it is durable");
            wants.push(Want { queue: QueueId(*id), position: *position, sequence });
        }
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    driver.store.load(wants, move |loaded| sender.send(loaded).expect("the test waits"));
    let loaded = receiver.recv_timeout(Duration::from_secs(20)).expect("an answer");
    let mut wrong = Vec::new();
    for one in loaded {
        let known = driver.model().queues[&one.want.queue.0].messages[&one.want.position];
        match one.message.map(|message| identify(&message.content)) {
            Some(Ok(what)) if what == known => {}
            other => wrong.push(format!("{:?}: {other:?}, not {known:?}", one.want)),
        }
    }
    wrong
}

#[test]
fn the_store_comes_back_after_a_fault_with_all_that_was_durable() {
    let mut cases = Vec::new();
    let mut random = Random(seed(3));
    for what in [What::Write, What::Sync, What::SetLen, What::Names, What::Any, What::Read] {
        for error in [Error::Eio, Error::NoSpace] {
            for times in [1, 2, 25, u64::MAX] {
                let after = random.below(if what == What::Write { 60 } else { 6 });
                cases.push((Fault { what, after, times, error }, random.next()));
            }
        }
    }
    // Most of a case is waiting for the writer's next attempt.
    std::thread::scope(|scope| {
        let cases = &cases;
        let threads: Vec<_> = (0..8)
            .map(|first| {
                scope.spawn(move || cases.iter().skip(first).step_by(8).for_each(|(f, seed)| run_with_fault(*f, *seed)))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("a case failed"));
    });
}

/// The order in which a crash and a fault meet: the disk fails, and the process ends before it is well again.
#[test]
fn a_crash_during_a_fault_keeps_what_was_durable() {
    let first = seed(0);
    for seed in first..first + 12 {
        let mut random = Random(seed);
        let disk = SimDisk::new().record();
        let mut driver = Driver::new(&disk, &small());
        let what = [What::Write, What::Sync, What::Names, What::Any][seed as usize % 4];
        let mut durable = 0;
        for step in 0..10 {
            if step == 4 {
                let after = random.below(30);
                disk.set_fault(Some(Fault { what, after, times: 1 + random.below(40), error: Error::Eio }));
            }
            driver.random_step(&mut random, &PROFILE);
            if driver.submit() {
                durable = driver.models.len() - 1;
            }
        }
        let mut crashes = Crashes::default();
        disk.log().iter().for_each(|op| crashes.pass(op));
        for cut in 0..6 {
            let (_store, found) = open(&SimDisk::of(crashes.cut(cut)), &small()).expect("it opens");
            found.assert_true(&driver, &format!("seed {seed}, cut {cut}"));
            if durable + 1 == driver.models.len() {
                let differs = found.differs_but_for(driver.model(), &driver.refused);
                assert_eq!(differs, None, "seed {seed}, cut {cut}");
            }
        }
    }
}

/// After a sync that failed the kernel takes the pages for written: they read well, and are never written. What was in
/// them was acknowledged when the next sync went well, and was gone with the power.
#[test]
fn a_sync_that_failed_is_not_made_up_for_in_the_same_file() {
    let first = seed(0);
    for seed in first..first + 60 {
        let mut random = Random(seed);
        let disk = SimDisk::new().record();
        let mut driver = Driver::new(&disk, &small());
        let faults = 1 + random.below(3);
        for step in 0..14 {
            if step == 4 {
                let fault = Fault { what: What::Sync, after: random.below(8), times: faults, error: Error::Eio };
                disk.set_fault(Some(fault));
            }
            driver.random_step(&mut random, &PROFILE);
            driver.submit();
        }
        disk.set_fault(None);
        until_admitted(&driver.store);
        driver.random_step(&mut random, &PROFILE);
        assert!(driver.submit(), "seed {seed}");
        let mut crashes = Crashes::default();
        disk.log().iter().for_each(|op| crashes.pass(op));
        for cut in 0..4 {
            let (_store, found) = open(&SimDisk::of(crashes.cut(cut)), &small()).expect("it opens");
            let differs = found.differs_but_for(driver.model(), &driver.refused);
            assert_eq!(differs, None, "seed {seed}, cut {cut}: {:?}", found.report);
        }
    }
}

/// Renaming files that did not open before what was in them stood elsewhere lost it all when the disk was full.
#[test]
fn a_fault_while_opening_costs_nothing() {
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let mut random = Random(5);
    for _ in 0..6 {
        driver.random_step(&mut random, &PROFILE);
        assert!(driver.submit());
    }
    let killed = disk.snapshot();
    driver.store.close();
    let mut damaged = disk.snapshot();
    let name = damaged.segments()[0].clone();
    damaged.file(&name).write(0, &[0xEE; 64]);
    let closed = disk.snapshot();
    for (which, folder) in [("killed", killed), ("closed", closed), ("damaged", damaged)] {
        for what in [What::Read, What::Write, What::Sync, What::SetLen, What::Names] {
            for (after, times) in (0..12).flat_map(|after| [(after, 1), (after, u64::MAX)]) {
                let says = format!("{which}, {what:?} fails after {after}, {times} times");
                let disk = SimDisk::of(folder.clone());
                disk.set_fault(Some(Fault { what, after, times, error: Error::Eio }));
                match open(&disk, &small()) {
                    Ok((store, found)) => {
                        found.assert_true(&driver, &says);
                        drop(store);
                    }
                    Err(error) => assert!(
                        !matches!(error, OpenError::Newer { .. }) && error.to_string().contains("data directory"),
                        "{says}: {error}"
                    ),
                }
                disk.set_fault(None);
                let (_store, found) = open(&disk, &small()).unwrap_or_else(|error| panic!("{says}: {error}"));
                assert_eq!(found.differs(driver.model()), None, "{says}: {:?}", found.report);
            }
        }
    }
}

#[test]
fn lying_syncs_never_make_wrong_content() {
    for seed in 0..10 {
        let disk = SimDisk::new().record();
        let mut driver = Driver::new(&disk, &small());
        let mut random = Random(seed);
        for step in 0..10 {
            disk.set_lies(step > 2);
            driver.random_step(&mut random, &PROFILE);
            assert!(driver.submit());
        }
        let mut crashes = Crashes::default();
        disk.log().iter().for_each(|op| crashes.pass(op));
        for cut in 0..20 {
            let says = format!("seed {seed}, cut {cut}");
            let (_store, found) = open(&SimDisk::of(crashes.cut(cut)), &small()).expect(&says);
            found.assert_true(&driver, &says);
        }
    }
}

#[test]
fn bits_that_flip_while_it_runs_never_make_wrong_content() {
    for seed in 0..12 {
        let disk = SimDisk::new();
        let mut driver = Driver::new(&disk, &small());
        let mut random = Random(seed);
        for _ in 0..6 {
            driver.random_step(&mut random, &PROFILE);
            assert!(driver.submit());
        }
        for round in 0..4 {
            disk.edit(|folder| {
                let name = folder.segments()[0].clone();
                let len = folder.file(&name).len();
                for _ in 0..1 + random.below(4) {
                    folder.file(&name).flip(random.below(len * 8));
                }
            });
            let wrong = load_all(&driver);
            assert!(wrong.iter().all(|what| what.contains("None")), "seed {seed}, round {round}: {wrong:?}");
            assert!(wrong.is_empty() || driver.store.figures().damaged > 0);
            driver.random_step(&mut random, &PROFILE);
            driver.submit();
        }
        let (_store, found) = open(&SimDisk::of(disk.snapshot()), &small()).expect("it opens");
        found.assert_true(&driver, &format!("seed {seed}"));
    }
}

/// A message that no segment has room for made the writer begin one segment after another, and refused everybody.
#[test]
fn a_message_that_is_too_large_is_refused_alone() {
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let queue = driver.define();
    assert!(driver.submit());
    driver.message(&[queue], 3 << 20);
    assert!(!driver.submit());
    driver.store.admits().expect("others are taken in");
    driver.message(&[queue], driver.store.draft_bytes_max() - 1_000);
    assert!(driver.submit());
    assert!(driver.store.figures().segments <= 2, "{:?}", driver.store.figures());
    driver.store.close();
    let (_store, found) = open(&disk, &small()).expect("it opens");
    assert_eq!(found.differs(driver.model()), None);
}

/// A change that was longer than a row was written without a seal, and was not there after a restart.
#[test]
fn changes_that_are_longer_than_a_row_are_kept() {
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let queue = driver.define();
    driver.put(queue, b"large", &vec![7; 200_000]);
    driver.put(queue, &[1; 70_000], b"a long key");
    assert!(driver.submit());
    for folder in [disk.snapshot(), {
        driver.store.close();
        disk.snapshot()
    }] {
        let (_store, found) = open(&SimDisk::of(folder), &small()).expect("it opens");
        assert_eq!(found.differs(driver.model()), None);
    }
}

/// A message that was just not longer than a row, with what comes before its content, made its publisher panic.
#[test]
fn messages_of_every_length_around_that_of_a_row_are_kept() {
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let queue = driver.define();
    for row in [1, 2, 3] {
        (row * 4_048 - 60..row * 4_048 + 10).for_each(|len| drop(driver.message(&[queue], len)));
        assert!(driver.submit());
    }
    assert_eq!(load_all(&driver), Vec::<String>::new());
    driver.store.close();
    let (_store, found) = open(&disk, &small()).expect("it opens");
    assert_eq!(found.differs(driver.model()), None);
}

#[test]
fn what_comes_after_the_end_is_refused_at_once() {
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let queue = driver.define();
    assert!(driver.submit());
    driver.store.close();
    let ticket = driver.message(&[queue], 10);
    assert!(!driver.submit());
    assert!(ticket.is_withdrawn());
}

/// A segment that could not be read once was not read again until the next start, and cleaning it stopped all writing.
#[test]
fn a_segment_that_gave_an_error_is_read_again() {
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let queue = driver.define();
    for _ in 0..30 {
        for _ in 0..100 {
            driver.message(&[queue], 4_000);
        }
        assert!(driver.submit());
    }
    assert!(driver.store.figures().segments > 2);
    let mut failed = 0;
    for round in 0..3 {
        disk.set_fault(Some(Fault { what: What::Read, after: round, times: 3, error: Error::Eio }));
        assert_eq!(load_all(&driver), Vec::<String>::new());
        failed += disk.failed();
    }
    assert!(failed > 0 && driver.store.admits().is_ok(), "{failed} reads failed, {:?}", driver.store.admits());
}

/// What was to go from one queue because it goes to another was gone when the commit failed, and stood nowhere. Now it
/// has stayed, whatever becomes of the process; and it goes when the move is done again.
#[test]
fn what_moves_is_in_one_of_two_places() {
    for what in [What::Write, What::Sync] {
        let disk = SimDisk::new();
        let mut driver = Driver::new(&disk, &small());
        let (from, to) = (driver.define(), driver.define());
        for _ in 0..3 {
            driver.message(&[from], 100);
        }
        assert!(driver.submit());
        driver.lease(from, 1, 7);
        assert!(driver.submit());
        disk.set_fault(Some(Fault { what, after: 0, times: u64::MAX, error: Error::Eio }));
        driver.move_on(from, 1, to);
        let is_durable = driver.submit();
        disk.set_fault(None);
        until_admitted(&driver.store);
        assert!(!is_durable && driver.model().queues[&from].messages.contains_key(&1));
        driver.put(to, b"key", b"the state is written anew");
        assert!(driver.submit());
        let check = |driver: &Driver, says: &str| {
            let (_store, found) = open(&SimDisk::of(driver.disk.snapshot()), &small()).expect("it opens");
            assert_eq!(found.differs_but_for(driver.model(), &driver.refused), None, "{says}, {what:?}");
        };
        check(&driver, "after the fault");
        driver.move_on(from, 1, to);
        assert!(driver.submit());
        check(&driver, "moved");
        for position in [0, 2] {
            driver.gone(from, position);
        }
        let last = *driver.model().queues[&to].messages.keys().next_back().expect("it has moved");
        driver.gone(to, last);
        assert!(driver.submit());
        let end = Instant::now() + Duration::from_secs(10);
        // One that was refused may stand in the file all the same.
        while driver.store.figures().live_records > u64::from(what == What::Sync) {
            assert!(Instant::now() < end, "it is not known as gone: {:?}", driver.store.figures());
            std::thread::yield_now();
        }
    }
}

/// What a later draft of the same commit says of an entry counts more than that it was to go.
#[test]
fn an_entry_that_was_to_go_stays_where_it_was_put_anew() {
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let queue = driver.define();
    driver.put(queue, b"will", b"the first");
    assert!(driver.submit());
    let mut first = Draft::default();
    first.when_durable(Move::Remove { queue: QueueId(queue), key: b"will".as_slice().into() });
    let _with_the_next = driver.store.note(first);
    driver.put(queue, b"will", b"the second");
    assert!(driver.submit());
    driver.store.close();
    let (_store, found) = open(&disk, &small()).expect("it opens");
    assert_eq!(found.differs(driver.model()), None);
}
