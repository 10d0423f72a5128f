//! Mapping rules as those see them who write them: `primer rules check` and `primer rules test`, as processes.

mod answering;
mod check;
mod commands;
mod dry_run;
mod fixture;
mod sources;
