//! Mapping rules as those see them who write them, `primer rules` as a process, and as clients do: rules from files,
//! real clients in and out, kills in the middle, other rules under load, and scripts that mean harm.

mod answering;
mod asking;
mod check;
mod commands;
mod dry_run;
mod fixture;
mod hostile;
mod ingress;
mod killing;
mod reload;
mod serving;
mod sources;
