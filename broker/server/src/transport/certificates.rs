//! The files of a TLS listener: read, and every fault in them named with what to do about it.
//!
//! All of it is read at once, so that what is served is of one moment; nothing here goes on the network.

use std::{
    fs,
    hash::{DefaultHasher, Hasher},
    io::{self, Read as _},
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{PemObject as _, SectionKind, SliceIter},
    },
    sign::CertifiedKey,
};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _,
    revocation_list::CertificateRevocationList, time::ASN1Time,
};

use super::server_names::ServerNames;
use crate::{
    limits::{CHAIN_MAX, PEM_BYTES_MAX},
    options::TlsOptions,
};

/// Why TLS cannot be served with these files. Nothing was changed by the attempt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file that is not there, or that the process may not read.
    #[error("cannot read {path}: {error}; {hint}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// A file that has not what it should have.
    #[error("{path} has no {wanted}: {hint}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// What is there instead, and what to do.
        hint: String,
    },
    /// A private key that is encrypted.
    #[error(
        "the key in {path} is encrypted, and nobody is there to ask for its passphrase: decrypt it with \
             `openssl pkey -in {path} -out NEW.pem`, and let only the broker's user read that"
    )]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// Something in a file that cannot be understood.
    #[error("{path}: {what} cannot be used: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part of it.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// A key of another certificate.
    #[error(
        "the key in {key} does not belong to the first certificate in {certificate}: they are of two pairs, or the \
             listener's own certificate does not come first in its file"
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// Options that do not go together.
    #[error("{0}")]
    Options(&'static str),
}

/// What the files have, ready to be served.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) names: ServerNames,
    /// Of client certificates.
    pub(super) authorities: Option<Vec<CertificateDer<'static>>>,
    pub(super) revoked: Vec<CertificateRevocationListDer<'static>>,
    /// When the listener's own certificate ends, in seconds since 1970.
    pub(super) expires_at_s: i64,
    /// Of all bytes of all files.
    pub(super) digest: u64,
}

impl Material {
    /// Reads all files that the options name.
    pub(super) fn read(options: &TlsOptions, provider: &CryptoProvider) -> Result<Self, TlsError> {
        if options.client_authorities.is_none() && (options.requires_certificate || options.revoked.is_some()) {
            return Err(TlsError::Options(
                "client certificates are required, or some are revoked, and no authority of theirs is named: \
                 set client_authorities",
            ));
        }
        let mut reader = Reader { hasher: DefaultHasher::new() };
        let own = reader.pair(&options.certificates, &options.key, provider)?;
        let expires_at_s = own.expires_at_s;
        let mut names = ServerNames::new(Arc::new(own.key));
        for (certificates, key) in &options.others {
            let other = reader.pair(certificates, key, provider)?;
            if other.names.is_empty() {
                tracing::warn!("{} names no host: no client will be given it", certificates.display());
            }
            let key = Arc::new(other.key);
            for name in &other.names {
                names.add(name, &key);
            }
        }
        let authorities = options.client_authorities.as_deref().map(|path| reader.authorities(path)).transpose()?;
        let revoked = options.revoked.as_deref().map(|path| reader.revoked(path)).transpose()?.unwrap_or_default();
        Ok(Self { names, authorities, revoked, expires_at_s, digest: reader.hasher.finish() })
    }
}

/// All files that the options name.
pub(super) fn files(options: &TlsOptions) -> impl Iterator<Item = &Path> {
    let others = options.others.iter().flat_map(|(certificates, key)| [certificates, key]);
    let own = [&options.certificates, &options.key].into_iter();
    own.chain(others).chain(&options.client_authorities).chain(&options.revoked).map(PathBuf::as_path)
}

/// A certificate with its key.
struct Pair {
    key: CertifiedKey,
    names: Vec<String>,
    expires_at_s: i64,
}

struct Reader {
    hasher: DefaultHasher,
}

