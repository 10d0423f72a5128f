//! The store on a real folder: what is submitted is there after a stop, and what nobody wants is not written.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use primer_storage::{
    Change, Draft, Folder, Group, Options, QueueId, Report, State, Store, Ticket, Want, Whereabouts,
    draft::Destinations,
};

/// A folder that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("primer-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _it_may_never_have_been_made = std::fs::remove_dir_all(&self.0);
    }
}

/// A message that was found: queue, position, sequence number, length, content.
type Found = (u32, u64, u64, u32, Vec<u8>);

fn open(path: &Path, options: &Options) -> (Store, State, Report, Vec<Found>) {
    let folder = Folder::take(path, None).unwrap();
    let mut found = Vec::new();
    let mut visit = |_: &State, stored: primer_storage::Stored<'_>| {
        found.push((stored.queue.0, stored.position, stored.sequence, stored.len, stored.content.to_vec()));
    };
    let (store, state, report) = Store::open(Arc::new(folder), options.clone(), &mut visit).unwrap();
    (store, state, report, found)
}

fn wait(store: &Store, group: Group) -> bool {
    let end = Instant::now() + Duration::from_secs(30);
    let mut ended = Box::pin(store.ended(group));
    loop {
        if let Poll::Ready(is_durable) = ended.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return is_durable;
        }
        assert!(Instant::now() < end, "a group did not come to its end");
        std::thread::yield_now();
    }
}

fn define(store: &Store, draft: &mut Draft, name: &[u8]) -> QueueId {
    let queue = store.new_queue();
    draft.change(Change::Define { queue, name: name.into() });
    queue
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

fn gone(queue: QueueId, position: u64, floor: u64, ticket: &Arc<Ticket>) -> Change {
    Change::Gone { queue, position, floor, at: Store::settle(ticket) }
}

#[test]
fn what_was_submitted_is_there_after_a_stop() {
    let place = Place::new();
    let (store, state, report, found) = open(&place.0, &Options::default());
    assert_eq!((state.queues().count(), report.was_unclean, found.len()), (0, false, 0));
    let mut draft = Draft::default();
    let (a, b) = (define(&store, &mut draft, b"a"), define(&store, &mut draft, b"b"));
    let large = vec![7; 300_000];
    let first = put(&mut draft, &[(a, 0), (b, 0)], b"both");
    let _second = put(&mut draft, &[(a, 1)], &large);
    let _third = put(&mut draft, &[(b, 1)], b"only b");
    draft.change(Change::Put { queue: a, key: b"k".as_slice().into(), value: b"v".as_slice().into() });
    draft.change(Change::Lease { queue: a, position: 1, tag: 9 });
    assert!(wait(&store, store.submit(draft)));
    assert!(first.written().is_some());
    let mut draft = Draft::default();
    draft.change(gone(a, 0, 1, &first));
    store.note(draft);
    store.close();
    drop(store);

    let (store, state, report, found) = open(&place.0, &Options::default());
    assert!(!report.was_unclean);
    let contents: Vec<(u32, u64, usize)> = found.iter().map(|(q, p, _, _, c)| (*q, *p, c.len())).collect();
    assert_eq!(contents, [(b.0, 0, 4), (a.0, 1, 300_000), (b.0, 1, 6)], "in the order in which they were submitted");
    let queue = state.queue(a).unwrap();
    assert_eq!((&*queue.name, queue.floor(), queue.leases.get(&1)), (&b"a"[..], 1, Some(&9)));
    assert_eq!(queue.entries.get(&b"k"[..]).map(|v| &**v), Some(&b"v"[..]));
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let wants = found.iter().map(|(q, p, sequence, ..)| Want { queue: QueueId(*q), position: *p, sequence: *sequence });
    store.load(wants.collect(), move |loaded| sender.send(loaded).unwrap());
    let loaded = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
    for (one, (.., content)) in loaded.iter().zip(&found) {
        let message = one.message.as_ref().unwrap();
        assert_eq!((&message.note[..], &message.content), (&b"note"[..], content));
    }
    assert!(store.new_queue().0 > b.0, "a number was used twice");
}

#[test]
fn what_nobody_wants_any_more_is_not_written() {
    let place = Place::new();
    let (store, ..) = open(&place.0, &Options::default());
    let mut draft = Draft::default();
    let queue = define(&store, &mut draft, b"q");
    let ticket = put(&mut draft, &[(queue, 0)], b"gone before it was written");
    draft.change(gone(queue, 0, 1, &ticket));
    assert!(wait(&store, store.submit(draft)));
    assert_eq!((store.figures().messages, store.figures().skipped), (0, 1));
}

#[test]
fn a_crash_loses_nothing_that_was_durable() {
    let place = Place::new();
    let (store, ..) = open(&place.0, &Options::default());
    let mut draft = Draft::default();
    let queue = define(&store, &mut draft, b"q");
    for position in 0..100 {
        put(&mut draft, &[(queue, position)], &position.to_be_bytes());
    }
    assert!(wait(&store, store.submit(draft)));
    // As after kill -9: a copy of the files as they are now, taken while the store runs.
    let copy = Place::new();
    std::fs::create_dir_all(&copy.0).unwrap();
    for entry in std::fs::read_dir(&place.0).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.0.join(entry.file_name())).unwrap();
    }
    let (_store, _, report, found) = open(&copy.0, &Options::default());
    assert!(report.was_unclean && report.set_aside.is_empty(), "{report:?}");
    let positions: Vec<u64> = found.iter().map(|(_, position, ..)| *position).collect();
    assert_eq!(positions, (0..100).collect::<Vec<_>>());
}

