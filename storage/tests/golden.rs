//! A store that format 1 has written stays openable, and holds what it held.
//!
//! `golden/v1` has its files, each as its length and the pages of it that are not zero. They are never written again;
//! a new format gets a new folder, from this test run with `PRIMER_WRITE_GOLDEN=1`.

mod sim;

use std::{fs, path::PathBuf};

use primer_storage::QueueId;
use sim::{
    Error, Fault, Folder, SimDisk, What,
    drive::{Driver, open, small},
};

const PAGE: usize = 4096;

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// u64 length, then for each page that is not zero its u32 number and its bytes.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u64).to_le_bytes().to_vec();
    for (number, page) in bytes.chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
        out.extend_from_slice(&(number as u32).to_le_bytes());
        out.extend_from_slice(page);
    }
    out
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let (len, rest) = bytes.split_first_chunk::<8>().expect("a length");
    let mut out = vec![0; u64::from_le_bytes(*len) as usize];
    for page in rest.chunks(4 + PAGE) {
        let (number, page) = page.split_first_chunk::<4>().expect("a number");
        let at = u32::from_le_bytes(*number) as usize * PAGE;
        out[at..at + page.len()].copy_from_slice(page);
    }
    out
}

fn read() -> Folder {
    let mut folder = Folder::default();
    for entry in fs::read_dir(golden()).expect("the golden files") {
        let entry = entry.expect("a file");
        let name = entry.file_name().into_string().expect("a name");
        folder.put(&name, &inflate(&fs::read(entry.path()).expect("a golden file")));
    }
    folder
}

fn write() {
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let (a, b, dropped) = (driver.define(), driver.define(), driver.define());
    for position in 0..10 {
        driver.message(&[a, b], 40);
        driver.message(&[dropped], 40);
        driver.lease(a, position, position as u16);
    }
    driver.put(a, b"key", b"value");
    driver.put(a, b"removed", b"value");
    driver.put(b, b"longer than a row", &vec![3; 70_000]);
    assert!(driver.submit());
    // A commit that fails has the next segment begin, and the first is cleaned into it.
    disk.set_fault(Some(Fault { what: What::Sync, after: 0, times: u64::MAX, error: Error::Eio }));
    driver.gone(a, 0);
    assert!(!driver.submit());
    disk.set_fault(None);
    while driver.store.admits().is_err() || disk.snapshot().segments().len() != 1 {
        std::thread::yield_now();
    }
    driver.gone(a, 3);
    driver.gone(b, 0);
    driver.remove(a, b"removed");
    driver.drop_queue(dropped);
    driver.message(&[b], 70_000);
    driver.message(&[b], 100);
    assert!(driver.submit());
    driver.store.close();
    fs::create_dir_all(golden()).expect("a folder");
    let mut folder = disk.snapshot();
    for name in folder.names.keys().cloned().collect::<Vec<_>>() {
        fs::write(golden().join(&name), deflate(&folder.file(&name).bytes())).expect("a golden file");
    }
}

#[test]
fn a_store_of_format_1_opens() {
    if std::env::var_os("PRIMER_WRITE_GOLDEN").is_some() {
        write();
    }
    let disk = SimDisk::of(read());
    let (_store, found) = open(&disk, &small()).expect("it opens");
    assert!(!found.report.was_unclean && found.report.files_damaged() == 0 && found.report.damaged == 0);
    let queues: Vec<(u32, &[u8])> = found.state.queues().map(|(id, queue)| (id.0, &*queue.name)).collect();
    assert_eq!(queues, [(0, &b"queue 0"[..]), (1, &b"queue 1"[..])]);
    let (a, b) = (found.state.queue(QueueId(0)).expect("a"), found.state.queue(QueueId(1)).expect("b"));
    assert_eq!((a.floor(), b.floor()), (1, 1));
    let leases: Vec<(u64, u16)> = a.leases.iter().map(|(position, tag)| (*position, *tag)).collect();
    assert_eq!(leases, [1, 2, 4, 5, 6, 7, 8, 9].map(|position| (position, position as u16)));
    let entries: Vec<(&[u8], usize)> = a.entries.iter().chain(&b.entries).map(|(k, v)| (&**k, v.len())).collect();
    assert_eq!(entries, [(&b"key"[..], 5), (&b"longer than a row"[..], 70_000)]);
    let wanted = (0..2_u32).flat_map(|queue| (1..10).map(move |position| (queue, position)));
    let wanted = wanted.filter(|place| *place != (0, 3)).chain([(1, 10), (1, 11)]);
    let lens: Vec<((u32, u64), usize)> =
        found.messages.iter().map(|(place, what)| (*place, what[0].as_ref().expect("a sound message").1)).collect();
    let len = |place: (u32, u64)| match place {
        (1, 10) => 70_000,
        (1, 11) => 100,
        _ => 40,
    };
    assert_eq!(lens, wanted.map(|place| (place, len(place))).collect::<Vec<_>>());
}