impl Reader {
    fn pair(&mut self, path: &Path, key_path: &Path, provider: &CryptoProvider) -> Result<Pair, TlsError> {
        let chain = certificates(path, &self.read(path)?)?;
        let key = private_key(key_path, &self.read(key_path)?)?;
        let damaged = |path: &Path, what: &str, why: String| TlsError::Damaged {
            path: path.to_owned(),
            what: what.to_owned(),
            why,
        };
        let key = provider.key_provider.load_private_key(key).map_err(|error| {
            damaged(
                key_path,
                "the key",
                format!("{error} (RSA of 2048 to 8192 bits, ECDSA P-256 or P-384, Ed25519 do)"),
            )
        })?;
        if chain.len() > CHAIN_MAX {
            let why = format!("there are {} of them, and a client takes {CHAIN_MAX} at most", chain.len());
            return Err(damaged(path, "the certificates", why));
        }
        let first = chain.first().cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()));
        let (_, own) = X509Certificate::from_der(&first)
            .map_err(|error| damaged(path, "the first certificate", error.to_string()))?;
        // Compared here and not by rustls, which does not look into certificates of version 1; clients still take them.
        if key.public_key().is_some_and(|public| public.as_ref() != own.public_key().raw) {
            return Err(TlsError::Mismatch { certificate: path.to_owned(), key: key_path.to_owned() });
        }
        warn_of_dates(path, &own);
        let (names, expires_at_s) = (host_names(&own), own.validity().not_after.timestamp());
        Ok(Pair { key: CertifiedKey::new(chain, key), names, expires_at_s })
    }

    fn authorities(&mut self, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let authorities = certificates(path, &self.read(path)?)?;
        for (index, certificate) in authorities.iter().enumerate() {
            if let Ok((_, authority)) = X509Certificate::from_der(certificate) {
                warn_of_dates(path, &authority);
            }
            RootCertStore::empty().add(certificate.clone()).map_err(|error| TlsError::Damaged {
                path: path.to_owned(),
                what: format!("certificate {}", index + 1),
                why: error.to_string(),
            })?;
        }
        Ok(authorities)
    }

    fn revoked(&mut self, path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let bytes = self.read(path)?;
        check_is_pem(path, &bytes, "revocation list", "openssl crl -inform der")?;
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
        let lists = lists.map_err(|error| damaged_pem(path, &error))?;
        if lists.is_empty() {
            let hint = "it needs at least one block that begins with `-----BEGIN X509 CRL-----`".to_owned();
            return Err(TlsError::Missing { path: path.to_owned(), wanted: "revocation list", hint });
        }
        for (index, list) in lists.iter().enumerate() {
            let (_, list) = CertificateRevocationList::from_der(list).map_err(|error| TlsError::Damaged {
                path: path.to_owned(),
                what: format!("revocation list {}", index + 1),
                why: error.to_string(),
            })?;
            if let Some(next) = list.next_update().filter(|next| *next < ASN1Time::now()) {
                tracing::warn!("a revocation list in {} was to be renewed by {next}; it still counts", path.display());
            }
        }
        Ok(lists)
    }

    fn read(&mut self, path: &Path) -> Result<Vec<u8>, TlsError> {
        let bytes = read(path).map_err(|error| TlsError::Unreadable {
            path: path.to_owned(),
            hint: match error.kind() {
                io::ErrorKind::NotFound => "check the path in the listener's options",
                io::ErrorKind::PermissionDenied => "let the user that the broker runs as read it",
                io::ErrorKind::IsADirectory => "name a file in it",
                _ => "it has to be a file in PEM",
            },
            error,
        })?;
        self.hasher.write_usize(bytes.len());
        self.hasher.write(&bytes);
        Ok(bytes)
    }
}

