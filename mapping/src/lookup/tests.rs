//! Tables: what is read, and when.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{FILE_BYTES_MAX, LookupError, LookupFormat, Lookups, ROWS_MAX};
use crate::testing::Bench;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("primer-lookup-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// Replaces a file as an editor does, so that it is another one whatever the clock's grain.
    fn write(&self, name: &str, text: &str) {
        let next = self.0.join("next.tmp");
        fs::write(&next, text).expect("written");
        fs::rename(next, self.0.join(name)).expect("renamed");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).expect("removed");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Tables and what became of them: `devices 2`, `devices gone`, or the error.
fn reload(lookups: &Lookups) -> Vec<String> {
    let said = lookups.reload_if_changed().into_iter().map(|reload| match reload.result {
        Ok(Some(rows)) => format!("{} {rows}", reload.table),
        Ok(None) => format!("{} gone", reload.table),
        Err(error) => format!("{}: {error}", reload.table),
    });
    said.collect()
}

const DEVICES: &str = "\
serial,name,floor,active,offset,note
0017,\"Pump, north\",2,true,-1.50,
18,Fan,,false,007,x
";

#[test]
fn rows_and_cells_are_looked_up() {
    let bench = Bench::new();
    bench.lookups.set("devices", LookupFormat::Csv, DEVICES.as_bytes()).expect("a table");
    bench.lookups.set("limits", LookupFormat::Json, br#"{"t1": 80.5, "t2": {"high": 90}}"#).expect("a table");
    bench
        .lookups
        .set("sites", LookupFormat::Json, br#"[{"id": 7, "city": "Ulm"}, {"key": "x", "city": "Bonn"}]"#)
        .expect("a table");
    for (script, expected) in [
        (
            r#"lookup("devices", "0017")"#,
            r#"{"active":true,"floor":2,"name":"Pump, north","note":null,"offset":-1.5,"serial":"0017"}"#,
        ),
        (r#"lookup("devices", 18, "name")"#, "\"Fan\""),
        (r#"lookup("devices", "18", "offset")"#, "\"007\""),
        (r#"lookup("devices", 18, "floor")"#, "null"),
        (r#"lookup("devices", 18, "floor", 5)"#, "5"),
        (r#"lookup("devices", 19)"#, "null"),
        (r#"lookup("devices", 19, "name", "?")"#, "\"?\""),
        (r#"lookup("limits", "t1")"#, "80.5"),
        (r#"lookup("limits", "t2", "high")"#, "90"),
        (r#"lookup("limits", "t1", "high")"#, "null"),
        (r#"lookup("sites", 7, "city") + lookup("sites", "x").city"#, "\"UlmBonn\""),
        (r#"lookup_table("limits")"#, r#"{"t1":80.5,"t2":{"high":90}}"#),
    ] {
        assert_eq!(bench.json(script), expected, "{script}");
    }
    for (script, part) in [
        (r#"lookup("device", 1)"#, "lookup: no table \"device\"; there are devices, limits, sites"),
        (r#"lookup("devices", 18, "colour")"#, "no column \"colour\" in \"devices\"; there are serial, name, floor"),
        (r#"lookup("devices", 1.5)"#, "lookup: the key is f64; a text or an integer is needed"),
    ] {
        let found = bench.json(script);
        assert!(found.contains(part), "{script}: {found}");
    }
    assert!(Bench::new().json(r#"lookup("x", 1)"#).contains("there are none"));
}

#[test]
fn what_is_no_table_is_an_error_that_says_where() {
    let lookups = Lookups::default();
    for (format, text, expected) in [
        (LookupFormat::Csv, "a,b\n1,2\n3\n", "line 3"),
        (LookupFormat::Csv, "a,b\n1,2\n1,3\n", "line 3: the key \"1\" is there twice"),
        (LookupFormat::Csv, "", "line 1: no columns"),
        (LookupFormat::Json, "{\"a\":\n}", "line 2: column"),
        (LookupFormat::Json, "7", "line 1: i64; an object, or an array of objects, is needed"),
        (LookupFormat::Json, "[{\"x\": 1}]", "element 0 has no member key, id or name"),
        (LookupFormat::Json, "[{\"id\": 1}, {\"id\": \"1\"}]", "the key \"1\" is there twice, again in element 1"),
    ] {
        let error = lookups.set("t", format, text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(matches!(lookups.set("a/b", LookupFormat::Json, b"{}"), Err(LookupError::Name(_))));
    let rows = (0..=ROWS_MAX).fold(String::from("key\n"), |text, row| format!("{text}{row}\n"));
    assert!(matches!(lookups.set("t", LookupFormat::Csv, rows.as_bytes()), Err(LookupError::Rows)));
    assert!(lookups.names().is_empty());
}

#[test]
fn a_change_is_read_and_a_broken_file_changes_nothing() {
    let directory = Directory::new();
    let lookups = Lookups::in_directory(directory.0.clone());
    directory.write("devices.csv", "key,name\n1,a\n");
    directory.write("readme.txt", "no table");
    assert_eq!(reload(&lookups), ["devices 1"]);
    assert!(reload(&lookups).is_empty());

    directory.write("devices.csv", "key,name\n1,a\n2,b\n");
    assert_eq!(reload(&lookups), ["devices 2"]);
    let table = lookups.table("devices").expect("the table");

    directory.write("devices.csv", "key,name\n1\n");
    let said = reload(&lookups);
    assert!(said.len() == 1 && said[0].starts_with("devices: line 2"), "{said:?}");
    assert!(reload(&lookups).is_empty(), "it is said once");
    assert_eq!(lookups.table("devices").map(|table| table.rows.len()), Some(2));

    directory.write("devices.csv", "key,name\n");
    assert_eq!(reload(&lookups), ["devices 0"]);
    assert_eq!(table.rows.len(), 2, "who has a table keeps it");

    directory.remove("devices.csv");
    assert_eq!(reload(&lookups), ["devices gone"]);
    assert!(lookups.names().is_empty());
}

#[test]
fn two_files_of_a_table_are_told_and_neither_is_taken() {
    let directory = Directory::new();
    let lookups = Lookups::in_directory(directory.0.clone());
    directory.write("t.csv", "key\n1\n");
    assert_eq!(reload(&lookups), ["t 1"]);
    directory.write("t.json", "{}");
    let said = reload(&lookups);
    assert!(said.len() == 1 && said[0].contains("is the same table"), "{said:?}");
    assert!(reload(&lookups).is_empty());
    assert_eq!(lookups.table("t").map(|table| table.rows.len()), Some(1));
    directory.remove("t.csv");
    assert_eq!(reload(&lookups), ["t 0"]);
}

#[test]
fn a_file_that_is_too_long_and_a_bad_name_are_told() {
    let directory = Directory::new();
    let lookups = Lookups::in_directory(directory.0.clone());
    let file = fs::File::create(directory.0.join("big.json")).expect("a file");
    file.set_len(FILE_BYTES_MAX + 1).expect("long");
    directory.write("bad name.json", "{}");
    let said = reload(&lookups);
    assert!(said.iter().any(|said| said.contains("16777217 bytes, of which 16777216 are allowed")), "{said:?}");
    assert!(said.iter().any(|said| said.contains("\"bad name\" cannot be the name of a table")), "{said:?}");
}

#[test]
fn a_directory_that_is_not_there_is_told_once() {
    let directory = Directory::new();
    let lookups = Lookups::in_directory(directory.0.join("missing"));
    assert_eq!(reload(&lookups).len(), 1);
    assert!(reload(&lookups).is_empty());
    fs::create_dir(directory.0.join("missing")).expect("a directory");
    directory.write("missing/t.json", "{}");
    assert_eq!(reload(&lookups), ["t 0"]);
}
