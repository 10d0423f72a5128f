//! Reading messages back, on a thread of its own: an event loop must not wait for a disk.

use std::{collections::VecDeque, sync::Arc, thread::JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::{
    change::QueueId,
    limits::{READ_ROWS_MAX, REREAD_PAUSE, REREADS},
    message::{Body, NEVER_UNIX_MS},
    record::Kind,
    segment::{Part, Segment, SegmentError},
    stats::Stats,
    store::Shared,
};

/// A message that is wanted back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Its record.
    pub sequence: u64,
    /// For which queue.
    pub queue: QueueId,
    /// At which position there.
    pub position: u64,
}

/// A message that came back, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What was wanted.
    pub want: Want,
    /// `None`: the record is damaged or lost, unless it could not be read.
    pub message: Option<LoadedMessage>,
    /// It could not be read now, because its file does not open, and may be read later.
    pub is_unreadable: bool,
}

/// A message as it was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedMessage {
    /// The note of the destination.
    pub note: Vec<u8>,
    /// The content.
    pub content: Vec<u8>,
    /// When it expires, in milliseconds since 1970.
    pub expires_unix_ms: Option<u64>,
}

type Take = Box<dyn FnOnce(Vec<Loaded>) + Send>;

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<(Vec<Want>, Take)>,
    is_stopped: bool,
}

/// See the module's description.
pub(crate) struct Loader {
    waiting: Arc<(Mutex<Waiting>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loader")
    }
}

impl Loader {
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let waiting = Arc::new((Mutex::new(Waiting::default()), Condvar::new()));
        let jobs = Arc::clone(&waiting);
        let run = move || {
            let (waiting, to_load) = &*jobs;
            loop {
                let mut guard = waiting.lock();
                let job = loop {
                    if let Some(job) = guard.jobs.pop_front() {
                        break job;
                    }
                    if guard.is_stopped {
                        return;
                    }
                    to_load.wait(&mut guard);
                };
                drop(guard);
                let (wants, take) = job;
                take(read(&shared, wants));
            }
        };
        let thread = std::thread::Builder::new().name("primer-load".to_owned()).spawn(run)?;
        Ok(Self { waiting, thread: Mutex::new(Some(thread)) })
    }

    /// Its owner has one request a queue at a time, so that what waits here is bounded by the queues there are.
    pub(crate) fn load(&self, wants: Vec<Want>, take: Take) {
        let (waiting, to_load) = &*self.waiting;
        waiting.lock().jobs.push_back((wants, take));
        to_load.notify_one();
    }

    pub(crate) fn stop(&self) {
        let (waiting, to_load) = &*self.waiting;
        waiting.lock().is_stopped = true;
        to_load.notify_one();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _it_has_said_why = thread.join();
        }
    }
}

fn read(shared: &Shared, wants: Vec<Want>) -> Vec<Loaded> {
    let mut loaded: Vec<Loaded> =
        wants.into_iter().map(|want| Loaded { want, message: None, is_unreadable: false }).collect();
    for some in loaded.chunks_mut(READ_ROWS_MAX) {
        let (mut looks, mut rereads) = (0, 0);
        loop {
            let missing: Vec<usize> = (0..some.len()).filter(|index| some[*index].message.is_none()).collect();
            if missing.is_empty() {
                break;
            }
            let has_erred = read_some(shared, some, &missing);
            if has_erred && rereads < REREADS {
                // A segment gave errors, and is being opened anew. What it holds is not lost.
                rereads += 1;
                std::thread::park_timeout(REREAD_PAUSE);
                continue;
            }
            // Cleaning may move a record and drop its segment between the look and the read: look once more.
            looks += 1;
            if looks == 2 || has_erred {
                some.iter_mut().for_each(|one| one.is_unreadable = has_erred && one.message.is_none());
                break;
            }
        }
        let damaged = some.iter().filter(|one| one.message.is_none() && !one.is_unreadable).count();
        Stats::add(&shared.stats.damaged, damaged as u64);
    }
    loaded
}

