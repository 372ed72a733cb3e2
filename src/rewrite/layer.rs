//! The layer: plumbing around what the other files decide.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use super::{flight::Found, headers, plan, query::Running, schema::Schemas, series::Lacking, write};
use crate::{
    access::Identity,
    body::Body,
    call::{Approved, Call},
    config::{Config, Live, Source},
    dbrp::Catalog,
    error::Error,
    native::Target,
    service::NativeService,
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
    pub(super) schemas: Schemas,
    pub(super) flight: Found,
    pub(super) lacking: Lacking,
}

impl Shared {
    /// What the service below keeps, where it is to be asked.
    pub(super) fn catalog(&self, config: &Config) -> Option<&dyn Catalog> {
        self.catalog.as_deref().filter(|_| config.dbrp.source == Source::Upstream)
    }
}

impl RewriteLayer {
    /// Follows this configuration (a [`Snapshot`](crate::config::Snapshot) among a request's extensions wins) and speaks to a `target`. Without
    /// a catalog, names of buckets come from configured mappings and templates.
    #[must_use]
    pub fn new(live: Live, target: Target, catalog: Option<Arc<dyn Catalog>>) -> Self {
        Self {
            shared: Arc::new(Shared {
                live,
                target,
                catalog,
                schemas: Schemas::default(),
                flight: Found::default(),
                lacking: Lacking::default(),
            }),
        }
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

/// A layer that should stand outside of this one doesn't.
#[derive(Debug, thiserror::Error)]
#[error("no {0} among the extensions of a request: its layer has to stand outside of RewriteLayer")]
pub struct MissingLayer(&'static str);

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
        // The one that is ready goes with the request; its clone waits for its own readiness.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let shared = Arc::clone(&self.shared);
        Box::pin(dispatch(request, ready, shared))
    }
}

async fn dispatch<S>(mut request: Request<Body>, mut service: S, shared: Arc<Shared>) -> Result<Response<Body>, BoxError>
where
    S: NativeService,
{
    headers::check_upgrade(&request)?;
    let config = shared.live.of(request.extensions());
    let call = request.extensions_mut().remove::<Call>().ok_or_else(|| missing("Call"))?;
    if let Call::Ping { verbose } = call {
        return Ok(ping(verbose, &config));
    }
    let identity = request.extensions().get::<Identity>().cloned().ok_or_else(|| missing("Identity"))?;
    match call {
        Call::Write(write) => {
            let bucket = plan::resolver(&config, &shared).for_write(&identity, &write.db, write.rp.as_deref()).await?;
            let api = shared.target.api;
            match write::prepare(request, &write, &bucket, &identity, &config, api).await? {
                Some(request) => {
                    let response = service.call(request).await.map_err(Into::into)?;
                    if response.status() == StatusCode::NOT_FOUND
                        && let Some(catalog) = shared.catalog(&config)
                    {
                        // Somebody has dropped it: the next write is to know.
                        catalog.changed();
                    }
                    write::answer(response.map(Body::new), &write, &config).await
                }
                None => Ok(write::no_content(&config)),
            }
        }
        Call::Query(query) => {
            let approved = request.extensions_mut().remove::<Approved>().ok_or_else(|| missing("Approved"))?;
            let steps = plan::plan(&approved.0, &query, &identity, &config, &shared).await?;
            let headers = headers::of_query(request.headers(), shared.target.api, &identity);
            let extensions = mem::take(request.extensions_mut());
            let clone = service.clone();
            let running = Running {
                shared,
                config,
                ready: Some(service),
                service: clone,
                headers,
                extensions,
                steps,
                output: query.output,
            };
            // Large, and only queries need it.
            Box::pin(running.answer()).await
        }
        Call::Native(_) => {
            // The guard has judged it; without a word from it nothing goes on.
            request.extensions_mut().remove::<Approved>().ok_or_else(|| missing("Approved"))?;
            let length = request.headers_mut().remove(http::header::CONTENT_LENGTH);
            headers::make_native(request.headers_mut(), shared.target.api, &identity);
            if let Some(length) = length {
                request.headers_mut().insert(http::header::CONTENT_LENGTH, length);
            }
            let mut response = service.call(request).await.map_err(Into::into)?.map(Body::new);
            headers::remove_hop_by_hop(response.headers_mut());
            Ok(response)
        }
        Call::Ping { verbose } => Ok(ping(verbose, &config)),
    }
}

/// 204, or 200 with the version.
fn ping(verbose: bool, config: &Config) -> Response<Body> {
    #[derive(serde::Serialize)]
    struct Version<'a> {
        version: &'a str,
    }
    let mut response = write::no_content(config);
    if verbose {
        let text = serde_json::to_vec(&Version { version: &config.compat.version }).unwrap_or_default();
        *response.status_mut() = StatusCode::OK;
        *response.body_mut() = Body::from(text);
    }
    response
}

fn missing(what: &'static str) -> Error {
    Error::internal(MissingLayer(what))
}
