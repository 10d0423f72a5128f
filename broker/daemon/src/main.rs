//! The binary `primer`.
fn main() {}
