//! Mapping rules in the real program: rules from files, real clients in and out, kills in the middle, other rules under
//! load, and scripts that mean harm.

mod fixture;
mod hostile;
mod ingress;
mod killing;
mod reload;
