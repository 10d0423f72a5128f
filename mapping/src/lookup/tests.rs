//! Tables: what is read, and when.
