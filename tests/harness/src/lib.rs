//! An MQTT test client and broker processes for tests.
