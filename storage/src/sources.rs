//! The files there are: those that open and are as they were written, and those that do not or are not, with what was
//! found in them.

use std::{collections::BTreeMap, io, sync::Arc};

use crate::{
    identity,
    limits::{ACTIVE_CACHE_BYTES, READ_CACHE_BYTES},
    recover::OpenError,
    reserve,
    salvage::{self, Salvaged},
    segment::{self, About, Opener, Segment, SegmentError},
};

/// See the module's description.
pub(crate) struct Sources {
    pub(crate) opened: BTreeMap<u64, Arc<Segment>>,
    pub(crate) refused: Vec<Refused>,
}

/// A file that is not used as it is.
pub(crate) struct Refused {
    pub(crate) name: String,
    pub(crate) why: String,
    pub(crate) found: Salvaged,
}

impl Refused {
    /// What it said of itself, if that was found.
    pub(crate) const fn about(&self) -> Option<&About> {
        self.found.about.as_ref()
    }
}

pub(crate) fn newer(file: &str, found: u8) -> OpenError {
    OpenError::Newer { file: file.to_owned(), found, reads: segment::FORMAT }
}

/// Opens all segments, and learns the store's salt from them if `known` does not tell it.
pub(crate) fn open_all(opener: &mut Opener, known: Option<u64>, numbers: &[u64]) -> Result<Sources, OpenError> {
    let mut opened = BTreeMap::new();
    let mut bad: Vec<(String, String)> = Vec::new();
    for number in numbers {
        let name = segment::name_of(*number);
        // That it cannot be opened says nothing of what is in it: too many files are open, or it is another user's.
        let file = opener.disk.open(&name, false).and_then(|file| file.close());
        file.map_err(|source| OpenError::Unreadable { file: name.clone(), source })?;
        let cache_bytes = if numbers.last() == Some(number) { ACTIVE_CACHE_BYTES } else { READ_CACHE_BYTES };
        let open = || match opener.disk.probe(&name) {
            Ok(()) => opener.open_verified(*number, cache_bytes),
            Err(why) => Err(SegmentError::Failed(why)),
        };
        let mut result = open();
        if matches!(result, Err(SegmentError::DiskFull)) {
            reserve::remove(&*opener.disk); // redb may have to repair it
            result = open();
        }
        match result {
            Ok(segment) if segment.about.number == *number => {
                opened.insert(*number, Arc::new(segment));
            }
            Ok(segment) => bad.push((name, format!("it is segment {} under another name", segment.about.number))),
            Err(SegmentError::Newer { found }) => return Err(newer(&name, found)),
            // It is no damage, and what is in it must not be taken for lost.
            Err(error @ SegmentError::DiskFull) => return Err(OpenError::Unwritable(error.to_string())),
            Err(error) => bad.push((name, error.to_string())),
        }
    }
    opener.salt = match known.or_else(|| most(opened.values().map(|segment| (1, segment.about.salt)))) {
        Some(salt) => salt,
        None => guess(opener, &bad)?,
    };
    let salt = opener.salt;
    opened.retain(|number, segment: &mut Arc<Segment>| {
        let is_ours = segment.about.salt == salt;
        if !is_ours {
            bad.push((segment::name_of(*number), "it belongs to another store".to_owned()));
        }
        is_ours
    });
    let refused = bad.into_iter().map(|(name, why)| take_out(opener, name, why));
    Ok(Sources { opened, refused: refused.collect::<Result<_, _>>()? })
}

/// The salt with the greatest sum of weights.
fn most(salts: impl Iterator<Item = (u64, u64)>) -> Option<u64> {
    let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
    salts.for_each(|(weight, salt)| *sums.entry(salt).or_default() += weight);
    sums.into_iter().max_by_key(|(_, sum)| *sum).map(|(salt, _)| salt)
}

fn guess(opener: &Opener, bad: &[(String, String)]) -> Result<u64, OpenError> {
    let mut salts = Vec::new();
    for (name, _) in bad {
        salts.extend(with_file(opener, name, salvage::guess_salt)?);
    }
    Ok(most(salts.into_iter()).unwrap_or_else(identity::draw))
}

fn take_out(opener: &Opener, name: String, why: String) -> Result<Refused, OpenError> {
    let found = with_file(opener, &name, |file| salvage::salvage(file, opener.salt))?;
    if let Some(format) = found.newer {
        return Err(newer(&name, format));
    }
    tracing::warn!(file = name, why, rows = found.rows.len(), "a file is not used as it is");
    Ok(Refused { name, why, found })
}

fn with_file<T>(
    opener: &Opener,
    name: &str,
    work: impl FnOnce(&dyn redb::StorageBackend) -> io::Result<T>,
) -> Result<T, OpenError> {
    let done = opener.disk.open(name, false).and_then(|file| {
        let done = work(&*file);
        file.close()?;
        done
    });
    done.map_err(|source| OpenError::Unreadable { file: name.to_owned(), source })
}
