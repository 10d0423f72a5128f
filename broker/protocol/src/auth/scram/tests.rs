//! The example of RFC 7677, whole exchanges, and every way to break one.

use core::cell::Cell;

use proptest::prelude::*;

use super::message::{encode, escape};
use super::*;

const SALT: &[u8] = b"sixteen bytes ok";
const DECOY: Decoy = Decoy { secret: [7; KEY_BYTES], iterations: ITERATIONS_MIN };

/// RFC 7677, 3.
mod example {
    pub(super) const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    pub(super) const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    pub(super) const SALT: &[u8] = b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
    pub(super) const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    pub(super) const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    pub(super) const CLIENT_FINAL: &str =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    pub(super) const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
}

fn example_server() -> ScramServer {
    ScramServer::with_nonce(example::SERVER_NONCE.to_owned(), DECOY)
}

fn example_client() -> ScramClient {
    ScramClient::with_nonce("user", b"pencil", example::CLIENT_NONCE.to_owned())
}

fn pencil(username: &str) -> Option<Credentials> {
    (username == "user").then(|| Credentials::derive(b"pencil", example::SALT, 4096).unwrap())
}

fn text(step: ServerStep) -> String {
    match step {
        ServerStep::Continue(message) => String::from_utf8(message).unwrap(),
        ServerStep::Done { .. } => panic!("done"),
    }
}

/// A server that has sent its first message of the example.
fn asked() -> ScramServer {
    let mut server = example_server();
    server.step(example::CLIENT_FIRST.as_bytes(), pencil).unwrap();
    server
}

#[test]
fn the_example_of_rfc_7677() {
    let (mut client, mut server) = (example_client(), example_server());
    assert_eq!(client.first(), example::CLIENT_FIRST.as_bytes());
    assert_eq!(server.username(), None);
    assert_eq!(text(server.step(example::CLIENT_FIRST.as_bytes(), pencil).unwrap()), example::SERVER_FIRST);
    assert_eq!(server.username(), Some("user"));
    let last = client.step(example::SERVER_FIRST.as_bytes()).unwrap();
    assert_eq!(last, ClientStep::Continue(example::CLIENT_FINAL.into()));
    let done = server.step(example::CLIENT_FINAL.as_bytes(), |_| panic!("looks up once")).unwrap();
    assert_eq!(done, ServerStep::Done { username: "user".to_owned(), server_final: example::SERVER_FINAL.into() });
    assert_eq!(client.step(example::SERVER_FINAL.as_bytes()), Ok(ClientStep::Done));
    assert_eq!(server.step(example::CLIENT_FINAL.as_bytes(), pencil), Err(ScramError::Order));
    assert_eq!(client.step(example::SERVER_FINAL.as_bytes()), Err(ScramError::Order));
}

/// Runs an exchange between a client and a server that knows one user; the server's verdict and the client's.
fn exchange(user: (&str, &[u8]), login: (&str, &[u8])) -> Result<(String, Result<ClientStep, ScramError>), ScramError> {
    let credentials = Credentials::derive(user.1, SALT, ITERATIONS_MIN).unwrap();
    let mut client = ScramClient::new(login.0, login.1, [1; NONCE_BYTES]);
    let mut server = ScramServer::new([2; NONCE_BYTES], DECOY);
    let ask = text(server.step(&client.first(), |name| (name == user.0).then(|| credentials.clone()))?);
    let ClientStep::Continue(proof) = client.step(ask.as_bytes())? else { panic!("done early") };
    match server.step(&proof, |_| None)? {
        ServerStep::Done { username, server_final } => Ok((username, client.step(&server_final))),
        ServerStep::Continue(_) => panic!("goes on"),
    }
}

