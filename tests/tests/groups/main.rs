//! Queues and their groups as MQTT clients see them: `$queue/NAME`, `$share/GROUP/$queue/NAME`, `$dead/NAME`,
//! `$browse/NAME`.

mod breaking;
mod browsing;
mod consuming;
mod killing;
mod overflow;
mod publishing;
mod shorthand;
