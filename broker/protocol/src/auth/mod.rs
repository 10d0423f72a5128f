//! Enhanced authentication.

pub mod scram;
