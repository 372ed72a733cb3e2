//! What stands below the stack, chosen when the program starts.

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{
    TryFutureExt,
    future::{Either, MapErr},
};
use http::{Request, Response};
use tower_service::Service;

#[cfg(feature = "embedded")]
use crate::embedded::{Embedded, Engine};
use crate::{
    body::Body,
    config::{self, Config},
    dbrp::Catalog,
    error::Error,
    types::{BoxError, BoxFuture},
    upstream::{Spooled, Upstream, UpstreamCatalog},
};

/// A service that speaks native HTTP. Clones share what is behind it.
#[derive(Clone)]
pub(super) enum Backend {
    /// The store.
    #[cfg(feature = "embedded")]
    Embedded(Embedded),
    /// A server elsewhere.
    Upstream(Upstream),
    /// The same, before which writes wait on disk.
    Spooled(Spooled, PathBuf),
}

impl Backend {
    /// Opens the store or prepares the client; nothing is sent yet.
    pub(super) async fn open(config: &Config) -> Result<Self, Error> {
        match &config.backend {
            #[cfg(feature = "embedded")]
            config::Backend::Embedded(embedded) => {
                Ok(Self::Embedded(Embedded::new(Engine::open(embedded, config.limits).await?)))
            }
            #[cfg(not(feature = "embedded"))]
            config::Backend::Embedded(_) => Err(Error::invalid("this program was built without the embedded store")),
            config::Backend::Upstream(upstream) => {
                let upstream = Upstream::with_limits(upstream, config.limits)?;
                // Both end with the process.
                drop(tokio::spawn(upstream.clone().introduce()));
                drop(tokio::spawn(upstream.clone().watch_health()));
                match &config.spool.dir {
                    None => Ok(Self::Upstream(upstream)),
                    Some(dir) => {
                        let spooled = Spooled::open(upstream, &config.spool, config.limits).await?;
                        Ok(Self::Spooled(spooled, dir.join("names.json")))
                    }
                }
            }
        }
    }

    /// What it knows of buckets and mappings.
    pub(super) fn catalog(&self, config: &Config) -> Arc<dyn Catalog> {
        let refresh = config.dbrp.refresh;
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => embedded.engine().catalog(),
            Self::Upstream(upstream) => Arc::new(UpstreamCatalog::new(upstream.clone(), refresh)),
            Self::Spooled(spooled, names) => {
                Arc::new(UpstreamCatalog::remembering(spooled.upstream().clone(), refresh, names.clone()))
            }
        }
    }

    /// Takes over what of a new configuration may change while it runs: the upstream's own token and certificates.
    pub(super) fn follow(&self, config: &Config) {
        let upstream = match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(_) => return,
            Self::Upstream(upstream) => upstream,
            Self::Spooled(spooled, _) => spooled.upstream(),
        };
        if let config::Backend::Upstream(config) = &config.backend
            && let Err(error) = upstream.set_token(config.token.as_ref())
        {
            tracing::error!(%error, "the upstream's old token stays in force");
        }
        if let config::Backend::Upstream(config) = &config.backend
            && let Err(error) = upstream.reload_tls(config)
        {
            tracing::error!(%error, "the old certificates towards the upstream stay in force");
        }
    }

    /// Whether answers are computed here.
    pub(super) fn is_embedded(&self) -> bool {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(_) => true,
            Self::Upstream(_) | Self::Spooled(..) => false,
        }
    }

    /// After the last request: what is waiting is written.
    pub(super) async fn close(&self) {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => embedded.engine().close().await,
            Self::Upstream(_) => {}
            Self::Spooled(spooled, _) => spooled.close().await,
        }
    }
}

type Answer<E> = BoxFuture<'static, Result<Response<Body>, E>>;
type Boxed<E> = MapErr<Answer<E>, fn(E) -> BoxError>;

impl Service<Request<Body>> for Backend {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Either<Boxed<Infallible>, Boxed<Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => embedded.poll_ready(cx).map_err(|never| match never {}),
            Self::Upstream(upstream) => upstream.poll_ready(cx).map_err(Into::into),
            Self::Spooled(spooled, _) => spooled.poll_ready(cx).map_err(Into::into),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => Either::Left(embedded.call(request).map_err(|never| match never {})),
            Self::Upstream(upstream) => Either::Right(upstream.call(request).map_err(Into::into)),
            Self::Spooled(spooled, _) => Either::Right(spooled.call(request).map_err(Into::into)),
        }
    }
}
