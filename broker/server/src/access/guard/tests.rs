//! Who gets in, what a reload changes, and which topics are whose.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use primer_devices::passwords::{Hash, Kind};

use super::*;

const HERE: &str = "127.0.0.1:1";
const AWAY: &str = "192.0.2.7:1";

/// A folder that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("primer-guard-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _it_is_in_the_systems_own = std::fs::remove_dir_all(&self.0);
    }
}

fn line(user: &str, password: &str) -> String {
    let hash = Hash::new(Kind::Pbkdf2 { iterations: 2 }, password.as_bytes(), b"0123456789ab").unwrap();
    format!("{user}:{hash}\n")
}

fn credentials(password: &str) -> Credentials {
    Credentials::derive(password.as_bytes(), b"0123456789abcdef", 4096).unwrap()
}

fn attempt<'a>(username: Option<&'a str>, password: Option<&'a str>) -> Attempt<'a> {
    Attempt {
        client_id: "c",
        username,
        password: password.map(str::as_bytes),
        peer: SocketAddr::from(([192, 0, 2, 7], 1)),
        listener: "local",
        is_certified: false,
        allow_anonymous: None,
    }
}

fn identity(username: Option<&str>, peer: &str) -> Identity {
    let peer: SocketAddr = peer.parse().unwrap();
    let (standing, is_local) = (Standing::Proven, crate::access::is_loopback(peer));
    let (client_id, username) = ("c".into(), username.map(Into::into));
    Identity { client_id, username, peer, standing, is_local, is_certified: false, allow_anonymous: None }
}

fn may_publish(guard: &Guard, identity: &Identity, topic: &str) -> bool {
    guard.may_publish(identity, topic, QoS::AtLeastOnce, false)
}

const BAD: Result<Standing, ReasonCode> = Err(ReasonCode::BAD_USER_NAME_OR_PASSWORD);
const NOT: Result<Standing, ReasonCode> = Err(ReasonCode::NOT_AUTHORIZED);

#[test]
fn users_of_the_file_and_of_the_list_are_let_in() {
    let place = Place::new();
    let password_file = Some(place.file("passwords", &(line("alice", "secret") + &line("both", "file"))));
    let users = vec![("bob".to_owned(), credentials("bobs")), ("both".to_owned(), credentials("list"))];
    let guard = Guard::load(AccessOptions { password_file, users, ..AccessOptions::default() }).unwrap();
    let enter = |name, password| guard.authenticate(&attempt(Some(name), Some(password)));
    assert_eq!(enter("alice", "secret"), Ok(Standing::Proven));
    assert_eq!(enter("bob", "bobs"), Ok(Standing::Proven));
    assert_eq!(enter("both", "list"), Ok(Standing::Proven));
    for (name, password) in
        [("alice", "bobs"), ("bob", "secret"), ("both", "file"), ("carol", "secret"), ("", "secret"), ("alice", "")]
    {
        assert_eq!(enter(name, password), BAD, "{name} {password}");
    }
    assert_eq!(guard.authenticate(&attempt(Some("alice"), None)), BAD, "without a password");
    assert_eq!(guard.authenticate(&attempt(None, Some("secret"))), NOT, "without a name");
    assert!(guard.is_slow() && guard.offers_scram());
    assert!(guard.credentials("bob").is_some() && guard.credentials("alice").is_none());
}

#[test]
fn who_has_no_name_is_let_in_where_that_is_allowed_and_the_listener_decides() {
    let place = Place::new();
    let password_file = Some(place.file("passwords", &line("alice", "secret")));
    for allow_anonymous in [false, true] {
        let password_file = password_file.clone();
        let options = AccessOptions { allow_anonymous, password_file, ..AccessOptions::default() };
        let guard = Guard::load(options).unwrap();
        for (listener, wanted) in [(None, allow_anonymous), (Some(true), true), (Some(false), false)] {
            let attempt = Attempt { allow_anonymous: listener, ..attempt(None, None) };
            assert_eq!(guard.authenticate(&attempt).is_ok(), wanted, "{allow_anonymous} {listener:?}");
        }
        assert_eq!(guard.authenticate(&attempt(Some("mallory"), Some("x"))), BAD, "a name is checked all the same");
    }
}

