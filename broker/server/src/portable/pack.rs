//! Dumps may be packed with gzip, which every system unpacks.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};

const GZIP: [u8; 2] = [0x1F, 0x8B];

/// Bytes that wait to be written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Where a dump goes, packed or plain.
pub enum Packed<W: Write> {
    /// As it is.
    Plain(BufWriter<W>),
    /// With gzip.
    Gzip(GzEncoder<BufWriter<W>>),
}

impl<W: Write> std::fmt::Debug for Packed<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Gzip(_) => "Gzip",
        })
    }
}

impl<W: Write> Packed<W> {
    /// Begins.
    pub fn new(out: W, gzip: bool) -> Self {
        let out = BufWriter::with_capacity(BUFFER_BYTES, out);
        // Twice as fast as the default, for a few per cent more: a dump is mostly base64 of what is packed already.
        if gzip { Self::Gzip(GzEncoder::new(out, Compression::fast())) } else { Self::Plain(out) }
    }

    /// Writes what is left, and gives the destination back.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self) -> io::Result<W> {
        let out = match self {
            Self::Plain(out) => out,
            Self::Gzip(encoder) => encoder.finish()?,
        };
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl<W: Write> Write for Packed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}

/// Reads what was packed or not; the first bytes say which.
///
/// # Errors
/// It cannot be read.
pub fn unpack<'a>(input: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let is_packed = input.fill_buf()?.starts_with(&GZIP);
    if is_packed {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(input))));
    }
    Ok(Box::new(input))
}
