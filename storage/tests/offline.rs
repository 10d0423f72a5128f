//! What is done with a store that no process serves from: compaction keeps what is wanted and gives back the rest, a
//! reading and a check change nothing, a replacement is whole or has not happened.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
};

use primer_storage::{
    Change, Draft, Folder, Group, Options, QueueId, Report, State, Store, Ticket, Whereabouts,
    draft::Destinations,
    offline::{Building, Reading, check, compact},
};

/// A folder that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("primer-offline-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _it_may_never_have_been_made = fs::remove_dir_all(&self.0);
    }
}

/// What a store has: of each message its queue, position and content.
type Found = BTreeMap<(u32, u64), Vec<u8>>;

fn open(path: &Path, options: &Options) -> (Store, State, Report, Found) {
    let folder = Folder::take(path, None).unwrap();
    let mut found = Found::new();
    let (store, state, report) = Store::open(Arc::new(folder), options.clone(), &mut |_, stored| {
        found.insert((stored.queue.0, stored.position), stored.content.to_vec());
    })
    .unwrap();
    (store, state, report, found)
}

fn wait(store: &Store, group: Group) {
    let mut ended = Box::pin(store.ended(group));
    loop {
        if let Poll::Ready(is_durable) = ended.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            assert!(is_durable);
            return;
        }
        std::thread::yield_now();
    }
}

fn put(draft: &mut Draft, to: &[(QueueId, u64)], content: &[u8]) -> Arc<Ticket> {
    let ticket = Arc::new(Ticket::new());
    let mut destinations = Destinations::default();
    for (queue, position) in to {
        ticket.add();
        destinations.push(*queue, *position, b"note");
    }
    draft.message(Arc::clone(&ticket), &destinations, None, &[content]);
    ticket
}

fn define(store: &Store, draft: &mut Draft, name: &[u8]) -> QueueId {
    let queue = store.new_queue();
    draft.change(Change::Define { queue, name: name.into() });
    queue
}

/// Small segments.
fn small() -> Options {
    Options { budget_bytes: 1 << 30, ..Options::default() }
}

/// Many segments: every tenth message stays, some of them for two queues, some of several rows; one is leased.
fn fill(path: &Path, messages: u64) -> Found {
    let options = Options { budget_bytes: 64 << 20, ..Options::default() };
    let (store, ..) = open(path, &options);
    let mut draft = Draft::default();
    let (a, b) = (define(&store, &mut draft, b"a"), define(&store, &mut draft, b"b"));
    draft.change(Change::Put { queue: a, key: b"k".as_slice().into(), value: vec![3; 1000].into() });
    let mut kept = Found::new();
    for position in 0..messages {
        let len = if position % 70 == 0 { 150_000 } else { 3_000 + (position % 500) as usize };
        let mut content = vec![position as u8; len];
        content[..8].copy_from_slice(&position.to_be_bytes());
        let both = position % 20 == 0;
        let to = [(a, position), (b, position / 20)];
        let ticket = put(&mut draft, if both { &to } else { &to[..1] }, &content);
        if position % 10 == 0 {
            kept.insert((a.0, position), content.clone());
            if both {
                kept.insert((b.0, position / 20), content);
            }
        }
        let group = store.submit(std::mem::take(&mut draft));
        if position % 10 != 0 {
            if position % 100 == 1 {
                wait(&store, group); // it is written, and goes later
            }
            let at = Store::settle(&ticket);
            draft.change(Change::Gone { queue: a, position, floor: 0, at });
        }
        if position % 50 == 0 {
            wait(&store, store.next());
        }
    }
    draft.change(Change::Lease { queue: a, position: 30, tag: 77 });
    wait(&store, store.submit(draft));
    store.close();
    kept
}

