//! Files that are not as they were written: the store opens, takes out of them what is sound, and says so.

mod sim;

use std::collections::BTreeMap;

use primer_storage::{Change, Draft, OpenError, QueueId, Store, Ticket, draft::Destinations};
use sim::{
    Folder, Random, SimDisk,
    drive::{Driver, Found, open, small, wait},
};

const MESSAGES: u64 = 120;

/// A closed store of one segment with one queue, and its messages in so many commits.
fn small_store(commits: u64) -> (Driver, Folder) {
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let queue = driver.define();
    assert!(driver.submit());
    for message in 0..MESSAGES {
        driver.message(&[queue], 400 + (message * 37 % 300) as usize);
        if message % (MESSAGES / commits) == 0 {
            assert!(driver.submit());
        }
    }
    driver.message(&[queue], 140_000);
    assert!(driver.submit());
    driver.store.close();
    let folder = disk.snapshot();
    (driver, folder)
}

fn reopen(folder: &Folder, says: &str) -> (Store, Found, SimDisk) {
    let disk = SimDisk::of(folder.clone());
    let (store, found) = open(&disk, &small()).unwrap_or_else(|error| panic!("{says}: {error}"));
    (store, found, disk)
}

/// A second start finds the same messages, no damage, and the same life of the store.
fn assert_lasting(store: Store, found: &Found, disk: &SimDisk, says: &str) {
    drop(store);
    let (_store, again) = open(disk, &small()).unwrap_or_else(|error| panic!("{says}, again: {error}"));
    assert_eq!(again.messages, found.messages, "{says}");
    assert_eq!(again.report.files_damaged(), 0, "{says}: {:?}", again.report);
    assert_eq!(again.report.incarnation, found.report.incarnation, "{says}: a new life at every start");
}

#[test]
fn a_flipped_bit_costs_one_message_at_most() {
    let (driver, folder) = small_store(6);
    let name = folder.segments()[0].clone();
    let (mut random, mut lost_of_all, mut queueless) = (Random(1), 0, 0);
    let pages = folder.clone().file(&name).len() / 4096;
    for page in 0..pages {
        if !folder.clone().file(&name).is_written(page as usize) {
            continue;
        }
        for _ in 0..2 {
            let bit = page * 4096 * 8 + random.below(4096 * 8);
            let says = format!("bit {bit} in page {page}");
            let mut damaged = folder.clone();
            damaged.file(&name).flip(bit);
            let (store, found, disk) = reopen(&damaged, &says);
            found.assert_true(&driver, &says);
            let lost = MESSAGES + 1 - found.messages.len() as u64;
            let is_told = !found.report.set_aside.is_empty() || found.report.damaged > 0;
            assert!(lost == 0 || is_told, "{says}: {lost} are lost, and nothing is said: {:?}", found.report);
            if found.state.queues().next().is_none() {
                // The queue's own definition was hit: its messages are nobody's.
                queueless += 1;
            } else {
                assert!(lost <= 1, "{says}: {lost} are lost, {:?}", found.report);
                lost_of_all += lost;
            }
            assert_lasting(store, &found, &disk, &says);
        }
    }
    assert!(queueless <= 1, "{queueless} flips cost the queue");
    println!("{lost_of_all} messages lost by flips in {pages} pages, {queueless} flips cost the queue");
}

#[test]
fn a_file_that_was_cut_off_gives_what_is_left_of_it() {
    let (driver, folder) = small_store(6);
    let name = folder.segments()[0].clone();
    let len = folder.clone().file(&name).len();
    let mut most = 0;
    for pages in 0..len / 4096 {
        let says = format!("cut off at page {pages}");
        let mut cut = folder.clone();
        cut.file(&name).set_len(pages * 4096);
        let (store, found, disk) = reopen(&cut, &says);
        found.assert_true(&driver, &says);
        assert_eq!(found.report.set_aside.len(), 1, "{says}");
        most = most.max(found.messages.len() as u64);
        assert_lasting(store, &found, &disk, &says);
    }
    assert!(most >= MESSAGES, "only {most} were ever found");
}

