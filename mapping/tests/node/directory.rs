//! Rules as files: read at the start, when they change, and when somebody asks for it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use primer_mapping::{Host, Mapping, Reloaded};
use serde_json::json;

use super::{ask, consumer, memory, on, publish, sim::SimDisk, texts, until, waiting};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("primer-rules-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, text: &str) {
        // As a careful editor does.
        let (whole, part) = (self.0.join(name), self.0.join(format!(".{name}.part")));
        fs::write(&part, text).unwrap();
        fs::rename(part, whole).unwrap();
    }

    fn path(&self) -> Option<PathBuf> {
        Some(Path::to_path_buf(&self.0))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _it_may_be_gone = fs::remove_dir_all(&self.0);
    }
}

fn script(word: &str) -> String {
    format!("rule(\"r\", \"a/+\", |msg| {{ enqueue(\"out\", `{word} ${{msg.text}}`); ok }});")
}

#[tokio::test]
async fn files_are_read_again_when_they_change() {
    let (node, folder) = (memory().await, Folder::new());
    folder.put("r.rhai", &script("one"));
    folder.put("notes.txt", "no script");
    let rules = Mapping::start(&node, Host::new(), folder.path());
    let mut out = consumer(&node, "out");
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut out, 1).await, ["one x"]);
    folder.put("r.rhai", &script("two"));
    let all = ask(&node, "listRules", json!({})).await.unwrap();
    assert_eq!(all["directory"], folder.0.display().to_string());
    let begun = std::time::Instant::now();
    loop {
        publish(&node, "a/1", "x").await;
        if texts(&mut out, 1).await == ["two x"] {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it was never read again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fs::remove_file(folder.0.join("r.rhai")).unwrap();
    until("the rule is gone with its file", || node.find_queue("rules/r").is_none()).await;
    drop(rules);
}

#[tokio::test]
async fn a_wrong_file_leaves_what_was_there_and_others_are_read() {
    let (node, folder) = (memory().await, Folder::new());
    folder.put("a.rhai", &script("one"));
    folder.put("wrong.rhai", "rule(\"w\", \"w\", |msg| {");
    let rules = Mapping::start(&node, Host::new(), folder.path());
    let mut out = consumer(&node, "out");
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut out, 1).await, ["one x"]);
    folder.put("a.rhai", "nonsense(");
    folder.put("b.rhai", r#"rule("b", "b/+", |msg| { enqueue("out", "b"); ok });"#);
    let Reloaded { loaded, removed, failed } = rules.reload().await;
    assert_eq!((&*loaded, removed.len()), (&["b.rhai".to_owned()][..], 0));
    let failed: Vec<&str> = failed.iter().map(|(name, _)| &**name).collect();
    assert_eq!(failed, ["a.rhai", "wrong.rhai"]);
    publish(&node, "a/1", "x").await;
    publish(&node, "b/1", "x").await;
    let mut both = texts(&mut out, 2).await;
    both.sort();
    assert_eq!(both, ["b", "one x"]);
    let scripts = ask(&node, "listRules", json!({})).await.unwrap()["scripts"].clone();
    let of = |name: &str| scripts.as_array().unwrap().iter().find(|script| script["name"] == name).unwrap().clone();
    assert!(of("a.rhai")["error"].as_str().unwrap().contains("a.rhai:1:"), "{scripts}");
    assert_eq!((&of("a.rhai")["active"], &of("wrong.rhai")["active"]), (&json!(1), &json!(null)));
    // Two at once that are fine only together: a rule moves from one file to another.
    folder.put("a.rhai", "// nothing any more");
    folder.put("0.rhai", &script("moved"));
    let Reloaded { mut loaded, failed, .. } = rules.reload().await;
    loaded.sort();
    assert_eq!((&*loaded, failed.len()), (&["0.rhai".to_owned(), "a.rhai".to_owned()][..], 1), "{failed:?}");
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut out, 1).await, ["moved x"]);
}

#[tokio::test]
async fn one_that_is_there_already_is_told_and_the_others_act() {
    let (node, folder) = (memory().await, Folder::new());
    folder.put("a.rhai", &script("one"));
    folder.put("b.rhai", &script("two"));
    let rules = Mapping::start(&node, Host::new(), folder.path());
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut consumer(&node, "out"), 1).await, ["one x"]);
    let Reloaded { failed, .. } = rules.reload().await;
    assert!(failed.len() == 1 && failed[0].1.contains("\"r\" is there already: a.rhai:1"), "{failed:?}");
    fs::write(folder.0.join("bytes.rhai"), [0xff, 0xfe]).unwrap();
    fs::write(folder.0.join("sp ace.rhai"), script("x")).unwrap();
    let Reloaded { failed, .. } = rules.reload().await;
    let whys: Vec<&str> = failed.iter().map(|(_, why)| &**why).collect();
    assert!(whys.iter().any(|why| why.contains("no text in UTF-8")), "{whys:?}");
    assert!(whys.iter().any(|why| why.contains("cannot be the name of a script")), "{whys:?}");
}

