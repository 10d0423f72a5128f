//! TLS against a server of the test's own, with certificates made here.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ConfigBuilder, ServerConfig,
    client::danger::ServerCertVerifier,
    pki_types::UnixTime,
    server::{WantsServerCert, WebPkiClientVerifier},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::link::open;

/// An authority, a server with a certificate of it, and a client with another.
struct Rig {
    folder: PathBuf,
    server: Server,
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A server whose certificate is for `name`; it says "hi" to whoever it lets in.
async fn rig(test: &str, name: &str, wants_client: bool) -> Rig {
    let folder = std::env::temp_dir().join(format!("primer-client-tls-{}-{test}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let make = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &authority).unwrap(), key)
    };
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let (cert, key) = make("client");
    fs::write(folder.join("client.pem"), cert.pem()).unwrap();
    fs::write(folder.join("client.key"), key.serialize_pem()).unwrap();
    let (cert, key) = make(name);
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.unwrap().with_client_cert_verifier(verifier)
    } else {
        builder.unwrap().with_no_client_auth()
    };
    let port = Some(serve(builder, &cert, &key).await);
    let tls = Tls { cafile: Some(folder.join("ca.pem")), ..Tls::default() };
    let server = Server { host: Some("localhost".to_owned()), port, tls, ..Server::default() };
    Rig { folder, server }
}

/// Serves with this certificate, and gives the port.
async fn serve(builder: ConfigBuilder<ServerConfig, WantsServerCert>, cert: &Certificate, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.write_all(b"hi").await;
                    let _ = stream.shutdown().await;
                }
            });
        }
    });
    port
}

