//! The name in a client's certificate. Whether the certificate is to be believed is no question here: it was verified.

use std::fmt::Write as _;

use x509_parser::{
    asn1_rs::{Any, ToDer as _},
    certificate::X509Certificate,
    prelude::FromDer as _,
    x509::X509Name,
};

/// Who a client is by its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName {
    /// The common name of the subject; `None` where there is none, or several, or one with a control character in it,
    /// which is no name for a user.
    pub common: Option<String>,
    /// The whole subject as RFC 4514 writes it: `CN=sensor 7,O=Example`, the most specific part first. Empty for a
    /// certificate without a subject.
    pub subject: String,
}

impl ClientName {
    /// Reads the name in a certificate (DER).
    ///
    /// # Errors
    /// What is wrong with the certificate.
    pub(super) fn of(certificate: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let mut names = certificate.subject().iter_common_name();
        // Of two, nobody can say which is meant.
        let common = names.next().filter(|_| names.next().is_none()).and_then(|name| name.as_str().ok());
        Ok(Self {
            common: common.filter(|name| !name.chars().any(char::is_control)).map(str::to_owned),
            subject: write(certificate.subject()),
        })
    }
}

/// Short names of the attributes that subjects have: those of RFC 4514, and beyond it those that OpenSSL prints.
const NAMES: [(&str, &str); 16] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.42", "GN"),
    ("2.5.4.46", "dnQualifier"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];

fn write(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.iter().rev() {
        if !out.is_empty() {
            out.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                out.push('+');
            }
            let oid = attribute.attr_type().to_id_string();
            let short = NAMES.iter().find(|(id, _)| *id == oid).map(|(_, short)| *short);
            out.push_str(short.unwrap_or(&oid));
            out.push('=');
            match (short, attribute.as_str()) {
                (Some(_), Ok(text)) => escape(text, &mut out),
                _ => write_hex(attribute.attr_value(), &mut out),
            }
        }
    }
    out
}

/// RFC 4514, section 2.4; control characters as well, which would break a line of the log.
fn escape(text: &str, out: &mut String) {
    let last = text.chars().count().saturating_sub(1);
    for (index, char) in text.chars().enumerate() {
        let is_edge = (char == ' ' && (index == 0 || index == last)) || (char == '#' && index == 0);
        if is_edge || matches!(char, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            out.push('\\');
            out.push(char);
        } else if char.is_control() {
            for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "\\{byte:02X}");
            }
        } else {
            out.push(char);
        }
    }
}

/// A value that is no text, or one of an attribute without a short name: its encoding in hexadecimal.
fn write_hex(value: &Any<'_>, out: &mut String) {
    out.push('#');
    for byte in value.to_der_vec().unwrap_or_default() {
        let _ = write!(out, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        escape(text, &mut out);
        out
    }

    #[test]
    fn what_separates_parts_is_escaped() {
        assert_eq!(escaped("James \"Jim\" Smith, III"), "James \\\"Jim\\\" Smith\\, III");
        assert_eq!(escaped(" #a# "), "\\ #a#\\ ");
        assert_eq!(escaped("#1"), "\\#1");
        assert_eq!(escaped("a\nb\0"), "a\\0Ab\\00");
        assert_eq!(escaped("Lučić"), "Lučić");
    }

    #[test]
    fn garbage_is_no_certificate() {
        assert!(ClientName::of(b"").is_err());
        assert!(ClientName::of(&[0x30, 0x82, 0xff, 0xff]).is_err());
    }
}
