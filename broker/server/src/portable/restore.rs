//! From a dump to a data directory. The new store is made beside the old one and takes its place when it is whole and
//! the dump has proved to be: until then, and after any failure, the directory is as it was.

use std::{
    fs::File,
    io::{BufRead, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use primer::journal::{Building, Folder, OpenError, Options, Probe, Reading};

use super::{
    PortableError, Progress,
    format::{Header, Line},
    inward::{Inward, Wrong},
    lines::Lines,
    merge::{self, Queues},
    outward,
    pack::unpack,
    queue_outward, tables,
};

/// Where a dump comes from.
pub enum Source {
    /// A file. It is read twice: nothing is written before all of it has proved to be sound.
    File(PathBuf),
    /// A stream.
    Stream(Box<dyn Read>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// What is to be done.
pub struct Restore {
    /// The data directory; it is made if it is missing.
    pub directory: PathBuf,
    /// How the new store is to be.
    pub store: Options,
    /// Tries files of the store that is there, if there is one.
    pub probe: Option<Probe>,
    /// Whether what is there may stay, where the dump has nothing of the same name; queues have then what both have.
    pub merge: bool,
}

impl std::fmt::Debug for Restore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { directory, store, merge, .. } = self;
        let mut debug = f.debug_struct("Restore");
        debug.field("directory", directory).field("store", store).field("merge", merge).finish_non_exhaustive()
    }
}

/// What was restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// From the dump.
    pub progress: Progress,
    /// Records that the dump does not have because they were damaged, or that were there and made no sense.
    pub left_out: u64,
    /// Sessions that were there and have nothing of the dump.
    pub sessions_kept: u64,
    /// Sessions that were there and made room for those of the dump.
    pub sessions_replaced: u64,
    /// Queues that were there and have nothing of the dump.
    pub queues_kept: u64,
    /// Queues that were there and have what the dump has of them as well.
    pub queues_united: u64,
    /// Tables that were there and have nothing of the dump.
    pub tables_kept: u64,
    /// Tables that were there and made room for those of the dump.
    pub tables_replaced: u64,
    /// Messages that were there and are still.
    pub messages_kept: u64,
}

/// Makes a data directory out of a dump.
///
/// # Errors
/// See [`PortableError`]. The data directory is as it was.
pub fn restore(what: Restore, source: Source, progress: &mut dyn FnMut(&Progress)) -> Result<Restored, PortableError> {
    match source {
        Source::File(path) => {
            let (lines, _) = Lines::begin(open(&path)?)?;
            lines.check(&mut |_| {})?;
            read(what, open(&path)?, progress)
        }
        Source::Stream(stream) => read(what, unpack(stream).map_err(unreadable)?, progress),
    }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, PortableError> {
    File::open(path).and_then(unpack).map_err(unreadable)
}

fn unreadable(source: std::io::Error) -> PortableError {
    PortableError::Read { line: 0, source }
}

fn read(what: Restore, input: impl BufRead, progress: &mut dyn FnMut(&Progress)) -> Result<Restored, PortableError> {
    let (mut lines, header) = Lines::begin(input)?;
    let Restore { directory, store, probe, merge } = what;
    let folder = Arc::new(Folder::take(&directory, probe)?);
    let opened = |source: OpenError| PortableError::Open { directory: directory.clone(), source };
    let look = || Reading::open(Arc::<Folder>::clone(&folder)).map_err(opened);
    let mut restored = Restored::default();
    let mut existing = look()?;
    look_at(&directory, &mut existing, merge)?;
    let mut there = Queues::new();
    if merge && queue_outward::queues(existing.state()).next().is_some() {
        there = merge::queues_of(&mut existing, &mut restored).map_err(opened)?;
        drop(existing);
        existing = look()?; // a store shows its messages once
    }
    let failed = |source| PortableError::Build { directory: directory.clone(), source };
    let building = Building::begin(&directory).map_err(failed)?;
    let mut inward = Inward::new(new_store(&building, &store, &header, &existing).map_err(opened)?, merge);
    while let Some(line) = lines.next()? {
        let taken = match line {
            Line::Session(session) => inward.session(&session),
            Line::Queue(queue) => {
                let there = there.get(&queue.name);
                let checked = inward.check_queue(&queue, there);
                if checked.is_ok() {
                    inward.queue(&queue, there)?;
                }
                checked
            }
            Line::Table(table) => {
                let checked = inward.check_table(&table);
                if checked.is_ok() {
                    inward.table(&table)?;
                }
                checked
            }
            Line::Message(message) => inward.message(&message),
            Line::PrimerDump(_) | Line::End(_) => Ok(()),
        };
        let number = lines.number;
        taken.map_err(|Wrong { says, expected }| {
            let expected = expected.to_owned();
            PortableError::Line { line: number, says, expected }
        })?;
        inward.write()?;
        progress(&lines.progress);
    }
    restored.progress = lines.progress;
    restored.left_out += lines.left_out;
    if merge {
        merge::merge(&mut existing, &there, &mut inward, &mut restored)?;
    }
    inward.finish()?;
    drop(existing); // its files go
    building.take_place().map_err(failed)?;
    drop(folder);
    Ok(restored)
}

/// A store that takes no room of what it holds already, in a life that no message of either was in.
fn new_store(
    building: &Building,
    options: &Options,
    header: &Header,
    existing: &Reading,
) -> Result<primer::journal::Store, OpenError> {
    let incarnation = header.incarnation.max(existing.report().incarnation).saturating_add(1);
    building.store(Options { evicts: false, ..options.clone() }, incarnation)
}

/// Whether what is there allows it.
fn look_at(directory: &Path, existing: &mut Reading, merge: bool) -> Result<(), PortableError> {
    if existing.report().files_damaged() > 0 || existing.report().damaged > 0 {
        return Err(PortableError::Damaged { directory: directory.to_owned() });
    }
    if merge {
        return Ok(());
    }
    let sessions = existing.state().queues().filter(|(_, queue)| outward::client_id(queue).is_some()).count() as u64;
    let (mut queues, mut says_something) = (0, false);
    for (queue, nonsense) in queue_outward::queues(existing.state()) {
        queues += 1;
        says_something |= queue.says_something() || nonsense > 0;
    }
    let tables = tables::tables(existing.state()).count() as u64;
    let visited = existing.visit(&mut |_, _| {});
    visited.map_err(|source| PortableError::Open { directory: directory.to_owned(), source })?;
    let messages = existing.report().messages;
    if sessions > 0 || says_something || tables > 0 || messages > 0 {
        return Err(PortableError::NotEmpty { directory: directory.to_owned(), sessions, queues, tables, messages });
    }
    Ok(())
}
