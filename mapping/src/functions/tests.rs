//! Functions, through scripts.

use crate::testing::Bench;

/// Each script and what it answers as JSON; a text that begins with `!` has to be in its error.
fn check(cases: &[(&str, &str)]) {
    let bench = Bench::new();
    for (script, expected) in cases {
        let found = bench.json(script);
        match expected.strip_prefix('!') {
            Some(part) => assert!(found.contains(part), "{script}: {found}"),
            None => assert_eq!(found, *expected, "{script}"),
        }
    }
}

#[test]
fn json_and_cbor_are_read_and_written() {
    check(&[
        (r#"json("{\"b\":1,\"a\":[80.0,null]}")"#, r#"{"a":[80.0,null],"b":1}"#),
        (r#"parse_json("18446744073709551615")"#, "18446744073709551615"),
        (r#"json("[1").len()"#, "!json: not JSON that can be read"),
        (r#"to_json(#{a: 1.5, b: [true, ()]})"#, r#""{\"a\":1.5,\"b\":[true,null]}""#),
        ("to_json(json(\"12345678901234567890123\"))", r#""12345678901234567890123""#),
        ("to_json(1.0 / 0.0)", "!to_json: JSON has no number for inf"),
        ("to_json(blob(2, 1))", "!base64(blob)"),
        ("to_json(|x| x)", "!to_json: a value of type"),
        ("cbor(to_cbor(#{a: [1, -1.5, \"x\"]}))", r#"{"a":[1,-1.5,"x"]}"#),
        ("cbor(from_hex(\"83 01\"))", "!cbor: not CBOR that can be read"),
        ("cbor(5)", "!cbor: 5 is i64; a text or a blob is needed"),
    ]);
}

#[test]
fn a_number_is_what_can_be_calculated_with() {
    check(&[
        (
            r#"json("[0, -1.5, 18446744073709551615, 1e400, \"1\", null, true, [], {}]").map(|v| is_number(v))"#,
            "[true,true,true,false,false,false,false,false,false]",
        ),
        ("is_number(0.0 / 0.0)", "false"),
    ]);
}

#[test]
fn large_numbers_calculate_and_compare() {
    check(&[
        (r#"json("18446744073709551615") + 1"#, "1.8446744073709552e19"),
        (r#"2.0 * json("18446744073709551615")"#, "3.6893488147419103e19"),
        (r#"json("18446744073709551615") == json("18446744073709551614")"#, "false"),
        (r#"json("18446744073709551615") > json("18446744073709551614")"#, "true"),
        (r#"json("18446744073709551615") > 5"#, "true"),
        (r#"5 > json("-18446744073709551615")"#, "true"),
        (r#"json("1.00000000000000000000001") == 1"#, "false"),
        (r#"json("1.00000000000000000000001") == 1.0"#, "true"),
        (r#"json("[18446744073709551615]") == json("[18446744073709551615]")"#, "true"),
        (r#"json("18446744073709551615").to_string()"#, r#""18446744073709551615""#),
        (r#""id " + json("18446744073709551615")"#, r#""id 18446744073709551615""#),
        (r#"json("18446744073709551615").to_float()"#, "1.8446744073709552e19"),
        (r#"json("18446744073709551615").to_int()"#, "!to_int: 18446744073709551615 is not an integer from"),
        (r#"-json("18446744073709551615")"#, "-1.8446744073709552e19"),
    ]);
}

#[test]
fn times_are_read_and_written() {
    check(&[
        ("now()", "1000000"),
        (r#"parse_time("2026-11-28T20:15:00.250Z")"#, "1795896900250"),
        (r#"parse_time("2026-11-28T21:15:00.250+01:00")"#, "1795896900250"),
        (r#"parse_time("yesterday")"#, "!parse_time: \"yesterday\" is no time of RFC 3339"),
        (r#"parse_time("28.11.2026 20:15", "%d.%m.%Y %H:%M")"#, "1795896900000"),
        (r#"parse_time("28.11.2026", "%d.%m.%Y")"#, "1795824000000"),
        (r#"parse_time("28.11.2026 21:15 +0100", "%d.%m.%Y %H:%M %z")"#, "1795896900000"),
        (r#"parse_time("x", "%d")"#, "!parse_time: \"x\" as \"%d\""),
        ("format_time(1795896900250)", r#""2026-11-28T20:15:00.25Z""#),
        (r#"format_time(1795896900250, "%d.%m.%Y %H:%M")"#, r#""28.11.2026 20:15""#),
        (r#"format_time(1795896900250, "%H:%M", "+05:30")"#, r#""01:45""#),
        (r#"format_time(0, "%H:%M", "CET")"#, "!format_time: \"CET\" is no offset"),
        ("format_time(9223372036854775807)", "!is no time in milliseconds"),
        ("let p = time_parts(1795896900250); [p.year, p.month, p.weekday, p.millisecond]", "[2026,11,6,250]"),
        (r#"time_parts(1795896900250, "+05:30").day"#, "29"),
        (r#"duration("1h30m")"#, "5400000"),
        (r#"duration("soon")"#, "!duration: \"soon\" is no length of time"),
    ]);
}

#[test]
fn hashes_are_those_of_their_standards() {
    check(&[
        (r#"sha256("abc")"#, r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#),
        (r#"crc32("123456789")"#, "3421780262"),
        (r#"hash64("a")"#, "-5808556873153909620"),
        (r#"hash64("")"#, "-3750763034362895579"),
        ("sha256(1)", "!sha256: 1 is i64; a text or a blob is needed"),
    ]);
}

#[test]
fn bytes_are_text_and_back() {
    check(&[
        (r#"hex("AB")"#, r#""4142""#),
        (r#"hex(from_hex("DE:ad be-ef"))"#, r#""deadbeef""#),
        (r#"from_hex("abc")"#, "!from_hex: the last byte has one digit"),
        (r#"from_hex("xy")"#, "!from_hex: 'x' at 0 is no hexadecimal digit"),
        (r#"base64(from_hex("fbff"))"#, r#""+/8=""#),
        (r#"base64_url(from_hex("fbff"))"#, r#""-_8""#),
        (r#"hex(from_base64("-_8")) + hex(from_base64("+/8=")) + hex(from_base64("+/8"))"#, r#""fbfffbfffbff""#),
        (r#"from_base64("?")"#, "!from_base64: "),
        (r#"text_of(from_hex("c3a4"))"#, "\"ä\""),
        (r#"text_of(from_hex("ff"))"#, "!text_of: invalid utf-8"),
        (r#"hex(blob(900, 1))"#, "!hex: 1800 bytes of text, of which 1000 are allowed"),
    ]);
}

#[test]
fn patterns_find_capture_replace_and_split() {
    check(&[
        (r#"regex_is_match("pump 7", "[0-9]+")"#, "true"),
        (r#"regex_find("pump 7 of 9", "[0-9]+")"#, "\"7\""),
        (r#"regex_find("pump", "[0-9]+")"#, "null"),
        (r#"regex_find_all("1 2 3", "[0-9]")"#, r#"["1","2","3"]"#),
        (
            r#"regex_captures("t=5C", "(?<name>[a-z])=(?<value>[0-9]+)(?<rest>x)?")"#,
            r#"{"0":"t=5","1":"t","2":"5","3":null,"name":"t","rest":null,"value":"5"}"#,
        ),
        (r#"regex_captures("x", "y")"#, "null"),
        (r#"regex_replace("a1b22", "([0-9]+)", "<$1>")"#, r#""a<1>b<22>""#),
        (r#"regex_replace("äöü", "", "-")"#, "\"-ä-ö-ü-\""),
        (r#"regex_split("a1b22c", "[0-9]+")"#, r#"["a","b","c"]"#),
        (r#"regex_is_match("x", "(")"#, "!regex_is_match: the pattern \"(\" cannot be used"),
        (r#"regex_is_match("x", "(a{1000}){1000}")"#, "!cannot be used"),
        (r#"regex_replace(repeat("a", 500), "a", "bbb")"#, "!bytes of text, of which 1000 are allowed"),
    ]);
}

#[test]
fn more_patterns_than_are_kept_still_match() {
    let bench = Bench::new();
    let script = r#"let n = 0; for i in 0..200 { if regex_is_match(`x${i}x`, `x${i}x`) { n += 1; } } n"#;
    assert_eq!(bench.json(script), "200");
}

#[test]
fn texts_are_padded_and_cut() {
    check(&[
        (r#"trimmed("  a ")"#, "\"a\""),
        (r#"pad_start("7", 3, "0")"#, "\"007\""),
        (r#"pad_end("ä", 3, "ö")"#, "\"äöö\""),
        (r#"pad_start("7", 3, "00")"#, "!pad_start: \"00\" is to fill the text; one character is needed"),
        (r#"pad_start("7", -1, "0")"#, "!pad_start: a length of -1"),
        (r#"pad_start("7", 9223372036854775807, "0")"#, "!of which 1000 are allowed"),
        (r#"split_once("a=b=c", "=")"#, r#"["a","b=c"]"#),
        (r#"split_last("a=b=c", "=")"#, r#"["a=b","c"]"#),
        (r#"split_once("a", "=")"#, "null"),
        (r#"[before("a/b/c", "/"), after("a/b/c", "/"), before("a", "/"), after("a", "/")]"#, r#"["a","b/c","a",""]"#),
        (
            r#"[strip_prefix("tele/x", "tele/"), strip_suffix("x/set", "/set"), strip_prefix("x", "y")]"#,
            r#"["x","x","x"]"#,
        ),
        (r#"repeat("ab", 3)"#, "\"ababab\""),
        (r#"repeat("ab", 1000)"#, "!of which 1000 are allowed"),
        (r#"lines("a\r\nb\n")"#, r#"["a","b"]"#),
        (r#"join(["a", 1, 2.5], "/")"#, "\"a/1/2.5\""),
    ]);
}

#[test]
fn units_and_scales_are_calculated() {
    check(&[
        ("c_to_f(100)", "212.0"),
        ("f_to_c(212.0)", "100.0"),
        ("c_to_k(0)", "273.15"),
        ("k_to_c(273.15)", "0.0"),
        ("round(psi_to_bar(100), 3)", "6.895"),
        ("round(bar_to_psi(1), 3)", "14.504"),
        ("[mph_to_kmh(100), kmh_to_mph(160.9344)]", "[160.9344,100.0]"),
        ("[round(85.449, 1), round(-2.5, 0), round(7, 2)]", "[85.4,-3.0,7]"),
        ("round(1.5, 16)", "!round: 16 digits; 0 to 15 are allowed"),
        ("[clamp(5, 0, 3), clamp(-1.5, 0, 3), clamp(2, 0, 3)]", "[3,0,2]"),
        ("clamp(1, 3, 0)", "!clamp: the least is 3 and the greatest 0"),
        ("scale(12, 4, 20, 0, 100)", "50.0"),
        ("scale(12, 4, 4, 0, 100)", "!scale: the scale of what comes in is from 4 to 4"),
        (r#"c_to_f("hot")"#, "!c_to_f: \"hot\" is string; a number is needed"),
    ]);
}

#[test]
fn numbers_in_bytes_are_read_and_written() {
    check(&[
        (
            r#"let b = from_hex("ff85 0001"); [b.unpack(0, "i16be"), b.unpack(0, "u16be"), b.unpack(0, "u16le")]"#,
            "[-123,65413,34303]",
        ),
        (r#"from_hex("ffffffffffffffff").unpack(0, "u64be")"#, "18446744073709551615"),
        (r#"from_hex("fffffe").unpack(0, "i24be")"#, "-2"),
        (r#"from_hex("42ab0000").unpack(0, "f32be")"#, "85.5"),
        (r#"from_hex("000042ab").swap_words().unpack(0, "f32be")"#, "85.5"),
        (r#"hex(swap_bytes(from_hex("01020304")))"#, "\"02010403\""),
        (r#"swap_words(from_hex("010203"))"#, "!swap_words: a blob of 3 bytes; a multiple of 4 is needed"),
        (r#"from_hex("00010002").unpack(0, "u16be", 2)"#, "[1,2]"),
        (
            r#"from_hex("0001").unpack(1, "u16be")"#,
            "!unpack: 1 of \"u16be\" at 1 are beyond the blob, which has 2 bytes",
        ),
        (r#"from_hex("0001").unpack(-1, "u8")"#, "!beyond the blob"),
        (r#"from_hex("0001").unpack(0, "u8", 9223372036854775807)"#, "!beyond the blob"),
        (r#"from_hex("0001").unpack(0, "u16")"#, "!unpack: \"u16\" is no form of a number"),
        (r#"hex(pack(-123, "i16be"))"#, "\"ff85\""),
        (r#"hex(pack(85.5, "f32le"))"#, "\"0000ab42\""),
        (r#"hex(pack(85.5, "f64be"))"#, "\"4055600000000000\""),
        (r#"hex(pack(json("18446744073709551615"), "u64le"))"#, "\"ffffffffffffffff\""),
        (r#"hex(pack([1, 2.0], "u16be"))"#, "\"00010002\""),
        (r#"pack(70000, "u16be")"#, "!pack: 70000 is no integer from 0 to 65535"),
        (r#"pack(1.5, "u8")"#, "!pack: 1.5 is no integer from 0 to 255"),
        ("[to_signed(0xffff, 16), to_signed(5, 64), to_signed(-1, 8)]", "[-1,5,-1]"),
        ("to_signed(1, 0)", "!to_signed: 0 bits; 1 to 64 are allowed"),
        (r#"flags(5, ["a", "b", "", "c"])"#, r#"{"a":true,"b":false,"c":false}"#),
    ]);
}

#[test]
fn structures_are_walked_flattened_and_merged() {
    check(&[
        (r#"get(#{a: #{b: [#{c: 7}]}}, "a.b.0.c", 0)"#, "7"),
        (r#"get(#{a: 1}, "a.b.c", 0)"#, "0"),
        (r#"#{a: 1}.get("b.c", ())"#, "null"),
        (r#"get([1, 2], "1", 0)"#, "2"),
        (
            r#"flatten(#{a: #{b: 1, c: [2, #{d: 3}]}, e: #{}, f: []}, "/")"#,
            r#"{"a/b":1,"a/c/0":2,"a/c/1/d":3,"e":{},"f":[]}"#,
        ),
        (r#"flatten(#{}, "/")"#, "{}"),
        (r#"unflatten(#{"a/b": 1, "a/c/0": 2, "a/c/1/d": 3}, "/")"#, r#"{"a":{"b":1,"c":[2,{"d":3}]}}"#),
        (r#"unflatten(#{"a": 1, "a/b": 2}, "/")"#, "!unflatten: \"a/b\" and another key want the same place"),
        (r#"unflatten(#{"a": 1}, "")"#, "!unflatten: an empty separator"),
        (r#"merge_deep(#{a: #{x: 1, y: 2}, b: 1}, #{a: #{y: 3}, c: [1]})"#, r#"{"a":{"x":1,"y":3},"b":1,"c":[1]}"#),
        ("let m = #{}; for i in 0..300 { m = #{a: m}; } flatten(m, \"/\")", "!flatten: more than 64 maps and arrays"),
    ]);
}

#[test]
fn every_function_has_a_comment() {
    let described = |engine: &rhai::Engine| {
        let metadata: serde_json::Value =
            serde_json::from_str(&engine.gen_fn_metadata_to_json(true).expect("metadata")).expect("JSON");
        let functions = metadata["functions"].as_array().expect("functions").clone();
        functions.into_iter().map(|function| (function["signature"].to_string(), function)).collect::<Vec<_>>()
    };
    let of_rhai = described(&rhai::Engine::new());
    let ours = described(&Bench::new().engine);
    let ours: Vec<_> =
        ours.iter().filter(|(signature, _)| of_rhai.iter().all(|(known, _)| known != signature)).collect();
    assert!(ours.len() > 90, "{}", ours.len());
    for (signature, function) in ours {
        // The operators of numbers are those that all numbers have.
        if !signature.contains("Number") {
            assert!(function["docComments"][0].is_string(), "{signature}");
        }
    }
}
