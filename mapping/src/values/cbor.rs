//! CBOR (RFC 8949).
//!
//! - Byte strings are blobs, `undefined` is `()` like `null`.
//! - Tags 2 and 3 (large integers) and 4 (decimal fractions) are numbers. Other tags are dropped and what they tag is
//!   taken: a time that comes with tag 1 is written back as the number that it is.
//! - Keys of maps are texts; integers become their text (`1` is `"1"`), others are an error.
//! - Of floats, 16, 32 and 64 bits are read; 64 bits are written, or 32 where those hold the same value.
//! - Maps are written in the order of their keys: equal values have equal bytes.

use std::cell::Cell;

use minicbor::{
    Decoder, Encoder,
    data::{Int, Tag, Type},
    decode,
};
use rhai::{Array, Dynamic, FLOAT, Identifier, Map};

use super::{DEPTH_MAX, ELEMENTS_MAX, NUMBER_BYTES_MAX, Number, Room, ValueError};

const TAG_INTEGER: u64 = 2;
const TAG_INTEGER_NEGATIVE: u64 = 3;
const TAG_DECIMAL: u64 = 4;

/// Bytes of the largest integer: as many as [`NUMBER_BYTES_MAX`] digits need.
const INTEGER_BYTES_MAX: usize = NUMBER_BYTES_MAX * 5 / 12;

/// Reads one value of CBOR; nothing may be after it.
pub(crate) fn from_cbor(bytes: &[u8]) -> Result<Dynamic, ValueError> {
    let mut source = Decoder::new(bytes);
    let elements = Cell::new(ELEMENTS_MAX);
    let value = read(&mut source, Room { depth: DEPTH_MAX, elements: &elements })?;
    if source.position() < bytes.len() {
        return Err(wrong(&source, "more than one value"));
    }
    Ok(value)
}

/// Writes a value as CBOR.
pub(crate) fn to_cbor(value: &Dynamic) -> Result<Vec<u8>, ValueError> {
    let mut out = Encoder::new(Vec::with_capacity(64));
    write(&mut out, value, DEPTH_MAX)?;
    Ok(out.into_writer())
}

fn read(source: &mut Decoder<'_>, room: Room<'_>) -> Result<Dynamic, ValueError> {
    let start = source.position();
    let unreadable = |error: decode::Error| unreadable(&error, start);
    Ok(match source.datatype().map_err(unreadable)? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
            Number::from_i128(source.int().map_err(unreadable)?.into())
        }
        Type::F16 | Type::F32 | Type::F64 => Dynamic::from_float(source.f64().map_err(unreadable)?),
        Type::Bool => source.bool().map_err(unreadable)?.into(),
        Type::Null => source.null().map(|()| Dynamic::UNIT).map_err(unreadable)?,
        Type::Undefined => source.undefined().map(|()| Dynamic::UNIT).map_err(unreadable)?,
        Type::String => source.str().map_err(unreadable)?.into(),
        Type::StringIndef => {
            let parts = source.str_iter().map_err(unreadable)?;
            parts.collect::<Result<String, _>>().map_err(unreadable)?.into()
        }
        Type::Bytes | Type::BytesIndef => Dynamic::from_blob(read_bytes(source)?),
        Type::Array | Type::ArrayIndef => read_array(source, inner(source, room)?)?,
        Type::Map | Type::MapIndef => read_map(source, inner(source, room)?)?,
        Type::Tag => read_tagged(source, inner(source, room)?)?,
        other => return Err(wrong(source, &format!("{other}, which is no value"))),
    })
}

fn read_bytes(source: &mut Decoder<'_>) -> Result<Vec<u8>, ValueError> {
    let start = source.position();
    let mut bytes = Vec::new();
    for part in source.bytes_iter().map_err(|error| unreadable(&error, start))? {
        bytes.extend_from_slice(part.map_err(|error| unreadable(&error, start))?);
    }
    Ok(bytes)
}

fn read_array(source: &mut Decoder<'_>, room: Room<'_>) -> Result<Dynamic, ValueError> {
    let start = source.position();
    let len = source.array().map_err(|error| unreadable(&error, start))?;
    let mut array = Array::new();
    let mut left = len;
    while more(source, &mut left)? {
        take(source, room, false)?;
        array.push(read(source, room)?);
    }
    Ok(array.into())
}

