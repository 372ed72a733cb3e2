//! TLS towards the upstream: a CA of one's own, a client certificate, both exchanged while it runs.

use std::{convert::Infallible, path::Path, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use v1shim::{
    Body,
    config::{self, UpstreamTls},
    upstream::{Failure, Upstream},
};

use super::{client::config, raw::Raw};

/// An authority, and what it has signed for both sides.
struct Authority {
    pem: String,
    certificate: rustls_pki_types::CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server on `localhost` that wants to see a certificate of this authority.
    async fn server(&self) -> Raw {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let (certificate, key) = self.sign("localhost");
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        Raw::start(move |_, stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service =
                    hyper::service::service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(Body::from("in"))));
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            }
        })
        .await
    }

    /// Writes `ca.pem`, `client.pem` and `client.key`.
    fn write(&self, dir: &Path) {
        let (certificate, key) = self.sign("shim");
        std::fs::write(dir.join("ca.pem"), &self.pem).unwrap();
        std::fs::write(dir.join("client.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.join("client.key"), key.serialize_pem()).unwrap();
    }
}

async fn ask(upstream: &Upstream) -> Result<u16, Option<Failure>> {
    let answer = upstream.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await;
    answer.map(|answer| answer.status().as_u16()).map_err(|error| Failure::of(&error))
}

#[tokio::test]
async fn a_certificate_is_asked_for_shown_and_exchanged() {
    let (old, new) = (Authority::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    old.write(dir.path());
    let identity = Some((file("client.pem"), file("client.key")));
    let tls = UpstreamTls { ca: Some(file("ca.pem")), identity };
    let (before, after) = (old.server().await, new.server().await);
    let at = |server: &Raw, tls: &UpstreamTls| config::Upstream {
        tls: Some(tls.clone()),
        retries: 0,
        ..config(&format!("https://localhost:{}", server.addr.port()))
    };

    assert_eq!(ask(&Upstream::new(&at(&before, &tls)).unwrap()).await, Ok(200));
    let nobody = UpstreamTls { identity: None, ..tls.clone() };
    assert!(ask(&Upstream::new(&at(&before, &nobody)).unwrap()).await.is_err(), "the server wants to know who it is");

    let config = at(&after, &tls);
    let upstream = Upstream::new(&config).unwrap();
    assert_eq!(ask(&upstream).await, Err(Some(Failure::Connect)), "the server is another authority's");
    new.write(dir.path());
    upstream.reload_tls(&config).unwrap();
    assert_eq!(ask(&upstream).await, Ok(200));

    // Files that make no sense change nothing.
    std::fs::write(file("client.key"), &new.pem).unwrap();
    let error = upstream.reload_tls(&config).unwrap_err();
    assert!(error.message().starts_with("upstream.tls.key: "), "{error}");
    assert_eq!(ask(&upstream).await, Ok(200));
}
