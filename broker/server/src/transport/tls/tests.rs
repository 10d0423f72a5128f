//! Handshakes with a client of rustls's, and with what is no TLS at all.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use primer_harness::certificates::{Authority, Issued, write};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::TlsConnector;

use super::*;

type ClientStream = tokio_rustls::client::TlsStream<DuplexStream>;
type Accepted = io::Result<(TlsStream<DuplexStream>, Option<ClientName>)>;

/// A listener's files, and the authority of all certificates.
pub(super) struct Setup {
    folder: PathBuf,
    pub(super) authority: Authority,
    pub(super) options: TlsOptions,
}

impl Setup {
    pub(super) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("primer-tls-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut authority = Authority::new("authority");
        let (certificates, key) = authority.server(&["broker.example"]).write(&folder, "server");
        Self { folder, authority, options: TlsOptions { certificates, key, ..TlsOptions::default() } }
    }

    /// Has the listener know certificates of clients.
    pub(super) fn knows_clients(mut self, requires_certificate: bool) -> Self {
        self.options.client_authorities = Some(write(&self.folder, "ca.pem", &self.authority.certificate_pem));
        self.options.requires_certificate = requires_certificate;
        self
    }

    pub(super) fn load(&self) -> Tls {
        Tls::load(&self.options, ALPN_MQTT).unwrap()
    }

    pub(super) fn client(&self) -> Client {
        Client::new(&self.authority.certificate_pem)
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A client as it is to be.
pub(super) struct Client {
    roots: RootCertStore,
    identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    alpn: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    host: &'static str,
    resumption: Option<Resumption>,
}

impl Client {
    fn new(authority_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority_pem.as_bytes()).unwrap()).unwrap();
        let versions = vec![&TLS13, &TLS12];
        Self { roots, identity: None, alpn: Vec::new(), versions, host: "broker.example", resumption: None }
    }

    pub(super) fn with(mut self, issued: &Issued) -> Self {
        let certificate = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
        self.identity = Some((certificate, PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap()));
        self
    }

