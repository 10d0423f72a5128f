//! Numbers in bytes: registers of Modbus, frames of LoRaWAN devices.

use rhai::{Array, Blob, Dynamic, FLOAT, INT, Map, Module, NativeCallContext, plugin::*};

use super::{Outcome, array_fits, failed, map_fits, number, shown};
use crate::values::{self, Number};

/// How a number is written.
#[derive(Debug, Clone, Copy)]
struct Form {
    kind: Kind,
    bytes: usize,
    little: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Unsigned,
    Signed,
    Float,
}

pub(super) fn module() -> Module {
    exported_module!(binary_functions)
}

/// What a form is called: `u8`, `i16be`, `f32le`.
fn form(ctx: &NativeCallContext, name: &str) -> Outcome<Form> {
    let (short, little) = match (name.strip_suffix("be"), name.strip_suffix("le")) {
        (Some(short), _) => (short, false),
        (_, Some(short)) => (short, true),
        _ if matches!(name, "u8" | "i8") => (name, false),
        _ => ("", false),
    };
    let known = match short {
        "u8" => Some((Kind::Unsigned, 1)),
        "u16" => Some((Kind::Unsigned, 2)),
        "u24" => Some((Kind::Unsigned, 3)),
        "u32" => Some((Kind::Unsigned, 4)),
        "u64" => Some((Kind::Unsigned, 8)),
        "i8" => Some((Kind::Signed, 1)),
        "i16" => Some((Kind::Signed, 2)),
        "i24" => Some((Kind::Signed, 3)),
        "i32" => Some((Kind::Signed, 4)),
        "i64" => Some((Kind::Signed, 8)),
        "f32" => Some((Kind::Float, 4)),
        "f64" => Some((Kind::Float, 8)),
        _ => None,
    };
    match known {
        Some((kind, bytes)) => Ok(Form { kind, bytes, little }),
        None => {
            let what = "u8, i8, and u or i with 16, 24, 32, 64, or f with 32, 64, with be or le after it";
            Err(failed(ctx, format!("\"{name}\" is no form of a number; allowed are {what}")))
        }
    }
}

fn read(bytes: &[u8], form: Form) -> Dynamic {
    let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if form.little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) };
    match form.kind {
        Kind::Unsigned => Number::from_i128(value.into()),
        Kind::Signed => Dynamic::from_int(signed(value, form.bytes * 8)),
        #[expect(clippy::cast_possible_truncation, reason = "it is of 4 bytes")]
        Kind::Float if form.bytes == 4 => Dynamic::from_float(f32::from_bits(value as u32).into()),
        Kind::Float => Dynamic::from_float(FLOAT::from_bits(value)),
    }
}

/// The lowest bits as a number with a sign.
fn signed(value: u64, bits: usize) -> INT {
    let rest = 64 - bits;
    INT::from_ne_bytes((value << rest).to_ne_bytes()) >> rest
}

fn write(ctx: &NativeCallContext, value: &Dynamic, form: Form) -> Outcome<Blob> {
    let bits = form.bytes * 8;
    let word = match form.kind {
        #[expect(clippy::cast_possible_truncation, reason = "32 bits are what was asked for")]
        Kind::Float if form.bytes == 4 => u64::from((number(ctx, value)? as f32).to_bits()),
        Kind::Float => number(ctx, value)?.to_bits(),
        kind => {
            let (least, greatest) = match kind {
                Kind::Signed => (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1),
                _ => (0, (1_i128 << bits) - 1),
            };
            let int = integer(value)
                .filter(|int| (least..=greatest).contains(int))
                .ok_or_else(|| failed(ctx, format!("{} is no integer from {least} to {greatest}", shown(value))))?;
            u64::from_ne_bytes(low(int))
        }
    };
    let bytes = word.to_le_bytes();
    let bytes = bytes.iter().take(form.bytes).copied();
    Ok(if form.little { bytes.collect() } else { bytes.rev().collect() })
}

fn low(int: i128) -> [u8; 8] {
    let [.., a, b, c, d, e, f, g, h] = int.to_be_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).to_ne_bytes()
}