/// Looks where each record was written, then where cleaning may have put it. Answers whether a segment could not be
/// read.
fn read_some(shared: &Shared, loaded: &mut [Loaded], which: &[usize]) -> bool {
    let segments: Vec<Arc<Segment>> = shared.segments.read().values().map(Arc::clone).collect();
    let mut has_erred = shared.is_any_broken();
    let mut look = |segment: &Segment, part, loaded: &mut [Loaded], which: &[usize]| {
        if let Err(error) = read_from(segment, part, loaded, which) {
            tracing::warn!(%error, segment = segment.about.number, "messages could not be read");
            shared.report_broken(segment.about.number);
            has_erred = true;
        }
    };
    let home = |sequence: u64| segments.iter().rposition(|segment| segment.about.base <= sequence);
    let mut at_home: Vec<(Option<usize>, usize)> =
        which.iter().map(|index| (home(loaded[*index].want.sequence), *index)).collect();
    at_home.sort_unstable();
    for same in at_home.chunk_by(|a, b| a.0 == b.0) {
        let segment = same.first().and_then(|(at, _)| segments.get((*at)?));
        let which: Vec<usize> = same.iter().map(|(_, index)| *index).collect();
        if let Some(segment) = segment {
            look(segment, Part::Stream, loaded, &which);
        }
    }
    for segment in segments.iter().rev() {
        let missing: Vec<usize> = which.iter().copied().filter(|index| loaded[*index].message.is_none()).collect();
        if missing.is_empty() {
            break;
        }
        look(segment, Part::Kept, loaded, &missing);
    }
    has_erred
}

fn read_from(segment: &Segment, part: Part, loaded: &mut [Loaded], which: &[usize]) -> Result<(), SegmentError> {
    let keys: Vec<u64> = which.iter().map(|index| loaded[*index].want.sequence).collect();
    let mut heads: Vec<(usize, Vec<u8>)> = Vec::new();
    segment.get_each(part, &keys, |at, bytes| {
        let index = which[at];
        let want = loaded[index].want;
        let Some(row) = bytes.and_then(|bytes| segment.seal.read(bytes, want.sequence)) else { return };
        match row.kind {
            Kind::Message => loaded[index].message = message_of(row.body, &want),
            Kind::Head => heads.push((index, row.body.to_vec())),
            _ => {}
        }
    })?;
    for (index, head) in heads {
        let want = loaded[index].want;
        if let Some(body) = assemble(segment, part, want.sequence, &head)? {
            loaded[index].message = message_of(&body, &want);
        }
    }
    Ok(())
}

/// The whole body of a record of several rows; `None` when a part of it is damaged.
pub(crate) fn assemble(
    segment: &Segment,
    part: Part,
    sequence: u64,
    head: &[u8],
) -> Result<Option<Vec<u8>>, SegmentError> {
    let Some((count, first)) = head.split_first_chunk::<2>() else { return Ok(None) };
    let count = u64::from(u16::from_le_bytes(*count));
    let mut body = first.to_vec();
    let keys: Vec<u64> = (sequence + 1..=sequence + count).collect();
    let mut is_whole = true;
    segment.get_each(part, &keys, |index, bytes| {
        match bytes.and_then(|bytes| segment.seal.read(bytes, keys[index])).filter(|row| row.kind == Kind::Chunk) {
            Some(row) => body.extend_from_slice(row.body),
            None => is_whole = false,
        }
    })?;
    Ok(is_whole.then_some(body))
}

fn message_of(body: &[u8], want: &Want) -> Option<LoadedMessage> {
    let body = Body::decode(body)?;
    let note = body.note(want.queue, want.position)?.to_vec();
    let expires_unix_ms = (body.expires_unix_ms != NEVER_UNIX_MS).then_some(body.expires_unix_ms);
    Some(LoadedMessage { note, content: body.content.to_vec(), expires_unix_ms })
}
