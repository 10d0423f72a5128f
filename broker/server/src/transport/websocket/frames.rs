//! Frames of RFC 6455, the server's side: taken apart in place, and built.
//!
//! ```text
//! byte 0     fin, three reserved bits (no extension is ever agreed on), opcode (4 bits)
//! byte 1     masked (always set by a client), length (7 bits): 126 for two more bytes of length, 127 for eight
//! 4 bytes    the mask of a client's payload
//! ...        the payload
//! ```

use std::mem;

/// Bytes of the longest head that a client sends.
const HEAD_BYTES_MAX: usize = 14;

/// Bytes of the payload of a control frame, by RFC 6455, section 5.5.
const CONTROL_BYTES_MAX: u64 = 125;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn of(byte: u8) -> Option<Self> {
        use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
        [Continuation, Text, Binary, Close, Ping, Pong].into_iter().find(|opcode| *opcode as u8 == byte & 0x0f)
    }

    fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// The status code of a close frame; `None` for a frame without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Close(Option<u16>);

impl Close {
    pub(super) const NORMAL: Self = Self(Some(1000));
    const PROTOCOL_ERROR: Self = Self(Some(1002));
    const UNSUPPORTED_DATA: Self = Self(Some(1003));

    /// What a client's close frame says; an error if it may not say that.
    fn read(payload: &[u8]) -> Result<Self, &'static str> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return if payload.is_empty() { Ok(Self(None)) } else { Err("a close frame with half of a status code") };
        };
        let code = u16::from_be_bytes(*code);
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            return Err("a close frame with a status code that none may have");
        }
        match std::str::from_utf8(reason) {
            Ok(_) => Ok(Self(Some(code))),
            Err(_) => Err("a close frame whose reason is not UTF-8"),
        }
    }

    pub(super) fn frame(self) -> Vec<u8> {
        match self.0 {
            Some(code) => control(Opcode::Close, &code.to_be_bytes()),
            None => control(Opcode::Close, &[]),
        }
    }
}

/// The end of a client's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// The rule that it broke; `None` if it closed.
    pub(super) fault: Option<&'static str>,
    /// The close frame for it: its own status code, or what it did wrong.
    pub(super) answer: Close,
}

impl End {
    fn fault(why: &'static str) -> Self {
        Self { fault: Some(why), answer: Close::PROTOCOL_ERROR }
    }

    fn closed(answer: Close) -> Self {
        Self { fault: None, answer }
    }
}

/// The head of an unfragmented frame of at most 65,535 bytes, as a server sends it: without a mask.
pub(super) fn head(opcode: Opcode, payload_bytes: usize) -> Head {
    let first = 0x80 | opcode as u8;
    match u8::try_from(payload_bytes) {
        Ok(length @ ..=125) => Head { bytes: [first, length, 0, 0], len: 2 },
        _ => {
            let [high, low] = u16::try_from(payload_bytes).unwrap_or(u16::MAX).to_be_bytes();
            Head { bytes: [first, 126, high, low], len: 4 }
        }
    }
}

/// See [`head`].
#[derive(Debug)]
pub(super) struct Head {
    bytes: [u8; 4],
    len: usize,
}

impl std::ops::Deref for Head {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A control frame as a server sends it. Its payload is one that a client may send.
pub(super) fn control(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(opcode, payload.len()).to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// Takes a client's frames apart, whatever pieces they come in.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The head that is being read, and how much of it is there.
    head: [u8; HEAD_BYTES_MAX],
    head_len: u8,
    /// Of the frame whose payload is being read: what has not come, and by which mask.
    left: u64,
    mask: [u8; 4],
    /// The control frame whose payload is being read.
    control: Option<Opcode>,
    /// Its payload so far.
    payload: Vec<u8>,
    /// A binary message has begun and not ended.
    is_in_message: bool,
}

impl Decoder {
    /// Moves the payload of data frames to the start of `bytes` and answers its length, the payload of the last ping,
    /// and the end if it came. After the end there is nothing to decode.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> (usize, Option<Vec<u8>>, Option<End>) {
        let (mut at, mut kept, mut ping) = (0, 0, None);
        while at < bytes.len() {
            if self.left == 0 {
                let Some(byte) = bytes.get(at).copied() else { break };
                at += 1;
                match self.take_head_byte(byte) {
                    Ok(true) if self.left == 0 => {} // complete, and without a payload
                    Ok(_) => continue,
                    Err(end) => return (kept, ping, Some(end)),
                }
            }
            let rest = bytes.get_mut(at..).unwrap_or_default();
            let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
            let payload = rest.get_mut(..n).unwrap_or_default();
            unmask(payload, &mut self.mask);
            self.left -= n as u64;
            let Some(opcode) = self.control else {
                bytes.copy_within(at..at + n, kept);
                (at, kept) = (at + n, kept + n);
                continue;
            };
            self.payload.extend_from_slice(payload);
            at += n;
            if self.left > 0 {
                continue;
            }
            self.control = None;
            let payload = mem::take(&mut self.payload);
            match opcode {
                Opcode::Ping => ping = Some(payload),
                Opcode::Close => {
                    return (kept, ping, Some(Close::read(&payload).map_or_else(End::fault, End::closed)));
                }
                _ => {}
            }
        }
        (kept, ping, None)
    }

