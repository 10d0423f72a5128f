//! libFuzzer's program for [`primer_fuzz::targets::decode_server`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| primer_fuzz::targets::decode_server(data));
