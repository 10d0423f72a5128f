//! Who may connect and what they may do: `primer passwd` as a process, beside mosquitto's own programs.

mod passwd;
