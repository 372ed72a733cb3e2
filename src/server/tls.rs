//! TLS: rustls with ring, HTTP/2 by ALPN, certificates that can be exchanged while it runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::config::{Problem, Problems, Tls};

/// The certificate for the next handshake.
#[derive(Debug)]
pub(super) struct Certificates(ArcSwap<CertifiedKey>);

impl Certificates {
    pub(super) fn new(key: CertifiedKey) -> Self {
        Self(ArcSwap::from_pointee(key))
    }

    /// Connections that stand keep theirs.
    pub(super) fn set(&self, key: CertifiedKey) {
        self.0.store(Arc::new(key));
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Reads certificate and key, and sees whether they belong together.
pub(super) fn load(tls: &Tls) -> Result<CertifiedKey, Problems> {
    let problem = |key: &str, message: String| Problems(vec![Problem { line: None, key: format!("server.tls.{key}"), message }]);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect)
        .map_err(|error| problem("cert", format!("can't read certificates from {:?}: {error}", tls.cert)))?;
    if chain.is_empty() {
        return Err(problem("cert", format!("there is no certificate in {:?}", tls.cert)));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| problem("key", format!("can't read a private key from {:?}: {error}", tls.key)))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| problem("key", format!("{:?} doesn't go with {:?}: {error}", tls.key, tls.cert)))
}

/// TLS 1.2 and 1.3 with these certificates.
pub(super) fn config(certificates: Arc<Certificates>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn certificate_and_key_belong_together() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let tls = Tls { cert: dir.path().join(format!("{name}.pem")), key: dir.path().join(format!("{name}.key")) };
            fs::write(&tls.cert, made.cert.pem()).unwrap();
            fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
            tls
        };
        let (a, b) = (make("a"), make("b"));
        load(&a).unwrap();
        let key = |tls: Tls| load(&tls).unwrap_err().0.remove(0).key;
        assert_eq!(key(Tls { cert: a.cert.clone(), key: b.key.clone() }), "server.tls.key");
        assert_eq!(key(Tls { cert: a.key.clone(), key: b.key.clone() }), "server.tls.cert");
        assert_eq!(key(Tls { cert: dir.path().join("none"), key: b.key }), "server.tls.cert");
        assert_eq!(key(Tls { cert: a.cert.clone(), key: a.cert }), "server.tls.key");
    }
}