    /// Takes one more byte of a head; answers whether it is the last.
    fn take_head_byte(&mut self, byte: u8) -> Result<bool, End> {
        if let Some(place) = self.head.get_mut(usize::from(self.head_len)) {
            *place = byte;
            self.head_len += 1;
        }
        let [first, second, rest @ ..] = &self.head;
        match self.head_len {
            1 => return Self::check_first(*first, self.is_in_message).map(|()| false),
            2 if second & 0x80 == 0 => return Err(End::fault("a frame without a mask, which a client's must have")),
            _ => {}
        }
        let (length_bytes, length) = match second & 0x7f {
            126 => (2, u64::from(u16::from_be_bytes([rest[0], rest[1]]))),
            127 => (8, rest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))),
            short => (0, u64::from(short)),
        };
        if usize::from(self.head_len) < 2 + length_bytes + 4 {
            return Ok(false);
        }
        self.head_len = 0;
        if (length_bytes == 2 && length < 126) || (length_bytes == 8 && length <= u64::from(u16::MAX)) {
            return Err(End::fault("a frame whose length is written longer than it has to be"));
        }
        if length >> 63 != 0 {
            return Err(End::fault("a frame whose length is no number"));
        }
        let mask = rest.get(length_bytes..).and_then(|rest| rest.first_chunk());
        self.mask = mask.copied().unwrap_or_default();
        self.left = length;
        let is_last = first & 0x80 != 0;
        let opcode = Opcode::of(*first).filter(|opcode| opcode.is_control());
        self.control = opcode;
        match opcode {
            Some(_) if length > CONTROL_BYTES_MAX => Err(End::fault("a control frame of more than 125 bytes")),
            Some(_) => Ok(true),
            None => {
                self.is_in_message = !is_last;
                Ok(true)
            }
        }
    }

    /// Checks what the first byte of a head says by itself.
    fn check_first(first: u8, is_in_message: bool) -> Result<(), End> {
        if first & 0x70 != 0 {
            return Err(End::fault("a frame with reserved bits: no extension was agreed on"));
        }
        match Opcode::of(first) {
            None => Err(End::fault("a frame of a kind that WebSocket does not know")),
            Some(Opcode::Text) => {
                let fault = Some("a text frame: MQTT travels in binary frames [MQTT-6.0.0-1]");
                Err(End { fault, answer: Close::UNSUPPORTED_DATA })
            }
            Some(Opcode::Binary) if is_in_message => Err(End::fault("a new message inside of a fragmented one")),
            Some(Opcode::Continuation) if !is_in_message => {
                Err(End::fault("a continuation of a message that has not begun"))
            }
            Some(opcode) if opcode.is_control() && first & 0x80 == 0 => Err(End::fault("a fragmented control frame")),
            Some(_) => Ok(()),
        }
    }
}

/// Takes the mask off, and turns it so that it fits the byte that comes next.
fn unmask(payload: &mut [u8], mask: &mut [u8; 4]) {
    let key = u32::from_ne_bytes(*mask);
    let (quads, rest) = payload.as_chunks_mut::<4>();
    for quad in quads {
        *quad = (u32::from_ne_bytes(*quad) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(&*mask) {
        *byte ^= key;
    }
    mask.rotate_left(rest.len());
}

#[cfg(test)]
mod tests;
