//! The client for TLS and for HTTP/2: connections, timeouts of connecting. Plain HTTP/1.1 is [`pool`](super::pool)'s.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pooled, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;
use tower_service::Service;

use crate::{
    body::Body,
    error::Error,
    types::{BoxError, BoxFuture},
};

/// A pool of connections to upstreams.
type Client = Pooled<Bounded, Body>;

/// The pools, by what is spoken.
#[derive(Debug)]
pub(super) struct Clients {
    /// HTTP/1.1, or HTTP/2 where ALPN says so.
    pub(super) http: Client,
    /// HTTP/2 alone, without TLS by prior knowledge: what gRPC needs.
    pub(super) grpc: Client,
}

/// Idle connections kept for one upstream: as many as a busy edge needs at once, no more than a small server bears.
pub(super) const IDLE_CONNECTIONS: usize = 128;
/// Shorter than the 75 s or more of usual servers and proxies, so that we close first and a request rarely meets a closing connection.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Makes the clients. Without `tls` nobody is trusted: reading the system's roots costs time, and a container without any must still reach a plain
/// upstream.
pub(super) fn clients(tls: Option<ClientConfig>, connect_timeout: Duration) -> Result<Clients, Error> {
    let builder = HttpsConnectorBuilder::new();
    let builder = builder.with_tls_config(match tls {
        Some(config) => config,
        None => without_roots()?,
    });
    let connector = builder.https_or_http().enable_http1().enable_http2().wrap_connector(tcp(connect_timeout));

    let connector = Bounded { connector, timeout: connect_timeout };
    let mut builder = Pooled::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS);
    let http = builder.build(connector.clone());
    Ok(Clients { http, grpc: builder.http2_only(true).build(connector) })
}

/// Connects to an address or to one of those behind a name.
pub(super) fn tcp(connect_timeout: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    // Divided among the addresses of a name, so that one dead address leaves time for the others.
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp
}

fn without_roots() -> Result<ClientConfig, Error> {
    Ok(ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

/// A connector that gives up: `HttpConnector`'s own timeout knows nothing of name resolution and of the TLS handshake.
#[derive(Clone, Debug)]
pub(super) struct Bounded {
    connector: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

impl Service<Uri> for Bounded {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = self.timeout;
        let mut connector = self.connector.clone();
        Box::pin(async move {
            tokio::time::timeout(timeout, async {
                poll_fn(|cx| connector.poll_ready(cx)).await?;
                connector.call(uri).await
            })
            .await
            .unwrap_or_else(|_| {
                let words = format!("no connection within {timeout:?}");
                Err(io::Error::new(io::ErrorKind::TimedOut, words).into())
            })
        })
    }
}
