//! Mapping rules as those see them who write them: `primer rules check` and `primer rules test`, as processes.

mod check;
mod dry_run;
mod fixture;
mod sources;
