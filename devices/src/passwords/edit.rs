//! Changes to the text of a password file: comments, order and the lines of others stay as they are.

use super::{Hash, HashError, LineError, PasswordFileError, entry, split};

/// The file with this user's hash: in place of the one it has, or in a line at the end.
///
/// # Errors
/// A line of the file is no entry; hashes of others are not looked at.
pub fn set(file: &str, user: &str, hash: &Hash) -> Result<String, PasswordFileError> {
    let mut is_there = false;
    let mut text = change(file, |name, _| {
        if name != user {
            return Ok(Line::Same);
        }
        is_there = true;
        Ok(Line::New(format!("{user}:{hash}")))
    })?;
    if !is_there {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{user}:{hash}\n"));
    }
    Ok(text)
}

/// The file without this user; `None` if it is not there.
///
/// # Errors
/// As [`set`].
pub fn remove(file: &str, user: &str) -> Result<Option<String>, PasswordFileError> {
    let mut was_there = false;
    let text = change(file, |name, _| {
        if name != user {
            return Ok(Line::Same);
        }
        was_there = true;
        Ok(Line::None)
    })?;
    Ok(was_there.then_some(text))
}

/// The file with a hash, which `make` makes, in place of each password in it; and how many there were. A user whose
/// password begins with `$`, and is no hash that is known, is refused: it may be the hash of another program.
///
/// # Errors
/// The first line that is wrong, or whose password `make` does not hash.
pub fn hash_plain(
    file: &str,
    mut make: impl FnMut(&[u8]) -> Result<Hash, HashError>,
) -> Result<(String, usize), PasswordFileError> {
    let mut hashed = 0;
    let text = change(file, |name, password| {
        let wrong = |why| LineError::Hash { name: name.to_owned(), why };
        match Hash::parse(password) {
            Ok(_) => return Ok(Line::Same),
            Err(HashError::Plain) => {}
            Err(why) => return Err(wrong(why)),
        }
        hashed += 1;
        let hash = make(password.as_bytes()).map_err(wrong)?;
        Ok(Line::New(format!("{name}:{hash}")))
    })?;
    Ok((text, hashed))
}

/// What becomes of a line.
enum Line {
    Same,
    New(String),
    None,
}

/// Asks about each entry: by its name and what stands behind the colon.
fn change(file: &str, mut to: impl FnMut(&str, &str) -> Result<Line, LineError>) -> Result<String, PasswordFileError> {
    let mut text = String::with_capacity(file.len() + 128);
    for (index, line) in file.split_inclusive('\n').enumerate() {
        let Some(found) = entry(line, index) else {
            text.push_str(line);
            continue;
        };
        let changed = split(found).and_then(|(name, rest)| to(name, rest));
        match changed.map_err(|why| PasswordFileError::Line { line: index + 1, why })? {
            Line::Same => text.push_str(line),
            Line::New(new) => {
                text.push_str(&new);
                text.push('\n');
            }
            Line::None => {}
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passwords::{Kind, Passwords};

    fn hash(password: &[u8]) -> Result<Hash, HashError> {
        Hash::new(Kind::Sha512, password, b"0123456789ab")
    }

    #[test]
    fn all_else_stays_as_it_is() {
        let (one, two) = (hash(b"1").unwrap(), hash(b"2").unwrap());
        let file = format!("# users\r\n\nbob:{one}\r\n# the next one\nalice:{one}");
        let set_bob = set(&file, "bob", &two).unwrap();
        assert_eq!(set_bob, format!("# users\r\n\nbob:{two}\n# the next one\nalice:{one}"));
        let set_carol = set(&file, "carol", &two).unwrap();
        assert_eq!(set_carol, format!("{file}\ncarol:{two}\n"));
        assert_eq!(set("", "carol", &two).unwrap(), format!("carol:{two}\n"));
        let without = remove(&file, "bob").unwrap().unwrap();
        assert_eq!(without, format!("# users\r\n\n# the next one\nalice:{one}"));
        assert_eq!(remove(&file, "carol").unwrap(), None);
    }

    #[test]
    fn passwords_are_hashed_and_hashes_stay() {
        let file = format!("# users\na:secret: with a colon \nb:{}\nc:\n", hash(b"x").unwrap());
        let (text, hashed) = hash_plain(&file, hash).unwrap();
        assert_eq!(hashed, 2);
        let passwords = Passwords::parse(text.as_bytes()).unwrap();
        assert!(passwords.verify("a", b"secret: with a colon"));
        assert!(passwords.verify("b", b"x") && passwords.verify("c", b""));
        assert!(text.starts_with("# users\n"));
        assert_eq!(hash_plain(&text, hash).unwrap(), (text, 0));
    }

    #[test]
    fn a_line_that_is_no_entry_changes_nothing() {
        for error in [
            set("a:b\nnothing\n", "c", &hash(b"1").unwrap()).unwrap_err(),
            remove("a:b\nnothing\n", "a").unwrap_err(),
            hash_plain("a:b\nnothing\n", hash).unwrap_err(),
            hash_plain("a:b\nc:$5$x$y\n", hash).unwrap_err(),
        ] {
            assert!(error.to_string().starts_with("line 2: "), "{error}");
        }
    }
}
