//! Authorities, certificates, keys and revocation lists for tests of TLS. Made anew in each test: a key that is kept
//! would be one that expires.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    SigningKey as _, date_time_ymd,
};

/// An authority that signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub certificate_pem: String,
    next_serial: u64,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// The key (PKCS#8).
    pub key_pem: String,
    serial: u64,
}

impl Authority {
    /// A new authority of this name.
    ///
    /// # Panics
    /// As all here, when the system has no randomness.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name = subject(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate_pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), certificate_pem, next_serial: 1 }
    }

    /// A server's certificate for these hosts (names or addresses).
    ///
    /// # Panics
    /// When a host is neither.
    pub fn server(&mut self, hosts: &[&str]) -> Issued {
        self.issue(server_params(hosts))
    }

    /// The same, valid until the end of 2001.
    ///
    /// # Panics
    /// As [`Authority::server`].
    pub fn expired_server(&mut self, hosts: &[&str]) -> Issued {
        let mut params = server_params(hosts);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2001, 12, 31);
        self.issue(params)
    }

    /// A client's certificate with this common name, and this organisation if one is given.
    ///
    /// # Panics
    /// See [`Authority::new`].
    pub fn client(&mut self, common_name: &str, organisation: Option<&str>) -> Issued {
        self.issue(client_params(common_name, organisation))
    }

    /// The same, valid until the end of 2001.
    ///
    /// # Panics
    /// See [`Authority::new`].
    pub fn expired_client(&mut self, common_name: &str) -> Issued {
        let mut params = client_params(common_name, None);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2001, 12, 31);
        self.issue(params)
    }

    /// A client's certificate of X.509 version 1, as `openssl x509 -req` makes them: without extensions.
    ///
    /// # Panics
    /// See [`Authority::new`].
    pub fn old_client(&mut self, common_name: &str) -> Issued {
        let mut issued = self.client(common_name, None);
        issued.certificate_pem = self.age(&issued.certificate_pem);
        issued
    }

    /// The same, valid until the end of 2001.
    ///
    /// # Panics
    /// See [`Authority::new`].
    pub fn expired_old_client(&mut self, common_name: &str) -> Issued {
        let mut issued = self.expired_client(common_name);
        issued.certificate_pem = self.age(&issued.certificate_pem);
        issued
    }

    /// Takes the version and the extensions out of a certificate and signs it anew.
    fn age(&self, certificate_pem: &str) -> String {
        let certificate = pem::parse(certificate_pem).expect("PEM").into_contents();
        let [to_be_signed, algorithm, ..] = &*parts(&certificate) else { panic!("a certificate has three parts") };
        // Version, serial number, algorithm, issuer, validity, subject, key, extensions.
        let [_, kept @ .., _] = &*parts(to_be_signed) else { panic!("eight parts") };
        let to_be_signed = tagged(0x30, &kept.concat());
        let signature = self.issuer.key().sign(&to_be_signed).expect("a signature");
        let signature = tagged(0x03, &[&[0], &*signature].concat());
        let certificate = tagged(0x30, &[&to_be_signed, *algorithm, &signature].concat());
        pem::encode(&pem::Pem::new("CERTIFICATE", certificate))
    }

    /// The list (PEM) that says that these certificates count no more.
    ///
    /// # Panics
    /// See [`Authority::new`].
    #[must_use]
    pub fn revoke(&self, issued: &[&Issued]) -> String {
        let revoked = |issued: &&Issued| RevokedCertParams {
            serial_number: SerialNumber::from(issued.serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: issued.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("a list").pem().expect("PEM")
    }

    fn issue(&mut self, mut params: CertificateParams) -> Issued {
        let serial = self.next_serial;
        self.next_serial += 1;
        params.serial_number = Some(SerialNumber::from(serial));
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let certificate_pem = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Issued { certificate_pem, key_pem: key.serialize_pem(), serial }
    }
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key` into a folder that is there, and answers their paths. Files that are there are
    /// written over.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let certificate = write(folder, &format!("{name}.pem"), &self.certificate_pem);
        (certificate, write(folder, &format!("{name}.key"), &self.key_pem))
    }
}

/// Writes a file into a folder that is there, and answers its path.
///
/// # Panics
/// When that fails.
#[must_use]
pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("a folder that can be written to");
    path
}

/// The values that a sequence in DER consists of, each with its tag.
fn parts(sequence: &[u8]) -> Vec<&[u8]> {
    let mut rest = &sequence[head_len(sequence)..];
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(value_len(rest));
        parts.push(part);
        rest = behind;
    }
    parts
}

/// Bytes of tag and length.
fn head_len(value: &[u8]) -> usize {
    if value[1] < 0x80 { 2 } else { 2 + usize::from(value[1] & 0x7f) }
}

/// Bytes of a value with its tag and length.
fn value_len(value: &[u8]) -> usize {
    let head = head_len(value);
    let long = value[2..head].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    head + if head == 2 { usize::from(value[1]) } else { long }
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let length = &length[significant..];
    let mut value = vec![tag];
    if content.len() >= 0x80 {
        value.push(0x80 | u8::try_from(length.len()).expect("a length"));
    }
    value.extend_from_slice(length);
    value.extend_from_slice(content);
    value
}

fn server_params(hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("names or addresses of hosts");
    params.distinguished_name = subject("server", None);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn client_params(common_name: &str, organisation: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name = subject(common_name, organisation);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// From the whole to the part, as certificates have it.
fn subject(common_name: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name.push(DnType::CommonName, common_name);
    name
}