#[test]
fn names_and_passwords_of_any_text_agree() {
    for name in ["user", "a,b=c", "=2C", "=", ",", "é", "名前", "x y"] {
        for password in ["", "pencil", "пароль", ",=,"] {
            let user = (name, password.as_bytes());
            assert_eq!(exchange(user, user), Ok((name.to_owned(), Ok(ClientStep::Done))), "{name}");
        }
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_fail_alike() {
    let user = ("user", b"pencil".as_slice());
    assert_eq!(exchange(user, ("user", b"pen")), Err(ScramError::Proof));
    assert_eq!(exchange(user, ("nobody", b"pencil")), Err(ScramError::Proof));
    assert_eq!(exchange(user, ("User", b"pencil")), Err(ScramError::Proof));
}

#[test]
fn an_unknown_user_has_a_salt_that_stays_and_looks_like_others() {
    let ask = |name: &str, decoy: Decoy| {
        let mut server = ScramServer::with_nonce(example::SERVER_NONCE.to_owned(), decoy);
        text(server.step(format!("n,,n={name},r=x").as_bytes(), pencil).unwrap())
    };
    let known = ask("user", DECOY);
    let unknown = ask("nobody", DECOY);
    assert_eq!(known.len(), unknown.len());
    assert_eq!(known.split(",s=").next(), unknown.split(",s=").next());
    assert!(unknown.ends_with(",i=4096"));
    assert_eq!(unknown, ask("nobody", DECOY));
    assert_ne!(unknown, ask("nobody2", DECOY));
    assert_ne!(unknown, ask("nobody", Decoy { secret: [8; KEY_BYTES], ..DECOY }));
}

#[test]
fn a_first_message_is_checked() {
    use ScramError::{Authzid, ChannelBinding, Extension, Malformed, TooLong};
    let long = format!("n,,n={},r=x", "u".repeat(MESSAGE_BYTES_MAX));
    for (message, error) in [
        ("p=tls-unique,,n=user,r=x", ChannelBinding),
        ("p=,,n=user,r=x", ChannelBinding),
        ("n,,m=ext,n=user,r=x", Extension),
        ("n,,n=user,r=x,m=ext", Extension),
        ("n,a=other,n=user,r=x", Authzid),
        ("n,a=,n=user,r=x", Malformed),
        ("n,b=user,n=user,r=x", Malformed),
        ("x,,n=user,r=x", Malformed),
        ("N,,n=user,r=x", Malformed),
        ("n,n=user,r=x", Malformed),
        ("n,,r=x,n=user", Malformed),
        ("n,,n=,r=x", Malformed),
        ("n,,n=user", Malformed),
        ("n,,n=user,r=", Malformed),
        ("n,,n=user,r=a b", Malformed),
        ("n,,n=user,r=é", Malformed),
        ("n,,n=us=er,r=x", Malformed),
        ("n,,n=user=,r=x", Malformed),
        ("n,,n==2c,r=x", Malformed),
        ("n,,n=us\0er,r=x", Malformed),
        ("n,,n=user,r=x,", Malformed),
        ("n,,n=user,r=x,y", Malformed),
        ("n,,n=user,r=x,y=", Malformed),
        ("n,,n=user,r=x,yy=1", Malformed),
        ("n,,n=user,r=x,1=1", Malformed),
        ("", Malformed),
        (",", Malformed),
        ("n,,", Malformed),
        (&long, TooLong),
    ] {
        let mut server = example_server();
        assert_eq!(server.step(message.as_bytes(), pencil), Err(error), "{message}");
        assert_eq!(server.step(example::CLIENT_FIRST.as_bytes(), pencil), Err(ScramError::Order), "{message}");
    }
    assert_eq!(example_server().step(b"n,,n=\xff,r=x", pencil), Err(Malformed));
    for good in ["y,,n=user,r=x", "n,a=user,n=user,r=x", "n,a=a=2C,n=a=2C,r=x", "n,,n=user,r=x,y=1,z=a=b"] {
        assert!(example_server().step(good.as_bytes(), pencil).is_ok(), "{good}");
    }
}

#[test]
fn a_final_message_is_checked() {
    use ScramError::{ChannelBinding, Extension, Malformed, Nonce, Proof, TooLong};
    let good = example::CLIENT_FINAL;
    let long = format!("c=biws,r={},p=AAAA", "x".repeat(MESSAGE_BYTES_MAX));
    for (message, error) in [
        (good.replace("c=biws", "c=eSws"), ChannelBinding),
        (good.replace("c=biws", "c="), ChannelBinding),
        (good.replace("c=biws", "c=biw"), Malformed),
        (good.replace("c=biws", "c=bi ws"), Malformed),
        (good.replace("c=biws,", ""), Malformed),
        (good.replace("c=biws,", "m=x,c=biws,"), Extension),
        (good.replace(",p=", ",m=x,p="), Extension),
        (good.replace("k0,p=", "k1,p="), Nonce),
        (good.replace("k0,p=", "k0x,p="), Nonce),
        (good.replace(example::SERVER_NONCE, ""), Nonce),
        (good.replace("p=dHz", "p=eHz"), Proof),
        (good.replace(",p=", ",x=1,p="), Proof), // what is signed has changed
        (good.replace("VQ=", "VR="), Malformed), // bits after the end
        (good.replace("VQ=", "VQ"), Malformed),
        (good.replace("VQ=", "VQ=="), Malformed),
        (good.replace("p=dHzb", "p="), Malformed), // a short proof
        (good.replace("p=", "q="), Malformed),
        (format!("{good},x=1"), Malformed), // the proof is last
        ("c=biws,r=x,p=".to_owned(), Nonce),
        (String::new(), Malformed),
        (long, TooLong),
    ] {
        assert_ne!(message, good);
        let mut server = asked();
        assert_eq!(server.step(message.as_bytes(), pencil), Err(error), "{message}");
        assert_eq!(server.step(good.as_bytes(), pencil), Err(ScramError::Order), "{message}");
    }
    assert!(asked().step(good.as_bytes(), pencil).is_ok());
}

/// A `y` that becomes an `n` on the way is a downgrade, and is seen.
#[test]
fn the_header_is_bound() {
    let mut server = example_server();
    server.step(example::CLIENT_FIRST.replacen('n', "y", 1).as_bytes(), pencil).unwrap();
    assert_eq!(server.step(example::CLIENT_FINAL.as_bytes(), pencil), Err(ScramError::ChannelBinding));
}

#[test]
fn a_client_checks_the_server() {
    use ScramError::{Extension, Iterations, Malformed, Nonce, Refused, Salt, ServerSignature};
    let first = example::SERVER_FIRST;
    for (message, error) in [
        (first.replace(example::CLIENT_NONCE, "other"), Nonce),
        (first.replace(example::SERVER_NONCE, ""), Nonce),
        (first.replace("i=4096", "i=4095"), Iterations),
        (first.replace("i=4096", "i=2000001"), Iterations),
        (first.replace("i=4096", "i=99999999999"), Iterations),
        (first.replace("i=4096", "i=+4096"), Malformed),
        (first.replace("i=4096", "i=04096"), Malformed),
        (first.replace("i=4096", "i="), Malformed),
        (first.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22Z"), Salt),
        (first.replace("W22ZaJ0SNY7soEsUEjb6gQ==", &encode(&[0; SALT_BYTES_MAX + 1])), Salt),
        (first.replace("gQ==", "gQ"), Malformed),
        (format!("m=x,{first}"), Extension),
        ("e=unknown-user".to_owned(), Malformed),
    ] {
        let mut client = example_client();
        client.first();
        assert_eq!(client.step(message.as_bytes()), Err(error), "{message}");
    }
    for (message, error) in [
        (example::SERVER_FINAL.replace("v=6", "v=7"), ServerSignature),
        ("v=".to_owned(), ServerSignature),
        ("v=AAAA".to_owned(), ServerSignature),
        ("e=invalid-proof".to_owned(), Refused),
        ("x=1".to_owned(), Malformed),
    ] {
        let mut client = example_client();
        client.first();
        client.step(first.as_bytes()).unwrap();
        assert_eq!(client.step(message.as_bytes()), Err(error), "{message}");
        assert_eq!(client.step(example::SERVER_FINAL.as_bytes()), Err(ScramError::Order));
    }
    assert_eq!(example_client().step(first.as_bytes()), Err(ScramError::Order));
}

#[test]
fn credentials_are_bounded_and_verify() {
    let derive = |salt: usize, iterations| Credentials::derive(b"x", &vec![0; salt], iterations).map(|_| ());
    assert_eq!(derive(SALT_BYTES_MIN, ITERATIONS_MIN), Ok(()));
    assert_eq!(derive(SALT_BYTES_MIN - 1, ITERATIONS_MIN), Err(ScramError::Salt));
    assert_eq!(derive(SALT_BYTES_MAX + 1, ITERATIONS_MIN), Err(ScramError::Salt));
    assert_eq!(derive(SALT_BYTES, ITERATIONS_MIN - 1), Err(ScramError::Iterations));
    assert_eq!(derive(SALT_BYTES, ITERATIONS_MAX + 1), Err(ScramError::Iterations));
    let credentials = pencil("user").unwrap();
    assert!(credentials.verify(b"pencil"));
    assert!(!credentials.verify(b"pencil ") && !credentials.verify(b""));
}

#[test]
fn secrets_are_not_shown() {
    let mut client = example_client();
    client.first();
    let shown = format!("{:?} {:?} {:?} {client:?}", pencil("user").unwrap(), DECOY, asked());
    assert_eq!(
        shown,
        "Credentials { iterations: 4096, .. } Decoy { iterations: 4096, .. } \
         ScramServer { username: Some(\"user\"), .. } ScramClient { username: \"user\", .. }"
    );
}

/// Text near the grammar, and bytes far from it.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "([nypacrsivem]=?|,|=2C|=3D|biws|[a-z0-9+/=]{1,5}|4096|é){0,12}".prop_map(String::into_bytes),
    ]
}

/// A message with one byte replaced, taken out or put in.
fn damaged(good: &'static str) -> impl Strategy<Value = Vec<u8>> {
    (any::<prop::sample::Index>(), any::<u8>(), 0..3).prop_map(move |(at, byte, how)| {
        let mut bytes = good.as_bytes().to_vec();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, byte),
        }
        bytes
    })
}