fn bytes(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

#[test]
fn compaction_keeps_what_is_wanted() {
    let place = Place::new();
    let kept = fill(&place.0, 6_000);
    let (_, before, ..) = open(&place.0, &small());
    let done = compact(&place.0, None, &Options { budget_bytes: 64 << 20, ..Options::default() }).unwrap();
    assert!(done.after.files > 1 && done.after.bytes < 20 << 20, "{done:?}");
    assert_eq!(done.records, 600);
    let checked = check(Arc::new(Folder::take(&place.0, None).unwrap())).unwrap();
    assert!(checked.is_sound(), "{checked:?}");
    let (store, after, report, found) = open(&place.0, &small());
    assert!(!report.was_unclean && report.set_aside.is_empty() && report.damaged == 0, "{report:?}");
    assert!(found == kept, "{} messages of {}", found.len(), kept.len());
    assert_eq!(after, before, "the state is another");
    assert!(after.queues().any(|(_, queue)| queue.leases.get(&30) == Some(&77)));
    // What was compacted is served from: a message goes, another comes.
    let mut draft = Draft::default();
    let first = *kept.keys().next().unwrap();
    let queue = QueueId(first.0);
    draft.change(Change::Gone { queue, position: first.1, floor: 0, at: Whereabouts::Nowhere });
    put(&mut draft, &[(queue, 1 << 40)], b"new");
    wait(&store, store.submit(draft));
    store.close();
    drop(store);
    let again = compact(&place.0, None, &small()).unwrap();
    assert_eq!(again.records, 601, "one is gone from one of its queues, and one is new: {again:?}");
    assert!(again.after.bytes <= again.before.bytes, "{again:?}");
    let (.., found) = open(&place.0, &small());
    assert_eq!(found.len(), kept.len());
    assert_eq!(found.get(&(first.0, 1 << 40)).map(Vec::as_slice), Some(&b"new"[..]));
}

#[test]
fn a_reading_and_a_check_change_no_file() {
    let place = Place::new();
    let kept = fill(&place.0, 500);
    // As a crash leaves it, with a segment in the making and damage in another.
    fs::write(place.0.join("0000000099.redb.new"), b"unfinished").unwrap();
    fs::write(place.0.join("0000000098.redb"), vec![7; 100_000]).unwrap();
    let before = bytes(&place.0);
    let mut reading = Reading::open(Arc::new(Folder::take(&place.0, None).unwrap())).unwrap();
    let mut found = Found::new();
    reading
        .visit(&mut |_, stored| {
            found.insert((stored.queue.0, stored.position), stored.content.to_vec());
        })
        .unwrap();
    assert!(found == kept);
    assert_eq!(reading.report().set_aside.len(), 1, "{:?}", reading.report());
    assert!(reading.files().iter().all(|file| before.keys().any(|path| path.ends_with(&file.name))));
    drop(reading);
    let checked = check(Arc::new(Folder::take(&place.0, None).unwrap())).unwrap();
    let damaged: Vec<&str> =
        checked.files.iter().filter(|file| file.problems > 0).map(|file| file.name.as_str()).collect();
    assert_eq!((damaged, checked.unfinished.len()), (vec!["0000000098.redb"], 1));
    assert!(bytes(&place.0) == before, "a file was changed");
}

/// Every byte of some pages, one bit at a time: whatever is damaged is told, or was not in use.
#[test]
fn a_flipped_bit_never_passes_for_another_message() {
    let place = Place::new();
    let kept = fill(&place.0, 60);
    let (path, sound) = bytes(&place.0).into_iter().find(|(path, _)| path.extension().is_some()).unwrap();
    for at in (0..sound.len()).step_by(4_001) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).unwrap();
        let checked = check(Arc::new(Folder::take(&place.0, None).unwrap())).unwrap();
        if checked.is_sound() {
            let mut reading = Reading::open(Arc::new(Folder::take(&place.0, None).unwrap())).unwrap();
            let mut found = Found::new();
            reading
                .visit(&mut |_, stored| {
                    found.insert((stored.queue.0, stored.position), stored.content.to_vec());
                })
                .unwrap();
            assert!(found == kept, "byte {at} is damaged, and nobody said so");
        }
    }
}

#[test]
fn a_store_in_the_making_takes_the_place_of_another_when_it_is_whole() {
    let place = Place::new();
    let kept = fill(&place.0, 40);
    let held = Folder::take(&place.0, None).unwrap();
    let build = || {
        let building = Building::begin(&place.0).unwrap();
        let store = building.store(small(), 41).unwrap();
        let mut draft = Draft::default();
        let queue = define(&store, &mut draft, b"new");
        put(&mut draft, &[(queue, 0)], b"the new one");
        wait(&store, store.submit(draft));
        store.close();
        building
    };
    drop(build());
    assert!(!place.0.join("next.building").exists());
    // A crash before the end: it is gone with the next use, and the old store is there.
    std::mem::forget(build());
    drop(held);
    let (store, .., found) = open(&place.0, &small());
    assert!(found == kept && !place.0.join("next.building").exists());
    drop(store);
    let held = Folder::take(&place.0, None).unwrap();
    build().take_place().unwrap();
    drop(held);
    let (_store, state, report, found) = open(&place.0, &small());
    assert_eq!((found.len(), state.queues().count(), report.incarnation), (1, 1, 41), "{report:?}");
    assert!(report.set_aside.is_empty() && !report.was_unclean, "{report:?}");
}
