//! The layer: plumbing around the decision.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::Body as _;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    body::{collect, from_form},
    native::from_body,
    plan::{Plan, plan},
};
use crate::{
    body::Body,
    call::Call,
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
    S::Future: Send + 'static,
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
        let config = self.live.of(request.extensions());
        let (mut head, body) = request.into_parts();
        let body = Body::new(body);
        let plan = match plan(&head, !body.is_end_stream(), &config) {
            Ok(plan) => plan,
            Err(error) => return ParamsFuture::direct(ResponseFuture::refused(error)),
        };
        let form = match plan {
            Plan::Ready(call) => {
                // Nobody asks for the body of a v1 query once its parameters are known.
                let body = if matches!(call, Call::Query(_)) { Body::empty() } else { body };
                head.extensions.insert(call);
                return ParamsFuture::direct(ResponseFuture::inner(self.inner.call(Request::from_parts(head, body))));
            }
            Plan::Form(form) => Some(form),
            Plan::Native => None,
        };
        // The one that is ready goes with the request; its clone waits for its own readiness.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        match form {
            Some(form) => ParamsFuture::collecting(async move {
                let bytes = collect(body, config.limits.query).await?;
                let call = from_form(&head, form, bytes, &config).await?;
                drop(config);
                head.extensions.insert(call);
                inner.call(Request::from_parts(head, Body::empty())).await.map_err(Into::into)
            }),
            None => ParamsFuture::collecting(async move {
                let bytes = collect(body, config.limits.query).await?;
                drop(config);
                head.extensions.insert(Call::Native(from_body(head.uri.path(), &bytes)?));
                inner.call(Request::from_parts(head, Body::from(bytes))).await.map_err(Into::into)
            }),
        }
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

impl<F, R> ParamsFuture<F, R> {
    fn direct(future: ResponseFuture<F>) -> Self {
        Self { state: State::Direct { future } }
    }

    fn collecting(future: impl Future<Output = Result<R, BoxError>> + Send + 'static) -> Self {
        Self { state: State::Collecting { future: Box::pin(future) } }
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
