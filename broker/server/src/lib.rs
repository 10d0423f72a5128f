//! The MQTT server on tokio: listeners, connections, routing, retained messages, wills, `$SYS`.
