//! delayed
