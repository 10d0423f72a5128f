//! Enhanced authentication.
