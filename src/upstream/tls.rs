//! TLS towards the upstream: whom to trust, and as whom to come.

use std::path::Path;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{
    config,
    error::{Error, Kind},
};

/// The configured certificates, or the system's roots, as rustls wants them. ALPN is set by the client.
pub(super) fn load(tls: &config::UpstreamTls) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        // Only it: who names a CA doesn't want to trust all the others too.
        Some(path) => {
            for certificate in certificates("ca", path)? {
                roots.add(certificate).map_err(|error| wrong("ca", path, &error))?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            let (added, _) = roots.add_parsable_certificates(system.certs);
            if added == 0 {
                let why = system.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
                return Err(Error::new(Kind::Internal, format!("the system's TLS roots can't be read: {why}")));
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots);
    let Some((cert, key)) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates("cert", cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("key", key, &error))?;
    builder.with_client_auth_cert(chain, private).map_err(|error| wrong("key", key, &error))
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    let found = read().map_err(|error| wrong(name, path, &error))?;
    if found.is_empty() { Err(wrong(name, path, &"it holds no certificate")) } else { Ok(found) }
}

fn wrong(name: &str, path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("upstream.tls.{name}: {path:?} can't be used: {why}"))
}
