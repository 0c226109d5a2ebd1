//! Certificates of a run: an authority, and what it signs, as PEM. Nothing here is written to a file, and nothing of the
//! system's is trusted or changed.
//!
//! They have what strict clients ask for (key identifiers, usages, names in `subjectAltName`), and keys on P-256, which every
//! TLS library knows and which cost no time to make.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// For the longest of runs, and for a clock that is set in between.
const VALID: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A certificate and its private key, as PEM.
#[derive(Debug)]
pub struct Pair {
    pub cert: String,
    pub key: String,
}

/// What signs certificates.
pub struct Authority {
    pub pair: Pair,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is to say.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Whose it is: the common name.
    pub subject: String,
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// It is shown by a server. (Servers show it to each other as well, as clients.)
    pub server: bool,
    /// It was valid until yesterday.
    pub expired: bool,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    ///
    /// # Errors
    /// When the name cannot stand in a certificate, or the machine has no random numbers.
    pub fn new(name: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params(name, &[], false)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pair = pair(&params.self_signed(&key)?, &key);
        Ok(Self { pair, issuer: Issuer::new(params, key) })
    }

    /// A certificate that it has signed, with a key of its own.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate, or the machine has no random numbers.
    pub fn issue(&self, wanted: &Wanted) -> Result<Pair, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params(&wanted.subject, &wanted.names, wanted.expired)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if wanted.server {
            params.extended_key_usages.insert(0, ExtendedKeyUsagePurpose::ServerAuth);
        }
        Ok(pair(&params.signed_by(&key, &self.issuer)?, &key))
    }
}

/// What is wrong with a name of a host, if it cannot be one: in a certificate it would never match.
pub fn wrong_name(name: &str) -> Option<&'static str> {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let labels = || name.strip_prefix("*.").unwrap_or(name).split('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    match name {
        _ if name.contains("://") => Some("it is a URL"),
        _ if name.split_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
            Some("it has a port")
        }
        _ if labels().all(is_label) => None,
        _ => Some(
            "a name is like \"localhost\", \"api.test\" or \"*.api.test\", an address like \"127.0.0.1\"",
        ),
    }
}

fn pair(certificate: &Certificate, key: &KeyPair) -> Pair {
    Pair { cert: certificate.pem(), key: key.serialize_pem() }
}

fn params(subject: &str, names: &[String], expired: bool) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    // From the epoch on, so that no other crate is needed for times. A clock that is a little late must not refuse it.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (from, to) = if expired { (now - 30 * DAY, now - DAY) } else { (now - DAY, now + VALID) };
    let whole = |time: Duration| date_time_ymd(1970, 1, 1) + Duration::from_secs(time.as_secs());
    (params.not_before, params.not_after) = (whole(from), whole(to));
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_key_of_its_own() {
        let authority = Authority::new("a CA").expect("an authority");
        let wanted = Wanted {
            subject: "x".into(),
            names: vec!["localhost".into(), "::1".into()],
            ..Wanted::default()
        };
        let (one, other) =
            (authority.issue(&wanted).expect("one"), authority.issue(&wanted).expect("another"));
        assert!(
            one.key.starts_with("-----BEGIN PRIVATE KEY-----")
                && one.cert.starts_with("-----BEGIN CERTIFICATE-----")
        );
        assert_ne!(one.key, other.key);
        assert_ne!(one.cert, other.cert);
    }

    #[test]
    fn names_are_those_of_hosts() {
        for right in ["localhost", "127.0.0.1", "::1", "*.api.test", "my_host", "xn--bcher-kva.example"] {
            assert_eq!(wrong_name(right), None, "{right}");
        }
        assert_eq!(wrong_name("https://localhost"), Some("it is a URL"));
        assert_eq!(wrong_name("localhost:8443"), Some("it has a port"));
        for wrong in ["", "a b", "*", "a..b", "bücher.example", "a.*.b"] {
            assert!(wrong_name(wrong).is_some(), "{wrong}");
        }
    }
}
