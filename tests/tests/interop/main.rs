//! Primer with clients that others wrote, and at its limits.
//!
//! Each test has a broker of its own. Where a foreign client is not installed its tests say so and pass, but not in
//! CI (see `primer_harness::peers`). The scripts that Python and Node run are in `tests/interop`.

mod gmqtt;
mod home;
mod limits;
mod mosquitto;
mod mqttjs;
mod paho;
mod rumqttc;
mod support;
