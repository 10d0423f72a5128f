//! Queues as those see them who run a broker: `primer queue`, the commands over MQTT that it stands on, and the file
//! that `primer serve --queues` reads.

mod commands;
mod control;
mod file;
mod fixture;
mod messages;
mod restarts;
