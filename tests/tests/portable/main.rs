//! What becomes of a data directory beside a broker: `primer dump`, `restore` and `store`, as processes.

mod cycle;
mod faults;
mod fixture;
mod large;
mod merge;
mod queue_lines;
mod queues;
mod store;
mod tables;
