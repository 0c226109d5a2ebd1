//! Whose certificates are believed, and which one is shown.
//!
//! Without anything else those authorities are trusted that browsers trust. For a server of this machine, for whose names
//! none of these signs anything, that of the run counts as well.

use super::url::Url;
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

/// What a request is told about certificates.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Accept every certificate.
    pub insecure: bool,
    /// Who signs the servers' certificates, in place of those that browsers trust.
    pub authorities: Option<Authorities>,
    /// Who signs those of this machine, when nothing else is said.
    pub of_this_machine: Option<Authorities>,
    /// What the first server is shown, and none that it redirects to.
    pub identity: Option<Identity>,
}

#[derive(Clone, Debug)]
pub struct Authorities(Arc<Vec<Certificate<'static>>>);

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Identity(ClientCert);

impl Authorities {
    /// # Errors
    /// What is wrong with the text.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        certificates(pem).map(|found| Self(Arc::new(found)))
    }
}

impl Identity {
    /// # Errors
    /// What is wrong with the texts, or that one does not belong to the other.
    pub fn from_pem(cert: &str, key: &str) -> Result<Self, String> {
        let chain = certificates(cert)?;
        let key = PrivateKey::from_pem(key.as_bytes())
            .map_err(|_| "there is no private key in it (PEM, without a password)".to_owned())?;
        belongs(&chain[0], &key)?;
        Ok(Self(ClientCert::new_with_certs(&chain, key)))
    }
}

impl Trust {
    pub(super) fn config(&self, url: &Url) -> TlsConfig {
        let local = self.of_this_machine.as_ref().filter(|_| url.local_port().is_some());
        let roots = match self.authorities.as_ref().or(local) {
            Some(authorities) => RootCerts::Specific(Arc::clone(&authorities.0)),
            None => RootCerts::WebPki,
        };
        TlsConfig::builder()
            .disable_verification(self.insecure)
            .root_certs(roots)
            .client_cert(self.identity.as_ref().map(|identity| identity.0.clone()))
            .build()
    }
}

fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>, String> {
    let items = parse_pem(pem.as_bytes()).map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Ok(Some(certificate)),
        Ok(_) => Ok(None),
        Err(e) => Err(format!("it is not PEM: {e}")),
    });
    let found: Vec<_> = items.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    if found.is_empty() { Err("there is no certificate in it (PEM)".to_owned()) } else { Ok(found) }
}

/// The HTTP client would panic on a key that is not the certificate's.
fn belongs(certificate: &Certificate, key: &PrivateKey) -> Result<(), String> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let key = PrivateKeyDer::try_from(key.der()).map_err(str::to_owned)?.clone_key();
    let provider = rustls::crypto::ring::default_provider();
    let chain = vec![CertificateDer::from(certificate.der()).into_owned()];
    match rustls::sign::CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err("the key is not that of the certificate".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}
