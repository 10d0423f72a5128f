//! libFuzzer's program for [`primer_fuzz::targets::roundtrip`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| primer_fuzz::targets::roundtrip(data));
