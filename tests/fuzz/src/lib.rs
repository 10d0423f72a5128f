//! The fuzz targets and their generator; see `fuzz_targets/` for the programs that libFuzzer drives.
//!
//! `broker/protocol/tests/codec` includes the same two files, so that a bounded run happens in `cargo test`.

pub mod generate;
pub mod targets;