thread_local!(static DERIVED: Cell<Option<Credentials>> = const { Cell::new(None) });

/// As [`pencil`], derived once a thread: it takes long without optimisation.
fn cached(_: &str) -> Option<Credentials> {
    let credentials = DERIVED.take().or_else(|| pencil("user"));
    DERIVED.set(credentials.clone());
    credentials
}

proptest! {
    #[test]
    fn no_message_panics(first in message(), last in message()) {
        let mut server = example_server();
        let _ = server.step(&first, cached);
        let _ = server.step(&last, cached);
        let mut server = example_server();
        server.step(example::CLIENT_FIRST.as_bytes(), cached).unwrap();
        prop_assert!(server.step(&last, cached).is_err());
        let mut client = example_client();
        client.first();
        let _ = client.step(&first);
        prop_assert!(client.step(&last).is_err());
    }

    #[test]
    fn a_damaged_proof_fails(last in damaged(example::CLIENT_FINAL)) {
        prop_assume!(last != example::CLIENT_FINAL.as_bytes());
        let mut server = example_server();
        server.step(example::CLIENT_FIRST.as_bytes(), cached).unwrap();
        prop_assert!(server.step(&last, cached).is_err());
    }

    #[test]
    fn a_damaged_first_message_fails_in_the_end(first in damaged(example::CLIENT_FIRST)) {
        prop_assume!(first != example::CLIENT_FIRST.as_bytes());
        let mut server = example_server();
        if server.step(&first, cached).is_ok() {
            prop_assert!(server.step(example::CLIENT_FINAL.as_bytes(), cached).is_err());
        }
    }

    #[test]
    fn names_come_back(name in "[=,2C3Da-cé]{1,12}") {
        let mut server = example_server();
        server.step(format!("n,,n={},r=x", escape(&name)).as_bytes(), |_| None).unwrap();
        prop_assert_eq!(server.username(), Some(&*name));
    }
}