    pub(super) fn speaking(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// Uses another's key with the certificate that it has.
    pub(super) fn take_key_of(&mut self, issued: &Issued) {
        if let Some((_, key)) = &mut self.identity {
            *key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
        }
    }

    pub(super) fn config(self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(self.roots);
        let mut config = match self.identity {
            // Not checked against each other: a client may lie.
            Some((certificate, key)) => {
                let key = ring::default_provider().key_provider.load_private_key(key).unwrap();
                let certified = CertifiedKey::new(vec![certificate], key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        if let Some(resumption) = self.resumption {
            config.resumption = resumption;
        }
        config
    }

    async fn connect(self, tls: &Tls) -> (io::Result<ClientStream>, Accepted) {
        let host = ServerName::try_from(self.host).unwrap();
        connect(&Arc::new(self.config()), host, tls).await
    }

    /// Connects where that goes well on both sides.
    pub(super) async fn connected(self, tls: &Tls) -> (ClientStream, TlsStream<DuplexStream>, Option<ClientName>) {
        let (client, server) = self.connect(tls).await;
        let (server, name) = server.unwrap();
        (client.unwrap(), server, name)
    }

    /// Connects where the listener refuses; answers its error.
    pub(super) async fn refused(self, tls: &Tls) -> String {
        self.connect(tls).await.1.map(|_| ()).unwrap_err().to_string()
    }
}

pub(super) async fn connect(
    config: &Arc<ClientConfig>,
    host: ServerName<'static>,
    tls: &Tls,
) -> (io::Result<ClientStream>, Accepted) {
    let (client, server) = duplex(16 * 1024);
    let connecting = TlsConnector::from(Arc::clone(config)).connect(host, client);
    let (client, server) = tokio::join!(connecting, tls.accept(server));
    (client, server)
}

#[tokio::test]
async fn bytes_go_both_ways_in_both_versions() {
    let setup = Setup::new("both");
    let tls = setup.load();
    for (version, named) in [(&TLS13, "TLSv1_3 "), (&TLS12, "TLSv1_2 ")] {
        let (mut client, mut server, name) = setup.client().speaking(version).connected(&tls).await;
        assert_eq!(name, None);
        assert!(server.cipher().starts_with(named), "{}", server.cipher());
        client.write_all(b"connect").await.unwrap();
        let mut got = [0; 7];
        server.read_exact(&mut got).await.unwrap();
        server.write_all(b"connack").await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"connack");
    }
}

#[tokio::test]
async fn tls_1_2_can_be_refused() {
    let mut setup = Setup::new("only13");
    setup.options.only_tls13 = true;
    let tls = setup.load();
    let error = setup.client().speaking(&TLS12).refused(&tls).await;
    assert!(error.contains("no version or cipher in common"), "{error}");
    setup.client().connected(&tls).await;
}

#[tokio::test]
async fn a_protocol_is_offered_and_not_required() {
    let setup = Setup::new("alpn");
    let tls = setup.load();
    let offers: [(&[&str], Option<&str>); 4] =
        [(&[], None), (&["mqtt"], Some("mqtt")), (&["x-other", "mqtt"], Some("mqtt")), (&["x-other"], None)];
    for (offered, agreed) in offers {
        let alpn = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (client, server, _) = Client { alpn, ..setup.client() }.connected(&tls).await;
        assert_eq!(server.alpn(), agreed.map(str::as_bytes), "{offered:?}");
        assert_eq!(client.get_ref().1.alpn_protocol(), server.alpn());
    }
}

#[tokio::test]
async fn a_farewell_is_said_and_not_waited_for() {
    let setup = Setup::new("farewell");
    let tls = setup.load();
    let (mut client, mut server, _) = setup.client().connected(&tls).await;
    server.write_all(b"disconnect").await.unwrap();
    server.shutdown().await.unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.expect("close_notify has come");
    assert_eq!(got, b"disconnect");
    let (mut client, mut server, _) = setup.client().connected(&tls).await;
    client.write_all(b"bye").await.unwrap();
    client.flush().await.unwrap();
    drop(client);
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.expect("a socket that is closed without one is closed");
    assert_eq!(got, b"bye");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_waited_for() {
    let setup = Setup::new("pressure");
    let (mut client, mut server, _) = setup.client().connected(&setup.load()).await;
    let sent = vec![7; 1_000_000];
    let (taken, got) = {
        let mut taken = 0;
        std::future::poll_fn(|cx| {
            while let std::task::Poll::Ready(n) =
                AsyncWrite::poll_write(std::pin::Pin::new(&mut server), cx, &sent[taken..])
            {
                taken += n.unwrap();
            }
            std::task::Poll::Ready(())
        })
        .await;
        assert!(taken <= TLS_UNSENT_BYTES_MAX + 32 * 1024, "{taken}");
        let writing = async {
            server.write_all(&sent[taken..]).await.unwrap();
            server.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let ((), read) = tokio::join!(writing, client.read_to_end(&mut got));
        read.unwrap();
        (taken, got)
    };
    assert!(taken > 0 && got == sent);
}

#[tokio::test]
async fn the_name_of_a_client_is_that_of_its_certificate() {
    let mut setup = Setup::new("name").knows_clients(true);
    let device = setup.authority.client("sensor 7, north", Some("Example"));
    let tls = setup.load();
    for version in [&TLS13, &TLS12] {
        let client = setup.client().with(&device).speaking(version);
        let name = client.connected(&tls).await.2.unwrap();
        assert_eq!(name.common.as_deref(), Some("sensor 7, north"));
        assert_eq!(name.subject, "CN=sensor 7\\, north,O=Example");
    }
}

#[tokio::test]
async fn a_name_with_a_control_character_is_no_users() {
    let mut setup = Setup::new("control").knows_clients(true);
    let device = setup.authority.client("admin\0.example", None);
    let name = setup.client().with(&device).connected(&setup.load()).await.2.unwrap();
    assert_eq!((name.common, name.subject.as_str()), (None, "CN=admin\\00.example"));
}

#[tokio::test]
async fn certificates_of_clients_are_required_or_welcome() {
    let mut setup = Setup::new("required").knows_clients(true);
    let device = setup.authority.client("device", None);
    let tls = setup.load();
    let error = setup.client().refused(&tls).await;
    assert!(error.contains("this listener requires one"), "{error}");
    setup.options.requires_certificate = false;
    let tls = setup.load();
    assert_eq!(setup.client().connected(&tls).await.2, None);
    assert!(setup.client().with(&device).connected(&tls).await.2.is_some());
}

#[tokio::test]
async fn certificates_that_do_not_count_are_refused_with_the_reason() {
    for requires in [true, false] {
        let mut setup = Setup::new("refused").knows_clients(requires);
        let mut others = Authority::new("authority"); // the same name, another key
        let cases = [
            (others.client("device", None), "has not signed it"),
            (Authority::new("another").client("device", None), "no authority of this listener has signed it"),
            (setup.authority.expired_client("device"), "it has expired"),
            (setup.authority.server(&["device.example"]), "it is not for clients"),
        ];
        let tls = setup.load();
        for (issued, says) in cases {
            let error = setup.client().with(&issued).refused(&tls).await;
            assert!(error.contains("the client's certificate was refused"), "{error}");
            assert!(error.contains(says), "{error}");
        }
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_from_the_next_reload_on() {
    let mut setup = Setup::new("revoked").knows_clients(true);
    let (good, bad) = (setup.authority.client("good", None), setup.authority.client("bad", None));
    let list = write(setup.path(), "list.pem", &setup.authority.revoke(&[]));
    setup.options.revoked = Some(list);
    let tls = setup.load();
    let resumption = || Resumption::in_memory_sessions(16);
    let config = Arc::new(Client { resumption: Some(resumption()), ..setup.client().with(&bad) }.config());
    let host = ServerName::try_from("broker.example").unwrap();
    let (client, server) = connect(&config, host.clone(), &tls).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
    let _ = write(setup.path(), "list.pem", &setup.authority.revoke(&[&bad]));
    assert!(tls.reload().unwrap());
    // A session of before cannot be taken up again past the list.
    let error = connect(&config, host, &tls).await.1.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("its authority has revoked it"), "{error}");
    setup.client().with(&good).connected(&tls).await;
    // The connection that is there goes on.
    client.write_all(b"x").await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_list_of_another_authority_does_not_do() {
    let mut setup = Setup::new("unlisted").knows_clients(true);
    let list = write(setup.path(), "list.pem", &Authority::new("another").revoke(&[]));
    setup.options.revoked = Some(list);
    let device = setup.authority.client("device", None);
    let error = setup.client().with(&device).refused(&setup.load()).await;
    assert!(error.contains("no revocation list of its authority"), "{error}");
}

#[tokio::test]
async fn a_reload_serves_the_new_certificate_and_keeps_the_old_one_on_an_error() {
    let mut setup = Setup::new("reload");
    let tls = setup.load();
    let copy = tls.clone();
    let served = |client: &ClientStream| client.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let (mut old, mut old_server, _) = setup.client().connected(&tls).await;
    assert!(!tls.reload().unwrap(), "nothing has changed");
    fs::remove_file(&setup.options.key).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("server.key"), "{error}");
    let (still, _, _) = setup.client().connected(&copy).await;
    assert_eq!(served(&still), served(&old));
    let _ = setup.authority.server(&["broker.example"]).write(setup.path(), "server");
    assert!(tls.reload().unwrap());
    let (new, _, _) = setup.client().connected(&copy).await;
    assert_ne!(served(&new), served(&old));
    old.write_all(b"x").await.unwrap();
    assert_eq!(old_server.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_look_at_the_files_says_when_to_reload() {
    let mut setup = Setup::new("look");
    let tls = setup.load();
    assert!(!tls.files_changed() && !tls.files_changed());
    let (certificates, _) = setup.authority.expired_server(&["broker.example"]).write(setup.path(), "server");
    assert!(!tls.files_changed());
    assert!(tls.files_changed());
    let before = tls.expires_at_s();
    assert!(tls.reload().unwrap());
    assert!(tls.expires_at_s() < before);
    assert!(!tls.files_changed() && !tls.files_changed());
    fs::write(&certificates, "broken").unwrap();
    assert!(!tls.files_changed() && tls.files_changed());
    tls.reload().unwrap_err();
    assert!(!tls.files_changed() && !tls.files_changed(), "an error is told once");
}

#[tokio::test]
async fn the_certificate_is_that_of_the_name_asked_for() {
    let mut setup = Setup::new("sni");
    let other = setup.authority.server(&["*.other.example"]).write(setup.path(), "other");
    setup.options.others.push(other);
    let tls = setup.load();
    Client { host: "a.other.example", ..setup.client() }.connected(&tls).await;
    setup.client().connected(&tls).await;
    let (client, server) = Client { host: "unknown.example", ..setup.client() }.connect(&tls).await;
    assert!(client.is_err());
    let error = server.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("does not trust this listener's certificate"), "{error}");
}

#[tokio::test]
async fn a_client_without_the_authority_is_explained() {
    let setup = Setup::new("untrusted");
    let error = Client::new(&Authority::new("another").certificate_pem).refused(&setup.load()).await;
    assert!(error.contains("give the client its authority"), "{error}");
}

/// What a listener says of these bytes from a client that then stops sending.
async fn sent(tls: &Tls, bytes: &[u8]) -> String {
    let (mut client, server) = duplex(1 << 20);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    tls.accept(server).await.map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn what_is_no_tls_is_named() {
    let setup = Setup::new("plain");
    let tls = setup.load();
    let cases: [(&[u8], &str); 6] = [
        (b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0", "does not speak TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "does not speak TLS"),
        (&[0xff; 5000], "does not speak TLS"),
        (b"", "closed the connection during the TLS handshake"),
        (&[0x16, 3, 1, 0, 100, 1, 0, 0, 96], "closed the connection during the TLS handshake"),
        (&[0x16, 3, 1, 0, 4, 1, 0, 0, 0], "TLS failed"),
    ];
    for (bytes, says) in cases {
        let error = sent(&tls, bytes).await;
        assert!(error.contains(says), "{bytes:?}: {error}");
    }
}

#[tokio::test]
async fn a_hello_without_an_end_is_bounded() {
    let setup = Setup::new("endless");
    // A ClientHello of 16 MiB, in records of 16 KiB: a megabyte of it is there.
    let mut bytes = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    bytes.extend([0; 0x4000 - 4]);
    for _ in 0..60 {
        bytes.extend([0x16, 3, 1, 0x40, 0]);
        bytes.extend([0; 0x4000]);
    }
    let error = sent(&setup.load(), &bytes).await;
    assert!(error.contains("TLS failed"), "{error}");
}

#[tokio::test]
async fn a_handshake_byte_by_byte_is_as_good() {
    let setup = Setup::new("slow");
    let tls = setup.load();
    let (client, near) = duplex(16 * 1024);
    let (far, server) = duplex(16 * 1024);
    let carrying = async {
        let ((mut read, mut write), (mut read_back, mut write_back)) = (tokio::io::split(near), tokio::io::split(far));
        let there = async {
            while let Ok(byte) = read.read_u8().await {
                write_back.write_u8(byte).await.unwrap();
                tokio::task::yield_now().await; // the listener sees each byte alone
            }
        };
        tokio::join!(there, tokio::io::copy(&mut read_back, &mut write)).1.unwrap();
    };
    let host = ServerName::try_from("broker.example").unwrap();
    let connecting = TlsConnector::from(Arc::new(setup.client().config())).connect(host, client);
    let handshake = async { tokio::join!(connecting, tls.accept(server)) };
    tokio::select! {
        (client, server) = handshake => (client.unwrap(), server.unwrap()),
        () = carrying => panic!("the connection ended"),
    };
}
