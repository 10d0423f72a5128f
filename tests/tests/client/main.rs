//! `primer pub`, `sub` and `rr` as processes: what they do, and that they print what mosquitto's clients print.
//!
//! Where mosquitto's clients are not installed the comparisons say so and pass, but not in CI (see
//! `primer_harness::peers`).

mod equal;
mod fake;
mod fixture;
mod publish;
mod refused;
mod request;
mod shell;
mod subscribe;
