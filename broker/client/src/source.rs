//! What is published: a text, a file, standard input as a whole or by lines.

use std::fs;
use std::io::{self, BufRead, Read};
use std::thread;

use tokio::sync::mpsc;

use crate::{
    failure::Failure,
    limits::{LINES_AHEAD, PAYLOAD_BYTES_MAX},
    options::Source,
};

/// Reads the payload; `None` for lines.
///
/// # Errors
/// It cannot be read, is too long, or standard input is empty.
pub(crate) fn load(source: &Source) -> Result<Option<Vec<u8>>, Failure> {
    let payload = match source {
        Source::Bytes(bytes) => bytes.clone(),
        Source::File(path) => {
            let wrong = |why: String| Failure::File { path: path.clone(), why };
            let file = fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
            read(file).map_err(wrong)?
        }
        Source::Stdin => match read(io::stdin().lock()).map_err(Failure::Stdin)? {
            bytes if bytes.is_empty() => return Err(Failure::Stdin("it is empty; -n publishes no bytes".to_owned())),
            bytes => bytes,
        },
        Source::Lines => return Ok(None),
    };
    Ok(Some(payload))
}

fn read(from: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let max = u64::try_from(PAYLOAD_BYTES_MAX).unwrap_or(u64::MAX);
    from.take(max + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return Err("it is longer than a message can be, 268,435,455 bytes".to_owned());
    }
    Ok(bytes)
}

/// Standard input, line by line, read by a thread of its own since it may wait. The channel ends with the input; a line
/// that does not end is one too.
pub(crate) fn lines() -> mpsc::Receiver<Result<Vec<u8>, String>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let max = u64::try_from(PAYLOAD_BYTES_MAX).unwrap_or(u64::MAX);
            let result = match (&mut stdin).take(max).read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {
                    if line.last() == Some(&b'\n') {
                        line.pop();
                    }
                    Ok(line)
                }
                Err(error) => Err(error.to_string()),
            };
            let is_last = result.is_err();
            if sender.blocking_send(result).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}