#[test]
fn a_name_that_nobody_can_check_is_worth_as_much_as_none() {
    let guard = |allow_anonymous| Guard::load(AccessOptions { allow_anonymous, ..AccessOptions::default() }).unwrap();
    assert_eq!(guard(true).authenticate(&attempt(Some("alice"), Some("x"))), Ok(Standing::Claimed));
    assert_eq!(guard(false).authenticate(&attempt(Some("alice"), Some("x"))), NOT);
    assert!(!guard(true).is_slow() && !guard(true).offers_scram());
    // Rights that are a user's are nobody's who only says to be that user.
    let place = Place::new();
    let acl_file = Some(place.file("acl", "topic read a\nuser alice\ntopic write b\npattern read c/%u\n"));
    let guard = Guard::load(AccessOptions { allow_anonymous: true, acl_file, ..AccessOptions::default() }).unwrap();
    let alice = identity(Some("alice"), HERE);
    let rights = |identity: &Identity| {
        let writes = guard.may_publish(identity, "b", QoS::AtMostOnce, false);
        (guard.may_read(identity, "a"), writes, guard.may_read(identity, "c/alice"))
    };
    assert_eq!(rights(&alice), (false, true, true));
    assert_eq!(rights(&Identity { standing: Standing::Claimed, ..alice }), (true, false, false));
}

#[test]
fn a_certificate_stands_for_a_password_and_not_for_a_name() {
    let place = Place::new();
    let password_file = Some(place.file("passwords", &line("alice", "secret")));
    let guard = Guard::load(AccessOptions { password_file, ..AccessOptions::default() }).unwrap();
    let certified = |username| Attempt { is_certified: true, ..attempt(username, None) };
    assert_eq!(guard.authenticate(&certified(Some("device-7"))), Ok(Standing::Proven));
    assert_eq!(guard.authenticate(&certified(None)), NOT);
}

/// An error with its causes, as the log shows it.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_line() {
    let place = Place::new();
    let passwords = place.file("passwords", &(line("alice", "secret") + "bob:plain\n"));
    let rules = place.file("acl", "topic a\ntopic b\ntopic what is this\n");
    let load = |password_file: Option<&PathBuf>, acl_file: Option<&PathBuf>| {
        let (password_file, acl_file) = (password_file.cloned(), acl_file.cloned());
        let options = AccessOptions { password_file, acl_file, ..AccessOptions::default() };
        whole(&Guard::load(options).unwrap_err())
    };
    let error = load(Some(&passwords), None);
    for word in ["the password file ", "/passwords: line 2: ", "`bob` is not hashed", "primer passwd -U"] {
        assert!(error.contains(word), "no {word:?} in {error}");
    }
    let error = load(None, Some(&rules));
    for word in ["the ACL file ", "/acl: line 3: `topic what is this`", "`what` is no access"] {
        assert!(error.contains(word), "no {word:?} in {error}");
    }
    let error = load(Some(&place.0.join("nowhere")), None);
    assert!(error.contains("/nowhere: No such file"), "{error}");
}

#[test]
fn a_reload_changes_all_or_nothing() {
    let place = Place::new();
    let (passwords, rules) = (place.file("passwords", &line("alice", "secret")), place.file("acl", "topic a\n"));
    let options = AccessOptions {
        password_file: Some(passwords.clone()),
        acl_file: Some(rules.clone()),
        ..AccessOptions::default()
    };
    let guard = Guard::load(options.clone()).unwrap();
    let other = guard.clone();
    let nobody = identity(None, HERE);
    let says = |guard: &Guard| {
        let enters = |name, password| guard.authenticate(&attempt(Some(name), Some(password))).is_ok();
        (enters("alice", "secret"), enters("bob", "bobs"), guard.may_read(&nobody, "a"), guard.may_read(&nobody, "b"))
    };
    assert_eq!(says(&guard), (true, false, true, false));
    place.file("passwords", &line("bob", "bobs"));
    place.file("acl", "topic b\ntpoic c\n");
    assert!(whole(&guard.reload().unwrap_err()).contains("line 2"));
    assert_eq!(says(&guard), (true, false, true, false), "the password file was fine, and waits for the other");
    place.file("acl", "topic b\n");
    let loaded = guard.reload().unwrap();
    assert_eq!(loaded, Loaded { users: Some(1), rules: Some(1) });
    assert_eq!(loaded.to_string(), "1 users, 1 rules");
    assert_eq!(says(&other), (false, true, false, true), "its clones are the same guard");
    std::fs::remove_file(&rules).unwrap();
    assert!(guard.reload().is_err(), "a file that is gone allows nothing new");
    assert_eq!(says(&guard), (false, true, false, true));
    let loaded = guard.reload_with(AccessOptions { acl_file: None, ..options }).unwrap();
    assert_eq!(loaded.to_string(), "1 users, no ACL file");
    assert_eq!(says(&guard), (false, true, true, true));
    assert!(!guard.restricts_reading() && guard.reload().is_ok());
}