/// Several segments, with something in each that is wanted.
fn long_store() -> (Driver, Folder) {
    let disk = SimDisk::new();
    let mut driver = Driver::new(&disk, &small());
    let queue = driver.define();
    for _ in 0..35 {
        for _ in 0..100 {
            driver.message(&[queue], 4_000);
        }
        assert!(driver.submit());
    }
    driver.store.close();
    let folder = disk.snapshot();
    assert!(folder.segments().len() >= 3, "{:?}", folder.segments());
    (driver, folder)
}

#[test]
fn files_that_are_not_what_their_names_say_are_set_aside() {
    let (driver, folder) = long_store();
    let names = folder.segments();
    let all = driver.model().queues[&0].messages.len();
    let change = |what: &dyn Fn(&mut Folder)| {
        let mut changed = folder.clone();
        what(&mut changed);
        changed
    };
    let other = small_store(3).1;
    let foreign = other.clone().file(&other.segments()[0]).bytes();
    let cases: Vec<(&str, Folder, bool)> = vec![
        ("zero length", change(&|f| f.put("0000000009.redb", b"")), true),
        ("no redb", change(&|f| f.put("0000000009.redb", &[b'x'; 9_000])), true),
        ("a huge number", change(&|f| f.put("9999999999.redb", &[0; 4096])), true),
        ("another store's", change(&|f| f.put("0000000009.redb", &foreign)), true),
        (
            "a copy under another number",
            change(&|f| {
                let copy = f.file(&names[1]).bytes();
                f.put("0000000009.redb", &copy);
            }),
            true,
        ),
        (
            "renamed to another number",
            change(&|f| {
                let file = f.names.remove(&names[1]).expect("it is there");
                f.names.insert("0000000009.redb".to_owned(), file);
            }),
            true,
        ),
        ("a middle one is missing", change(&|f| f.lose(&names[1])), false),
        ("the newest is missing", change(&|f| f.lose(names.last().expect("some"))), false),
        ("the salt is missing", change(&|f| f.lose("STORE")), false),
        ("half of the salt is damaged", change(&|f| f.file("STORE").flip(140)), false),
        ("the salt is damaged", change(&|f| (f.file("STORE").flip(140), f.file("STORE").flip(4236)).0), false),
    ];
    for (says, folder, is_set_aside) in cases {
        let (store, found, disk) = reopen(&folder, says);
        assert_eq!(!found.report.set_aside.is_empty(), is_set_aside, "{says}: {:?}", found.report);
        let is_missing = ["missing", "renamed"].iter().any(|word| says.contains(word));
        assert_eq!(found.report.missing.len(), usize::from(is_missing && !says.contains("salt")), "{says}");
        assert_eq!(found.report.incarnation, u64::from(found.report.files_damaged() > 0), "{says}");
        found.assert_true(&driver, says);
        found.assert_order();
        if !says.contains("is missing") || says.contains("salt") {
            assert_eq!(found.messages.len(), all, "{says}");
            assert_eq!(found.differs(driver.model()), None, "{says}");
        } else {
            assert!(found.messages.len() >= all / 3, "{says}: {} of {all}", found.messages.len());
        }
        assert_lasting(store, &found, &disk, says);
    }
}

/// A start on a store of which files were taken away went on in silence. What is said of it is said once.
#[test]
fn files_that_somebody_took_away_are_missed_once() {
    let (driver, folder) = long_store();
    let names = folder.segments();
    let mut without_all = folder.clone();
    names.iter().for_each(|name| without_all.lose(name));
    let (store, found, disk) = reopen(&without_all, "all");
    assert_eq!((&found.report.missing, found.messages.len(), found.report.incarnation), (&names, 0, 1));
    store.close();
    let next = disk.snapshot().segments();
    assert!(next.iter().all(|name| !names.contains(name)), "{next:?}: a file that turns up again has its place");
    assert_eq!(reopen(&disk.snapshot(), "all, again").1.report.missing, Vec::<String>::new());

    let mut without_list = folder.clone();
    without_list.lose("SEGMENTS");
    let (_store, found, disk) = reopen(&without_list, "the list");
    assert_eq!(found.differs(driver.model()), None);
    assert_eq!((found.report.files_damaged(), found.report.incarnation), (0, 0), "nobody can tell");
    assert!(disk.snapshot().names.contains_key("SEGMENTS"), "from now on it can be told");

    // The list of another store, and one of which a part is damaged, is none.
    let mut foreign = folder.clone();
    let list = small_store(3).1.file("SEGMENTS").bytes();
    foreign.put("SEGMENTS", &list);
    let mut torn = folder.clone();
    let bits = torn.file("SEGMENTS").len() * 8;
    (0..bits).step_by(1_000).for_each(|bit| torn.file("SEGMENTS").flip(bit));
    for (says, folder) in [("another list", foreign), ("a damaged list", torn)] {
        let (_store, found, _) = reopen(&folder, says);
        assert_eq!((found.report.files_damaged(), found.differs(driver.model())), (0, None), "{says}");
    }
}

