//! Numbers come back as they were; what is no value is an error that says where.

use proptest::{collection, prelude::*, test_runner::Config};
use rhai::{Array, Dynamic, Map};

use super::{DEPTH_MAX, NUMBER_BYTES_MAX, Number, ValueError, from_cbor, from_json, number::Digits, to_cbor, to_json};

fn again(json: &str) -> String {
    let value = from_json(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"));
    String::from_utf8(to_json(&value).expect("JSON")).expect("UTF-8")
}

fn by_cbor(json: &str) -> String {
    let value = from_json(json.as_bytes()).expect("JSON");
    let value = from_cbor(&to_cbor(&value).expect("CBOR")).unwrap_or_else(|error| panic!("{json}: {error}"));
    String::from_utf8(to_json(&value).expect("JSON")).expect("UTF-8")
}

fn type_of(json: &str) -> &'static str {
    let value = from_json(json.as_bytes()).expect("JSON");
    match (value.is_int(), value.is_float(), value.is::<Number>()) {
        (true, ..) => "INT",
        (_, true, _) => "FLOAT",
        (.., true) => "Number",
        _ => "none",
    }
}

#[test]
fn a_number_has_the_type_that_holds_it() {
    for (json, expected, written) in [
        ("0", "INT", "0"),
        ("12", "INT", "12"),
        ("-12", "INT", "-12"),
        ("9223372036854775807", "INT", "9223372036854775807"),
        ("-9223372036854775808", "INT", "-9223372036854775808"),
        ("9223372036854775808", "Number", "9223372036854775808"),
        ("18446744073709551615", "Number", "18446744073709551615"),
        ("100000000000000000000", "Number", "100000000000000000000"),
        ("-0", "FLOAT", "-0.0"),
        ("80.0", "FLOAT", "80.0"),
        ("85.5", "FLOAT", "85.5"),
        ("0.1", "FLOAT", "0.1"),
        ("1e3", "FLOAT", "1000.0"),
        ("0.30000000000000004", "FLOAT", "0.30000000000000004"),
        ("0.300000000000000041", "Number", "0.300000000000000041"),
        ("3.14159265358979323846264338328", "Number", "3.14159265358979323846264338328"),
        ("1e400", "Number", "1e400"),
        ("-1E-400", "Number", "-1E-400"),
        ("1.7976931348623157e308", "FLOAT", "1.7976931348623157e308"),
        ("5e-324", "FLOAT", "5e-324"),
        ("1e99999999999999999999999", "Number", "1e99999999999999999999999"),
        ("0e99999999999999999999999", "FLOAT", "0.0"),
    ] {
        assert_eq!(type_of(json), expected, "{json}");
        assert_eq!(again(json), written, "{json}");
    }
}

#[test]
fn a_number_comes_through_cbor() {
    for json in [
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-18446744073709551616",
        "-18446744073709551617",
        "340282366920938463463374607431768211456",
        "-340282366920938463463374607431768211456",
        "3.14159265358979323846264338328",
        "-0.00000000000000000000000000000000000123456789012345678",
        "1e400",
        "-25e-400",
        "85.5",
        "0.1",
        "-0.0",
    ] {
        assert_eq!(by_cbor(json), json);
    }
}