/// A file that is being written is not read: half of a script may be one too, and its rules would be gone.
#[tokio::test]
async fn a_file_that_is_being_written_is_let_alone() {
    let (node, folder) = (memory().await, Folder::new());
    fs::write(folder.0.join("r.rhai"), script("one")).unwrap();
    let _rules = Mapping::start(&node, Host::new(), folder.path());
    let mut out = consumer(&node, "out");
    for round in 0..15 {
        // It is never quiet for as long as two looks take.
        fs::write(folder.0.join("r.rhai"), "/".repeat(2 + round)).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    fs::write(folder.0.join("r.rhai"), script("two")).unwrap();
    publish(&node, "a/1", "x").await;
    let first = texts(&mut out, 1).await;
    assert!(first == ["one x"] || first == ["two x"], "{first:?}");
}

#[tokio::test]
async fn a_directory_that_is_away_takes_no_rule_with_it() {
    let (node, folder) = (memory().await, Folder::new());
    folder.put("r.rhai", &script("one"));
    let rules = Mapping::start(&node, Host::new(), folder.path());
    let away = folder.0.with_extension("away");
    fs::rename(&folder.0, &away).unwrap();
    let Reloaded { removed, failed, .. } = rules.reload().await;
    assert_eq!((removed.len(), failed.len()), (0, 1));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut consumer(&node, "out"), 1).await, ["one x"]);
    fs::rename(&away, &folder.0).unwrap();
    folder.put("r.rhai", &script("two"));
    assert_eq!(rules.reload().await.loaded, ["r.rhai"]);
}

#[tokio::test]
async fn tables_beside_the_scripts_are_looked_up() {
    let (node, folder) = (memory().await, Folder::new());
    folder.put("devices.csv", "id,room\n7,kitchen\n");
    folder.put(
        "r.rhai",
        r#"rule("r", "a/+", |msg| { enqueue("out", lookup("devices", msg.level(1), "room", "?")); ok });"#,
    );
    let rules = Mapping::start(&node, Host::new(), folder.path());
    let mut out = consumer(&node, "out");
    publish(&node, "a/7", "x").await;
    publish(&node, "a/8", "x").await;
    assert_eq!(texts(&mut out, 2).await, ["kitchen", "?"]);
    folder.put("devices.csv", "id,room\n7,kitchen\n8,hall\n");
    rules.reload().await;
    publish(&node, "a/8", "x").await;
    assert_eq!(texts(&mut out, 1).await, ["hall"]);
    // A broken table is told, and the one before it stays.
    folder.put("devices.csv", "id,room\n7\n");
    let failed = rules.reload().await.failed;
    assert!(failed.len() == 1 && failed[0].0.ends_with("devices.csv"), "{failed:?}");
    let errors = ask(&node, "listRules", json!({})).await.unwrap()["table_errors"].clone();
    assert!(errors[0].as_str().unwrap().contains("line 2"), "{errors}");
    publish(&node, "a/8", "x").await;
    assert_eq!(texts(&mut out, 1).await, ["hall"]);
    folder.put("devices.csv", "id,room\n8,cellar\n");
    assert_eq!(rules.reload().await.failed.len(), 0);
    assert_eq!(ask(&node, "listRules", json!({})).await.unwrap()["table_errors"], json!([]));
}

/// What somebody has rolled back stays so over a restart, until the file is another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_rolled_back_stays_so() {
    let (disk, folder) = (SimDisk::new(), Folder::new());
    let node = on(&disk).await;
    folder.put("r.rhai", &script("one"));
    let rules = Mapping::start(&node, Host::new(), folder.path());
    folder.put("r.rhai", &script("two"));
    rules.reload().await;
    ask(&node, "rollbackScript", json!({"name": "r"})).await.unwrap();
    node.shutdown(Duration::from_secs(5)).await;
    drop((rules, node));
    let node = on(&disk).await;
    let rules = Mapping::start(&node, Host::new(), folder.path());
    let mut out = consumer(&node, "out");
    publish(&node, "a/1", "x").await;
    assert_eq!(texts(&mut out, 1).await, ["one x"]);
    node.shutdown(Duration::from_secs(5)).await;
    drop((rules, out, node));
    // A file that went while the node did not run takes its rules, and the queue that got messages for them, along.
    fs::remove_file(folder.0.join("r.rhai")).unwrap();
    let node = on(&disk).await;
    let _rules = Mapping::start(&node, Host::new(), folder.path());
    assert!(node.find_queue("rules/r").is_none());
    assert_eq!(waiting(&node, "rules/r"), 0);
    node.shutdown(Duration::from_secs(5)).await;
}
