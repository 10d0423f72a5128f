//! What a file allows, against what mosquitto's manual says and against brute force.

use proptest::prelude::*;

use super::*;

const NOBODY: Client<'static> = Client { client_id: "c", username: None };
const ALICE: Client<'static> = Client { client_id: "c", username: Some("alice") };

fn acl(text: &str) -> Acl {
    Acl::parse(text.as_bytes()).unwrap()
}

fn of<'a>(client_id: &'a str, username: &'a str) -> Client<'a> {
    Client { client_id, username: Some(username) }
}

/// `rw`, `r-`, `-w` or `--`.
fn may(acl: &Acl, client: Client<'_>, topic: &str) -> String {
    let [read, write] = [acl.may_read(client, topic), acl.may_write(client, topic)];
    format!("{}{}", if read { 'r' } else { '-' }, if write { 'w' } else { '-' })
}

#[test]
fn rules_are_those_of_the_user_above_and_the_first_of_nobody() {
    let acl = acl("topic read public/#\nuser alice\ntopic a\ntopic read b\ntopic write c\ntopic readwrite d\n\
                   user bob\ntopic e\nuser alice\ntopic f\n");
    for (topic, nobody, alice) in [
        ("public/x", "r-", "--"),
        ("a", "--", "rw"),
        ("b", "--", "r-"),
        ("c", "--", "-w"),
        ("d", "--", "rw"),
        ("e", "--", "--"),
        ("f", "--", "rw"),
    ] {
        assert_eq!((&*may(&acl, NOBODY, topic), &*may(&acl, ALICE, topic)), (nobody, alice), "{topic}");
    }
    assert_eq!(may(&acl, of("c", "mallory"), "public/x"), "--", "who has a name is somebody else");
    assert_eq!(acl.rules(), 7);
}

#[test]
fn deny_wins_wherever_it_stands() {
    let text = "user alice\ntopic deny a/secret\ntopic a/#\ntopic deny a/+/x\npattern deny b/no\ntopic b/#\n\
                pattern deny c/%u\ntopic c/+\n";
    let acl = acl(text);
    for (topic, wanted) in [
        ("a/secret", "--"),
        ("a/1", "rw"),
        ("a/1/x", "--"),
        ("a/1/y", "rw"),
        ("b/no", "--"),
        ("b/yes", "rw"),
        ("c/alice", "--"),
        ("c/bob", "rw"),
    ] {
        assert_eq!(may(&acl, ALICE, topic), wanted, "{topic}");
    }
}

#[test]
fn patterns_are_for_everybody_with_their_names() {
    let acl = acl("user alice\npattern write sensor/%u/data\npattern read dev/%c/#\npattern x-%c-%u-%c/%d%\n\
                   pattern read all\n");
    assert_eq!(may(&acl, of("id", "bob"), "sensor/bob/data"), "-w");
    assert_eq!(may(&acl, of("id", "bob"), "sensor/alice/data"), "--");
    assert_eq!(may(&acl, of("id", "bob"), "dev/id"), "r-");
    assert_eq!(may(&acl, of("id", "bob"), "x-id-bob-id/%d%"), "rw", "anywhere in a level");
    assert_eq!(may(&acl, of("%u", "bob"), "dev/%u/x"), "r-", "what is put in is not looked at again");
    assert_eq!(may(&acl, of("%u", "bob"), "dev/bob/x"), "--");
    assert_eq!(may(&acl, NOBODY, "dev/c/x"), "r-");
    assert_eq!(may(&acl, NOBODY, "sensor//data"), "--", "without a user name %u is nothing");
    assert_eq!(may(&acl, NOBODY, "all"), "r-");
}

#[test]
fn a_name_never_makes_a_pattern_wider() {
    let acl = acl("pattern dev/%c/#\npattern user/%u\npattern read all\npattern %c/#\npattern deny no/%c/x\n\
                   pattern write no/#\n");
    for id in ["+", "#", "a/b", "a+", "x#", "/"] {
        for topic in ["dev/a/x", "dev/a/b/x", "dev/+/x", "dev/x", "a", "dev//x"] {
            assert_eq!(may(&acl, of(id, "bob"), topic), "--", "{id} {topic}");
        }
        assert_eq!(may(&acl, of(id, "bob"), "user/bob"), "rw", "the other name is as it should be");
        assert_eq!(may(&acl, of(id, "bob"), "all"), "r-");
        assert_eq!(acl.reading(of(id, "bob"), "dev/#"), Reading::None, "{id}");
        assert_eq!(may(&acl, of("c", id), "user/x"), "--", "{id}");
    }
    assert_eq!(may(&acl, of("+", "bob"), "no/a/x"), "--", "what is denied may become more");
    assert_eq!(may(&acl, of("a/b", "bob"), "no/a/b/x"), "--");
    assert_eq!(may(&acl, of("a", "bob"), "no/b/x"), "-w");
    for id in ["$SYS", "$queue"] {
        assert_eq!(may(&acl, of(id, "bob"), &format!("{id}/x")), "--", "a name does not make a topic of the broker");
        assert_eq!(acl.reading(of(id, "bob"), &format!("{id}/#")), Reading::None);
    }
}

