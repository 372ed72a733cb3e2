//! The service itself.

use std::{
    fmt,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header::AUTHORIZATION};
use http_body_util::{BodyExt, Limited};
use rustls::ClientConfig;
use tower_service::Service;

use super::{
    body::{Download, Progress, Upload},
    client::{Client, client},
    failure::{Failure, before_answer},
    request::{Base, authorization, prepare_headers, strip_connection},
};
use crate::{
    body::Body,
    config,
    error::{Error, Kind},
    native::Api,
    types::BoxFuture,
};

/// A v2 or v3 server behind a pool of connections. Clones share the pool.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    base: Base,
    api: Api,
    org: Box<str>,
    /// For calls of our own. Those of clients bring theirs: one without any must not borrow it.
    authorization: Option<HeaderValue>,
    timeout: Duration,
    client: Client,
}

impl Upstream {
    /// An upstream as configured; nothing is sent yet. TLS trusts the system's roots.
    ///
    /// # Errors
    /// When the address or the token can't work, or the system's roots can't be read.
    pub fn new(config: &config::Upstream) -> Result<Self, Error> {
        Self::build(config, None)
    }

    /// The same with TLS of one's own: another root, a client certificate. ALPN is set here.
    ///
    /// # Errors
    /// When the address or the token can't work.
    pub fn with_tls(config: &config::Upstream, tls: ClientConfig) -> Result<Self, Error> {
        Self::build(config, Some(tls))
    }

    fn build(config: &config::Upstream, tls: Option<ClientConfig>) -> Result<Self, Error> {
        let base = Base::new(&config.url)?;
        let authorization = config.token.as_ref().map(|token| authorization(config.api, token)).transpose()?;
        let client = client(base.is_https(), tls, config.connect_timeout)?;
        Ok(Self(Arc::new(Inner {
            base,
            api: config.api,
            org: config.org.clone(),
            authorization,
            timeout: config.timeout,
            client,
        })))
    }

    /// Which API it speaks.
    pub(super) fn api(&self) -> Api {
        self.0.api
    }

    /// v2's organization.
    pub(super) fn org(&self) -> &str {
        &self.0.org
    }

    /// A `GET` of the shim's own, with the upstream's token: status and at most `limit` bytes of body.
    pub(super) async fn get(&self, path_and_query: &str, limit: usize) -> Result<(StatusCode, Bytes), Error> {
        let uri: Uri = path_and_query.parse().map_err(Error::internal)?;
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri;
        if let Some(value) = &self.0.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        let (head, body) = self.0.send(request).await?.into_parts();
        let body = Limited::new(body, limit).collect().await.map_err(|error| match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(_) => Error::new(Kind::BadGateway, format!("answer of upstream is longer than {limit} bytes")),
        })?;
        Ok((head.status, body.to_bytes()))
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Error>>;

    /// Always ready: the pool opens a connection whenever none is idle.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.send(request).await })
    }
}

impl Inner {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.base.join(&parts.uri)?;
        // How the client spoke to us says nothing about the upstream's connection.
        parts.version = Version::HTTP_11;
        prepare_headers(&mut parts.headers);

        let progress = Progress::new();
        let body = match body.as_full() {
            Some(_) => body,
            None => Body::new(Upload { body, progress: progress.clone() }),
        };
        let reply = pin!(self.client.request(Request::from_parts(parts, body)));
        let reply = patiently(reply, &progress, self.timeout).await?;

        let (mut parts, body) = reply.into_parts();
        strip_connection(&mut parts.headers);
        parts.version = Version::HTTP_11;
        Ok(Response::from_parts(parts, Body::new(Download::new(body, self.timeout))))
    }
}

/// Waits for the answer as long as something moves: see [`Progress`].
async fn patiently<F, T>(mut reply: std::pin::Pin<&mut F>, progress: &Progress, patience: Duration) -> Result<T, Error>
where
    F: Future<Output = Result<T, hyper_util::client::legacy::Error>>,
{
    loop {
        let last = progress.last();
        match tokio::time::timeout_at(last + patience, reply.as_mut()).await {
            Ok(reply) => return reply.map_err(|error| before_answer(&error)),
            Err(_) if progress.last() > last => {}
            Err(_) => return Err(Failure::Timeout.error(format_args!("no answer within {patience:?}"))),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("base", &self.0.base).field("api", &self.0.api).finish_non_exhaustive()
    }
}
