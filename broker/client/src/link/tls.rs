//! TLS: whom to trust, who we are, and what is checked. rustls with ring; no TLS before 1.2.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsConnector;

use super::{Link, LinkError};
use crate::options::{Server, Tls};

#[cfg(test)]
mod tests;
mod verify;
mod words;

pub(super) use words::words;

/// What the options say about TLS, with all files read.
pub(crate) type Config = Arc<ClientConfig>;

/// The cipher suites of TLS 1.2, by OpenSSL's names and by those of the standard.
const CIPHERS: &[(&str, rustls::CipherSuite)] = &[
    ("ECDHE-ECDSA-AES128-GCM-SHA256", rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-CHACHA20-POLY1305", rustls::CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Reads the files that the options name; `None` where no TLS is wanted.
///
/// # Errors
/// The first file that is not what it should be, by its name.
pub(crate) fn config(server: &Server) -> Result<Option<Config>, LinkError> {
    if !server.is_tls() {
        return Ok(None);
    }
    make(&server.tls).map(|config| Some(Arc::new(config))).map_err(LinkError::TlsOptions)
}

fn make(tls: &Tls) -> Result<ClientConfig, String> {
    let provider = Arc::new(provider(tls.ciphers.as_deref())?);
    let versions: &[_] = match tls.version {
        Some(12) => &[&TLS12],
        Some(_) => &[&TLS13],
        None => &[&TLS13, &TLS12],
    };
    let trusted = match &tls.cafile {
        Some(path) => certificates(path, "--cafile")?,
        None => Vec::new(),
    };
    let roots = Arc::new(roots(tls, &trusted)?);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions);
    let builder = builder.map_err(|error| format!("these options leave no way to speak TLS: {error}"))?;
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider).build();
    let inner = inner.map_err(|error| format!("whom to trust: {error}"))?;
    let verifier = verify::Verifier { inner, trusted, takes_any_name: tls.insecure };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            let (chain, private) = (certificates(cert, "--cert")?, private_key(key)?);
            let made = builder.with_client_auth_cert(chain, private);
            made.map_err(|error| words::own(&error, cert, key))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = tls.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

/// The ciphers of TLS 1.3 are always there, as with OpenSSL.
fn provider(ciphers: Option<&str>) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    let Some(list) = ciphers else { return Ok(provider) };
    let mut wanted = Vec::new();
    for name in list.split([':', ',']).filter(|name| !name.is_empty()) {
        let known = CIPHERS.iter().find(|(openssl, suite)| *openssl == name || format!("{suite:?}") == name);
        let (_, suite) = known.ok_or_else(|| {
            let names: Vec<&str> = CIPHERS.iter().map(|(name, _)| *name).collect();
            format!("--ciphers: {name:?} is not supported; these are: {}", names.join(":"))
        })?;
        wanted.push(*suite);
    }
    provider.cipher_suites.retain(|suite| suite.tls13().is_some() || wanted.contains(&suite.suite()));
    Ok(provider)
}

/// `trusted` are the certificates of `--cafile`.
fn roots(tls: &Tls, trusted: &[CertificateDer<'static>]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let cafile = tls.cafile.as_deref().unwrap_or(Path::new("")).display();
    for certificate in trusted {
        let added = roots.add(certificate.clone());
        added.map_err(|error| format!("--cafile {cafile}: {}", words::authority(&error)))?;
    }
    if let Some(path) = &tls.capath {
        add_directory(&mut roots, path)?;
    }
    if tls.cafile.is_none() && tls.capath.is_none() || tls.os_certs {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
    }
    if roots.is_empty() {
        return Err("this system has no certificates of authorities to trust: name them with --cafile".to_owned());
    }
    Ok(roots)
}

/// Files of a directory that are no certificates are passed over: keys and links lie beside them.
fn add_directory(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let entries = fs::read_dir(path).map_err(|error| format!("--capath {}: {error}", path.display()))?;
    let before = roots.len();
    for entry in entries.flatten() {
        if let Ok(found) = CertificateDer::pem_file_iter(entry.path()) {
            roots.add_parsable_certificates(found.flatten());
        }
    }
    if roots.len() == before {
        return Err(format!("--capath {}: no file in it is a PEM certificate", path.display()));
    }
    Ok(())
}

fn certificates(path: &Path, flag: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("{flag} {}: {why}", path.display());
    let bytes = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| wrong(format!("it is no PEM file: {error}")))?;
    if found.is_empty() {
        return Err(wrong("it has no certificate (-----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let wrong = |why: &str| format!("--key {}: {why}", path.display());
    let bytes = fs::read(path).map_err(|error| wrong(&error.to_string()))?;
    let is_locked = bytes.windows(9).any(|piece| piece == b"ENCRYPTED");
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        wrong(if is_locked {
            "it is locked with a password, which is not supported: `openssl pkey -in KEY -out OPEN` opens it"
        } else {
            "it has no private key (-----BEGIN PRIVATE KEY-----)"
        })
    })
}

/// Speaks TLS on a connection.
pub(super) async fn wrap(config: &Config, server: &Server, link: Link) -> Result<Link, LinkError> {
    let failed = |why: String| LinkError::Tls { place: server.place(), why };
    let name = ServerName::try_from(server.host().to_owned());
    let name = name.map_err(|_| failed(format!("{:?} is no name that a certificate can have", server.host())))?;
    match TlsConnector::from(Arc::clone(config)).connect(name, link).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(failed(explain(&error))),
    }
}

/// The reason, and what can be done.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            "it closed the connection: is this the port for TLS?".to_owned()
        }
        _ => super::reason(error),
    }
}