/// A client identifier may have 64 KiB, all of it levels.
#[test]
fn a_deep_name_is_no_deep_recursion() {
    let acl = acl("pattern deny a/%c/b\npattern read #\n");
    let id = "/".repeat(65_000);
    assert!(acl.may_read(of(&id, "bob"), "a/b"));
    assert_eq!(acl.reading(of(&id, "bob"), &format!("{id}/#")), Reading::All);
}

#[test]
fn topics_of_the_broker_need_a_rule_of_their_own() {
    let open = acl("topic #\ntopic +/x\n");
    for topic in ["$SYS/broker/uptime", "$SYS/x", "$queue/jobs", "$CONTROL/queue/v1"] {
        assert_eq!(may(&open, NOBODY, topic), "--", "{topic}");
    }
    assert_eq!(open.reading(NOBODY, "#"), Reading::All, "`#` is none of them");
    assert_eq!(open.reading(NOBODY, "$SYS/#"), Reading::None);
    let own = acl("topic read $SYS/#\ntopic write $queue/+\npattern write $up/%c\n");
    assert_eq!(may(&own, NOBODY, "$SYS/x"), "r-");
    assert_eq!(may(&own, NOBODY, "$queue/jobs"), "-w");
    assert_eq!(may(&own, NOBODY, "$up/c"), "-w");
    assert_eq!(own.reading(NOBODY, "$SYS/#"), Reading::All);
    assert_eq!(own.reading(NOBODY, "#"), Reading::None);
}

#[test]
fn how_it_is_written_does_not_matter_where_it_does_not_to_mosquitto() {
    let acl = acl("\u{feff}# comment\r\n\r\n   \r\n  topic   read   a b/c d  \r\n#topic x\r\n\ttopic\tread\tt\r\n\
                   user  two words \r\ntopic read\r\ntopic # \r\n  # indented\r\n");
    assert_eq!(may(&acl, NOBODY, "a b/c d"), "r-");
    assert_eq!(may(&acl, NOBODY, "t"), "r-");
    assert_eq!(may(&acl, NOBODY, "x"), "--");
    let words = of("c", "two words");
    assert_eq!(may(&acl, words, "read"), "rw", "a word that stands alone is the topic");
    assert_eq!(may(&acl, words, "x/y"), "rw");
}

#[test]
fn an_empty_file_allows_nothing() {
    for text in ["", "\n", "# nothing\n", "user alice\n"] {
        assert_eq!(may(&acl(text), NOBODY, "a"), "--");
        assert_eq!(acl(text).reading(ALICE, "#"), Reading::None);
    }
}

#[test]
fn a_line_that_is_wrong_refuses_the_file_and_says_where_and_what_is_allowed() {
    let deep = format!("topic {}", "a/".repeat(RULE_LEVELS_MAX));
    for (line, words) in [
        (&b"topics a"[..], &["line 2", "`topics a`", "`user`, `topic`, `pattern`"][..]),
        (b"topic", &["line 2", "topic is missing", "readwrite|deny"]),
        (b"pattern  ", &["topic is missing"]),
        (b"user", &["line 2", "`user NAME`"]),
        (b"topic reed a/b", &["line 2", "`topic reed a/b`", "`reed` is no access", "read, write, readwrite or deny"]),
        (b"topic a/#/b", &["line 2", "MQTT-4.7.1-2"]),
        (b"topic read a+", &["line 2", "MQTT-4.7.1-3"]),
        (b"topic read a\xff", &["line 2", "not UTF-8"]),
        (deep.as_bytes(), &["line 2", "more than 200 levels"]),
    ] {
        let error = Acl::parse(&[b"topic ok\n", line, b"\ntopic fine\n"].concat()).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "no {word:?} in {error}");
        }
        assert!(error.len() < 600, "{error}");
    }
    assert_eq!(Acl::parse(&vec![b'\n'; FILE_BYTES_MAX + 1]).unwrap_err(), AclError::TooLong);
}

