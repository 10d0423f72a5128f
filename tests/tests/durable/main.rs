//! What `primer serve --data DIR` keeps over kill -9, over SIGTERM, and over a disk that is full.
//!
//! Each test has a broker and a data directory of its own. `killing` loads a broker and kills it again and again; the
//! other modules stop it once, at a moment that the test knows, and look at one thing.

mod delayed;
mod directory;
mod disk_full;
mod disk_limit;
mod disk_queues;
mod fixture;
mod inbound;
mod killing;
mod messages;
mod mount;
mod offline;
mod outbound;
mod retained;
mod sessions;
mod subscriptions;
mod wills;
