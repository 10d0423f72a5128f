//! Each fault that a file can have, and what is said about it.

use primer_harness::certificates::{Authority, write};
use rustls::crypto::ring;

use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("primer-certificates-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read_all(options: &TlsOptions) -> Result<Material, TlsError> {
    Material::read(options, &ring::default_provider())
}

/// Options with a good certificate, and the folder they are in.
fn good(name: &str) -> (Folder, Authority, TlsOptions) {
    let folder = Folder::new(name);
    let mut authority = Authority::new("authority");
    let (certificates, key) = authority.server(&["broker.example", "*.devices.example"]).write(&folder.0, "server");
    (folder, authority, TlsOptions { certificates, key, ..TlsOptions::default() })
}

/// The error of these options: it has to name a file of the folder, and all of these words.
fn says(options: &TlsOptions, words: &[&str]) {
    let error = read_all(options).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(!error.contains('\n') && !error.contains("  "), "{error}");
}

#[test]
fn a_good_pair_is_read() {
    let (_folder, _, options) = good("good");
    let material = read_all(&options).unwrap();
    assert!(material.authorities.is_none() && material.revoked.is_empty());
    assert!(material.expires_at_s > ASN1Time::now().timestamp());
    assert_eq!(files(&options).count(), 2);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let (folder, _, good) = good("unreadable");
    let missing = folder.0.join("gone.pem");
    says(&TlsOptions { key: missing.clone(), ..good.clone() }, &["cannot read", "gone.pem", "check the path"]);
    says(&TlsOptions { certificates: missing, ..good.clone() }, &["gone.pem"]);
    says(&TlsOptions { certificates: folder.0.clone(), ..good }, &["cannot read", "unreadable", "a file in it"]);
}