/// A server with a certificate that it has signed itself.
async fn alone(test: &str, change: impl FnOnce(&mut CertificateParams)) -> Rig {
    let folder = std::env::temp_dir().join(format!("primer-client-tls-{}-{test}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    fs::write(folder.join("server.pem"), cert.pem()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let port = Some(serve(builder, &cert, &key).await);
    let tls = Tls { cafile: Some(folder.join("server.pem")), ..Tls::default() };
    let server = Server { host: Some("localhost".to_owned()), port, tls, ..Server::default() };
    Rig { folder, server }
}

/// What the server says, or why there is no connection.
async fn greet(server: &Server) -> Result<String, String> {
    let config = config(server).map_err(|error| error.to_string())?;
    let mut link = open(server, config.as_ref()).await.map_err(|error| error.to_string())?;
    let mut text = String::new();
    link.read_to_string(&mut text).await.map_err(|error| crate::link::reason(&error))?;
    Ok(text)
}

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_connected_to() {
    let mut rig = rig("trusted", "localhost", false).await;
    assert_eq!(greet(&rig.server).await.as_deref(), Ok("hi"));
    rig.server.tls.version = Some(12);
    rig.server.tls.ciphers = Some("ECDHE-ECDSA-AES256-GCM-SHA384".to_owned());
    assert_eq!(greet(&rig.server).await.as_deref(), Ok("hi"));
    rig.server.tls.cafile = None;
    rig.server.tls.capath = Some(rig.folder.clone());
    assert_eq!(greet(&rig.server).await.as_deref(), Ok("hi"));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_insecure_accepts_it() {
    let mut rig = rig("name", "elsewhere.example", false).await;
    let why = greet(&rig.server).await.expect_err("another name");
    assert!(why.contains("not for the name \"localhost\"") && why.contains("--insecure"), "{why}");
    rig.server.tls.insecure = true;
    assert_eq!(greet(&rig.server).await.as_deref(), Ok("hi"));
}

#[tokio::test]
async fn insecure_still_wants_a_trusted_authority() {
    let mut rig = rig("authority", "localhost", false).await;
    let other = self::rig("other-authority", "localhost", false).await;
    rig.server.tls.cafile = Some(other.folder.join("ca.pem"));
    for insecure in [false, true] {
        rig.server.tls.insecure = insecure;
        let why = greet(&rig.server).await.expect_err("another authority");
        assert!(why.contains("name that with --cafile"), "{insecure}: {why}");
    }
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let mut rig = rig("client", "localhost", true).await;
    let why = greet(&rig.server).await.expect_err("no certificate");
    assert_eq!(why, "the broker wants a client certificate: --cert and --key");
    rig.server.tls.cert = Some(rig.folder.join("client.pem"));
    rig.server.tls.key = Some(rig.folder.join("client.key"));
    assert_eq!(greet(&rig.server).await.as_deref(), Ok("hi"));
}

#[tokio::test]
async fn a_client_of_another_authority_is_told_so() {
    let mut rig = rig("stranger", "localhost", true).await;
    let other = self::rig("other-stranger", "localhost", true).await;
    rig.server.tls.cert = Some(other.folder.join("client.pem"));
    rig.server.tls.key = Some(other.folder.join("client.key"));
    let why = greet(&rig.server).await.expect_err("another authority");
    assert!(why.contains("the client certificate (--cert): it is of another authority of the same name"), "{why}");
}

#[tokio::test]
async fn a_self_signed_certificate_of_the_cafile_is_taken() {
    let mut rig = alone("alone", |_| ()).await;
    assert_eq!(greet(&rig.server).await.as_deref(), Ok("hi"));
    rig.server.host = Some("127.0.0.1".to_owned());
    let why = greet(&rig.server).await.expect_err("another name");
    assert!(why.contains("the broker's certificate is not for the name \"127.0.0.1\""), "{why}");
    rig.server.tls.insecure = true;
    assert_eq!(greet(&rig.server).await.as_deref(), Ok("hi"));
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_not_in_the_cafile_is_refused() {
    let (mut rig, other) = (alone("unknown", |_| ()).await, alone("known", |_| ()).await);
    rig.server.tls.cafile = Some(other.folder.join("server.pem"));
    for insecure in [false, true] {
        rig.server.tls.insecure = insecure;
        let why = greet(&rig.server).await.expect_err("another certificate of the same name");
        assert!(
            why.contains("is an authority's certificate (CA:TRUE) used as a server's: make it with -addext"),
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_self_signed_certificate_has_to_be_in_time() {
    let past = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let why = greet(&alone("past", past).await.server).await.expect_err("in the past");
    assert!(why.ends_with("the broker's certificate has expired"), "{why}");
    let future = |params: &mut CertificateParams| params.not_before = rcgen::date_time_ymd(4000, 1, 1);
    let why = greet(&alone("future", future).await.server).await.expect_err("in the future");
    assert!(why.contains("the broker's certificate is not valid yet"), "{why}");
}

#[tokio::test]
async fn a_certificate_without_names_is_told_from_one_with_others() {
    let mut rig = alone("nameless", |params| params.subject_alt_names.clear()).await;
    let why = greet(&rig.server).await.expect_err("no names");
    assert!(why.contains("has no subjectAltName") && why.contains("-addext subjectAltName=DNS:localhost"), "{why}");
    rig.server.host = Some("127.0.0.1".to_owned());
    let why = greet(&rig.server).await.expect_err("no names");
    assert!(why.contains("-addext subjectAltName=IP:127.0.0.1"), "{why}");
}

/// As `openssl x509 -req` without `-extfile` makes one.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBJDCBywIUPmTfshhVSe+JX9lMjEmZjFUP+YUwCgYIKoZIzj0EAwIwFDESMBAG\n\
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTAyMjYwOVoYDzIxMjYxMTA1MDIyNjA5\n\
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n\
AAR1DUJDsk0Lkdouov41OMYAe3iZ5esbZ4ZnMnAz8d+WUL4nCzFmFgUFn/XgZgYN\n\
6/T8THkegem09uCQx0y+RYP4MAoGCCqGSM49BAMCA0gAMEUCIGRg1gYD6pcpRUTp\n\
DjZb2zuwJdIUrsj88Iyf9lX6IuRdAiEA3usJeIS0mg3CKXBI3W40dgeF7bG3ByDT\n\
WffKltdZp+w=\n\
-----END CERTIFICATE-----\n";

#[test]
fn a_certificate_of_version_1_is_named_so() {
    let rest = "of X.509 version 1, which this client does not take: have its authority issue one of version 3";
    let old = CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(old.clone()).unwrap();
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
    let verifier =
        verify::Verifier { inner: builder.build().unwrap(), trusted: vec![old.clone()], takes_any_name: true };
    let name = ServerName::try_from("localhost").unwrap();
    let error = verifier.verify_server_cert(&old, &[], &name, &[], UnixTime::now()).expect_err("version 1");
    assert!(words(&error).contains(&format!("the broker's certificate is {rest}")), "{error}");

    let key = PrivateKeyDer::try_from(KeyPair::generate().unwrap().serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let error = builder.with_client_auth_cert(vec![old], key).expect_err("version 1");
    let why = words::own(&error, Path::new("me.pem"), Path::new("me.key"));
    assert!(why.contains(&format!("--cert me.pem: the certificate is {rest}")), "{why}");
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_with() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = rig("plain", "localhost", false).await;
    let port = Some(listener.local_addr().unwrap().port());
    let tls = Tls { cafile: Some(rig.folder.join("ca.pem")), ..Tls::default() };
    let server = Server { host: Some("127.0.0.1".to_owned()), port, tls, ..Server::default() };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(&[0x20, 2, 0, 0, 0, 0, 0, 0]).await;
        }
    });
    let why = greet(&server).await.expect_err("no TLS");
    assert!(why.contains("is this the port for TLS?"), "{why}");
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let folder = std::env::temp_dir().join(format!("primer-client-tls-{}-files", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        Some(path)
    };
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let none = write("none.pem", "nothing");
    let refused = |tls: Tls, says: &str| {
        let why = make(&tls).expect_err(says);
        assert!(why.contains(says), "no {says:?} in {why}");
    };
    let ca = {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let cert = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        write("ca.pem", &cert.pem())
    };
    let with = |cert: Option<PathBuf>, key: Option<PathBuf>| Tls { cafile: ca.clone(), cert, key, ..Tls::default() };
    refused(Tls { cafile: none.clone(), ..Tls::default() }, "none.pem: it has no certificate");
    refused(Tls { cafile: Some("/no/such.pem".into()), ..Tls::default() }, "--cafile /no/such.pem: ");
    refused(Tls { capath: Some("/no/such".into()), ..Tls::default() }, "--capath /no/such: ");
    refused(with(none.clone(), none.clone()), "--cert ");
    refused(with(ca.clone(), none.clone()), "none.pem: it has no private key");
    let other = write("other.key", &KeyPair::generate().unwrap().serialize_pem());
    refused(with(ca.clone(), other), "other.key: it is not the key of the certificate --cert ");
    refused(with(ca.clone(), write("locked.key", locked)), "locked.key: it is locked with a password");
    let ciphers = Tls { ciphers: Some("RC4-MD5".to_owned()), ..with(None, None) };
    refused(ciphers, "--ciphers: \"RC4-MD5\" is not supported; these are: ECDHE-");
    fs::remove_file(folder.join("ca.pem")).unwrap();
    refused(Tls { capath: Some(folder.clone()), ..Tls::default() }, "no file in it is a PEM certificate");
    fs::remove_dir_all(&folder).unwrap();
}
