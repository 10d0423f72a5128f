//! Many messages: memory does not follow their payloads.

use std::fs;
use std::io::Write;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::fixture::{Place, command, files, primer};

/// Runs `primer` to its end; answers how long it took, and the most memory it had, in KiB.
#[track_caller]
pub(crate) fn measured(args: &[&str]) -> (Duration, u64) {
    let begun = Instant::now();
    let mut child = command(args).spawn().expect("the program starts");
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(memory_kib(&child));
        if let Some(status) = child.try_wait().expect("its state") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let took = begun.elapsed();
    let mut stderr = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        std::io::Read::read_to_string(&mut pipe, &mut stderr).expect("its words");
    }
    assert!(status.success(), "{args:?}: {stderr}");
    (took, peak_kib)
}

/// The most memory that it has had, as the system counts it.
fn memory_kib(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// A dump of so many messages for one session, made up.
fn write_dump(path: &std::path::Path, messages: u64, payload_bytes: usize) {
    let mut text = std::io::BufWriter::new(fs::File::create(path).expect("a file"));
    let mut crc = Crc::new();
    let mut put = |line: &str, counts: bool| {
        if counts {
            crc.take(line.as_bytes());
        }
        text.write_all(line.as_bytes()).expect("a line");
        crc.value()
    };
    put("{\"primer_dump\":{\"format\":1,\"program\":\"0\",\"time\":\"\",\"incarnation\":3}}\n", true);
    let session = "{\"session\":{\"client_id\":\"s\",\"expiry_s\":null,\"gone_unix_ms\":1,\"subscriptions\":[]}}\n";
    put(session, true);
    let payload = "QUJD".repeat(payload_bytes / 3);
    let mut value = 0;
    for n in 0..messages {
        let to = format!("{{\"client_id\":\"s\",\"position\":{n},\"qos\":1,\"retain\":false}}");
        let topic = format!("plant/line/{}", n % 100);
        let message = format!("\"sequence\":{n},\"topic\":\"{topic}\",\"payload\":\"{payload}\"");
        value = put(&format!("{{\"message\":{{{message},\"to\":[{{\"session\":{to}}}]}}}}\n"), true);
    }
    put(
        &format!("{{\"end\":{{\"sessions\":1,\"messages\":{messages},\"left_out\":0,\"crc32c\":\"{value:08x}\"}}}}\n"),
        false,
    );
}

/// CRC-32C by a table.
struct Crc {
    table: Vec<u32>,
    crc: u32,
}

impl Crc {
    fn new() -> Self {
        let entry = |n: u32| (0..8).fold(n, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 });
        Self { table: (0..256).map(entry).collect(), crc: u32::MAX }
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.crc = self.table[(self.crc as u8 ^ byte) as usize] ^ self.crc >> 8;
        }
    }

    const fn value(&self) -> u32 {
        !self.crc
    }
}

/// How many messages, and bytes of each: `PRIMER_PORTABLE_MESSAGES` and `PRIMER_PORTABLE_BYTES` set others.
fn size() -> (u64, usize) {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    (number("PRIMER_PORTABLE_MESSAGES", 100_000), number("PRIMER_PORTABLE_BYTES", 999) as usize)
}

#[test]
fn memory_does_not_follow_the_payloads() {
    let (messages, payload_bytes) = size();
    let place = Place::new();
    let (first, second, data) = (place.arg("first"), place.arg("second"), place.arg("data"));
    write_dump(&place.path("first"), messages, payload_bytes);
    let file_kib = fs::metadata(&first).expect("the dump").len() >> 10;
    println!("{messages} messages of {payload_bytes} bytes, {file_kib} KiB as a dump");
    for (what, args) in [
        ("restore", vec!["restore", "--data", &data, "--disk-limit", "8G", &first]),
        ("dump", vec!["dump", "--data", &data, &second]),
        ("check", vec!["store", "check", "--data", &data]),
        ("stats", vec!["store", "stats", "--data", &data]),
        ("compact", vec!["store", "compact", "--data", &data]),
    ] {
        let (took, peak_kib) = measured(&args);
        println!("{what:8} {:6.2} s  {:6} KiB of memory at most", took.as_secs_f64(), peak_kib);
        // What grows with the number of messages is an index of compacting and the ledger of recovery.
        let allowed_kib = 64 * 1024 + messages / 8;
        assert!(peak_kib < allowed_kib, "{what} took {peak_kib} KiB of memory, more than {allowed_kib}");
    }
    let count = |path: &str| fs::read(path).expect("a dump").split(|byte| *byte == b'\n').count();
    assert_eq!(count(&first), count(&second));
}

/// A dump that has no room is refused, and leaves nothing.
#[test]
fn a_dump_that_does_not_fit_the_disk_limit_is_refused() {
    let place = Place::new();
    write_dump(&place.path("dump"), 12_000, 6_000);
    let (dump, data) = (place.arg("dump"), place.arg("data"));
    let args = ["restore", "--data", &data, "--disk-limit", "40M", &dump];
    primer(&args).failed_with(&["nothing was restored", "--disk-limit"]);
    assert!(files(&place.path("data")).iter().all(|(path, _)| path.extension().is_none()), "something was left");
}
