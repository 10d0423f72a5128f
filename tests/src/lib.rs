//! Tests that run the real program; each file of `tests/tests` is one subject.
