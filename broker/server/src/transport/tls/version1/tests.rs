//! Certificates of version 1: what is taken, and every way in which one is not.

use primer_harness::certificates::{Authority, write};
use rustls::pki_types::{ServerName, pem::PemObject as _};

use super::super::tests::{Setup, connect};
use super::*;

#[tokio::test]
async fn a_certificate_of_version_1_is_as_good() {
    for requires in [true, false] {
        let mut setup = Setup::new("v1").knows_clients(requires);
        let device = setup.authority.old_client("sensor 7");
        let der = CertificateDer::from_pem_slice(device.certificate_pem.as_bytes()).unwrap();
        assert!(version1(&der).is_some(), "it is one");
        let tls = setup.load();
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let client = setup.client().with(&device).speaking(version);
            let name = client.connected(&tls).await.2.unwrap();
            assert_eq!(name.subject, "CN=sensor 7");
        }
        // Newer ones go on as before.
        let new = setup.authority.client("new", None);
        assert!(setup.client().with(&new).connected(&tls).await.2.is_some());
    }
}

#[tokio::test]
async fn one_that_does_not_count_is_refused_with_the_reason() {
    let mut setup = Setup::new("v1-refused").knows_clients(true);
    let tls = setup.load();
    let cases = [
        (Authority::new("authority").old_client("device"), "has not signed it"),
        (Authority::new("another").old_client("device"), "no authority of this listener has signed it"),
        (setup.authority.expired_old_client("device"), "it has expired"),
    ];
    for (issued, says) in cases {
        let error = setup.client().with(&issued).refused(&tls).await;
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_list_counts_for_it_too() {
    let mut setup = Setup::new("v1-revoked").knows_clients(true);
    let (good, bad) = (setup.authority.old_client("good"), setup.authority.old_client("bad"));
    setup.options.revoked = Some(write(setup.path(), "list.pem", &setup.authority.revoke(&[&bad])));
    let tls = setup.load();
    setup.client().with(&good).connected(&tls).await;
    let error = setup.client().with(&bad).refused(&tls).await;
    assert!(error.contains("its authority has revoked it"), "{error}");
    for list in [Authority::new("another").revoke(&[]), Authority::new("authority").revoke(&[])] {
        setup.options.revoked = Some(write(setup.path(), "list.pem", &list));
        let error = setup.client().with(&good).refused(&setup.load()).await;
        assert!(error.contains("no revocation list of its authority"), "{error}");
    }
}

#[tokio::test]
async fn the_key_has_to_be_the_certificates() {
    let mut setup = Setup::new("v1-key").knows_clients(true);
    let (stolen, own) = (setup.authority.old_client("admin"), setup.authority.old_client("device"));
    let tls = setup.load();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut client = setup.client().with(&stolen).speaking(version);
        client.take_key_of(&own);
        let host = ServerName::try_from("broker.example").unwrap();
        let (_, accepted) = connect(&Arc::new(client.config()), host, &tls).await;
        let error = accepted.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("the client's certificate was refused"), "{error}");
    }
}

#[test]
fn damage_to_a_certificate_is_seen_wherever_it_is() {
    let mut authority = Authority::new("authority");
    let issued = authority.old_client("device");
    let provider = rustls::crypto::ring::default_provider();
    let own = CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.clone()).unwrap();
    let provider = Arc::new(provider);
    let inner = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let algorithms = provider.signature_verification_algorithms;
    let inner = inner.build().unwrap();
    let verifier = AlsoVersion1 { inner, authorities: vec![own], revoked: Vec::new(), algorithms };
    let good = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
    let verify = |bytes: &[u8]| verifier.verify_client_cert(&CertificateDer::from(bytes), &[], UnixTime::now());
    verify(&good).unwrap();
    // What is around the signed part (a tag, lengths, the algorithm once more) is not signed, and not relied upon.
    let parsed = version1(&good).unwrap();
    let signed = parsed.tbs_certificate.as_ref();
    let start = good.windows(signed.len()).position(|window| window == signed).unwrap();
    let signature = good.len() - parsed.signature_value.data.len();
    for at in (start..start + signed.len()).chain(signature..good.len()) {
        for bit in [1, 0x20, 0x80] {
            let mut bytes = good.to_vec();
            bytes[at] ^= bit;
            assert!(verify(&bytes).is_err(), "byte {at}, bit {bit}");
        }
    }
    assert!(verify(&[&good[..], b"x"].concat()).is_err());
    assert!(verify(&[]).is_err());
}
