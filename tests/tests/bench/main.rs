//! `primer bench`: what it says of Primer, of brokers that break their promises, and of two brokers side by side.
//!
//! The loads are small and short. What a test asks of a time is only that it is not less than it must be: on a busy
//! machine everything takes longer.

mod command_line;
mod compare;
mod crash;
mod faulty;
mod fixture;
mod loads;
mod odd_broker;
