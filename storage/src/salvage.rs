//! Records out of a file that redb refuses: found by what they are, without redb's help.
//!
//! The file is read from end to end. Wherever a row's magic stands, a row is tried; its length and CRC say whether it
//! is one. Rows of pages that redb had given up are found as well: a sequence number is used once, so two rows of one
//! number are one row.

use std::{collections::BTreeMap, io};

use redb::StorageBackend;

use crate::{
    limits::BODY_BYTES_MAX,
    record::{self, HEADER_BYTES, Kind, MAGIC},
    segment::{About, picture_part},
};

const WINDOW: usize = 1 << 20;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Salvaged {
    /// Rows of messages, deltas and chunks by sequence number.
    pub(crate) rows: BTreeMap<u64, Vec<u8>>,
    /// What the segment said of itself, if that was found.
    pub(crate) about: Option<About>,
    /// Parts of pictures, by base and part.
    pub(crate) pictures: BTreeMap<(u64, u32), Vec<u8>>,
    /// The format of a newer version, if the file has one.
    pub(crate) newer: Option<u8>,
}

impl Salvaged {
    /// The picture of the state at its beginning, if all parts of it were found.
    pub(crate) fn picture(&self) -> Option<Vec<Vec<u8>>> {
        let about = self.about.as_ref()?;
        (1..=about.parts).map(|part| self.pictures.get(&(about.base, part)).cloned()).collect()
    }
}

/// Reads the whole file. What cannot be read is left out.
pub(crate) fn salvage(file: &dyn StorageBackend) -> io::Result<Salvaged> {
    let longest = HEADER_BYTES + BODY_BYTES_MAX;
    let len = file.len()?;
    let mut found = Salvaged::default();
    let mut at = 0;
    while at < len {
        let size = usize::try_from(len - at).unwrap_or(usize::MAX).min(WINDOW + longest);
        let mut window = vec![0; size];
        read_what_can_be(file, at, &mut window);
        // A row that begins in the overlap is tried in the next window, where it is whole.
        let begins = size.min(WINDOW);
        let mut offset = 0;
        while offset < begins {
            let Some(step) = window[offset..begins].iter().position(|byte| *byte == MAGIC[0]) else { break };
            offset += step;
            match record::read_prefix(&window[offset..]) {
                Some(row) => {
                    let taken = HEADER_BYTES + row.body.len();
                    found.take(&row, &window[offset..offset + taken]);
                    offset += taken;
                }
                None => offset += 1,
            }
        }
        // A row taken last may reach into the next window: going on there finds nothing twice that matters.
        at += begins as u64;
    }
    Ok(found)
}

/// A page that cannot be read costs that page only.
fn read_what_can_be(file: &dyn StorageBackend, at: u64, window: &mut [u8]) {
    const PAGE: usize = 4096;
    if file.read(at, window).is_ok() {
        return;
    }
    for (index, page) in window.chunks_mut(PAGE).enumerate() {
        if file.read(at + (index * PAGE) as u64, page).is_err() {
            page.fill(0);
        }
    }
}

impl Salvaged {
    fn take(&mut self, row: &record::Row<'_>, bytes: &[u8]) {
        match row.kind {
            Kind::About => match About::decode(row.body) {
                Ok(Some(about)) if self.about.as_ref().is_none_or(|known| known.base <= about.base) => {
                    self.about = Some(about);
                }
                Ok(_) => {}
                Err(format) => self.newer = Some(format),
            },
            Kind::Picture => {
                if let Some((part, changes)) = picture_part(row.body) {
                    self.pictures.insert((row.sequence, part), changes.to_vec());
                }
            }
            Kind::Message | Kind::Delta | Kind::Head | Kind::Chunk | Kind::Clean => {
                self.rows.insert(row.sequence, bytes.to_vec());
            }
        }
    }
}
