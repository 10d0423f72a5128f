//! `primer serve --queues FILE`.

use primer_harness::{Broker, Launch};
use serde_json::json;

use crate::fixture::queue;

#[test]
fn queues_are_what_the_file_says() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/queues.toml");
    let broker = Broker::with_args(&["--queues", sample]);
    let list = queue(&broker, "ls --json", &[]).json();
    let names: Vec<&str> =
        list["queues"].as_array().expect("queues").iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, ["jobs", "readings"], "patterns without wildcards are queues from the start");
    queue(&broker, "put plant/7/alarms -m fire --header device=d", &[]).text();
    let info = queue(&broker, "info plant/7/alarms --json", &[]).json();
    assert_eq!((&info["definition"]["by_key"], &info["definition"]["ttl_ms"]), (&json!(true), &json!(604_800_000)));
    assert_eq!(queue(&broker, "browse plant/7/alarms --json", &[]).json()["messages"][0]["key"], "d");
    // One that is made by hand begins with what the pattern says.
    queue(&broker, "create plant/8/alarms --max-messages 5", &[]).text();
    let info = queue(&broker, "info plant/8/alarms --json", &[]).json();
    assert_eq!((&info["definition"]["by_key"], &info["definition"]["messages_max"]), (&json!(true), &json!(5)));
}

#[test]
fn a_file_that_is_wrong_ends_the_start_with_its_line() {
    let file = std::env::temp_dir().join(format!("primer-queues-{}.toml", std::process::id()));
    std::fs::write(&file, "[queues.jobs]\noverflow = \"drop\"\n").expect("a file");
    let name = file.to_str().expect("a name");
    let story = Launch::new().args(&["--queues", name]).try_start().expect_err("it does not start");
    for word in [&format!("{name}:2: "), "drop_oldest", "overflow = \"drop\""] {
        assert!(story.contains(word), "no {word:?} in {story}");
    }
    std::fs::remove_file(&file).expect("the file");
    let story = Launch::new().args(&["--queues", name]).try_start().expect_err("it does not start");
    assert!(story.contains(name) && story.contains("No such file"), "{story}");
}
