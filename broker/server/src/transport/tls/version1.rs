//! Client certificates of X.509 version 1, which webpki does not read.
//!
//! `openssl x509 -req` makes them unless it is told otherwise, and so do most instructions for brokers: whoever comes
//! from Mosquitto has devices with them. Such a certificate has no extensions, so it can be a client's and nothing
//! else: it is taken if an authority of the listener has signed it itself. Everything newer goes to webpki, untouched.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, CertificateRevocationListDer, SubjectPublicKeyInfoDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::RawPublicKeyEntity;
use x509_parser::{
    certificate::X509Certificate, prelude::FromDer as _, revocation_list::CertificateRevocationList, x509::X509Version,
};

/// A verifier that takes version 1 as well as what another one takes.
#[derive(Debug)]
pub(super) struct AlsoVersion1 {
    pub(super) inner: Arc<dyn ClientCertVerifier>,
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) revoked: Vec<CertificateRevocationListDer<'static>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl AlsoVersion1 {
    fn verify(&self, certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), CertificateError> {
        let issuer = certificate.issuer().as_raw();
        let authorities = self.authorities.iter().filter_map(|authority| parse(authority));
        let named: Vec<_> = authorities.filter(|authority| authority.subject().as_raw() == issuer).collect();
        if named.is_empty() {
            return Err(CertificateError::UnknownIssuer);
        }
        let (signed, signature) = (certificate.tbs_certificate.as_ref(), &*certificate.signature_value.data);
        let signer = named.iter().find(|authority| self.has_signed(authority, signed, signature));
        let signer = signer.ok_or(CertificateError::BadSignature)?;
        let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now_s < certificate.validity().not_before.timestamp() {
            return Err(CertificateError::NotValidYet);
        }
        if now_s > certificate.validity().not_after.timestamp() {
            return Err(CertificateError::Expired);
        }
        self.check_revocation(certificate, signer)
    }

    /// Where there are lists, one of the authority has to be among them, as for newer certificates.
    fn check_revocation(
        &self,
        certificate: &X509Certificate<'_>,
        signer: &X509Certificate<'_>,
    ) -> Result<(), CertificateError> {
        let lists = self.revoked.iter().filter_map(|list| CertificateRevocationList::from_der(list).ok());
        let is_signers = |list: &CertificateRevocationList<'_>| {
            list.issuer().as_raw() == signer.subject().as_raw()
                && self.has_signed(signer, list.tbs_cert_list.as_ref(), &list.signature_value.data)
        };
        let mut is_listed = self.revoked.is_empty();
        for list in lists.map(|(_, list)| list).filter(is_signers) {
            is_listed = true;
            if list.iter_revoked_certificates().any(|revoked| *revoked.serial() == certificate.tbs_certificate.serial) {
                return Err(CertificateError::Revoked);
            }
        }
        if is_listed { Ok(()) } else { Err(CertificateError::UnknownRevocationStatus) }
    }

    /// Whether the signature is one of this key's over these bytes, by any algorithm that the provider trusts.
    fn has_signed(&self, authority: &X509Certificate<'_>, signed: &[u8], signature: &[u8]) -> bool {
        let key = SubjectPublicKeyInfoDer::from(authority.public_key().raw);
        RawPublicKeyEntity::try_from(&key).is_ok_and(|key| {
            self.algorithms.all.iter().any(|algorithm| key.verify_signature(*algorithm, signed, signature).is_ok())
        })
    }

    /// Whether the client has the certificate's key. The scheme is one that was offered, or there is none here.
    fn verify_handshake(
        &self,
        message: &[u8],
        certificate: &X509Certificate<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let offered = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signature.scheme);
        let (_, algorithms) = offered.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        if algorithms.iter().any(|algorithm| key.verify_signature(*algorithm, message, signature.signature()).is_ok()) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        Err(CertificateError::BadSignature.into())
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, certificate) = X509Certificate::from_der(certificate).ok()?;
    rest.is_empty().then_some(certificate)
}

/// The certificate, if it is of version 1: without extensions.
fn version1<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    parse(certificate).filter(|parsed| parsed.version() == X509Version::V1 && parsed.extensions().is_empty())
}

impl ClientCertVerifier for AlsoVersion1 {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match version1(end_entity) {
            None => self.inner.verify_client_cert(end_entity, intermediates, now),
            Some(certificate) => {
                self.verify(&certificate, now)?;
                Ok(ClientCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match version1(certificate) {
            None => self.inner.verify_tls12_signature(message, certificate, signature),
            Some(certificate) => self.verify_handshake(message, &certificate, signature),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match version1(certificate) {
            None => self.inner.verify_tls13_signature(message, certificate, signature),
            Some(certificate) if is_of_tls13(signature.scheme) => {
                self.verify_handshake(message, &certificate, signature)
            }
            Some(_) => Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// RFC 8446, section 4.2.3: PKCS#1 v1.5 signs no handshake of TLS 1.3.
fn is_of_tls13(scheme: SignatureScheme) -> bool {
    use SignatureScheme::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512};
    !matches!(scheme, RSA_PKCS1_SHA256 | RSA_PKCS1_SHA384 | RSA_PKCS1_SHA512)
}

#[cfg(test)]
mod tests;