fn read_map(source: &mut Decoder<'_>, room: Room<'_>) -> Result<Dynamic, ValueError> {
    let start = source.position();
    let mut left = source.map().map_err(|error| unreadable(&error, start))?;
    let mut map = Map::new();
    while more(source, &mut left)? {
        let at = source.position();
        let key = read(source, Room { depth: 0, ..room })?;
        let key = match key.as_immutable_string_ref() {
            Ok(text) => Identifier::from(text.as_str()),
            Err(_) if key.is_int() => Identifier::from(key.to_string()),
            Err(_) => {
                let what = format!("a key of type {}: only texts and integers can be one", key.type_name());
                return Err(ValueError::Cbor { offset: at, what });
            }
        };
        take(source, room, map.is_empty())?;
        map.insert(key, read(source, room)?);
    }
    Ok(map.into())
}

/// Whether another element is there; takes the end of those whose length was not said.
fn more(source: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, ValueError> {
    if let Some(left) = left {
        let any = *left > 0;
        *left = left.saturating_sub(1);
        return Ok(any);
    }
    let at = source.position();
    if source.datatype().map_err(|error| unreadable(&error, at))? != Type::Break {
        return Ok(true);
    }
    source.set_position(at + 1);
    Ok(false)
}

fn read_tagged(source: &mut Decoder<'_>, room: Room<'_>) -> Result<Dynamic, ValueError> {
    let start = source.position();
    let tag = source.tag().map_err(|error| unreadable(&error, start))?.as_u64();
    match tag {
        TAG_INTEGER | TAG_INTEGER_NEGATIVE => {
            let bytes = read_bytes(source)?;
            if bytes.len() > INTEGER_BYTES_MAX {
                return Err(wrong(source, &format!("an integer of more than {INTEGER_BYTES_MAX} bytes")));
            }
            let negative = tag == TAG_INTEGER_NEGATIVE;
            Ok(Number::read(&decimal_of(&bytes, negative)))
        }
        TAG_DECIMAL => {
            let parts = read(source, room)?.into_array().unwrap_or_default();
            let [exponent, mantissa] = parts.as_slice() else {
                return Err(wrong(source, "a decimal fraction that is not an exponent and a mantissa"));
            };
            let digits = match mantissa.as_int() {
                Ok(int) => Some(int.to_string()),
                Err(_) => mantissa.read_lock::<Number>().map(|number| number.to_string()),
            };
            match (exponent.as_int(), digits) {
                (Ok(exponent), Some(digits)) => Ok(Number::read(&fraction(&digits, exponent))),
                _ => Err(wrong(source, "a decimal fraction that is not of integers")),
            }
        }
        _ => read(source, room),
    }
}

/// `mantissa` times ten to the `exponent`, as text with a point where that is short.
fn fraction(mantissa: &str, exponent: i64) -> String {
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
    match usize::try_from(exponent.unsigned_abs()) {
        Ok(places) if exponent < 0 && places <= 64 => {
            let digits = format!("{digits:0>width$}", width = places + 1);
            let (whole, part) = digits.split_at(digits.len() - places);
            format!("{sign}{whole}.{part}")
        }
        _ => format!("{sign}{digits}e{exponent}"),
    }
}

/// The decimal text of a large integer; the negative ones are `-1 - value`.
fn decimal_of(bytes: &[u8], negative: bool) -> String {
    // Nine digits an element, the lowest first.
    const BASE: u64 = 1_000_000_000;
    let mut parts = vec![u64::from(negative)];
    for (place, byte) in bytes.iter().enumerate() {
        // The 1 of `-1 - value` is added with the last byte.
        let added = u64::from(*byte) + u64::from(negative && place + 1 == bytes.len());
        let mut carry = added;
        if place == 0 {
            parts[0] = 0;
        }
        for part in &mut parts {
            let value = *part * 256 + carry;
            *part = value % BASE;
            carry = value / BASE;
        }
        if carry > 0 {
            parts.push(carry);
        }
    }
    let mut text = String::from(if negative { "-" } else { "" });
    for (place, part) in parts.iter().rev().enumerate() {
        let width = if place == 0 { 1 } else { 9 };
        text.push_str(&format!("{part:0width$}"));
    }
    text
}

/// The bytes of a large integer from its decimal digits, the highest first.
fn bytes_of(digits: &str, less_one: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(digits.len() / 2);
    for digit in digits.bytes().filter(u8::is_ascii_digit) {
        let mut carry = u16::from(digit - b'0');
        for byte in &mut bytes {
            let [high, low] = (u16::from(*byte) * 10 + carry).to_be_bytes();
            *byte = low;
            carry = u16::from(high);
        }
        if carry > 0 {
            bytes.push(carry.to_be_bytes()[1]);
        }
    }
    if less_one {
        for byte in &mut bytes {
            let borrowed;
            (*byte, borrowed) = byte.overflowing_sub(1);
            if !borrowed {
                break;
            }
        }
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes.reverse();
    bytes
}

type Out = Encoder<Vec<u8>>;

fn write(out: &mut Out, value: &Dynamic, depth: usize) -> Result<(), ValueError> {
    if let Ok(int) = value.as_int() {
        return done(out.i64(int));
    }
    if let Ok(float) = value.as_float() {
        return write_float(out, float);
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return done(out.str(&text));
    }
    if let Ok(map) = value.as_map_ref() {
        let depth = depth.checked_sub(1).ok_or(ValueError::TooDeep)?;
        done(out.map(map.len() as u64))?;
        return map.iter().try_for_each(|(key, value)| {
            done(out.str(key))?;
            write(out, value, depth)
        });
    }
    if let Ok(array) = value.as_array_ref() {
        let depth = depth.checked_sub(1).ok_or(ValueError::TooDeep)?;
        done(out.array(array.len() as u64))?;
        return array.iter().try_for_each(|value| write(out, value, depth));
    }
    if let Ok(value) = value.as_bool() {
        return done(out.bool(value));
    }
    if value.is_unit() {
        return done(out.null());
    }
    if let Ok(blob) = value.as_blob_ref() {
        return done(out.bytes(&blob));
    }
    if let Some(number) = value.read_lock::<Number>() {
        return write_number(out, &number);
    }
    if let Ok(character) = value.as_char() {
        return done(out.str(character.encode_utf8(&mut [0; 4])));
    }
    Err(ValueError::Type(value.type_name().to_owned()))
}

/// Writes a float: 32 bits where those hold it.
pub(crate) fn write_float(out: &mut Out, float: FLOAT) -> Result<(), ValueError> {
    #[expect(clippy::cast_possible_truncation, reason = "whether anything was lost is what is asked")]
    let short = float as f32;
    if FLOAT::from(short).to_bits() == float.to_bits() { done(out.f32(short)) } else { done(out.f64(float)) }
}

fn write_number(out: &mut Out, number: &Number) -> Result<(), ValueError> {
    let (negative, digits, exponent) = number.decimal();
    if exponent != 0 {
        done(out.tag(Tag::new(TAG_DECIMAL)))?;
        done(out.array(2))?;
        done(out.i64(exponent))?;
    }
    let signed: Option<i128> = digits.parse().ok().map(|value: i128| if negative { -value } else { value });
    if let Some(int) = signed.and_then(|value| Int::try_from(value).ok()) {
        return done(out.int(int));
    }
    done(out.tag(Tag::new(if negative { TAG_INTEGER_NEGATIVE } else { TAG_INTEGER })))?;
    done(out.bytes(&bytes_of(&digits, negative)))
}

/// Memory is all that is written to.
fn done<T>(result: Result<&mut T, minicbor::encode::Error<std::convert::Infallible>>) -> Result<(), ValueError> {
    result.map(|_| ()).map_err(|error| ValueError::Type(error.to_string()))
}

fn inner<'r>(source: &Decoder<'_>, room: Room<'r>) -> Result<Room<'r>, ValueError> {
    room.within().ok_or_else(|| wrong(source, &format!("more than {DEPTH_MAX} arrays, maps and tags in each other")))
}

fn take(source: &Decoder<'_>, room: Room<'_>, is_first_of_map: bool) -> Result<(), ValueError> {
    if room.take(is_first_of_map) { Ok(()) } else { Err(wrong(source, "more elements and entries than are read")) }
}

fn unreadable(error: &decode::Error, start: usize) -> ValueError {
    ValueError::Cbor { offset: error.position().unwrap_or(start), what: error.to_string() }
}

fn wrong(source: &Decoder<'_>, what: &str) -> ValueError {
    ValueError::Cbor { offset: source.position(), what: what.to_owned() }
}
