//! Why a handshake failed, in words for whoever reads the log.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// The same error with what is known about its cause.
pub(super) fn explain(error: io::Error) -> io::Error {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return if error.kind() == io::ErrorKind::UnexpectedEof {
            io::Error::new(error.kind(), "the client closed the connection during the TLS handshake")
        } else {
            error
        };
    };
    let text = match cause {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the client does not speak TLS, and this listener takes nothing else: \
             have it connect with TLS (mqtts://, wss://, --cafile)"
                .to_owned()
        }
        Error::NoCertificatesPresented => {
            "the client has no certificate, and this listener requires one of its authorities".to_owned()
        }
        Error::InvalidCertificate(error) => format!("the client's certificate was refused: {}", refused(error)),
        Error::AlertReceived(alert) => alert_of_client(*alert),
        Error::PeerIncompatible(why) => format!("client and listener have no version or cipher in common: {why:?}"),
        other => format!("TLS failed: {other}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn alert_of_client(alert: AlertDescription) -> String {
    use AlertDescription::{
        BadCertificate, CertificateExpired, CertificateUnknown, DecryptError, UnknownCA, UnsupportedCertificate,
    };
    match alert {
        UnknownCA | CertificateUnknown | BadCertificate | UnsupportedCertificate | DecryptError => format!(
            "the client does not trust this listener's certificate ({alert:?}): \
             give the client its authority, and check that the certificate has the name by which the client connects"
        ),
        CertificateExpired => "the client says that this listener's certificate has expired".to_owned(),
        other => format!("the client ended the TLS handshake: {other:?}"),
    }
}

fn refused(error: &CertificateError) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext, NotValidYet, NotValidYetContext,
        Revoked, UnknownIssuer, UnknownRevocationStatus,
    };
    match error {
        Revoked => "its authority has revoked it".to_owned(),
        BadSignature => "an authority of this listener has the name of its issuer, and has not signed it".to_owned(),
        UnknownIssuer => "no authority of this listener has signed it".to_owned(),
        Expired | ExpiredContext { .. } => "it has expired".to_owned(),
        NotValidYet | NotValidYetContext { .. } => "it is not valid yet: check this machine's clock".to_owned(),
        UnknownRevocationStatus => "there is no revocation list of its authority".to_owned(),
        InvalidPurpose | InvalidPurposeContext { .. } => {
            "it is not for clients (extended key usage clientAuth)".to_owned()
        }
        other => other.to_string(),
    }
}