#[test]
fn a_filter_is_read_all_some_or_none() {
    let acl = acl("user alice\ntopic read a/#\ntopic deny a/x/#\ntopic write b/#\ntopic read c/+\n\
                   pattern read d/%c\npattern deny c/%u\n");
    for (filter, wanted) in [
        ("a/b/#", Reading::All),
        ("a/b", Reading::All),
        ("a", Reading::All),
        ("a/#", Reading::Some),
        ("a/x/#", Reading::None),
        ("a/x/y", Reading::None),
        ("+/b", Reading::Some),
        ("#", Reading::Some),
        ("b/#", Reading::None),
        ("c/+", Reading::Some),
        ("c/1", Reading::All),
        ("c/alice", Reading::None),
        ("d/+", Reading::Some),
        ("d/c", Reading::All),
        ("d/e", Reading::None),
    ] {
        assert_eq!(acl.reading(ALICE, filter), wanted, "{filter}");
    }
    assert_eq!(acl.reading(NOBODY, "c/+"), Reading::None, "of others");
}

/// All topics of one to three levels over a small alphabet.
fn topics() -> Vec<String> {
    let level = ["a", "b", "$s", ""];
    let one: Vec<String> = level.iter().map(|it| (*it).to_owned()).collect();
    let longer = |short: &[String]| -> Vec<String> {
        short.iter().flat_map(|it| level.iter().map(move |level| format!("{it}/{level}"))).collect()
    };
    let (two, three) = (longer(&one), longer(&longer(&one)));
    let all = one.into_iter().chain(two).chain(three);
    all.filter(|topic| topic::check_topic(topic).is_ok()).collect()
}

fn some_filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![Just("a"), Just("b"), Just("$s"), Just(""), Just("+"), Just("%c"), Just("%u")];
    (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(mut levels, has_rest)| {
        if has_rest {
            levels.pop();
            levels.push("#");
        }
        levels.join("/")
    })
}

fn some_rules() -> impl Strategy<Value = String> {
    let word = prop_oneof![Just("topic"), Just("pattern")];
    let access = prop_oneof![3 => Just("read"), 2 => Just("readwrite"), 1 => Just("write"), 2 => Just("deny")];
    let rule = (word, access, some_filter()).prop_filter("valid", |(.., filter)| topic::check_filter(filter).is_ok());
    prop::collection::vec(rule, 0..7).prop_map(|rules| {
        let lines = rules.iter().map(|(word, access, filter)| format!("{word} {access} {filter}\n"));
        format!("user u\n{}", lines.collect::<String>())
    })
}

/// What may be read, rule by rule and without any of the shortcuts.
fn by_hand(text: &str, client: Client<'_>, topic: &str) -> bool {
    let mut allowed = false;
    for line in text.lines().skip(1) {
        let [word, access, filter] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let is_dollar = filter.starts_with('$');
        let has = |name: &str| word == "pattern" && filter.contains(name);
        let user = client.username.unwrap();
        let is_wide = (has("%c") && client.client_id.contains(WIDE)) || (has("%u") && user.contains(WIDE));
        let filter = match word {
            "pattern" => filter.replace("%c", client.client_id).replace("%u", user),
            _ => filter.to_owned(),
        };
        let is_match = topic::matches(&filter, topic);
        if access == "deny" && is_match {
            return false;
        }
        let is_apart = topic.starts_with('$') && !is_dollar;
        allowed |= is_match && access.starts_with("read") && !is_wide && !is_apart;
    }
    allowed
}

proptest! {
    /// Files come from anywhere.
    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        words in prop::collection::vec(prop_oneof![
            Just("topic "), Just("pattern"), Just("user"), Just("deny "), Just("\n"), Just("#"), Just("%c"), Just(":"),
            Just("$"), Just("$7$"), Just("$6$"), Just("$argon2id$v=19$m=8,t=1,p=1$"), Just("99999999999"),
        ], 0..20),
    ) {
        for file in [bytes, words.concat().into_bytes()] {
            let _any_answer = (Acl::parse(&file), crate::Passwords::parse(&file));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    /// `All` is a promise that all is readable, `None` one that nothing is; what may be read is what the rules say.
    #[test]
    fn reading_holds_for_every_topic(
        text in some_rules(),
        filter in some_filter(),
        id in prop_oneof![Just("a"), Just("b"), Just("$s"), Just("+"), Just("#"), Just("a/b")],
        user in prop_oneof![4 => Just("u"), 1 => Just("+")],
    ) {
        prop_assume!(topic::check_filter(&filter).is_ok());
        let acl = acl(&text.replacen("user u", &format!("user {user}"), 1));
        let client = of(id, user);
        let reading = acl.reading(client, &filter);
        for topic in topics() {
            let may = acl.may_read(client, &topic);
            prop_assert_eq!(may, by_hand(&text, client, &topic), "{} in {}", topic, text);
            if topic::matches(&filter, &topic) {
                prop_assert!(reading != Reading::All || may, "{} is not readable: {}", topic, text);
                prop_assert!(reading != Reading::None || !may, "{} is readable: {}", topic, text);
            }
        }
        if !filter.contains(['+', '#']) {
            prop_assert_eq!(reading == Reading::All, acl.may_read(client, &filter), "one topic is all or nothing");
            prop_assert!(reading != Reading::Some);
        }
    }
}
