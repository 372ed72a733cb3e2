//! The layer: plumbing around the decision.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Body,
    config::Live,
    service::ResponseFuture,
    types::{BoxError, BoxFuture},
};

/// Layer that understands a request; see the [module](super).
#[derive(Clone, Debug)]
pub struct ParamsLayer {
    live: Live,
}

impl ParamsLayer {
    /// Follows this configuration; a [`Snapshot`](crate::config::Snapshot) among a request's extensions wins.
    #[must_use]
    pub fn new(live: Live) -> Self {
        Self { live }
    }
}

impl<S> Layer<S> for ParamsLayer {
    type Service = Params<S>;

    fn layer(&self, inner: S) -> Params<S> {
        Params { inner, live: self.live.clone() }
    }
}

/// Service of [`ParamsLayer`].
#[derive(Clone, Debug)]
pub struct Params<S> {
    inner: S,
    live: Live,
}

impl<S, B> Service<Request<B>> for Params<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ParamsFuture<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let _ = &self.live;
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        ParamsFuture { state: State::Direct { future: ResponseFuture::inner(inner.call(request.map(Body::new))) } }
    }
}

pin_project! {
    /// Future of [`Params`]: boxed only where a body had to be read.
    pub struct ParamsFuture<F, R> {
        #[pin]
        state: State<F, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R> {
        Direct { #[pin] future: ResponseFuture<F> },
        Collecting { future: BoxFuture<'static, Result<R, BoxError>> },
    }
}

impl<F, R, E> Future for ParamsFuture<F, R>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Output = Result<R, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Direct { future } => future.poll(cx),
            StateProj::Collecting { future } => future.as_mut().poll(cx),
        }
    }
}

impl<F, R> fmt::Debug for ParamsFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParamsFuture").finish_non_exhaustive()
    }
}
