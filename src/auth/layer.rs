//! The layer: plumbing around the decision.

use std::{
    mem,
    task::{Context, Poll},
};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::{check::identify, extract::take};
use crate::{
    access::Identity,
    call::is_open,
    config::{AuthMode, Config, Live},
    error::Error,
    service::ResponseFuture,
    telemetry::Seen,
    types::BoxError,
};

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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let config = self.live.of(request.extensions());
        match authenticate(&config, &mut request) {
            Ok(identity) => {
                if let Some(name) = &identity.name {
                    Seen::token(request.extensions(), name);
                }
                request.extensions_mut().insert(identity);
                ResponseFuture::inner(self.inner.call(request))
            }
            Err(error) => ResponseFuture::refused(error),
        }
    }
}

/// Who sent the request; its credentials are taken out.
fn authenticate<B>(config: &Config, request: &mut Request<B>) -> Result<Identity, Error> {
    let open = is_open(request.method(), request.uri().path(), request.headers());
    let mut uri = mem::take(request.uri_mut());
    let credential = take(&mut uri, request.headers_mut(), config.auth.mode != AuthMode::None);
    *request.uri_mut() = uri;
    match credential {
        // Where none is needed, a bad one doesn't matter.
        Err(_) if open || config.auth.mode == AuthMode::None => identify(config, None, open),
        credential => identify(config, credential?, open),
    }
}
