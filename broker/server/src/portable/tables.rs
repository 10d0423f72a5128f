//! Tables, from the store to the lines of a dump, and from there to a new store. `docs/guides/backup.md` describes the
//! lines for people.

use std::{borrow::Cow, collections::HashSet};

use primer::{
    TABLE_BYTES_MAX, TABLE_KEY_BYTES_MAX, TABLE_NAME_BYTES_MAX, TABLE_VALUE_BYTES_MAX,
    journal::{Change, QueueState, State, read_table_name, table_name},
};
use serde::{Deserialize, Serialize};

use super::{
    PortableError,
    format::Base64,
    inward::{Inward, Wrong, wrong},
};

/// A table. The largest one makes a line of some 12 MB, so that it needs no second one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) entries: Vec<Entry<'a>>,
}

/// An entry of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub(super) key: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) value: Base64<'a>,
}

impl Table<'_> {
    /// Bytes of all keys and values.
    pub(super) fn bytes(&self) -> usize {
        self.entries.iter().map(|Entry { key, value }| key.len() + value.0.len()).sum()
    }
}

/// Tables of the store, each with how many of its entries make no sense. One without entries is none: it is made when
/// somebody asks for it.
pub(super) fn tables(state: &State) -> impl Iterator<Item = (Table<'_>, u64)> {
    state.queues().filter(|(_, queue)| !queue.entries.is_empty()).filter_map(|(_, queue)| table_of(queue))
}

/// An entry that no table can have makes no sense: with it no dump could be restored.
fn table_of(queue: &QueueState) -> Option<(Table<'_>, u64)> {
    let name = read_table_name(&queue.name)?;
    let mut table = Table { name: Cow::Borrowed(name), entries: Vec::new() };
    let mut left_out = 0;
    for (key, value) in &queue.entries {
        match std::str::from_utf8(key) {
            Ok(key) if check_entry(name, key, value).is_ok() => {
                table.entries.push(Entry { key: Cow::Borrowed(key), value: Base64(Cow::Borrowed(value)) });
            }
            _ => left_out += 1,
        }
    }
    Some((table, left_out))
}

impl Inward {
    pub(super) fn has_table(&self, name: &str) -> bool {
        self.tables.contains(name)
    }

    /// Whether a table can be one.
    pub(super) fn check_table(&self, table: &Table<'_>) -> Result<(), Wrong> {
        const ONCE: &str = "a name of 255 bytes at most, once in a dump";
        let name = &*table.name;
        if name.len() > TABLE_NAME_BYTES_MAX {
            return Err(wrong(format!("a table with a name of {} bytes", name.len()), ONCE));
        }
        if self.has_table(name) {
            return Err(wrong(format!("the table {name:?} was there before"), ONCE));
        }
        let mut keys: HashSet<&str> = HashSet::with_capacity(table.entries.len());
        for Entry { key, value } in &table.entries {
            check_entry(name, key, &value.0)?;
            if !keys.insert(key) {
                let says = format!("the key {key:?} of the table {name:?} was there before");
                return Err(wrong(says, "a key, once in a table"));
            }
        }
        let bytes = table.bytes();
        if bytes > TABLE_BYTES_MAX {
            let says = format!("the table {name:?} has {bytes} bytes");
            return Err(wrong(says, "8,388,608 at most, keys and values together"));
        }
        Ok(())
    }

    /// Makes a table.
    pub(super) fn table(&mut self, table: &Table<'_>) -> Result<(), PortableError> {
        let queue = self.define(table_name(&table.name));
        for Entry { key, value } in &table.entries {
            self.change(Change::Put { queue, key: key.as_bytes().into(), value: (*value.0).into() });
            self.write()?;
        }
        self.tables.insert((*table.name).into());
        Ok(())
    }
}

fn check_entry(table: &str, key: &str, value: &[u8]) -> Result<(), Wrong> {
    if key.is_empty() || key.len() > TABLE_KEY_BYTES_MAX {
        return Err(wrong(format!("the table {table:?} has a key of {} bytes", key.len()), "1 to 1,024 bytes"));
    }
    if value.len() > TABLE_VALUE_BYTES_MAX {
        let says = format!("the value of {key:?} in the table {table:?} has {} bytes", value.len());
        return Err(wrong(says, "524,288 at most"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_goes_there_and_back() {
        for (bytes, json) in [
            (&b"\x18*"[..], r#"{"name":"rule/heat","entries":[{"key":"n","value":"GCo="}]}"#),
            (b"", r#"{"name":"\"é\"","entries":[{"key":"\u0001","value":""}]}"#),
        ] {
            let table: Table<'_> = serde_json::from_str(json).unwrap();
            assert_eq!((&*table.entries[0].value.0, table.bytes()), (bytes, 1 + bytes.len()));
            assert_eq!(serde_json::to_string(&table).unwrap(), json);
        }
        assert_eq!(read_table_name(&table_name("rule/heat")), Some("rule/heat"));
        assert_eq!((read_table_name(b"q"), read_table_name(b"t\xFF")), (None, None));
    }

    /// The texts have the limits as figures.
    #[test]
    fn an_entry_is_told_what_it_may_be() {
        let long = |len: usize| "k".repeat(len);
        let value = vec![0; TABLE_VALUE_BYTES_MAX + 1];
        assert!(check_entry("t", &long(TABLE_KEY_BYTES_MAX), &value[1..]).is_ok());
        for (key, value, expected) in
            [(long(TABLE_KEY_BYTES_MAX + 1), &[][..], "1,024"), (long(0), &[], "1 "), (long(1), &value, "524,288")]
        {
            assert!(check_entry("t", &key, value).is_err_and(|wrong| wrong.expected.contains(expected)));
        }
        let figures = [TABLE_NAME_BYTES_MAX, TABLE_KEY_BYTES_MAX, TABLE_VALUE_BYTES_MAX, TABLE_BYTES_MAX];
        assert_eq!(figures, [255, 1_024, 524_288, 8_388_608]);
    }
}
