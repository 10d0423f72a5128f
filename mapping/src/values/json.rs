//! JSON. Numbers are taken as text and get the type that holds them.

use std::cell::Cell;

use jiter::{Jiter, JiterError, JiterErrorType, Peek};
use rhai::{Array, Dynamic, Identifier, Map};

use super::{DEPTH_MAX, ELEMENTS_MAX, NUMBER_BYTES_MAX, Number, Room, ValueError};

/// Reads one value of JSON; nothing but white space may be around it.
pub(crate) fn from_json(text: &[u8]) -> Result<Dynamic, ValueError> {
    from_json_within(text, ELEMENTS_MAX)
}

/// The same with room for this many elements.
pub(crate) fn from_json_within(text: &[u8], elements_max: usize) -> Result<Dynamic, ValueError> {
    let mut source = Jiter::new(text);
    let peek = source.peek().map_err(|error| unreadable(&source, &error))?;
    let elements = Cell::new(elements_max);
    let value = read(&mut source, peek, Room { depth: DEPTH_MAX, elements: &elements })?;
    source.finish().map_err(|error| unreadable(&source, &error))?;
    Ok(value)
}

/// Writes a value as JSON, without white space.
pub(crate) fn to_json(value: &Dynamic) -> Result<Vec<u8>, ValueError> {
    let mut out = Vec::with_capacity(128);
    write(&mut out, value, DEPTH_MAX)?;
    Ok(out)
}

fn read(source: &mut Jiter<'_>, peek: Peek, room: Room<'_>) -> Result<Dynamic, ValueError> {
    match peek {
        Peek::Object => read_map(source, inner(source, room)?),
        Peek::Array => read_array(source, inner(source, room)?),
        Peek::String => match source.known_str() {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(unreadable(source, &error)),
        },
        Peek::True | Peek::False => match source.known_bool(peek) {
            Ok(value) => Ok(value.into()),
            Err(error) => Err(unreadable(source, &error)),
        },
        Peek::Null => match source.known_null() {
            Ok(()) => Ok(Dynamic::UNIT),
            Err(error) => Err(unreadable(source, &error)),
        },
        _ => read_number(source),
    }
}

fn read_number(source: &mut Jiter<'_>) -> Result<Dynamic, ValueError> {
    let text = match source.next_number_bytes() {
        Ok(text) => text,
        Err(error) => return Err(unreadable(source, &error)),
    };
    // Most are small integers.
    if let [b'1'..=b'9', rest @ ..] = text
        && rest.len() < 18
        && rest.iter().all(u8::is_ascii_digit)
    {
        let value = text.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        return Ok(Dynamic::from_int(value));
    }
    if text.len() > NUMBER_BYTES_MAX {
        return Err(at_current(source, format!("a number of more than {NUMBER_BYTES_MAX} characters")));
    }
    match std::str::from_utf8(text) {
        Ok(text) => Ok(Number::read(text)),
        Err(error) => Err(at_current(source, error.to_string())),
    }
}

fn read_array(source: &mut Jiter<'_>, room: Room<'_>) -> Result<Dynamic, ValueError> {
    let mut array = Array::new();
    let mut next = source.known_array();
    loop {
        match next {
            Ok(Some(peek)) => {
                take(source, room, false)?;
                array.push(read(source, peek, room)?);
            }
            Ok(None) => return Ok(array.into()),
            Err(error) => return Err(unreadable(source, &error)),
        }
        next = source.array_step();
    }
}

fn read_map(source: &mut Jiter<'_>, room: Room<'_>) -> Result<Dynamic, ValueError> {
    let mut map = Map::new();
    let mut next = source.known_object().map(|key| key.map(Identifier::from));
    loop {
        let key = match next {
            Ok(Some(key)) => key,
            Ok(None) => return Ok(map.into()),
            Err(error) => return Err(unreadable(source, &error)),
        };
        let peek = match source.peek() {
            Ok(peek) => peek,
            Err(error) => return Err(unreadable(source, &error)),
        };
        take(source, room, map.is_empty())?;
        map.insert(key, read(source, peek, room)?);
        next = source.next_key().map(|key| key.map(Identifier::from));
    }
}

fn inner<'r>(source: &Jiter<'_>, room: Room<'r>) -> Result<Room<'r>, ValueError> {
    room.within().ok_or_else(|| at_current(source, format!("more than {DEPTH_MAX} arrays and objects in each other")))
}

fn take(source: &Jiter<'_>, room: Room<'_>, is_first_of_map: bool) -> Result<(), ValueError> {
    if room.take(is_first_of_map) {
        return Ok(());
    }
    Err(at_current(source, "more elements and members than are read".to_owned()))
}

fn unreadable(source: &Jiter<'_>, error: &JiterError) -> ValueError {
    let what = match &error.error_type {
        JiterErrorType::JsonError(error) => error.to_string(),
        JiterErrorType::WrongType { expected, actual } => format!("expected {expected}, found {actual}"),
    };
    let position = error.get_position(source);
    ValueError::Json { line: position.line, column: position.column, what }
}

fn at_current(source: &Jiter<'_>, what: String) -> ValueError {
    let position = source.current_position();
    ValueError::Json { line: position.line, column: position.column, what }
}

fn write(out: &mut Vec<u8>, value: &Dynamic, depth: usize) -> Result<(), ValueError> {
    if let Ok(int) = value.as_int() {
        return put(out, &int);
    }
    if let Ok(float) = value.as_float() {
        if !float.is_finite() {
            return Err(ValueError::NotFinite(float.to_string()));
        }
        // As `number` writes it: of two texts that are as short, serde_json may take the other one.
        out.extend_from_slice(format!("{float:?}").as_bytes());
        return Ok(());
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return put(out, text.as_str());
    }
    if let Ok(map) = value.as_map_ref() {
        let depth = depth.checked_sub(1).ok_or(ValueError::TooDeep)?;
        let mut before = b'{';
        for (key, value) in map.iter() {
            out.push(before);
            put(out, key.as_str())?;
            out.push(b':');
            write(out, value, depth)?;
            before = b',';
        }
        out.extend_from_slice(if before == b'{' { b"{}" } else { b"}" });
        return Ok(());
    }
    if let Ok(array) = value.as_array_ref() {
        let depth = depth.checked_sub(1).ok_or(ValueError::TooDeep)?;
        let mut before = b'[';
        for value in array.iter() {
            out.push(before);
            write(out, value, depth)?;
            before = b',';
        }
        out.extend_from_slice(if before == b'[' { b"[]" } else { b"]" });
        return Ok(());
    }
    if let Ok(value) = value.as_bool() {
        return put(out, &value);
    }
    if value.is_unit() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    if let Some(number) = value.read_lock::<Number>() {
        out.extend_from_slice(number.as_str().as_bytes());
        return Ok(());
    }
    if let Ok(character) = value.as_char() {
        return put(out, &character);
    }
    Err(if value.is_blob() { ValueError::Blob } else { ValueError::Type(value.type_name().to_owned()) })
}

fn put<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), ValueError> {
    serde_json::to_writer(out, value).map_err(|error| ValueError::Type(error.to_string()))
}
