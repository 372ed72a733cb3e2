//! The layer: plumbing around the decision.

use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::{approve::approve, native::permit};
use crate::{
    access::Identity,
    call::{Approved, Call},
    config::{Config, Live},
    error::Error,
    service::{ResponseFuture, missing_layer},
    telemetry::Seen,
    types::BoxError,
};

/// Layer that decides which statements may run; see the [module](super).
#[derive(Clone, Debug)]
pub struct GuardLayer {
    live: Live,
}

impl GuardLayer {
    /// Follows this configuration; a [`Snapshot`](crate::config::Snapshot) among a request's extensions wins.
    #[must_use]
    pub fn new(live: Live) -> Self {
        Self { live }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, live: self.live.clone() }
    }
}

/// Service of [`GuardLayer`].
#[derive(Clone, Debug)]
pub struct Guard<S> {
    inner: S,
    live: Live,
}

impl<S, B> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let config = self.live.of(request.extensions());
        match guard(&request, &config) {
            Ok(approved) => {
                if let Some(approved) = approved {
                    request.extensions_mut().insert(approved);
                }
                ResponseFuture::inner(self.inner.call(request))
            }
            Err(error) => ResponseFuture::refused(error),
        }
    }
}

/// Judges a request; of a v1 query the statements that may run.
fn guard<B>(request: &Request<B>, config: &Config) -> Result<Option<Approved>, Error> {
    let extensions = request.extensions();
    let call = extensions.get::<Call>().ok_or_else(|| missing_layer("guard", "params"))?;
    let identity = extensions.get::<Identity>().ok_or_else(|| missing_layer("guard", "auth"))?;
    match call {
        Call::Query(query) => {
            Seen::query(extensions, &query.q);
            approve(&query.q, &query.params, identity, config).map(Some)
        }
        Call::Native(native) => permit(native, request.uri().path(), identity, config).map(|()| Some(Approved([].into()))),
        Call::Write(_) | Call::Ping { .. } => Ok(None),
    }
}
