//! What rows take of a file.

use crate::{limits::PART_BYTES, record::HEADER_BYTES};

/// What a page of redb has for entries, and what it keeps beside each: the key and where the value ends.
const PAGE_BYTES: usize = 4096;
const PAGE_ROOM: usize = PAGE_BYTES - 4;
const ENTRY_BYTES: usize = 12;

/// Bytes that a row takes of a file. A page holds whole rows; a row that is longer than a page has a power of two of
/// them to itself.
pub(crate) fn row_cost(len: usize) -> u64 {
    let cost = match PAGE_ROOM / (len + ENTRY_BYTES) {
        0 => (len + ENTRY_BYTES + PAGE_BYTES - PAGE_ROOM).next_power_of_two(),
        rows => PAGE_BYTES.div_ceil(rows),
    };
    cost as u64
}

/// Bytes that the rows of a record of so many bytes take.
pub(crate) fn record_cost(len: u32) -> u64 {
    let longest = HEADER_BYTES + PART_BYTES;
    let (full, rest) = (len as usize / longest, len as usize % longest);
    full as u64 * row_cost(longest) + if rest > 0 { row_cost(rest) } else { 0 }
}

#[cfg(test)]
mod tests {
    use redb::{Builder, ReadableTable, TableDefinition, backends::InMemoryBackend};

    use super::*;

    const TABLE: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("stream");

    /// Pages that redb takes for so many rows, appended in one commit.
    fn pages(rows: u64, len: usize) -> u64 {
        let database = Builder::new().create_with_backend(InMemoryBackend::new()).expect("a table in memory");
        let transaction = database.begin_write().expect("a table in memory");
        {
            let mut table = transaction.open_table(TABLE).expect("a table in memory");
            let mut cursor = table.upper_bound_mut(std::ops::Bound::<u64>::Unbounded).expect("a table in memory");
            let row = vec![7; len];
            (0..rows).for_each(|key| cursor.insert_before(key, &row[..]).expect("a table in memory"));
            cursor.close().expect("a table in memory");
            assert!(table.last().expect("a table in memory").is_some());
        }
        transaction.stats().expect("a table in memory").allocated_pages()
    }

    /// Rows of 2,030 bytes, of which a page holds two, were taken to have one to themselves: half of every file, and so
    /// half of the budget, was left unused.
    #[test]
    fn rows_cost_what_redb_takes_for_them() {
        const ROWS: u64 = 600;
        for len in [100, 1011, 1012, 1352, 1353, 2028, 2030, 2034, 2035, 4080, 4081, 8176, 8177, 16_368] {
            let (taken, said) = (pages(ROWS, len) * PAGE_BYTES as u64, ROWS * row_cost(len));
            // Beside the rows there are branches, and pages that are not full at the edges.
            assert!(taken >= said && taken < said + said / 16 + 80_000, "{len}: {taken} and not {said}");
        }
    }
}