/// Ten times the budget is written, while what is old is acknowledged, and a little is kept for ever.
#[test]
fn the_budget_is_a_hard_cap_and_what_is_kept_moves_on() {
    let place = Place::new();
    let options = Options { budget_bytes: 36 << 20, ..Options::default() };
    let (store, ..) = open(&place.0, &options);
    let mut draft = Draft::default();
    let (flow, kept) = (define(&store, &mut draft, b"flow"), define(&store, &mut draft, b"kept"));
    store.submit(draft);
    let payload = vec![1; 4000];
    let mut waiting: std::collections::VecDeque<(u64, Arc<Ticket>)> = std::collections::VecDeque::new();
    let (mut position, mut kept_position, mut peak) = (0, 0, 0);
    while position < 10 * 9 * 1024 {
        let mut draft = Draft::default();
        for _ in 0..100 {
            waiting.push_back((position, put(&mut draft, &[(flow, position)], &payload)));
            position += 1;
        }
        if position % 1_000 == 0 {
            put(&mut draft, &[(kept, kept_position)], &kept_position.to_be_bytes());
            kept_position += 1;
        }
        while waiting.len() > 800 {
            let (position, ticket) = waiting.pop_front().unwrap();
            draft.change(gone(flow, position, position + 1, &ticket));
        }
        assert!(wait(&store, store.submit(draft)), "position {position}: {:?}", store.figures());
        peak = peak.max(store.figures().file_bytes);
    }
    let figures = store.figures();
    assert!(figures.written_bytes > 10 * options.budget_bytes, "{figures:?}");
    assert!(peak <= options.budget_bytes, "{peak} bytes of {}", options.budget_bytes);
    store.close();
    drop(store);
    let (_store, _, report, found) = open(&place.0, &options);
    assert_eq!(report.damaged, 0);
    let mut kept_found: Vec<u64> = found.iter().filter(|f| f.0 == kept.0).map(|f| f.1).collect();
    kept_found.sort_unstable();
    assert_eq!(kept_found, (0..kept_position).collect::<Vec<_>>());
    assert_eq!(found.iter().filter(|f| f.0 == flow.0).count(), waiting.len());
}

#[test]
fn without_room_messages_are_refused_and_changes_are_not() {
    let place = Place::new();
    let options = Options { budget_bytes: 36 << 20, evicts: false, ..Options::default() };
    let (store, ..) = open(&place.0, &options);
    let mut draft = Draft::default();
    let queue = define(&store, &mut draft, b"q");
    store.submit(draft);
    let mut tickets = Vec::new();
    let payload = vec![1; 4000];
    while store.admits().is_ok() {
        let mut draft = Draft::default();
        for _ in 0..50 {
            tickets.push(put(&mut draft, &[(queue, tickets.len() as u64)], &payload));
        }
        assert!(wait(&store, store.submit(draft)), "what was admitted was refused: {:?}", store.figures());
        assert!(store.figures().file_bytes <= options.budget_bytes, "{:?}", store.figures());
    }
    assert!(tickets.len() * 4000 > 16 << 20, "only {} messages fit", tickets.len());
    let half = tickets.len() as u64 / 2;
    let mut draft = Draft::default();
    for (position, ticket) in (0..half).zip(&tickets) {
        let (sequence, len) = ticket.written().unwrap();
        let at = Whereabouts::At { sequence, len };
        draft.change(Change::Gone { queue, position, floor: position + 1, at });
    }
    assert!(wait(&store, store.submit(draft)), "room cannot be made when there is none");
    let end = Instant::now() + Duration::from_secs(20);
    while store.admits().is_err() {
        assert!(Instant::now() < end, "room was made, and messages are still refused: {:?}", store.figures());
        std::thread::yield_now();
    }
}

/// redb may end the process on a damaged file. The start after that asks another process about each file first.
#[test]
fn after_a_start_that_came_to_no_end_files_are_tried_elsewhere_first() {
    let place = Place::new();
    let (store, ..) = open(&place.0, &Options::default());
    drop(store);
    let asked = Arc::new(AtomicU32::new(0));
    let start = |refuses: bool| {
        let asked = Arc::clone(&asked);
        let probe = move |_: &Path| {
            asked.fetch_add(1, Ordering::Relaxed);
            if refuses { Err("it died of a signal".to_owned()) } else { Ok(()) }
        };
        let folder = Folder::take(&place.0, Some(Box::new(probe))).unwrap();
        Store::open(Arc::new(folder), Options::default(), &mut |_, _| {}).unwrap().2
    };
    assert!(start(true).set_aside.is_empty());
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the last start came to its end");
    std::fs::write(place.0.join("STARTING"), b"").unwrap();
    assert_eq!(start(true).set_aside.len(), 1);
    assert!(start(true).set_aside.is_empty(), "the start after it is an ordinary one");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
