//! Files and environment variables become options: each value with where it came from.