/// What a segment says of itself, as a version of the given format would write it.
fn about_of_format(salt: u64, format: u8) -> Vec<u8> {
    let mut body = vec![format];
    body.extend_from_slice(&salt.to_le_bytes());
    body.extend_from_slice(&[1, 1, 0, 0, 0, 0]);
    sealed(salt, 6, 1, &body)
}

fn sealed(salt: u64, kind: u8, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut row = vec![b'P', b'r', kind, 1, 0, 0, 0, 0];
    row.extend_from_slice(&sequence.to_le_bytes()[..6]);
    row.extend_from_slice(&(body.len() as u16).to_le_bytes());
    row.extend_from_slice(body);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &row[..4]);
    let crc = crc32c::crc32c_append(crc, &row[8..]);
    row[4..8].copy_from_slice(&crc.to_le_bytes());
    row
}

fn salt_of(folder: &Folder) -> u64 {
    let bytes = folder.clone().file("STORE").bytes();
    u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes"))
}

/// A row that was damaged before it was written: the page's checksum is right, the row's is not. It is counted once a
/// start and begins one new life of the store, not one at every start.
#[test]
fn a_damaged_row_is_counted_once_and_is_gone_after_a_while() {
    const STREAM: redb::TableDefinition<'static, u64, &'static [u8]> = redb::TableDefinition::new("stream");
    let (driver, folder) = small_store(3);
    let disk = SimDisk::of(folder);
    let name = disk.snapshot().segments()[0].clone();
    let file = primer_storage::Disk::open(&disk, &name, false).expect("it is there");
    let database = redb::Database::builder().create_with_backend(Dynamic(file)).expect("it opens");
    let transaction = database.begin_write().expect("a transaction");
    {
        let mut table = transaction.open_table(STREAM).expect("it is there");
        let mut row = redb::ReadableTable::get(&table, 20).expect("a read").expect("a row").value().to_vec();
        *row.last_mut().expect("a byte") ^= 1;
        table.insert(20, &*row).expect("a row");
    }
    transaction.commit().expect("a commit");
    drop(database);
    let (store, found) = open(&disk, &small()).expect("it opens");
    let life = found.report.incarnation;
    assert_eq!((found.report.damaged, found.messages.len() as u64, life), (1, MESSAGES, 1));
    found.assert_true(&driver, "a damaged row");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let is_cleaned = |disk: &SimDisk| !disk.snapshot().names.contains_key(&name);
    while !is_cleaned(&disk) {
        assert!(std::time::Instant::now() < end, "its segment is still there: {:?}", store.figures());
        std::thread::yield_now();
    }
    drop(store);
    let (_store, again) = open(&disk, &small()).expect("it opens");
    assert_eq!((again.report.damaged, again.report.incarnation), (0, life));
    assert_eq!(again.messages, found.messages);
}

#[test]
fn files_of_a_newer_version_are_left_alone() {
    const STATE: redb::TableDefinition<'static, u32, &'static [u8]> = redb::TableDefinition::new("state");
    let (_, folder) = small_store(3);
    let salt = salt_of(&folder);
    let disk = SimDisk::of(folder);
    let name = disk.snapshot().segments()[0].clone();
    let file = primer_storage::Disk::open(&disk, &name, false).expect("it is there");
    let database = redb::Database::builder().create_with_backend(Dynamic(file)).expect("it opens");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(STATE).expect("it is there").insert(0, &*about_of_format(salt, 2)).expect("a row");
    transaction.commit().expect("a commit");
    drop(database);
    let newer = disk.snapshot();
    let mut broken = newer.clone();
    broken.file(&name).write(0, &[0; 64]);
    let mut identity = newer.clone();
    let mut bytes = identity.file("STORE").bytes();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..24]);
    bytes[24..28].copy_from_slice(&crc.to_le_bytes());
    identity.put("STORE", &bytes);
    for (folder, file) in [(newer, name.as_str()), (broken, &name), (identity, "STORE")] {
        let disk = SimDisk::of(folder.clone());
        match open(&disk, &small()) {
            Err(OpenError::Newer { file: told, found: 2, reads: 1 }) => assert_eq!(told, file),
            other => panic!("{file}: {other:?}"),
        }
        assert_eq!(disk.snapshot().names, folder.names, "files were renamed");
    }
}