/// mosquitto does so as well: a user who is removed because a device was stolen must not stay for as long as he likes.
#[test]
fn who_would_not_be_let_in_any_more_may_not_stay() {
    let place = Place::new();
    let file = |text: &str| Some(place.file("passwords", text));
    let listed = |users: &[(&str, &str)]| {
        users.iter().map(|(name, password)| ((*name).to_owned(), credentials(password))).collect::<Vec<_>>()
    };
    let options = AccessOptions {
        allow_anonymous: true,
        password_file: file(&format!("{}{}", line("alice", "secret"), line("bob", "bobs"))),
        users: listed(&[("carol", "carols"), ("dave", "daves")]),
        ..AccessOptions::default()
    };
    let guard = Guard::load(options.clone()).unwrap();
    let proven = |name| guard.may_stay(&identity(Some(name), AWAY));
    let all = || ["alice", "bob", "carol", "dave"].map(proven);
    assert_eq!(all(), [true; 4]);
    guard.reload().unwrap();
    assert_eq!(all(), [true; 4], "nothing has changed");

    file(&format!("{}{}", line("alice", "other"), line("carol", "carols")));
    guard.reload_with(AccessOptions { users: listed(&[("dave", "other")]), ..options.clone() }).unwrap();
    assert_eq!(all(), [true, false, true, true], "only bob is nowhere any more");
    file("");
    guard.reload_with(AccessOptions { users: Vec::new(), ..options.clone() }).unwrap();
    assert_eq!(all(), [false; 4], "nobody is left");
    let certified = Identity { is_certified: true, ..identity(Some("alice"), AWAY) };
    assert!(guard.may_stay(&certified), "the listener has seen a certificate, and needs no password");
}

#[test]
fn guests_may_stay_while_guests_are_let_in() {
    let place = Place::new();
    let guard = Guard::load(AccessOptions { allow_anonymous: true, ..AccessOptions::default() }).unwrap();
    let guest = |name, allow_anonymous| {
        let identity = identity(name, AWAY);
        guard.may_stay(&Identity { standing: Standing::Claimed, allow_anonymous, ..identity })
    };
    assert!(guest(None, None) && guest(Some("alice"), None));
    guard.reload_with(AccessOptions::default()).unwrap();
    assert_eq!((guest(None, None), guest(None, Some(true)), guest(None, Some(false))), (false, true, false));
    let password_file = Some(place.file("passwords", &line("alice", "secret")));
    guard.reload_with(AccessOptions { allow_anonymous: true, password_file, ..AccessOptions::default() }).unwrap();
    assert!(guest(None, None));
    assert!(!guest(Some("alice"), None), "there are passwords now, and nobody has proved this name");
}

#[test]
fn without_an_acl_the_brokers_own_topics_are_protected_all_the_same() {
    let guard = Guard::load(AccessOptions::default()).unwrap();
    let (here, away) = (identity(None, HERE), identity(None, AWAY));
    for identity in [&here, &away] {
        assert!(may_publish(&guard, identity, "a") && may_publish(&guard, identity, "$queue/jobs"));
        assert!(!may_publish(&guard, identity, "$SYS/x") && !may_publish(&guard, identity, "$SYS"));
        assert!(guard.may_read(identity, "$SYS/x") && guard.may_subscribe(identity, "#") == Reading::All);
    }
    assert!(may_publish(&guard, &here, "$CONTROL/queue/v1") && !may_publish(&guard, &away, "$CONTROL/queue/v1"));
    assert!(!guard.restricts_reading());
}

#[test]
fn with_an_acl_they_need_rules_and_nobody_writes_sys() {
    let place = Place::new();
    let acl_file = |text: &str| AccessOptions { acl_file: Some(place.file("acl", text)), ..AccessOptions::default() };
    let (here, away) = (identity(None, HERE), identity(None, AWAY));
    let guard = Guard::load(acl_file("topic #\n")).unwrap();
    for topic in ["$SYS/x", "$CONTROL/queue/v1", "$queue/jobs", "$dead/jobs", "$queue/$dead/jobs", "$reply/x"] {
        assert!(!may_publish(&guard, &here, topic), "{topic}");
    }
    let guard = Guard::load(acl_file("topic $SYS/#\ntopic write $CONTROL/queue/v1\ntopic $queue/#\n")).unwrap();
    assert!(!may_publish(&guard, &here, "$SYS/x") && guard.may_read(&here, "$SYS/x"));
    assert!(may_publish(&guard, &away, "$CONTROL/queue/v1"), "a rule is a rule, wherever its client is");
    assert!(may_publish(&guard, &here, "$queue/jobs"));
    assert!(!may_publish(&guard, &here, "$queue/$dead/jobs"), "these are the dead letters, under another name");
    let guard = Guard::load(acl_file("topic $dead/#\n")).unwrap();
    assert!(may_publish(&guard, &here, "$queue/$dead/jobs"));
}

/// The warning is for people; what it goes by is held here.
#[test]
fn a_password_file_that_anybody_can_read_is_noticed() {
    let place = Place::new();
    let path = place.file("passwords", "");
    for (mode, wanted) in [(0o644, true), (0o604, true), (0o640, false), (0o600, false)] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(read(&path).unwrap().1, wanted, "{mode:o}");
    }
}
