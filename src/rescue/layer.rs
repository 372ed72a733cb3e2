//! The layer: plumbing around [`response`](super::response).

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::response::{Facts, respond};
use crate::{body::Body, config::Live, types::BoxError};

/// Layer that turns errors into responses; see the [module](super).
#[derive(Clone, Debug)]
pub struct RescueLayer {
    live: Live,
}

impl RescueLayer {
    /// Follows this configuration; a [`Snapshot`](crate::config::Snapshot) among a request's extensions wins.
    #[must_use]
    pub fn new(live: Live) -> Self {
        Self { live }
    }
}

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { inner, live: self.live.clone(), unready: None }
    }
}

/// Service of [`RescueLayer`].
#[derive(Debug)]
pub struct Rescue<S> {
    inner: S,
    live: Live,
    /// What the inner service said instead of being ready: the next call answers with it, since this service itself never fails.
    unready: Option<BoxError>,
}

impl<S: Clone> Clone for Rescue<S> {
    fn clone(&self) -> Self {
        // Readiness is not shared by clones, and so isn't the lack of it.
        Self { inner: self.inner.clone(), live: self.live.clone(), unready: None }
    }
}

impl<S, B> Service<Request<B>> for Rescue<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RescueFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.unready.is_none()
            && let Err(error) = ready!(self.inner.poll_ready(cx))
        {
            self.unready = Some(error.into());
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Taken first: the request is gone when its error comes.
        let facts = Facts::of(&request, self.live.of(request.extensions()));
        let state = match self.unready.take() {
            Some(error) => State::Failed { error: Some(error) },
            None => State::Calling { future: self.inner.call(request) },
        };
        RescueFuture { state, facts }
    }
}

pin_project! {
    /// Future of [`Rescue`].
    pub struct RescueFuture<F> {
        #[pin]
        state: State<F>,
        facts: Facts,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Calling { #[pin] future: F },
        Failed { error: Option<BoxError> },
    }
}

impl<F, E> Future for RescueFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let error = match this.state.project() {
            StateProj::Calling { future } => match ready!(future.poll(cx)) {
                Ok(response) => return Poll::Ready(Ok(response)),
                Err(error) => error.into(),
            },
            StateProj::Failed { error } => error.take().unwrap_or_else(|| "polled after it was ready".into()),
        };
        Poll::Ready(Ok(respond(error, this.facts)))
    }
}

impl<F> fmt::Debug for RescueFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RescueFuture").finish_non_exhaustive()
    }
}
