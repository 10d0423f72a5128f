//! disk_limit