#[test]
fn a_file_without_what_it_should_have_says_what_it_has() {
    let (folder, mut authority, good) = good("missing");
    let empty = write(&folder.0, "empty.pem", "");
    says(&TlsOptions { certificates: empty.clone(), ..good.clone() }, &["empty.pem has no certificate", "BEGIN CERT"]);
    says(&TlsOptions { key: empty.clone(), ..good.clone() }, &["empty.pem has no private key", "BEGIN PRIVATE KEY"]);
    let exchanged = TlsOptions { certificates: good.key.clone(), key: good.certificates.clone(), ..good.clone() };
    says(&exchanged, &["server.key has no certificate", "exchanged"]);
    let both = TlsOptions { key: good.certificates.clone(), ..good.clone() };
    says(&both, &["server.pem has no private key", "exchanged"]);
    let request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    let request = write(&folder.0, "request.pem", request);
    says(&TlsOptions { certificates: request, ..good.clone() }, &["request.pem", "an authority has to sign"]);
    let public = write(&folder.0, "public.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    says(&TlsOptions { key: public, ..good.clone() }, &["public.pem", "the other half"]);
    let authorities = write(&folder.0, "ca.pem", &authority.certificate_pem);
    let listed = TlsOptions { client_authorities: Some(authorities), revoked: Some(empty), ..good.clone() };
    says(&listed, &["empty.pem has no revocation list", "BEGIN X509 CRL"]);
    // A certificate and its key in one file are as good as in two.
    let issued = authority.server(&["one.example"]);
    let one = write(&folder.0, "one.pem", &format!("{}{}", issued.key_pem, issued.certificate_pem));
    read_all(&TlsOptions { certificates: one.clone(), key: one, ..good }).unwrap();
}

#[test]
fn an_encrypted_key_says_how_to_decrypt_it() {
    let (folder, _, good) = good("encrypted");
    let new = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
               -----END RSA PRIVATE KEY-----\n";
    for text in [new, old] {
        let key = write(&folder.0, "locked.key", text);
        says(&TlsOptions { key, ..good.clone() }, &["locked.key is encrypted", "openssl pkey -in ", "-out NEW.pem"]);
    }
}

#[test]
fn a_key_of_another_certificate_is_told_from_a_good_one() {
    let (folder, mut authority, good) = good("mismatch");
    let (_, key) = authority.server(&["other.example"]).write(&folder.0, "other");
    says(&TlsOptions { key, ..good.clone() }, &["other.key does not belong to", "server.pem"]);
    let own = fs::read_to_string(&good.certificates).unwrap();
    let reversed = write(&folder.0, "reversed.pem", &format!("{}{own}", authority.certificate_pem));
    says(&TlsOptions { certificates: reversed, ..good }, &["does not come first in its file"]);
}

#[test]
fn der_and_damage_are_named() {
    let (folder, _, good) = good("der");
    let der = folder.0.join("server.der");
    fs::write(&der, [0x30, 0x82, 1, 2, 3]).unwrap();
    says(&TlsOptions { certificates: der.clone(), ..good.clone() }, &["server.der", "DER", "openssl x509 -inform der"]);
    says(&TlsOptions { key: der.clone(), ..good.clone() }, &["server.der", "openssl pkey -inform der"]);
    let cut = write(&folder.0, "cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    says(&TlsOptions { certificates: cut, ..good.clone() }, &["cut.pem: the PEM in it cannot be used"]);
    let noise = write(&folder.0, "noise.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    says(&TlsOptions { certificates: noise.clone(), ..good.clone() }, &["noise.pem: the first certificate"]);
    let noisy_key = write(&folder.0, "noise.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    says(&TlsOptions { key: noisy_key, ..good.clone() }, &["noise.key: the key cannot be used", "ECDSA"]);
    says(&TlsOptions { client_authorities: Some(noise), ..good.clone() }, &["noise.pem: certificate 1 cannot be used"]);
    let list = write(&folder.0, "list.pem", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
    let authorities = Some(good.certificates.clone());
    let options = TlsOptions { client_authorities: authorities, revoked: Some(list), ..good };
    says(&options, &["list.pem: revocation list 1 cannot be used"]);
}

#[test]
fn other_certificates_are_held_to_the_same() {
    let (folder, mut authority, good) = good("others");
    let other = authority.server(&["other.example"]).write(&folder.0, "other");
    let options = TlsOptions { others: vec![other.clone()], ..good.clone() };
    assert_eq!(files(&options).count(), 4);
    let material = read_all(&options).unwrap();
    let own = material.names.find(None);
    assert!(!Arc::ptr_eq(own, material.names.find(Some("other.example"))));
    assert!(Arc::ptr_eq(own, material.names.find(Some("unknown.example"))));
    says(
        &TlsOptions { others: vec![(other.0, good.key.clone())], ..good },
        &["server.key does not belong", "other.pem"],
    );
}

#[test]
fn names_are_exact_or_stand_for_one_label() {
    let (folder, mut authority, good) = good("names");
    let exact = authority.server(&["a.example", "10.0.0.1"]).write(&folder.0, "exact");
    let wide = authority.server(&["*.example"]).write(&folder.0, "wide");
    let names = read_all(&TlsOptions { others: vec![exact, wide], ..good }).unwrap().names;
    let find = |name| Arc::as_ptr(names.find(Some(name)));
    let (default, exact, wide) = (Arc::as_ptr(names.find(None)), find("a.example"), find("b.example"));
    assert!(default != exact && exact != wide && wide != default);
    assert_eq!(find("A.Example"), exact);
    assert_eq!(find("B.EXAMPLE"), wide);
    for name in ["example", "a.b.example", "b.example.org", ""] {
        assert_eq!(find(name), default, "{name}");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let (folder, authority, good) = good("options");
    let list = write(&folder.0, "list.pem", &authority.revoke(&[]));
    says(&TlsOptions { requires_certificate: true, ..good.clone() }, &["set client_authorities"]);
    says(&TlsOptions { revoked: Some(list), ..good }, &["set client_authorities"]);
}

#[test]
fn a_certificate_out_of_date_is_served() {
    let (folder, mut authority, good) = good("expired");
    let (certificates, key) = authority.expired_server(&["broker.example"]).write(&folder.0, "old");
    let material = read_all(&TlsOptions { certificates, key, ..good }).unwrap();
    assert!((1_000_000_000..1_010_000_000).contains(&material.expires_at_s), "the end of 2001");
}

#[test]
fn the_digest_is_of_all_bytes() {
    let (folder, authority, mut options) = good("digest");
    let before = read_all(&options).unwrap().digest;
    assert_eq!(read_all(&options).unwrap().digest, before);
    let authorities = write(&folder.0, "ca.pem", &authority.certificate_pem);
    options.client_authorities = Some(authorities);
    assert_ne!(read_all(&options).unwrap().digest, before);
}
