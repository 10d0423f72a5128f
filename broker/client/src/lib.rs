//! MQTT clients for the command line: `primer pub`, `sub` and `rr`.
