//! TLS of a listener: files to a configuration, a handshake, and files that change while it runs.
//!
//! rustls does the protocol, with the provider `ring` given to it by name: nothing depends on a default of the process.
//! A handshake takes at most 64 KiB of messages (a limit of rustls's), one connection keeps at most
//! [`TLS_UNSENT_BYTES_MAX`] of what the socket does not take. Renegotiation is refused, early data is not offered.

mod failure;
mod stamps;
mod stream;
mod version1;

use std::{io, sync::Arc};

use parking_lot::{Mutex, RwLock};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    server::{Acceptor, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;

pub use self::stream::TlsStream;
use self::{stamps::Watch, version1::AlsoVersion1};
use super::{
    certificates::{Material, TlsError, files},
    subject::ClientName,
};
use crate::{limits::TLS_UNSENT_BYTES_MAX, options::TlsOptions};

/// The name by which a client may ask for MQTT right after the handshake (ALPN).
pub const ALPN_MQTT: &str = "mqtt";

/// The same for a listener whose MQTT is in WebSocket.
pub const ALPN_HTTP: &str = "http/1.1";

/// TLS of one listener; a copy is the same TLS.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: TlsOptions,
    alpn: &'static str,
    provider: Arc<CryptoProvider>,
    serving: RwLock<Arc<Serving>>,
    watch: Mutex<Watch>,
    /// Held by who reads the files: what was read first must not be put in place last.
    reading: Mutex<()>,
}

/// What new handshakes go by. Those that have begun keep what they began with.
#[derive(Debug)]
struct Serving {
    config: Arc<ServerConfig>,
    /// The same for clients that ask for some other protocol by ALPN: they get none, and are not refused.
    without_alpn: Arc<ServerConfig>,
    expires_at_s: i64,
    digest: u64,
}

impl Tls {
    /// Reads the files. `alpn` is what is offered to clients that ask: [`ALPN_MQTT`] or [`ALPN_HTTP`].
    ///
    /// A certificate that is out of date is a warning in the log, and no error.
    ///
    /// # Errors
    /// The first fault in a file, or options that do not go together.
    pub fn load(options: &TlsOptions, alpn: &'static str) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let watch = Mutex::new(Watch::new(files(options)));
        let serving = RwLock::new(Arc::new(Serving::load(options, alpn, &provider)?));
        let (options, reading) = (options.clone(), Mutex::new(()));
        Ok(Self(Arc::new(Shared { options, alpn, provider, serving, watch, reading })))
    }

    /// Reads all files anew, and has new handshakes go by them. Answers whether anything in them has changed; if not,
    /// sessions that can be resumed stay so. Connections that are there go on as they are. It blocks as long as the
    /// disk does.
    ///
    /// # Errors
    /// As [`Tls::load`]; what was served before is served on.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let _alone = self.0.reading.lock();
        // Noted before the files are read: a change in between is seen at the next look. Files that are wrong are told
        // of once, until they change again.
        self.0.watch.lock().take(files(&self.0.options));
        let fresh = Serving::load(&self.0.options, self.0.alpn, &self.0.provider)?;
        let mut serving = self.0.serving.write();
        let has_changed = fresh.digest != serving.digest;
        if has_changed {
            *serving = Arc::new(fresh);
        }
        Ok(has_changed)
    }

    /// Whether it is time for [`Tls::reload`]: the files are others than those that were last read (by time, length and
    /// number, where links lead), and were the same at the look before. One `stat` a file; meant for every few seconds.
    #[must_use]
    pub fn files_changed(&self) -> bool {
        self.0.watch.lock().look(files(&self.0.options))
    }

    /// When the listener's own certificate ends, in seconds since 1970; before 1970 it is negative.
    #[must_use]
    pub fn expires_at_s(&self) -> i64 {
        self.0.serving.read().expires_at_s
    }

    /// Does the handshake, and answers who the client is if it has a certificate of one of the authorities. The caller
    /// bounds the time.
    ///
    /// # Errors
    /// Why there is no TLS, in words for the log; the client has been told as far as TLS has it.
    pub async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, Option<ClientName>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let serving = Arc::clone(&self.0.serving.read());
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failure::explain)?;
        let alpn = self.0.alpn.as_bytes();
        let asks_for_another =
            start.client_hello().alpn().is_some_and(|mut protocols| !protocols.any(|protocol| protocol == alpn));
        let config = if asks_for_another { &serving.without_alpn } else { &serving.config };
        let bound = |connection: &mut rustls::ServerConnection| connection.set_buffer_limit(Some(TLS_UNSENT_BYTES_MAX));
        let stream = start.into_stream_with(Arc::clone(config), bound).await.map_err(failure::explain)?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let name = certificate.map(|certificate| ClientName::of(certificate)).transpose().map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("the client's certificate: {error}"))
        })?;
        Ok((TlsStream::new(stream), name))
    }
}

impl Serving {
    fn load(options: &TlsOptions, alpn: &str, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let Material { names, authorities, revoked, expires_at_s, digest } = Material::read(options, provider)?;
        let versions: &[&SupportedProtocolVersion] = if options.only_tls13 { &[&TLS13] } else { &[&TLS13, &TLS12] };
        let unusable = |path: &std::path::Path, why: String| TlsError::Damaged {
            path: path.to_owned(),
            what: "what is in it".to_owned(),
            why,
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)
            .map_err(|error| unusable(&options.certificates, error.to_string()))?;
        let builder = match authorities {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                // The client's own certificate is looked up, as OpenSSL's CRL_CHECK does: then a list of its own
                // authority has to be there. Lists of the authorities above are rarely at hand.
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(authorities.iter().cloned());
                let mut verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
                    .with_crls(revoked.clone())
                    .only_check_end_entity_revocation();
                if !options.requires_certificate {
                    verifier = verifier.allow_unauthenticated();
                }
                let path = options.revoked.as_ref().or(options.client_authorities.as_ref());
                let path = path.unwrap_or(&options.certificates);
                let inner = verifier.build().map_err(|error| unusable(path, error.to_string()))?;
                let algorithms = provider.signature_verification_algorithms;
                builder.with_client_cert_verifier(Arc::new(AlsoVersion1 { inner, authorities, revoked, algorithms }))
            }
        };
        let without_alpn = builder.with_cert_resolver(Arc::new(names));
        let mut config = without_alpn.clone();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Ok(Self { config: Arc::new(config), without_alpn: Arc::new(without_alpn), expires_at_s, digest })
    }
}

#[cfg(test)]
mod tests;