#[test]
fn json_is_read_and_written() {
    for json in [
        "null",
        "true",
        "\"\"",
        "[]",
        "{}",
        "[[],{}]",
        r#"{"a":[1,2.5,"x\n\"ä",null,false],"b":{"c":{}}}"#,
        "\"\u{1f600}\"",
    ] {
        assert_eq!(again(json), json);
        assert_eq!(by_cbor(json), json);
    }
    assert_eq!(again(" { \"b\" : 1 , \"a\" : \"\\u00e4\\ud83d\\ude00\" } "), r#"{"a":"ä😀","b":1}"#);
    assert_eq!(again(r#"{"a":1,"a":2}"#), r#"{"a":2}"#);
}

#[test]
fn what_is_no_json_is_an_error_that_says_where() {
    for (json, line, column) in [("", 1, 0), ("{\"a\":\n 1,}", 2, 4), ("[1 2]", 1, 4), ("[1] 2", 1, 5), ("[01]", 1, 3)]
    {
        match from_json(json.as_bytes()) {
            Err(ValueError::Json { line: l, column: c, what }) => {
                assert_eq!((l, c), (line, column), "{json}: {what}");
            }
            other => panic!("{json}: {other:?}"),
        }
    }
    for json in
        ["nul", "NaN", "Infinity", "-Infinity", "-", "1.", ".5", "1e", "+1", "\"\\x\"", "\"", "'a'", "{a:1}", "[1,]"]
    {
        assert!(from_json(json.as_bytes()).is_err(), "{json}");
    }
    assert!(from_json(b"\"\xff\"").is_err());
    let digits = "1".repeat(NUMBER_BYTES_MAX + 1);
    assert!(from_json(digits.as_bytes()).is_err());
    assert_eq!(again(&digits[1..]), &digits[1..]);
}

#[test]
fn what_is_too_deep_is_an_error() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(again(&nested(DEPTH_MAX)), nested(DEPTH_MAX));
    let error = from_json(nested(DEPTH_MAX + 1).as_bytes()).expect_err("too deep");
    assert!(error.to_string().contains("more than 64 arrays"), "{error}");
    assert!(from_json("[".repeat(100_000).as_bytes()).is_err());
    assert!(from_cbor(&[0x81; 100_000]).is_err());
    assert!(from_cbor(&[0xc6; 100_000]).is_err());
    let mut value = Dynamic::UNIT;
    for _ in 0..=DEPTH_MAX {
        value = vec![value].into();
    }
    assert_eq!(to_json(&value), Err(ValueError::TooDeep));
    assert_eq!(to_cbor(&value), Err(ValueError::TooDeep));
}

#[test]
fn json_has_no_bytes_and_no_infinity() {
    assert_eq!(to_json(&Dynamic::from_blob(vec![1])), Err(ValueError::Blob));
    assert!(matches!(to_json(&f64::NAN.into()), Err(ValueError::NotFinite(_))));
    assert!(matches!(to_json(&f64::INFINITY.into()), Err(ValueError::NotFinite(_))));
    assert!(matches!(to_json(&Dynamic::from(std::time::Duration::ZERO)), Err(ValueError::Type(_))));
}

fn of_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|digit| digit.to_digit(16)).filter_map(|digit| digit.try_into().ok()).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

#[test]
fn the_examples_of_rfc_8949_are_read() {
    for (hex, json) in [
        ("00", "0"),
        ("1bffffffffffffffff", "18446744073709551615"),
        ("c249010000000000000000", "18446744073709551616"),
        ("3bffffffffffffffff", "-18446744073709551616"),
        ("c349010000000000000000", "-18446744073709551617"),
        ("f98000", "-0.0"),
        ("f93e00", "1.5"),
        ("fa47c35000", "100000.0"),
        ("fb3ff199999999999a", "1.1"),
        ("f90001", "5.960464477539063e-8"),
        ("f4", "false"),
        ("f6", "null"),
        ("f7", "null"),
        ("c074323031332d30332d32315432303a30343a30305a", "\"2013-03-21T20:04:00Z\""),
        ("c11a514b67b0", "1363896240"),
        ("c48221196ab3", "273.15"),
        ("7f657374726561646d696e67ff", "\"streaming\""),
        ("9f018202039f0405ffff", "[1,[2,3],[4,5]]"),
        ("bf61610161629f0203ffff", r#"{"a":1,"b":[2,3]}"#),
        ("a201020304", r#"{"1":2,"3":4}"#),
        ("c240", "0"),
        ("c340", "-1"),
    ] {
        let value = from_cbor(&of_hex(hex)).unwrap_or_else(|error| panic!("{hex}: {error}"));
        assert_eq!(String::from_utf8_lossy(&to_json(&value).expect("JSON")), json, "{hex}");
    }
    let blob = from_cbor(&of_hex("5f42010243030405ff")).expect("a blob");
    assert_eq!(blob.into_blob(), Ok(vec![1, 2, 3, 4, 5]));
    assert!(from_cbor(&of_hex("f97c00")).expect("infinity").as_float().is_ok_and(f64::is_infinite));
}

#[test]
fn what_is_no_cbor_is_an_error_that_says_where() {
    for (hex, at) in
        [("", 0), ("8201", 2), ("0000", 1), ("a1f501", 1), ("a18000", 1), ("ff", 0), ("1c", 0), ("61ff", 0)]
    {
        match from_cbor(&of_hex(hex)) {
            Err(ValueError::Cbor { offset, .. }) => assert_eq!(offset, at, "{hex}"),
            other => panic!("{hex}: {other:?}"),
        }
    }
    for hex in ["c4820100ff", "c48101", "c4826130", "bf6161ff", "9bffffffffffffffff", "5bffffffffffffffff00"] {
        assert!(from_cbor(&of_hex(hex)).is_err(), "{hex}");
    }
}

fn value() -> impl Strategy<Value = Dynamic> {
    let number = "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?".prop_map(|text| Number::read(&text));
    let leaf = prop_oneof![
        Just(Dynamic::UNIT),
        any::<bool>().prop_map(Dynamic::from_bool),
        any::<i64>().prop_map(Dynamic::from_int),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Dynamic::from_float),
        number,
        any::<String>().prop_map(Dynamic::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..6).prop_map(|array: Array| array.into()),
            collection::btree_map(any::<String>(), inner, 0..6).prop_map(|map| map
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect::<Map>()
                .into()),
        ]
    })
}

