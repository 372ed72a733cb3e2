//! The layer: plumbing.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::Body,
    config::Live,
    dbrp::Catalog,
    native::Target,
    types::{BoxError, BoxFuture},
};

/// Layer that turns v1 calls into native ones, and native replies into v1's; see the [module](super).
#[derive(Clone, Debug)]
pub struct RewriteLayer {
    shared: Arc<Shared>,
}

/// What all clones of the service have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) live: Live,
    pub(super) target: Target,
    pub(super) catalog: Option<Arc<dyn Catalog>>,
}

impl RewriteLayer {
    /// Follows this configuration (a [`Snapshot`](crate::config::Snapshot) among a request's extensions wins) and speaks to a `target`. Without
    /// a catalog, names of buckets come from configured mappings and templates.
    #[must_use]
    pub fn new(live: Live, target: Target, catalog: Option<Arc<dyn Catalog>>) -> Self {
        Self { shared: Arc::new(Shared { live, target, catalog }) }
    }
}

impl<S> Layer<S> for RewriteLayer {
    type Service = Rewrite<S>;

    fn layer(&self, inner: S) -> Rewrite<S> {
        Rewrite { inner, shared: Arc::clone(&self.shared) }
    }
}

/// Service of [`RewriteLayer`].
#[derive(Clone, Debug)]
pub struct Rewrite<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, RB> Service<Request<Body>> for Rewrite<S>
where
    S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    RB: http_body::Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        Box::pin(async move { Ok(inner.call(request).await.map_err(Into::into)?.map(Body::new)) })
    }
}
