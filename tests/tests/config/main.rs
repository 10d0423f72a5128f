//! The configuration: `primer config`, `primer import`, and what `primer serve` makes of files, variables and options.

mod commands;
mod fixture;
mod importing;
mod serving;
