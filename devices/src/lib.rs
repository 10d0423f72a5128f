//! Who may connect, and what they may do: password files, ACL files, and what slows down who guesses. Pure functions.
