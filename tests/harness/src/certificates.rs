//! Authorities, certificates, keys and revocation lists for tests of TLS. Made anew in each test: a key that is kept
//! would be one that expires.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
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
