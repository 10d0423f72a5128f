//! Programs that embed Primer, each in a file of `src/bin`:
//!
//! - `jobs`: work for a pool of workers, and work that somebody waits for;
//! - `pubsub`: topics, wildcards, and a queue that misses nothing;
//! - `chat`: a chat server on TCP, with the last lines for whoever comes;
//! - `iot`: a gateway: devices come over MQTT, the program handles what they send.
//!
//! `cargo run -p primer-examples --bin jobs`. The tests run all of them.
