//! The codec.
pub mod packet;
