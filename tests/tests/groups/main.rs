//! Queues and their groups as MQTT clients see them: `$queue/NAME`, `$share/GROUP/$queue/NAME`, `$dead/NAME`,
//! `$browse/NAME`.

mod browsing;
mod consuming;
mod overflow;
mod publishing;
mod shorthand;
