//! Frames in any pieces, and each rule of RFC 6455 that a client may break.

use super::*;

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0xa2, 0x33, 0xc4];
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..=125 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        medium @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// What a decoder makes of bytes that come in pieces of this length.
fn decode(bytes: &[u8], piece: usize) -> (Vec<u8>, Vec<Vec<u8>>, Option<End>) {
    let mut decoder = Decoder::default();
    let (mut data, mut pings) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let (kept, ping, end) = decoder.decode(&mut piece);
        data.extend_from_slice(&piece[..kept]);
        pings.extend(ping);
        if end.is_some() {
            return (data, pings, end);
        }
    }
    (data, pings, None)
}

fn fault(bytes: &[u8]) -> (&'static str, Close) {
    let (data, _, end) = decode(bytes, bytes.len());
    assert!(data.is_empty(), "nothing of a wrong frame is handed on");
    let end = end.unwrap();
    assert_eq!(decode(bytes, 1).2, Some(end.clone()), "one byte at a time");
    (end.fault.unwrap(), end.answer)
}

#[test]
fn pieces_of_any_length_give_the_same_bytes() {
    let long: Vec<u8> = (0..70_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let mut bytes = frame(0x82, b"one");
    bytes.extend(frame(0x02, b"two "));
    bytes.extend(frame(0x89, b"are you there"));
    bytes.extend(frame(0x00, b""));
    bytes.extend(frame(0x80, b"parts"));
    bytes.extend(frame(0x8a, b"a pong that nobody asked for"));
    bytes.extend(frame(0x82, &long[..126]));
    bytes.extend(frame(0x82, &long));
    bytes.extend(frame(0x82, b""));
    bytes.extend(frame(0x82, b"end"));
    let wanted = [b"onetwo parts", &long[..126], &long, b"end"].concat();
    for piece in [1, 2, 3, 5, 7, 11, 13, 64, 1000, bytes.len()] {
        let (data, pings, end) = decode(&bytes, piece);
        assert!(data == wanted, "pieces of {piece}");
        assert_eq!((pings, end), (vec![b"are you there".to_vec()], None));
    }
}

#[test]
fn of_several_pings_at_once_the_last_counts() {
    let bytes = [frame(0x89, b"1"), frame(0x89, b""), frame(0x89, b"3")].concat();
    assert_eq!(decode(&bytes, bytes.len()).1, [b"3"]);
}

#[test]
fn a_frame_of_any_length_is_handed_on_as_it_comes() {
    // 2^62 bytes are announced, and cost nothing.
    let mut bytes = vec![0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(b"a beginning");
    let mut decoder = Decoder::default();
    let (kept, _, end) = decoder.decode(&mut bytes);
    assert_eq!((&bytes[..kept], end), (&b"a beginning"[..], None));
    assert_eq!(decoder.payload.capacity(), 0);
}

#[test]
fn what_stands_before_a_fault_is_handed_on() {
    let bytes = [frame(0x82, b"DISCONNECT"), frame(0x81, b"text")].concat();
    let (data, _, end) = decode(&bytes, bytes.len());
    assert_eq!(data, b"DISCONNECT");
    assert!(end.unwrap().fault.is_some());
}

#[test]
fn faults_are_named() {
    let mut unmasked = frame(0x82, b"abc");
    unmasked[1] &= 0x7f;
    let cases: [(Vec<u8>, &str, u16); 12] = [
        (frame(0x81, b"text"), "binary frames [MQTT-6.0.0-1]", 1003),
        (frame(0x01, b"text"), "binary frames [MQTT-6.0.0-1]", 1003),
        (unmasked, "without a mask", 1002),
        (frame(0xc2, b"compressed"), "reserved bits", 1002),
        (frame(0x83, b""), "a kind that WebSocket does not know", 1002),
        (frame(0x8f, b""), "a kind that WebSocket does not know", 1002),
        (frame(0x80, b""), "a continuation of a message that has not begun", 1002),
        ([frame(0x02, b""), frame(0x82, b"")].concat(), "a new message inside", 1002),
        (frame(0x09, b""), "a fragmented control frame", 1002),
        (frame(0x89, &[0; 126]), "more than 125 bytes", 1002),
        (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "no number", 1002),
        (frame(0x88, &[3]), "half of a status code", 1002),
    ];
    for (bytes, says, code) in cases {
        let (why, answer) = fault(&bytes);
        assert!(why.contains(says), "{why}");
        assert_eq!(answer, Close(Some(code)), "{why}");
    }
}

#[test]
fn a_close_frame_is_answered_with_its_own_code() {
    for code in [1000_u16, 1001, 1011, 3000, 4999] {
        let bytes = frame(0x88, &[&code.to_be_bytes()[..], b"bye"].concat());
        assert_eq!(decode(&bytes, 1).2, Some(End::closed(Close(Some(code)))));
    }
    assert_eq!(decode(&frame(0x88, b""), 3).2, Some(End::closed(Close(None))));
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        assert!(fault(&frame(0x88, &code.to_be_bytes())).0.contains("status code"), "{code}");
    }
    assert!(fault(&frame(0x88, &[3, 232, 0xff])).0.contains("UTF-8"));
}

#[test]
fn noise_is_taken_apart_without_harm() {
    let mut state = 1_u64;
    for _ in 0..2000 {
        let mut noise = Vec::new();
        while noise.len() < 300 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            noise.extend((state >> 32).to_le_bytes());
        }
        // The first frame is a good one, so that more than its first byte is looked at.
        noise[0] = [0x82, 0x02, 0x89, 0x8a, 0x88][usize::from(noise[2]) % 5];
        noise[1] |= 0x80;
        let mut whole = noise.clone();
        let (kept, _, end) = Decoder::default().decode(&mut whole);
        let (data, _, slow_end) = decode(&noise, 1);
        assert_eq!((&whole[..kept], end), (&data[..], slow_end));
        assert!(kept < noise.len());
    }
}

#[test]
fn frames_that_are_built() {
    assert_eq!(*head(Opcode::Binary, 0), [0x82, 0]);
    assert_eq!(*head(Opcode::Binary, 125), [0x82, 125]);
    assert_eq!(*head(Opcode::Binary, 126), [0x82, 126, 0, 126]);
    assert_eq!(*head(Opcode::Binary, 65_535), [0x82, 126, 0xff, 0xff]);
    assert_eq!(Close::NORMAL.frame(), [0x88, 2, 3, 232]);
    assert_eq!(Close(None).frame(), [0x88, 0]);
    assert_eq!(control(Opcode::Pong, b"x"), [0x8a, 1, b'x']);
}
