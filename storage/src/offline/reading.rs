//! A store that is opened to be looked at: as a broker would find it, and without a change of any file.

use std::sync::Arc;

use crate::{
    disk::Disk,
    offline::View,
    recover::{self, OpenError, Recovered, Report, Stored},
    segment::{FORMAT, name_of},
    state::State,
    stats::Stats,
    store::Options,
};

/// See the module's description.
pub struct Reading {
    recovered: Recovered,
    /// The files of the folder; recovery may have begun others in memory.
    names: Vec<String>,
}

/// One segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFigures {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Bytes of records that somebody still wants.
    pub live_bytes: u64,
    /// Records that somebody still wants.
    pub live_records: u64,
    /// The lowest sequence number that a record of its own may have.
    pub base: u64,
    /// Which life of the store it was begun in.
    pub incarnation: u64,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("report", self.report()).finish_non_exhaustive()
    }
}

impl Reading {
    /// The newest format of segments that is read.
    pub const FORMAT: u8 = FORMAT;

    /// Opens a store. Damage is no error: see [`Report`].
    ///
    /// # Errors
    /// The folder cannot be read, or a file is that of a newer version.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let view: Arc<dyn Disk> = Arc::new(View::new(disk).map_err(OpenError::Disk)?);
        let names = view.list().map_err(OpenError::Disk)?;
        let gathered = recover::gather(&view, &Options::default(), &Arc::new(Stats::default()));
        view.started(); // whatever came of it, the process is still there
        Ok(Self { recovered: gathered?.recovered, names })
    }

    /// The queues.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.recovered.state
    }

    /// What opening found; the numbers of messages and of damaged rows are complete after [`visit`](Self::visit).
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.recovered.report
    }

    /// Shows every message that a queue holds, once for each queue; those of one record come one after another.
    /// Called once.
    ///
    /// # Errors
    /// A file cannot be read to its end.
    pub fn visit(&mut self, visit: &mut dyn FnMut(&State, Stored<'_>)) -> Result<(), OpenError> {
        self.recovered.show(visit)
    }

    /// The files, after [`visit`](Self::visit); without those that did not open.
    #[must_use]
    pub fn files(&self) -> Vec<FileFigures> {
        let opened = self.recovered.segments.values();
        let opened = opened.filter(|segment| self.names.contains(&name_of(segment.about.number)));
        let figures = opened.map(|segment| {
            let live = self.recovered.ledger.live(segment.about.number);
            FileFigures {
                name: name_of(segment.about.number),
                bytes: segment.len(),
                live_bytes: live.bytes,
                live_records: live.records,
                base: segment.about.base,
                incarnation: segment.about.incarnation,
            }
        });
        figures.collect()
    }
}
