//! Records out of a file that redb refuses: found by what they are, without redb's help.
//!
//! The file is read from end to end. Wherever a row's magic stands, a row is tried; its length and CRC say whether it
//! is one. What is inside a sound row is not looked at: it is somebody's payload. Rows of pages that redb had given up
//! are found as well: a sequence number is used once, so two rows of one number are one row.

use std::{collections::BTreeMap, io};

use redb::StorageBackend;

use crate::{
    limits::{BODY_BYTES_MAX, SALTS_TRIED_MAX},
    record::{self, HEADER_BYTES, Kind, MAGIC, Row, Seal},
    segment::{About, picture_part},
};

const WINDOW: usize = 1 << 20;
const PAGE: usize = 4096;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Salvaged {
    /// Rows of messages, deltas and chunks by sequence number.
    pub(crate) rows: BTreeMap<u64, Vec<u8>>,
    /// What the segment said of itself, if that was found.
    pub(crate) about: Option<About>,
    /// Parts of pictures, by base and part.
    pictures: BTreeMap<(u64, u32), Vec<u8>>,
    /// The format of a newer version, if the file has one.
    pub(crate) newer: Option<u8>,
    /// Bytes of all sound rows.
    bytes: u64,
}

impl Salvaged {
    /// The picture of the state at its beginning, if all parts of it were found.
    pub(crate) fn picture(&self) -> Option<Vec<Vec<u8>>> {
        let about = self.about.as_ref()?;
        (1..=about.parts).map(|part| self.pictures.get(&(about.base, part)).cloned()).collect()
    }

    fn take(&mut self, row: &Row<'_>, bytes: &[u8]) {
        match row.kind {
            Kind::About => match About::decode(row.body) {
                Ok(Some(about)) => self.about = Some(about),
                Ok(None) => {}
                Err(format) => self.newer = Some(format),
            },
            Kind::Picture => {
                if let Some((part, changes)) = picture_part(row.body) {
                    self.pictures.insert((row.sequence, part), changes.to_vec());
                }
            }
            Kind::Message | Kind::Delta | Kind::More | Kind::Head | Kind::Chunk | Kind::Clean => {
                self.rows.insert(row.sequence, bytes.to_vec());
            }
        }
    }
}

/// Reads the whole file for rows of one store. What cannot be read is left out.
pub(crate) fn salvage(file: &dyn StorageBackend, salt: u64) -> io::Result<Salvaged> {
    let seal = Seal::new(salt);
    let mut found = Salvaged::default();
    walk(file, |bytes| {
        if let Some(row) = seal.read_prefix(bytes) {
            let taken = HEADER_BYTES + row.body.len();
            found.take(&row, &bytes[..taken]);
            found.bytes += taken as u64;
            return Some(taken);
        }
        let body = record::read_about(bytes, |body| About::salt_of(body).filter(|known| *known == salt))?;
        found.newer = found.newer.or(About::decode(body).err());
        Some(HEADER_BYTES + body.len())
    })?;
    Ok(found)
}

/// The salt with which most of a file is sealed, where nothing else tells. A payload may pretend to be a segment's
/// beginning with a salt of its own and rows that go with it; but it is part of rows of the true salt, which is why
/// those come to more bytes.
pub(crate) fn guess_salt(file: &dyn StorageBackend) -> io::Result<Option<(u64, u64)>> {
    let mut salts: Vec<u64> = Vec::new();
    walk(file, |bytes| {
        let body = record::read_about(bytes, About::salt_of)?;
        let salt = About::salt_of(body)?;
        if salts.len() < SALTS_TRIED_MAX && !salts.contains(&salt) {
            salts.push(salt);
        }
        None
    })?;
    let mut best = None;
    for salt in salts {
        let bytes = salvage(file, salt)?.bytes;
        if best.is_none_or(|(most, _)| bytes > most) {
            best = Some((bytes, salt));
        }
    }
    Ok(best)
}

/// Gives `try_row` every place where a row may begin; it answers how long the row is that is there.
fn walk(file: &dyn StorageBackend, mut try_row: impl FnMut(&[u8]) -> Option<usize>) -> io::Result<()> {
    let longest = HEADER_BYTES + BODY_BYTES_MAX;
    let len = file.len()?;
    let mut at = 0;
    while at < len {
        let size = usize::try_from(len - at).unwrap_or(usize::MAX).min(WINDOW + longest);
        let mut window = vec![0; size];
        read_what_can_be(file, at, &mut window);
        // A row that begins in the overlap is tried in the next window, where it is whole. One that reaches there has
        // the next window begin behind it: its inside is not looked at.
        let begins = size.min(WINDOW);
        let mut offset = 0;
        while offset < begins {
            let Some(step) = window[offset..begins].iter().position(|byte| *byte == MAGIC[0]) else {
                offset = begins;
                break;
            };
            offset += step;
            offset += try_row(&window[offset..]).unwrap_or(1);
        }
        at += offset as u64;
    }
    Ok(())
}

/// A page that cannot be read costs that page only.
fn read_what_can_be(file: &dyn StorageBackend, at: u64, window: &mut [u8]) {
    if file.read(at, window).is_ok() {
        return;
    }
    let mut from = 0;
    while from < window.len() {
        // Pages of the file, not of the window, which may begin anywhere.
        let inside = ((at + from as u64) % PAGE as u64) as usize;
        let to = (from + PAGE - inside).min(window.len());
        let page = &mut window[from..to];
        if file.read(at + from as u64, page).is_err() {
            page.fill(0);
        }
        from = to;
    }
}
