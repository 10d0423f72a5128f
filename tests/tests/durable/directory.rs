//! The data directory itself: one that cannot be used is refused in one clear sentence, what is strange in it is set
//! aside and the broker serves.

use std::fs;
use std::path::Path;
use std::process::Output;

use primer_harness::{Client, Launch, Version, port, program};

use crate::fixture::{Stop, bounce, broker, broker_with, end, fetch, sleeper, texts};
use crate::mount::Mount;

/// What `primer serve --data DIR` says when it does not serve.
#[track_caller]
fn refusal(dir: &Path) -> String {
    let child = program::command()
        .args(["serve", "--bind", "127.0.0.1", "-p", &port::free_port().to_string(), "--data"])
        .arg(dir)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let Output { status, stderr, .. } = wait_bounded(child);
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("primer: ")).collect();
    assert!(lines.len() == 1 && !text.contains("panicked"), "one clear sentence: {text}");
    assert!(lines[0].contains(&*dir.to_string_lossy()), "which names the directory: {text}");
    lines[0].to_owned()
}

/// Ends a program that serves although it should not.
fn wait_bounded(mut child: std::process::Child) -> Output {
    for _ in 0..500 {
        if child.try_wait().expect("the state of the program").is_some() {
            return child.wait_with_output().expect("what it said");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().expect("SIGKILL");
    let output = child.wait_with_output().expect("what it said");
    panic!("it serves: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_directory_that_another_broker_uses_is_refused() {
    let mut broker = broker();
    let data = broker.dir().join("data");
    sleeper(broker.addr(), Version::V5, "away", "mine", 1);
    for _ in 0..2 {
        assert!(refusal(&data).contains("in use by another process"));
    }
    Client::v5(broker.addr(), "publisher").publish("mine", "the first one goes on", 1);
    end(&mut broker, Stop::Kill);
    // The lock is the process's: it is gone with it, although its file is there.
    assert!(data.join("LOCK").exists());
    broker.start_again();
    assert_eq!(texts(&fetch(broker.addr(), Version::V5, "away", 1)), ["the first one goes on"]);
}

#[test]
fn a_file_where_the_directory_should_be_is_refused() {
    let broker = broker();
    let file = broker.dir().join("file");
    fs::write(&file, "not a directory").expect("a file");
    refusal(&file);
    refusal(&file.join("below"));
    assert_eq!(fs::read_to_string(&file).expect("the file"), "not a directory");
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let Some(mount) = Mount::tmpfs("size=1m,ro") else { return };
    refusal(mount.path());
    refusal(&mount.path().join("new"));
    refusal(Path::new("/proc/primer-data"));
}

/// The kernel mounts the file system of a card that fails read-only: that is when a dump is wanted.
#[test]
fn what_is_on_a_read_only_disk_can_be_dumped() {
    let Some(mount) = Mount::tmpfs("size=64m") else { return };
    let data = mount.path().join("data");
    let place = data.to_str().expect("a path");
    for stop in [Stop::Term, Stop::Kill] {
        let mut broker = broker_with(&["--data", place]);
        sleeper(broker.addr(), Version::V5, "away", "t", 1);
        Client::v5(broker.addr(), "publisher").publish("t", "on the card", 1);
        end(&mut broker, stop);
        mount.remount("ro");
        let run = |words: &[&str]| program::command().args(words).args(["--data", place]).output().expect("it starts");
        let dump = run(&["dump"]);
        assert!(dump.status.success(), "{stop:?}: {dump:?}");
        assert!(String::from_utf8_lossy(&dump.stdout).contains("b24gdGhlIGNhcmQ"), "{stop:?}: {dump:?}");
        for words in [["store", "check"], ["store", "stats"]] {
            let output = run(&words);
            assert!(output.status.success(), "{stop:?}: {output:?}");
        }
        refusal(&data);
        mount.remount("rw");
    }
}

/// Messages are in it, and the salt that tells the store's rows from a payload.
#[test]
fn what_it_holds_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let broker = broker();
    sleeper(broker.addr(), Version::V5, "sleeper", "t", 1);
    let data = broker.dir().join("data");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = fs::read_dir(&data).expect("the directory").flatten().map(|entry| entry.path()).collect();
    assert!(files.len() > 3, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{:?}", files.iter().map(|f| mode(f)).collect::<Vec<_>>());
}

#[test]
fn an_impossible_limit_is_refused() {
    for (args, word) in
        [(["--data", "x", "--disk-limit", "1M"], "too little"), (["--disk-limit", "1G", "-p", "1"], "--data")]
    {
        let output = program::command().arg("serve").args(args).output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(word), "{text}");
    }
}

/// Files that the broker did not make are left alone, and those that look like its own are set aside.
#[test]
fn strange_files_are_set_aside_or_left_alone() {
    let mut broker = broker();
    let data = broker.dir().join("data");
    sleeper(broker.addr(), Version::V5, "away", "strange", 1);
    Client::v5(broker.addr(), "publisher").publish("strange", "x", 1);
    end(&mut broker, Stop::Term);
    let noise: Vec<u8> = (0..200_000_u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    fs::write(data.join("0000000002.redb"), &noise).expect("a file of noise");
    fs::write(data.join("0000000003.redb"), "").expect("an empty file");
    fs::write(data.join("0000000004.redb"), "short").expect("a short file");
    fs::write(data.join("notes.txt"), "mine").expect("a file of somebody else");
    fs::create_dir(data.join("folder")).expect("a folder");
    for life in 0..3 {
        broker.start_again();
        Client::v5(broker.addr(), "publisher").publish("strange", life.to_string(), 1);
        end(&mut broker, if life == 1 { Stop::Term } else { Stop::Kill });
    }
    broker.start_again();
    assert_eq!(texts(&fetch(broker.addr(), Version::V5, "away", 4)), ["x", "0", "1", "2"]);
    assert!(broker.stderr().contains("set aside"), "{}", broker.stderr());
    assert!(!broker.stderr().contains("panicked"), "{}", broker.stderr());
    assert_eq!(fs::read_to_string(data.join("notes.txt")).expect("the file of somebody else"), "mine");
}

/// A file of the store that was damaged: the broker serves what it can, says so, and takes new messages in.
#[test]
fn a_damaged_store_is_opened_all_the_same() {
    for (name, damage) in [("cut", 0), ("header", 1), ("middle", 2), ("everything", 3)] {
        let mut broker = broker();
        let data = broker.dir().join("data");
        sleeper(broker.addr(), Version::V5, "away", "damaged", 1);
        let mut publisher = Client::v5(broker.addr(), "publisher");
        for number in 0..50 {
            publisher.publish("damaged", format!("{number} {}", "x".repeat(2000)), 1);
        }
        end(&mut broker, Stop::Kill);
        let file = data.join("0000000001.redb");
        let mut bytes = fs::read(&file).expect("the first file of the store");
        let len = bytes.len();
        match damage {
            0 => bytes.truncate(len / 2),
            1 => bytes[..256].fill(0xff),
            2 => bytes[len / 3..len / 3 + 8192].fill(0),
            _ => bytes.fill(0),
        }
        fs::write(&file, bytes).expect("a damaged file");
        broker.start_again();
        assert!(!broker.stderr().contains("panicked"), "{name}: {}", broker.stderr());
        sleeper(broker.addr(), Version::V5, "fresh", "fresh", 1);
        Client::v5(broker.addr(), "publisher").publish("fresh", "goes on", 1);
        end(&mut broker, Stop::Kill);
        broker.start_again();
        assert_eq!(texts(&fetch(broker.addr(), Version::V5, "fresh", 1)), ["goes on"], "{name}");
    }
}

/// A file of the store that somebody took away: its messages were gone, and nothing said so. It is told once.
#[test]
fn a_file_that_is_missing_is_told_of() {
    let mut broker = broker_with(&["--sys-interval", "1"]);
    let data = broker.dir().join("data");
    sleeper(broker.addr(), Version::V5, "away", "missing", 1);
    Client::v5(broker.addr(), "publisher").publish("missing", "lost", 1);
    end(&mut broker, Stop::Kill);
    fs::remove_file(data.join("0000000001.redb")).expect("the first file of the store");
    broker.start_again();
    let mut watcher = Client::v5(broker.addr(), "watcher");
    watcher.subscribe("$SYS/broker/store/alarm", 0);
    let alarm = watcher.recv().text();
    assert!(alarm.contains("0000000001.redb is missing"), "{alarm}");
    assert!(broker.stderr().contains("0000000001.redb is missing"), "{}", broker.stderr());
    sleeper(broker.addr(), Version::V5, "fresh", "fresh", 1);
    Client::v5(broker.addr(), "publisher").publish("fresh", "goes on", 1);
    bounce(&mut broker, Stop::Kill);
    let mut watcher = Client::v5(broker.addr(), "watcher");
    watcher.subscribe("$SYS/broker/store/alarm", 0);
    assert_eq!(watcher.recv().text(), "none");
    assert_eq!(texts(&fetch(broker.addr(), Version::V5, "fresh", 1)), ["goes on"]);
}

/// A directory that is not there yet, several levels of it, and a name that is not UTF-8 or has spaces.
#[test]
fn a_directory_is_made() {
    let mut first = Launch::new().args(&["--data", "a/b c/é"]).start();
    sleeper(first.addr(), Version::V5, "away", "made", 1);
    Client::v5(first.addr(), "publisher").publish("made", "x", 1);
    first.restart();
    assert_eq!(texts(&fetch(first.addr(), Version::V5, "away", 1)), ["x"]);
    assert!(first.dir().join("a/b c/é/LOCK").exists());
}