#[derive(Debug)]
struct Dynamic(Box<dyn redb::StorageBackend>);

impl redb::StorageBackend for Dynamic {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
}

/// A client publishes bytes that are rows in all but the salt: one that drops a queue, one that is a message of another
/// queue, one that pretends to be of a newer version. Then the file is damaged, and salvage reads all of it.
#[test]
fn a_payload_that_looks_like_rows_is_a_payload() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk, &small()).expect("an empty disk");
    let (victim, own) = (store.new_queue(), store.new_queue());
    let mut draft = Draft::default();
    draft.change(Change::Define { queue: victim, name: b"victim".as_slice().into() });
    draft.change(Change::Define { queue: own, name: b"own".as_slice().into() });
    let message = |draft: &mut Draft, queue: QueueId, position: u64, content: &[u8]| {
        let ticket = std::sync::Arc::new(Ticket::new());
        ticket.add();
        let mut destinations = Destinations::default();
        destinations.push(queue, position, b"note");
        draft.message(ticket, &destinations, None, &[content]);
    };
    for position in 0..20 {
        message(&mut draft, victim, position, b"precious and more than eight bytes");
    }
    let forged_salt = 4711;
    let mut payload = vec![0; 3];
    for salt in [0, forged_salt] {
        payload.extend(about_of_format(salt, 255));
        payload.extend(about_of_format(salt, 1));
        payload.extend(sealed(salt, 2, 1 << 40, &[2, victim.0 as u8]));
        payload.extend(sealed(salt, 1, (1 << 40) + 1, &[0, 1, victim.0 as u8, 99, 4, b'n', b'o', b't', b'e', b'!']));
    }
    let crc_without_salt = {
        let mut row = sealed(0, 2, 1 << 40, &[2, victim.0 as u8]);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&row[..4]), &row[8..]);
        row[4..8].copy_from_slice(&crc.to_le_bytes());
        row
    };
    payload.extend(crc_without_salt);
    // In one row, and where rows of a long message and windows of salvage are cut.
    message(&mut draft, own, 0, &payload);
    message(&mut draft, own, 1, &payload.repeat(2_000_000 / payload.len()));
    assert!(wait(&store, store.submit(draft)));
    store.close();
    let folder = disk.snapshot();
    let name = folder.segments()[0].clone();
    let mut cases: BTreeMap<&str, Folder> = BTreeMap::new();
    let mut header = folder.clone();
    header.file(&name).write(0, &[0xFF; 32]);
    let mut without_salt = header.clone();
    without_salt.lose("STORE");
    cases.insert("the header is damaged", header.clone());
    cases.insert("the salt is lost as well", without_salt);
    // The rows around the payloads are damaged: what is inside them is looked at.
    let mut headless = header;
    let bytes = headless.file(&name).bytes();
    for at in 0..bytes.len() - 3 {
        if &bytes[at..at + 2] == b"Pr" && matches!(bytes[at + 2], 1 | 3 | 4) && bytes[at + 14..at + 16] > [0, 1][..] {
            headless.file(&name).write(at as u64 + 4, &[0; 4]);
        }
    }
    cases.insert("the rows around it are damaged", headless);
    for (says, folder) in cases {
        let disk = SimDisk::of(folder);
        let (_store, found) = open(&disk, &small()).unwrap_or_else(|error| panic!("{says}: {error}"));
        assert_eq!(found.report.set_aside.len(), 1, "{says}");
        assert!(found.state.queue(victim).is_some(), "{says}: the queue was dropped");
        assert!(!found.messages.contains_key(&(victim.0, 99)), "{says}: a forged message");
        if !says.contains("around") {
            assert_eq!(found.messages.len(), 22, "{says}");
        }
    }
}