proptest! {
    #![proptest_config(Config::with_cases(400))]

    #[test]
    fn a_number_of_json_keeps_its_value(text in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?") {
        let written = again(&text);
        // As precisely as decimal digits can say it: both texts, and the way through CBOR.
        prop_assert_eq!(written.parse::<f64>().map(f64::to_bits), text.parse::<f64>().map(f64::to_bits));
        prop_assert_eq!(Digits::of(&written), Digits::of(&text));
        prop_assert_eq!(Digits::of(&by_cbor(&text)), Digits::of(&text));
    }

    #[test]
    fn every_float_comes_back(float in any::<f64>().prop_filter("finite", |float| float.is_finite())) {
        let json = to_json(&float.into()).expect("JSON");
        let value = from_json(&json).expect("JSON");
        prop_assert_eq!(value.as_float().map(f64::to_bits), Ok(float.to_bits()));
        let value = from_cbor(&to_cbor(&float.into()).expect("CBOR")).expect("CBOR");
        prop_assert_eq!(value.as_float().map(f64::to_bits), Ok(float.to_bits()));
    }

    /// Two texts of 17 digits give this one; the way out and the way in took different ones.
    #[test]
    fn a_float_of_two_shortest_texts_comes_back(bits in 4_820_723_280_709_329_400_u64..4_820_723_280_709_329_500) {
        let float = f64::from_bits(bits);
        let value = from_json(&to_json(&float.into()).expect("JSON")).expect("JSON");
        prop_assert_eq!(value.as_float().map(f64::to_bits), Ok(bits));
    }

    #[test]
    fn every_integer_comes_back(int in any::<i128>()) {
        prop_assert_eq!(again(&int.to_string()), int.to_string());
        prop_assert_eq!(by_cbor(&int.to_string()), int.to_string());
    }

    #[test]
    fn every_value_comes_back(value in value()) {
        let json = to_json(&value).expect("JSON");
        let read = from_json(&json).expect("JSON");
        prop_assert_eq!(to_json(&read).expect("JSON"), json);
        let cbor = to_cbor(&value).expect("CBOR");
        let read = from_cbor(&cbor).expect("CBOR");
        prop_assert_eq!(to_cbor(&read).expect("CBOR"), cbor);
    }

    #[test]
    fn what_serde_reads_is_read_alike(text in "[\\[\\]{}:,\"a0-9.eE+ -]{0,12}") {
        let of_serde = serde_json::from_str::<serde::de::IgnoredAny>(&text);
        prop_assert_eq!(from_json(text.as_bytes()).is_ok(), of_serde.is_ok());
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = from_cbor(&bytes) {
            let written = to_cbor(&value).expect("what was read can be written");
            prop_assert_eq!(to_cbor(&from_cbor(&written).expect("CBOR")).expect("CBOR"), written);
        }
        let _ = from_json(&bytes);
    }

    #[test]
    fn numbers_are_ordered_as_they_are(a in any::<i128>(), b in any::<i128>()) {
        prop_assert_eq!(Digits::of(&a.to_string()).cmp(&Digits::of(&b.to_string())), a.cmp(&b));
    }
}
