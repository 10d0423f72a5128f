//! Asking for a password: twice and unseen at a terminal, one line of anything else.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// What keys of a terminal send.
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7F;
const KILL_LINE: u8 = 0x15;

/// A password of the user's.
pub(super) fn password() -> anyhow::Result<Vec<u8>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return first_line(&mut stdin.lock());
    }
    let first = unseen("Password: ")?;
    if first != unseen("The same again: ")? {
        bail!("the two are not the same");
    }
    Ok(first)
}

/// The first line, without its end.
fn first_line(input: &mut impl BufRead) -> anyhow::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line).context("standard input")?;
    if line.is_empty() {
        bail!("there is no password on standard input: write one line, or run it at a terminal");
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// A terminal that shows nothing and sends each key as it is, until the value is dropped. Its own interrupt would end
/// the program and leave the terminal as it is now.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(io::stdin()).context("the terminal")?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Flush, &now).context("the terminal")?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _there_is_nobody_to_tell = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
        eprintln!();
    }
}

fn unseen(prompt: &str) -> anyhow::Result<Vec<u8>> {
    eprint!("{prompt}");
    io::stderr().flush().context("the terminal")?;
    let _unseen = Unseen::begin()?;
    typed(io::stdin().lock().bytes())
}

/// What was typed up to the end of the line.
fn typed(keys: impl Iterator<Item = io::Result<u8>>) -> anyhow::Result<Vec<u8>> {
    let mut line = Vec::new();
    for key in keys {
        match key.context("the terminal")? {
            b'\n' | b'\r' => return Ok(line),
            INTERRUPT | END => bail!("interrupted: nothing was changed"),
            KILL_LINE => line.clear(),
            BACKSPACE | DELETE => {
                // A character is one byte that begins it, and those that go on.
                while line.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {}
            }
            byte => line.push(byte),
        }
    }
    bail!("the terminal is gone: nothing was changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(keys: &str) -> Result<Vec<u8>, String> {
        typed(keys.bytes().map(Ok)).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_of_a_terminal_do_what_they_do_in_a_line() {
        assert_eq!(type_in("secret\nmore").unwrap(), b"secret");
        assert_eq!(type_in("sé\x7fecret\r").unwrap(), b"secret");
        assert_eq!(type_in("\x08\x7fa\x15secret\n").unwrap(), b"secret");
        assert_eq!(type_in("\n").unwrap(), b"");
        assert!(type_in("sec\x03ret\n").unwrap_err().contains("interrupted"));
        assert!(type_in("sec\x04").unwrap_err().contains("interrupted"));
        assert!(type_in("secret").unwrap_err().contains("gone"));
    }

    #[test]
    fn of_other_input_the_first_line_is_the_password() {
        for (input, wanted) in
            [("secret\nmore\n", "secret"), ("secret", "secret"), ("secret\r\n", "secret"), (" a b \n", " a b ")]
        {
            assert_eq!(first_line(&mut input.as_bytes()).unwrap(), wanted.as_bytes(), "{input:?}");
        }
        assert_eq!(first_line(&mut &b"\xff\0\n"[..]).unwrap(), b"\xff\0", "any bytes");
        assert!(first_line(&mut &b""[..]).unwrap_err().to_string().contains("no password on standard input"));
    }
}