/// Reads a file of bounded length; something that never ends (a device, a pipe) is left after that.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let kind = fs::metadata(path)?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        return Err(io::Error::other("it is no regular file")); // a pipe would be waited for
    }
    fs::File::open(path)?.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {PEM_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    check_is_pem(path, bytes, "certificate", "openssl x509 -inform der")?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let chain = chain.map_err(|error| damaged_pem(path, &error))?;
    if chain.is_empty() {
        let has_key = contains(bytes, "PRIVATE KEY-----");
        let hint = if has_key {
            "it has a private key; the files of certificate and key may be exchanged"
        } else if contains(bytes, "CERTIFICATE REQUEST-----") {
            "it has a request for one, which an authority has to sign first"
        } else {
            "it needs at least one block that begins with `-----BEGIN CERTIFICATE-----`"
        };
        return Err(TlsError::Missing { path: path.to_owned(), wanted: "certificate", hint: hint.to_owned() });
    }
    Ok(chain)
}

fn private_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    check_is_pem(path, bytes, "private key", "openssl pkey -inform der")?;
    if contains(bytes, "BEGIN ENCRYPTED PRIVATE KEY") || contains(bytes, "Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::EncryptedKey { path: path.to_owned() });
    }
    let sections: SliceIter<'_, (SectionKind, Vec<u8>)> = SliceIter::new(bytes);
    for section in sections {
        let (kind, der) = section.map_err(|error| damaged_pem(path, &error))?;
        match kind {
            SectionKind::PrivateKey => return Ok(PrivateKeyDer::Pkcs8(der.into())),
            SectionKind::RsaPrivateKey => return Ok(PrivateKeyDer::Pkcs1(der.into())),
            SectionKind::EcPrivateKey => return Ok(PrivateKeyDer::Sec1(der.into())),
            _ => {}
        }
    }
    let hint = if contains(bytes, "BEGIN CERTIFICATE-----") {
        "it has a certificate; the files of certificate and key may be exchanged"
    } else if contains(bytes, "BEGIN PUBLIC KEY-----") {
        "it has a public key, which is the other half"
    } else {
        "it needs a block that begins with `-----BEGIN PRIVATE KEY-----`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`"
    };
    Err(TlsError::Missing { path: path.to_owned(), wanted: "private key", hint: hint.to_owned() })
}

/// Tells DER from PEM, which is the usual mistake: PKCS#12 looks like DER too.
fn check_is_pem(path: &Path, bytes: &[u8], wanted: &'static str, convert: &str) -> Result<(), TlsError> {
    let is_der = bytes.first() == Some(&0x30) && bytes.get(1).is_some_and(|length| *length >= 0x80);
    if is_der && !contains(bytes, "-----BEGIN ") {
        let shown = path.display();
        let hint = format!(
            "it looks like DER or PKCS#12, and PEM is needed: convert it with `{convert} -in {shown} -out NEW.pem`, or \
             `openssl pkcs12 -in {shown} -nodes -out NEW.pem`"
        );
        return Err(TlsError::Missing { path: path.to_owned(), wanted, hint });
    }
    Ok(())
}

fn damaged_pem(path: &Path, error: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Damaged { path: path.to_owned(), what: "the PEM in it".to_owned(), why: error.to_string() }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The DNS names of a certificate; its common name where it says none, as certificates once did.
fn host_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let dns_names: Vec<String> = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None })
        .collect();
    if !dns_names.is_empty() || alternatives.is_some() {
        return dns_names;
    }
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    common.filter(|name| name.contains('.')).map(str::to_owned).collect()
}

/// A certificate out of date is served all the same: a device that looks at no dates would be cut off, and the others
/// say what is wrong.
fn warn_of_dates(path: &Path, certificate: &X509Certificate<'_>) {
    let (validity, now, path) = (certificate.validity(), ASN1Time::now(), path.display());
    if validity.not_after < now {
        tracing::warn!(
            "a certificate in {path} has expired on {}: renew it, clients will refuse it",
            validity.not_after
        );
    } else if validity.not_before > now {
        tracing::warn!(
            "a certificate in {path} is not valid before {}: check this machine's clock",
            validity.not_before
        );
    }
}

#[cfg(test)]
mod tests;
