//! What each kind of key reads and refuses.

use super::*;

const ANY: &Kind = &Kind::Integer(1, 65_535);
const BYTES: &Kind = &Kind::Size(1024, u64::MAX);
const TIME: &Kind = &Kind::Time(0, 60_000, 1);
const SECONDS: &Kind = &Kind::Time(1000, 86_400_000, 1000);
const WORDS: &Kind = &Kind::Choice(&["drop_oldest", "reject"]);

/// A value of a file; `'...'` at the end are the words of a variable.
fn read(kind: &Kind, toml: &str) -> Result<Value, String> {
    let value = DeValue::parse(toml).unwrap_or_else(|error| panic!("{toml}: {error}"));
    kind.read(Given::Toml(value.get_ref()), Path::new("etc"))
}

fn word(kind: &Kind, text: &str) -> Result<Value, String> {
    kind.read(Given::Word(text), Path::new(""))
}

#[test]
fn what_is_allowed_is_read_and_written_back() {
    for (kind, toml, back) in [
        (&Kind::Boolean, "true", "true"),
        (ANY, "0x10", "16"),
        (ANY, "65_535", "65535"),
        (BYTES, "1048576", "\"1M\""),
        (BYTES, "'64KB'", "\"64K\""),
        (BYTES, "1500", "1500"),
        (TIME, "10", "\"10s\""),
        (TIME, "1.5", "\"1500ms\""),
        (TIME, "'1m'", "\"1m\""),
        (SECONDS, "'1h'", "\"1h\""),
        (WORDS, "'drop-oldest'", "\"drop_oldest\""),
        (&Kind::Text, "'a \"b\"'", "'a \"b\"'"),
        (&Kind::Location, "'/mqtt'", "\"/mqtt\""),
        (&Kind::Path(Wanted::File), "'certs/a.pem'", "\"etc/certs/a.pem\""),
        (&Kind::Path(Wanted::File), "'/certs/a.pem'", "\"/certs/a.pem\""),
        (&Kind::Addresses, "1883", "\":1883\""),
        (&Kind::Addresses, "'1883'", "\":1883\""),
        (&Kind::Addresses, "':1883'", "\":1883\""),
        (&Kind::Addresses, "'[::]:1883'", "\"[::]:1883\""),
        (&Kind::Addresses, "['localhost:0', '192.0.2.1:1']", "[\"localhost:0\", \"192.0.2.1:1\"]"),
        (&Kind::Networks, "['192.0.2.1', '10.0.0.0/8', '::1']", "[\"192.0.2.1\", \"10.0.0.0/8\", \"::1\"]"),
        (&Kind::Origins, "['https://example.org']", "[\"https://example.org\"]"),
        (&Kind::Users, "['ann:s:e,c']", "[\"ann:***\"]"),
        (&Kind::Certificates, "[{ certfile = 'a', keyfile = '/b' }]", "[{ certfile = \"etc/a\", keyfile = \"/b\" }]"),
        (&Kind::Mode, "'0660'", "\"0660\""),
        (&Kind::Mode, "0o600", "\"0600\""),
    ] {
        assert_eq!(read(kind, toml).map(|value| value.to_toml()), Ok(back.to_owned()), "{toml}");
    }
}

#[test]
fn variables_and_options_are_words() {
    for (kind, text, back) in [
        (&Kind::Boolean, "on", "true"),
        (&Kind::Boolean, "0", "false"),
        (ANY, "17", "17"),
        (BYTES, "1M", "\"1M\""),
        (TIME, "2", "\"2s\""),
        (&Kind::Addresses, "127.0.0.1:1, [::1]:2", "[\"127.0.0.1:1\", \"[::1]:2\"]"),
        (&Kind::Addresses, "[\":1\", \":2\"]", "[\":1\", \":2\"]"),
        (&Kind::Users, "a:1,2\n[b:[3", "[\"a:***\", \"[b:***\"]"),
        (&Kind::Networks, "", "[]"),
    ] {
        assert_eq!(word(kind, text).map(|value| value.to_toml()), Ok(back.to_owned()), "{text}");
    }
    let users = word(&Kind::Users, "a:1, 2 ").unwrap();
    assert_eq!(users, Value::Users(vec![("a".to_owned(), "1, 2 ".to_owned())]), "a password is kept as it is");
}

#[test]
fn what_is_not_allowed_is_shown_with_what_is() {
    for (kind, toml, says) in [
        (&Kind::Boolean, "'yes'", "\"yes\" is not true or false"),
        (ANY, "0", "0 is too little: it is a whole number from 1 to 65,535"),
        (ANY, "65536", "65536 is too much"),
        (ANY, "-99999999999", "-99999999999 is too little"),
        (ANY, "'7'", "\"7\" is not a whole number"),
        (ANY, "7.5", "7.5 is not a whole number"),
        (ANY, "1979-05-27", "a date is not"),
        (BYTES, "'1k'", ""),
        (BYTES, "'7 apples'", "\"7 apples\" is not a size from 1K up"),
        (BYTES, "12", "12 is too little"),
        (TIME, "'2m'", "\"2m\" is too much: it is a time from 0s to 1m"),
        (TIME, "nan", "nan is not a time"),
        (SECONDS, "'1500ms'", "is not a time from 1s to 1d in whole seconds"),
        (WORDS, "'drop'", "\"drop\" is not \"drop_oldest\" or \"reject\""),
        (&Kind::Text, "''", "\"\" is not a text that is not empty"),
        (&Kind::Text, "\"a\\u0000\"", "is not a text"),
        (&Kind::Level, "'a/b'", "\"a/b\" is not a name without / + #"),
        (&Kind::Location, "'mqtt'", "is not a path that begins with /"),
        (&Kind::Path(Wanted::File), "['a']", "[\"a\"] is not the path of a file"),
        (&Kind::Addresses, "'example.org:1883'", "\"example.org:1883\" is not an address with its port"),
        (&Kind::Addresses, "'127.0.0.1'", "is not an address with its port"),
        (&Kind::Addresses, "70000", "70000 is not an address"),
        (&Kind::Addresses, "[]", "is not an address"),
        (&Kind::Networks, "'10.0.0.0/8'", "is not a list"),
        (&Kind::Networks, "['10.0.0.0/33']", "[\"10.0.0.0/33\"] is not a list"),
        (&Kind::Origins, "['example.org']", "is not a list of origins"),
        (&Kind::Origins, "['https://example.org/']", "is not a list of origins"),
        (&Kind::Users, "[':secret']", "what is given is not a list of users, each with a name"),
        (&Kind::Users, "'ann:secret'", "what is given is not"),
        (&Kind::Certificates, "[{ certfile = 'a' }]", "a list is not a list of certificates"),
        (&Kind::Certificates, "[{ certfile = 'a', keyfile = 'b', more = 1 }]", "is not a list of certificates"),
        (&Kind::Mode, "660", "660 is not rights as for chmod: \"0660\""),
        (&Kind::Mode, "'0888'", "is not rights"),
        (&Kind::Mode, "'7777'", "is not rights"),
    ] {
        match read(kind, toml) {
            Ok(value) => assert!(says.is_empty(), "{toml} is read as {value:?}"),
            Err(why) => assert!(!says.is_empty() && why.contains(says), "{toml}: {why}"),
        }
    }
    assert!(!read(&Kind::Users, "[':secret']").unwrap_err().contains("secret"), "no password is shown");
}
