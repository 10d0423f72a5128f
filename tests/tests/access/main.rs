//! Who may connect and what they may do: `primer passwd` as a process, and the broker by the files of both, beside
//! mosquitto's own programs.

mod acl;
mod denied;
mod passwd;
mod place;
mod reload;