/// The integer that a number of any type is exactly.
fn integer(value: &Dynamic) -> Option<i128> {
    if let Ok(int) = value.as_int() {
        return Some(int.into());
    }
    if let Some(number) = value.read_lock::<Number>() {
        return number.as_str().parse().ok();
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was asked whether there is a fraction")]
    values::as_float(value).filter(|float| float.fract() == 0.0).map(|float| float as i128)
}

/// So many numbers of this form from here.
fn read_all(ctx: &NativeCallContext, blob: &[u8], offset: INT, name: &str, count: INT) -> Outcome<Array> {
    let form = form(ctx, name)?;
    let range = usize::try_from(offset).ok().zip(usize::try_from(count).ok()).and_then(|(from, count)| {
        let bytes = blob.get(from..from.checked_add(count.checked_mul(form.bytes)?)?)?;
        Some((bytes, count))
    });
    let Some((bytes, count)) = range else {
        let what = format!("{count} of \"{name}\" at {offset} are beyond the blob, which has {} bytes", blob.len());
        return Err(failed(ctx, what));
    };
    array_fits(ctx, count)?;
    Ok(bytes.chunks_exact(form.bytes).map(|bytes| read(bytes, form)).collect())
}

/// The blob with each piece of this size turned around.
fn reversed(ctx: &NativeCallContext, mut blob: Blob, piece: usize, part: usize) -> Outcome<Blob> {
    if !blob.len().is_multiple_of(piece) {
        return Err(failed(ctx, format!("a blob of {} bytes; a multiple of {piece} is needed", blob.len())));
    }
    for piece in blob.chunks_exact_mut(piece) {
        piece.rotate_left(part);
    }
    Ok(blob)
}

#[export_module]
#[expect(unreachable_pub, reason = "the macro registers what is public")]
mod binary_functions {
    /// The number at a byte of the blob, counted from 0. `form` is `u8`, `i8`, or `u` or `i` with 16, 24, 32 or 64, or
    /// `f` with 32 or 64, and `be` (the highest byte first, as in Modbus) or `le`: `u16be`, `f32le`.
    #[rhai_fn(return_raw)]
    pub fn unpack(ctx: NativeCallContext, blob: Blob, offset: INT, form: &str) -> Outcome<Dynamic> {
        read_all(&ctx, &blob, offset, form, 1).map(|mut all| all.pop().unwrap_or_default())
    }

    /// So many numbers from a byte of the blob, one after the other.
    #[rhai_fn(name = "unpack", return_raw)]
    pub fn unpack_all(ctx: NativeCallContext, blob: Blob, offset: INT, form: &str, count: INT) -> Outcome<Array> {
        read_all(&ctx, &blob, offset, form, count)
    }

    /// The bytes of a number, of this form. What the form does not hold is an error.
    #[rhai_fn(return_raw)]
    pub fn pack(ctx: NativeCallContext, value: Dynamic, form: &str) -> Outcome<Blob> {
        let form = super::form(&ctx, form)?;
        write(&ctx, &value, form)
    }

    /// The bytes of an array's numbers, one after the other: the registers of Modbus with `u16be`.
    #[rhai_fn(name = "pack", return_raw)]
    pub fn pack_all(ctx: NativeCallContext, values: Array, form: &str) -> Outcome<Blob> {
        let form = super::form(&ctx, form)?;
        array_fits(&ctx, values.len().saturating_mul(form.bytes))?;
        let mut blob = Blob::with_capacity(values.len() * form.bytes);
        for value in &values {
            blob.extend(write(&ctx, value, form)?);
        }
        Ok(blob)
    }

    /// The blob with the bytes of each register (2 bytes) swapped.
    #[rhai_fn(return_raw)]
    pub fn swap_bytes(ctx: NativeCallContext, blob: Blob) -> Outcome<Blob> {
        reversed(&ctx, blob, 2, 1)
    }

    /// The blob with the registers of each pair (4 bytes) swapped, for devices that send the low word first.
    #[rhai_fn(return_raw)]
    pub fn swap_words(ctx: NativeCallContext, blob: Blob) -> Outcome<Blob> {
        reversed(&ctx, blob, 4, 2)
    }

    /// The lowest `bits` (1 to 64) of the integer as a number with a sign.
    #[rhai_fn(return_raw)]
    pub fn to_signed(ctx: NativeCallContext, value: INT, bits: INT) -> Outcome<INT> {
        match usize::try_from(bits) {
            Ok(count @ 1..=64) => Ok(signed(u64::from_ne_bytes(value.to_ne_bytes()), count)),
            _ => Err(failed(&ctx, format!("{bits} bits; 1 to 64 are allowed"))),
        }
    }

    /// What the bits of the integer say, from the lowest, by the names in the array: a map of `true` and `false`. Bits
    /// whose name is `""` are left out.
    #[rhai_fn(return_raw)]
    pub fn flags(ctx: NativeCallContext, value: INT, names: Array) -> Outcome<Map> {
        if names.len() > 64 {
            return Err(failed(&ctx, format!("{} names; an integer has 64 bits", names.len())));
        }
        map_fits(&ctx, names.len())?;
        let named = names.iter().enumerate().map(|(bit, name)| (name.to_string(), value >> bit & 1 == 1));
        Ok(named.filter(|(name, _)| !name.is_empty()).map(|(name, is)| (name.into(), is.into())).collect())
    }
}
