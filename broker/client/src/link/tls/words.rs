//! What is wrong with TLS, in the words of people: what rustls says of it is for programmers.

use std::path::Path;

use rustls::{AlertDescription, CertificateError, Error, InconsistentKeys};

/// What rustls has no name for comes as text; these are the two that a certificate made in a hurry leads to.
const OLD_VERSION: &str = "UnsupportedCertVersion";
const AUTHORITY: &str = "CaUsedAsEndEntity";

/// Why there is no TLS with the broker, and what can be done.
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => format!("the broker's certificate {}", certificate(why)),
        Error::AlertReceived(received) => alert(*received),
        Error::InvalidMessage(_) => "it does not speak TLS: is this the port for TLS?".to_owned(),
        Error::PeerIncompatible(_) => {
            "it has no TLS version, cipher or signature in common with this client (--tls-version, --ciphers)"
                .to_owned()
        }
        Error::PeerMisbehaved(_) | Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "it breaks the rules of TLS".to_owned()
        }
        Error::NoCertificatesPresented => "the broker shows no certificate".to_owned(),
        other => other.to_string(),
    }
}

/// Why `--cert` and `--key` are of no use.
pub(super) fn own(error: &Error, cert: &Path, key: &Path) -> String {
    let (cert, key) = (cert.display(), key.display());
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            format!("--key {key}: it is not the key of the certificate --cert {cert}")
        }
        Error::InvalidCertificate(why) => format!("--cert {cert}: the certificate {}", certificate(why)),
        other => format!("--cert {cert} and --key {key}: {}", words(other)),
    }
}

/// Why a certificate of `--cafile` is of no use.
pub(super) fn authority(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => format!("a certificate in it {}", certificate(why)),
        other => format!("a certificate in it cannot be used: {other}"),
    }
}

/// What a certificate is or has, so that it cannot be used: what follows "the certificate".
fn certificate(why: &CertificateError) -> String {
    #[expect(deprecated, reason = "rustls still gives the kind without a context")]
    let says = match why {
        CertificateError::BadEncoding => "cannot be read: it is damaged",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: is the clock of this machine right?"
        }
        CertificateError::Revoked => "was revoked by its authority",
        // A bad signature is that of another authority of the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is not of an authority that is trusted here: name that with --cafile"
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            return other_name(&expected.to_str(), presented.is_empty());
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for servers: its extendedKeyUsage has no serverAuth"
        }
        CertificateError::UnhandledCriticalExtension => "has a critical extension that this client does not know",
        CertificateError::UnsupportedSignatureAlgorithm
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "is signed in a way that this client does not take: have its authority sign with SHA-256 or better"
        }
        CertificateError::Other(other) => match &*other.to_string() {
            OLD_VERSION => {
                "is of X.509 version 1, which this client does not take: have its authority issue one of version 3 \
                 (openssl x509 -req ... -extfile)"
            }
            AUTHORITY => {
                "is an authority's certificate (CA:TRUE) used as a server's: make it with \
                 -addext basicConstraints=CA:FALSE, or name this very certificate with --cafile"
            }
            name => return format!("cannot be used here ({})", spaced(name)),
        },
        other => return format!("cannot be used here ({})", spaced(&format!("{other:?}"))),
    };
    says.to_owned()
}

/// Whether the only fault is that the certificate is of an authority. Its dates were looked at before that.
pub(super) fn is_authority(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other)) if other.to_string() == AUTHORITY)
}

fn other_name(host: &str, has_none: bool) -> String {
    let kind = if host.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
    if has_none {
        format!(
            "has no subjectAltName, where the name {host:?} is looked for: make it with \
             -addext subjectAltName={kind}:{host}, or connect with --insecure"
        )
    } else {
        format!("is not for the name {host:?}: connect by its name, or with --insecure")
    }
}

/// What the broker says when it ends TLS.
fn alert(alert: AlertDescription) -> String {
    let says = match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "the broker wants a client certificate: --cert and --key"
        }
        AlertDescription::UnknownCA => "the broker does not trust the authority of the client certificate (--cert)",
        // What a server says of a signature that is wrong.
        AlertDescription::DecryptError => {
            "the broker does not take the client certificate (--cert): it is of another authority of the same name"
        }
        AlertDescription::CertificateExpired => "the broker says that the client certificate (--cert) has expired",
        AlertDescription::CertificateRevoked => "the broker says that the client certificate (--cert) was revoked",
        AlertDescription::CertificateUnknown
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate => "the broker does not take the client certificate (--cert)",
        AlertDescription::AccessDenied => "the broker does not let this client certificate in (--cert)",
        AlertDescription::HandshakeFailure => {
            "the broker refuses: it takes none of the ciphers (--ciphers), or wants a client certificate \
             (--cert and --key)"
        }
        AlertDescription::ProtocolVersion => {
            "the broker takes none of the TLS versions: it may only speak an older one"
        }
        AlertDescription::NoApplicationProtocol => "the broker does not know the protocol of --tls-alpn",
        AlertDescription::UnrecognisedName => "the broker does not know itself by this name (-h)",
        other => return format!("the broker ended it, and says: {}", spaced(&format!("{other:?}"))),
    };
    says.to_owned()
}

/// A name of the source as words: "InternalError" is "internal error".
fn spaced(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && words.ends_with(char::is_lowercase) {
            words.push(' ');
        }
        words.push(letter);
    }
    words.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_said_in_words() {
        for (received, says) in [
            (AlertDescription::CertificateRequired, "the broker wants a client certificate: --cert and --key"),
            (AlertDescription::CertificateUnknown, "does not take the client certificate (--cert)"),
            (AlertDescription::CertificateExpired, "the client certificate (--cert) has expired"),
            (AlertDescription::UnknownCA, "does not trust the authority of the client certificate (--cert)"),
            (AlertDescription::HandshakeFailure, "--ciphers"),
            (AlertDescription::InternalError, "the broker ended it, and says: internal error"),
        ] {
            let why = words(&Error::AlertReceived(received));
            assert!(why.contains(says), "no {says:?} in {why}");
        }
    }

    #[test]
    fn what_is_not_known_is_still_in_words() {
        let why = words(&Error::InvalidCertificate(CertificateError::UnknownRevocationStatus));
        assert_eq!(why, "the broker's certificate cannot be used here (unknown revocation status)");
        let misbehaved = rustls::PeerMisbehaved::TooMuchEarlyDataReceived;
        assert_eq!(words(&Error::PeerMisbehaved(misbehaved)), "it breaks the rules of TLS");
    }
}
