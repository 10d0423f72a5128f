//! The queues of the node as MQTT clients see them: what a topic means (`address`), publishing into a queue
//! (`enqueue`), consuming from one (`consuming`), and looking into one (`browse`). What goes to one client alone goes
//! through `direct`.

pub(crate) mod address;
pub(crate) mod browse;
pub(crate) mod consuming;
pub(crate) mod direct;
pub(crate) mod enqueue;
