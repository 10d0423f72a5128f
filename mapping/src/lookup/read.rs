//! Tables from text.

use std::{collections::HashMap, fs::File, io::Read, path::Path};

use rhai::{Dynamic, Map};

use super::{FILE_BYTES_MAX, LookupError, LookupFormat, ROWS_MAX, Table};
use crate::values::{self, Number, ValueError};

/// What is in a file, which may be longer than its status said.
pub(super) fn file(file: &Path) -> Result<Vec<u8>, LookupError> {
    let mut text = Vec::new();
    let bytes = File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)? as u64;
    if bytes > FILE_BYTES_MAX { Err(LookupError::Bytes(bytes)) } else { Ok(text) }
}

/// The table that a text says.
pub(super) fn table(format: LookupFormat, text: &[u8]) -> Result<Table, LookupError> {
    match format {
        LookupFormat::Csv => csv(text),
        LookupFormat::Json => json(text),
    }
}

fn csv(text: &[u8]) -> Result<Table, LookupError> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let columns: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
    let Some(key_column) = columns.first() else {
        return Err(LookupError::Malformed { line: 1, what: "no columns".to_owned() });
    };
    let mut rows: HashMap<String, Dynamic> = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        let key = record.get(0).unwrap_or_default();
        let cells = columns.iter().zip(record.iter()).skip(1);
        let mut row: Map = cells.map(|(column, cell)| (column.into(), value_of(cell))).collect();
        row.insert(key_column.into(), key.into());
        if rows.insert(key.to_owned(), row.into()).is_some() {
            return Err(LookupError::Malformed { line, what: format!("the key \"{key}\" is there twice") });
        }
        if rows.len() > ROWS_MAX {
            return Err(LookupError::Rows);
        }
    }
    Ok(Table { rows, columns })
}

/// What a cell says; see the description of tables.
fn value_of(cell: &str) -> Dynamic {
    match cell {
        "" => Dynamic::UNIT,
        "true" => Dynamic::TRUE,
        "false" => Dynamic::FALSE,
        _ if is_number(cell) => Number::read(cell),
        _ => cell.into(),
    }
}

fn is_number(cell: &str) -> bool {
    let unsigned = cell.strip_prefix('-').unwrap_or(cell);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    cell.len() <= 64 && digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

fn json(text: &[u8]) -> Result<Table, LookupError> {
    // The file's size is its bound.
    let value = values::from_json_within(text, usize::MAX).map_err(|error| match error {
        ValueError::Json { line, column, what } => {
            LookupError::Malformed { line: line as u64, what: format!("column {column}: {what}") }
        }
        other => LookupError::Malformed { line: 1, what: other.to_string() },
    })?;
    let rows = if value.is_map() {
        let map: Map = value.try_cast().unwrap_or_default();
        map.into_iter().map(|(key, value)| (key.into(), value)).collect()
    } else {
        keyed(value.into_array().map_err(|found| LookupError::Malformed {
            line: 1,
            what: format!("{found}; an object, or an array of objects, is needed"),
        })?)?
    };
    if rows.len() > ROWS_MAX { Err(LookupError::Rows) } else { Ok(Table { rows, columns: Vec::new() }) }
}

fn keyed(elements: Vec<Dynamic>) -> Result<HashMap<String, Dynamic>, LookupError> {
    let mut rows = HashMap::with_capacity(elements.len());
    for (place, row) in elements.into_iter().enumerate() {
        let key = row
            .as_map_ref()
            .ok()
            .and_then(|map| ["key", "id", "name"].iter().find_map(|member| map.get(*member)).and_then(key_of));
        let wrong = |what: String| LookupError::Malformed { line: 1, what };
        let key = key.ok_or_else(|| {
            wrong(format!("element {place} has no member key, id or name that is a text or an integer"))
        })?;
        if rows.contains_key(&key) {
            return Err(wrong(format!("the key \"{key}\" is there twice, again in element {place}")));
        }
        rows.insert(key, row);
    }
    Ok(rows)
}

/// The text that a value is as a key.
pub(super) fn key_of(value: &Dynamic) -> Option<String> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Some(text.to_string());
    }
    if let Some(number) = value.read_lock::<Number>() {
        return Some(number.to_string());
    }
    value.as_int().ok().map(|int| int.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "map_err gives it away")]
fn unreadable(error: csv::Error) -> LookupError {
    let line = error.position().map_or(1, csv::Position::line);
    LookupError::Malformed { line, what: error.to_string() }
}
