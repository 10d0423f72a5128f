//! Command lines as people write them for mosquitto's clients.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::*;

/// A folder of this test, removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("primer-client-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn asked_at(tool: Tool, words: &[&str], home: &Home) -> Result<Asked, OptionError> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    read(tool, &words, home)
}

fn asked(tool: Tool, words: &[&str]) -> Result<Asked, OptionError> {
    asked_at(tool, words, &Home::default())
}

#[track_caller]
fn options(tool: Tool, words: &[&str]) -> Options {
    match asked(tool, words) {
        Ok(Asked::Run(options)) => *options,
        other => panic!("{words:?}: {other:?}"),
    }
}

#[track_caller]
fn publish(line: &str) -> Options {
    options(Tool::Publish, &line.split(' ').collect::<Vec<_>>())
}

#[track_caller]
fn subscribe(line: &str) -> Options {
    options(Tool::Subscribe, &line.split(' ').collect::<Vec<_>>())
}

#[track_caller]
fn refused(tool: Tool, words: &[&str], says: &str) {
    match asked(tool, words) {
        Err(error) => assert!(error.to_string().contains(says), "{words:?}: no {says:?} in {error}"),
        Ok(other) => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn a_publish_is_what_mosquitto_pub_makes_of_it() {
    let options = publish("-h broker -p 1884 -t a/b -m x -q 2 -r -i me -u user -P secret -k 30 -M 5 -d");
    assert_eq!((options.server.host(), options.server.port()), ("broker", 1884));
    assert_eq!((&*options.topics, options.source), (&["a/b".to_owned()][..], Some(Source::Bytes(b"x".to_vec()))));
    assert_eq!((options.qos, options.retain, options.keep_alive), (QoS::ExactlyOnce, true, 30));
    assert_eq!((options.client_id.as_deref(), options.username.as_deref()), (Some("me"), Some("user")));
    assert_eq!((options.password.as_deref(), options.inflight_max, options.debug), (Some(&b"secret"[..]), 5, true));
    assert_eq!((options.version, options.clean), (Version::V311, true));
    let long = "--host broker --port 1884 --topic a/b --message x --qos 2 --retain --id me --username user --pw secret";
    let options = publish(&format!("{long} --keepalive 30 --debug --protocol-version mqttv5"));
    assert_eq!((options.server.host(), options.version, options.qos), ("broker", Version::V5, QoS::ExactlyOnce));
}

#[test]
fn nothing_said_is_what_mosquitto_has_by_default() {
    let options = publish("-t a -n");
    assert_eq!((options.server.host(), options.server.port(), options.keep_alive), ("localhost", 1883, 60));
    assert_eq!((options.client_id, options.inflight_max, options.repeat), (None, 20, 1));
    assert_eq!(publish("-t a -n --cafile x").server.port(), 8883);
    assert!(publish("-t a -n -p 8883").server.is_tls());
    assert!(!publish("-t a -n -p 8883 --no-tls").server.is_tls());
    assert!(!publish("-t a -n --insecure").server.is_tls());
    assert_eq!(options_of_rr("-t a -e b -n").version, Version::V5);
}

#[track_caller]
fn options_of_rr(line: &str) -> Options {
    options(Tool::Request, &line.split(' ').collect::<Vec<_>>())
}

#[test]
fn values_may_begin_with_a_dash_and_be_any_bytes() {
    let options = options(Tool::Publish, &["-t", "-m", "-m", "--help"]);
    assert_eq!((&*options.topics, options.source), (&["-m".to_owned()][..], Some(Source::Bytes(b"--help".to_vec()))));
    let words = [OsString::from("-t"), "a".into(), "-m".into(), OsStr::from_bytes(&[0xFF, 0xFE]).into()];
    let Ok(Asked::Run(options)) = read(Tool::Publish, &words, &Home::default()) else { panic!("bytes") };
    assert_eq!(options.source, Some(Source::Bytes(vec![0xFF, 0xFE])));
}

#[test]
fn a_subscriber_has_many_topics_and_filters() {
    let options = subscribe("-t a -t b/# -T c/+ -T d -U e -C 3 -W 5 -v -R -F %t -N --pretty -E");
    assert_eq!((options.topics.len(), options.filter_out.len(), options.unsubscribe.len()), (2, 2, 1));
    assert_eq!((options.count, options.timeout), (Some(3), Some(Duration::from_secs(5))));
    assert!(options.verbose && options.no_retained && options.pretty && options.exit_after_sub && !options.eol);
    assert_eq!(options.retain_handling, RetainHandling::Never);
    let options = subscribe("-t a --retain-handling new --retain-as-published --random-filter 12.5");
    assert_eq!((options.retain_handling, options.retain_as_published), (RetainHandling::IfNew, true));
    assert_eq!(options.random_filter, 1250);
    assert!(subscribe("-U only/this").topics.is_empty());
}

#[test]
fn a_url_says_it_all() {
    let options = subscribe("-L mqtts://me:pw@broker:999/a/# -t b");
    assert_eq!((options.server.host(), options.server.port(), options.server.is_tls()), ("broker", 999, true));
    assert_eq!((options.username.as_deref(), options.password.as_deref()), (Some("me"), Some(&b"pw"[..])));
    assert_eq!(options.topics, ["a/#", "b"]);
    let options = subscribe("-L ws://broker/a");
    assert_eq!((options.server.port(), options.server.websocket, options.server.is_tls()), (1883, true, false));
    let options = subscribe("-L wss://broker/a");
    assert_eq!((options.server.port(), options.server.websocket, options.server.is_tls()), (8883, true, true));
    let options = subscribe("-L ws://broker/a --ws-path /other/mqtt");
    assert_eq!(
        (&*options.topics, options.server.websocket_path.as_deref()),
        (&["a".to_owned()][..], Some("/other/mqtt"))
    );
    refused(Tool::Subscribe, &["-L", "mqtt://broker"], "no topic");
    refused(Tool::Subscribe, &["-L", "http://broker/a"], "http:// is not one of mqtt://");
}

#[test]
fn a_password_needs_a_user_name_before_mqtt_5() {
    assert_eq!(subscribe("-t a -V 5 -P pw").password.as_deref(), Some(&b"pw"[..]));
    assert_eq!(subscribe("-t a -u me -P pw").username.as_deref(), Some("me"));
}

#[test]
fn a_will_and_its_properties_go_together() {
    let line = "-t a -n --will-topic w --will-payload gone --will-qos 1 --will-retain -D will will-delay-interval 5";
    let options = publish(line);
    let will = options.will.expect("a will");
    assert_eq!((&*will.topic, &*will.payload, will.qos, will.retain), ("w", &b"gone"[..], QoS::AtLeastOnce, true));
    assert_eq!(options.will_properties.as_properties().will_delay(), Some(5));
    assert_eq!(options.version, Version::V5, "-D means MQTT 5.0");
    refused(Tool::Publish, &["-t", "a", "-n", "--will-payload", "x"], "--will-payload without --will-topic");
    refused(Tool::Publish, &["-t", "a", "-n", "--will-retain"], "--will-retain without --will-topic");
}

#[test]
fn properties_are_given_by_name() {
    let line = "-t a -m x -D publish user-property unit C -D publish user-property n 1 -D publish content-type text \
                -D connect receive-maximum 7 -D disconnect reason-string bye -D publish topic-alias 4";
    let options = publish(&line.split_whitespace().collect::<Vec<_>>().join(" "));
    let properties = options.publish_properties.as_properties();
    assert_eq!(properties.user_properties().collect::<Vec<_>>(), [("unit", "C"), ("n", "1")]);
    assert_eq!((properties.content_type(), properties.topic_alias()), (Some("text"), Some(4)));
    assert_eq!(options.connect_properties.as_properties().receive_maximum(), Some(7));
    assert_eq!(options.disconnect_properties.as_properties().reason_string(), Some("bye"));
    let options = subscribe("-t a -D subscribe subscription-identifier 9");
    assert_eq!(options.subscribe_properties.as_properties().subscription_ids().next(), Some(9));
}

#[test]
fn a_wrong_property_is_refused_with_what_there_is() {
    let base = ["-t", "a", "-m", "x", "-D"];
    for (words, says) in [
        (&["pubish", "content-type", "x"][..], "\"pubish\" is no packet that takes properties: it is one of connect,"),
        (&["publish", "content-tpe", "x"], "publish has no property \"content-tpe\" to be given: it has content-type,"),
        (&["connect", "topic-alias", "1"], "connect has no property \"topic-alias\""),
        (&["publish", "topic-alias", "70000"], "topic-alias is a number from 0 to 65535"),
        (&["publish", "payload-format-indicator", "2"], "from 0 to 1"),
        (&["publish", "topic-alias", "0"], "PUBLISH cannot be sent so: the topic alias is zero"),
        (&["publish", "response-topic", "a/#"], "PUBLISH cannot be sent so"),
        (&["publish", "content-type"], "-D given, but no VALUE after it"),
        (&["publish", "user-property", "name"], "-D given, but no VALUE after it"),
    ] {
        refused(Tool::Publish, &[&base[..], words].concat(), says);
    }
    let twice = ["-D", "publish", "content-type", "a", "-D", "publish", "content-type", "b"];
    refused(Tool::Publish, &[&["-t", "a", "-n"][..], &twice].concat(), "PUBLISH cannot be sent so");
}

#[test]
fn sessions_are_kept_for_as_long_as_is_said() {
    let expiry = |line: &str| publish(line).connect_properties.as_properties().session_expiry();
    assert_eq!(expiry("-t a -n -V 5"), None);
    assert_eq!(expiry("-t a -n -V 5 -c -i me"), Some(u32::MAX));
    assert_eq!(expiry("-t a -n -V 5 -x 60"), Some(60));
    assert_eq!(expiry("-t a -n -V 5 -x -1 -i me"), Some(u32::MAX));
    assert_eq!(expiry("-t a -n -V 5 -x \u{221e} -i me"), Some(u32::MAX));
    assert_eq!(expiry("-t a -n -V 5 -c -x 0"), None);
    assert!(!publish("-t a -n -c -i me").clean);
    refused(Tool::Publish, &["-t", "a", "-n", "-c"], "-c needs a client identifier (-i)");
    refused(Tool::Publish, &["-t", "a", "-n", "-V", "5", "-c"], "needs a client identifier (-i)");
    refused(Tool::Publish, &["-t", "a", "-n", "-c", "-I", "me"], "-c needs a client identifier (-i)");
}

#[test]
fn identifiers_are_made_where_they_are_needed() {
    let id = publish("-t a -n -I probe-").client_id.expect("an identifier");
    assert_eq!(id, format!("probe-{}", std::process::id()));
    let id = publish("-t a -n -V 31").client_id.expect("MQTT 3.1 needs one");
    assert!(id.starts_with("primer-") && id.len() <= 23, "{id}");
    refused(Tool::Publish, &["-t", "a", "-n", "-i", "x", "-I", "y"], "-i and -I do not go together");
}

#[test]
fn a_request_says_where_to_answer_and_to_what() {
    let options = options_of_rr("-t a -e b -m x");
    let properties = options.publish_properties.as_properties();
    assert_eq!(properties.response_topic(), Some("b"));
    assert_eq!(properties.correlation_data().map(<[u8]>::len), Some(16));
    let options = options_of_rr("-t a -e b -m x -D publish correlation-data mine -D publish response-topic c");
    let properties = options.publish_properties.as_properties();
    assert_eq!((properties.response_topic(), properties.correlation_data()), (Some("c"), Some(&b"mine"[..])));
    assert!(options_of_rr("-t a -e b -m x -V 311").publish_properties.is_empty());
    refused(Tool::Request, &["-t", "a", "-m", "x"], "a response topic (-e)");
}

#[test]
fn what_cannot_be_is_said_with_its_option() {
    for (tool, words, says) in [
        (Tool::Publish, &["--bogus"][..], "unknown option '--bogus'"),
        (Tool::Publish, &["--messag", "x"], "is it --message?"),
        (Tool::Publish, &["-C", "1"], "unknown option '-C': `primer pub` has it not"),
        (Tool::Subscribe, &["-m", "x"], "unknown option '-m': `primer sub` has it not"),
        (Tool::Publish, &["-dt", "a"], "options of one letter are words of their own"),
        (Tool::Publish, &["a/b"], "topics follow -t"),
        (Tool::Publish, &["-t"], "-t given, but no TOPIC after it"),
        (Tool::Publish, &["-t", "a/#", "-m", "x"], "-t \"a/#\": it "),
        (Tool::Subscribe, &["-t", "a/#/b"], "-t \"a/#/b\": it has a '#'"),
        (Tool::Publish, &["-t", "a", "-m", "x", "-n"], "only one of -f, -l, -m, -n and -s"),
        (Tool::Publish, &["-t", "a"], "what is to be published"),
        (Tool::Publish, &["-m", "a"], "a topic (-t)"),
        (Tool::Subscribe, &[], "a topic to subscribe to (-t) is missing"),
        (Tool::Publish, &["-q", "3"], "-q \"3\": it is a number from 0 to 2"),
        (Tool::Publish, &["-p", "0"], "-p \"0\": it is a number from 1 to 65535"),
        (Tool::Publish, &["-k", "4"], "from 5 to 65535, or 0"),
        (Tool::Publish, &["-V", "4"], "the versions are 31, 311 and 5"),
        (Tool::Publish, &["-x", "soon"], "-x \"soon\": it is a number from 0 to 4294967295"),
        (Tool::Subscribe, &["-W", "0"], "-W \"0\": it is a number from 1 to"),
        (Tool::Subscribe, &["-F", "%z"], "there is no field '%z'"),
        (Tool::Subscribe, &["-t", "a", "-R", "--retained-only"], "print nothing"),
        (Tool::Subscribe, &["--random-filter", "101"], "from 0.1 to 100.0"),
        (Tool::Subscribe, &["--retain-handling", "maybe"], "always, new or never"),
        (Tool::Publish, &["-A", "eth0"], "-A \"eth0\": it is no IP address"),
        (Tool::Publish, &["-S"], "DNS SRV records are not supported"),
        (Tool::Publish, &["--proxy", "http://p"], "http:// is no proxy that is known"),
        (Tool::Publish, &["--ws", "--ws-path", "mqtt"], "--ws-path \"mqtt\": it is a path as /mqtt"),
        (Tool::Publish, &["--ws", "--ws-path", "/a b"], "--ws-path \"/a b\": it is a path as /mqtt"),
        (Tool::Publish, &["-t", "a", "-n", "--ws-path", "/a"], "--ws-path is for WebSocket: say --ws"),
        (Tool::Publish, &["-t", "a", "-n", "-P", "pw"], "a password needs a user name: -u NAME, or -V 5"),
        (Tool::Subscribe, &["-V", "31", "-t", "a", "-P", "pw"], "a password needs a user name"),
        (Tool::Publish, &["--psk", "AB"], "pre-shared keys is not supported"),
        (Tool::Publish, &["--tls-engine", "pkcs11"], "engines are not supported"),
        (Tool::Publish, &["--tls-version", "tlsv1.1"], "TLS before 1.2"),
        (Tool::Publish, &["--keyform", "engine"], "read from PEM files"),
        (Tool::Publish, &["-t", "a", "-n", "--cert", "c"], "--cert and --key go together"),
        (Tool::Publish, &["-t", "a", "-n", "--cert", "c", "--key", "k"], "--cert is for TLS"),
        (Tool::Publish, &["-t", "a", "-l", "--repeat", "2"], "not for lines (-l)"),
    ] {
        refused(tool, words, says);
    }
}

#[test]
fn help_and_version_come_before_what_is_wrong_after_them() {
    assert!(matches!(asked(Tool::Publish, &["--help", "--bogus"]), Ok(Asked::Help)));
    assert!(matches!(asked(Tool::Subscribe, &["--version"]), Ok(Asked::Version)));
}

#[test]
fn a_file_of_options_comes_before_the_words() {
    let folder = Folder::new("file");
    let lines =
        "# the broker\n-h broker\r\n-p 1884\n\n-t from/the file\n-D publish user-property a b c\n--retain\n-q 1\n";
    let path = folder.write("options", lines);
    let options = options(Tool::Publish, &["-o", path.to_str().unwrap(), "-p", "1885", "-n"]);
    assert_eq!((options.server.host(), options.server.port()), ("broker", 1885));
    assert_eq!((&*options.topics, options.retain), (&["from/the file".to_owned()][..], true));
    let pairs: Vec<_> = options.publish_properties.as_properties().user_properties().collect();
    assert_eq!(pairs, [("a", "b c")]);
    let path = folder.write("wrong", "-h broker\n--nonsense\n");
    refused(Tool::Publish, &["-o", path.to_str().unwrap()], "wrong, line 2: unknown option '--nonsense'");
    refused(Tool::Publish, &["-o", "/no/such/file"], "-o /no/such/file: there is no such file");
    refused(Tool::Publish, &["-o"], "-o given, but no PATH after it");
}

#[test]
fn mosquittos_own_files_are_read_unless_there_is_one_of_primer() {
    let folder = Folder::new("home");
    let home = Home { xdg_config_home: Some(folder.0.clone()), home: None };
    let host = |home: &Home| match asked_at(Tool::Subscribe, &["-t", "a"], home) {
        Ok(Asked::Run(options)) => options.server.host().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(host(&home), "localhost");
    folder.write("mosquitto_pub", "-h not-ours");
    assert_eq!(host(&home), "localhost");
    folder.write("mosquitto_sub", "-h theirs");
    assert_eq!(host(&home), "theirs");
    folder.write("primer_sub", "-h ours");
    assert_eq!(host(&home), "ours");
    fs::create_dir_all(folder.0.join(".config")).unwrap();
    folder.write(".config/mosquitto_sub", "-h home");
    assert_eq!(host(&Home { xdg_config_home: None, home: Some(folder.0.clone()) }), "home");
}

#[test]
fn each_option_is_in_the_help_of_its_clients_and_known_to_clap() {
    for tool in crate::TOOLS {
        command(tool).debug_assert();
        let help = command(tool).render_help().to_string();
        for flag in table::FLAGS {
            let is_there = help.contains(&format!("--{}", flag.name));
            let written = flag.written();
            let is_known = table::find(tool, &written).is_some_and(|found| found.name == flag.name);
            assert!(is_there || !is_known, "{tool:?} {written}");
        }
        assert!(help.contains("Exit codes") && help.contains("Examples"), "{help}");
        assert_eq!(help.contains("What is published"), tool != Tool::Subscribe, "{help}");
    }
}

/// A switch that the parser knows, and that then does nothing, would be a lie.
#[test]
fn each_switch_changes_something() {
    let tools = crate::TOOLS;
    for flag in table::FLAGS.iter().filter(|flag| flag.values.is_empty()) {
        let tool = tools.into_iter().find(|tool| table::find(*tool, &flag.written()).is_some()).expect("its client");
        let mut options = Options::new(tool);
        let before = format!("{options:?}");
        let is_refused = options.switch(flag.name).is_err();
        let is_passive = ["nodelay", "help", "version"].contains(&flag.name);
        assert!(is_passive || is_refused || format!("{options:?}") != before, "{}", flag.name);
    }
}
