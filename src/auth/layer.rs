//! The layer: plumbing around the decision.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    check::{Who, identify, of_user},
    extract::{UNKNOWN, take},
    password::Passwords,
};
use crate::{
    access::Identity,
    call::is_open,
    config::{AuthMode, Config, Live},
    error::{Error, Kind},
    service::ResponseFuture,
    telemetry::Seen,
    types::{BoxError, BoxFuture},
};

/// Layer that decides who sends a request; see the [module](super).
#[derive(Clone, Debug)]
pub struct AuthLayer {
    live: Live,
    passwords: Passwords,
}

impl AuthLayer {
    /// Follows this configuration; a [`Snapshot`](crate::config::Snapshot) among a request's extensions wins.
    #[must_use]
    pub fn new(live: Live) -> Self {
        Self { live, passwords: Passwords::default() }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { inner, live: self.live.clone(), passwords: self.passwords.clone() }
    }
}

/// Service of [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct Auth<S> {
    inner: S,
    live: Live,
    passwords: Passwords,
}

impl<S, B> Service<Request<B>> for Auth<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: Into<BoxError>,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    /// The first, but where a password has to be checked.
    type Future = Either<ResponseFuture<S::Future>, BoxFuture<'static, Result<S::Response, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let config = self.live.of(request.extensions());
        match authenticate(&config, &mut request, &self.passwords) {
            Ok(Who::Known(identity)) => {
                introduce(&mut request, identity);
                Either::Left(ResponseFuture::inner(self.inner.call(request)))
            }
            Ok(Who::Claims(user, password)) => match self.passwords.check(Arc::clone(&user), password) {
                Ok(checking) => {
                    // The one that is ready goes with the request; its clone waits for its own readiness.
                    let clone = self.inner.clone();
                    let mut ready = mem::replace(&mut self.inner, clone);
                    Either::Right(Box::pin(async move {
                        if !checking.await {
                            return Err(Error::new(Kind::Unauthorized, UNKNOWN).into());
                        }
                        introduce(&mut request, of_user(&config, &user));
                        ready.call(request).await.map_err(Into::into)
                    }))
                }
                Err(error) => Either::Left(ResponseFuture::refused(error)),
            },
            Ok(Who::Nobody(password)) => {
                let unknown = || Error::new(Kind::Unauthorized, UNKNOWN);
                match self.passwords.check_nobody(&config.auth.users, password) {
                    Ok(Some(checking)) => Either::Right(Box::pin(async move {
                        checking.await;
                        Err(unknown().into())
                    })),
                    Ok(None) => Either::Left(ResponseFuture::refused(unknown())),
                    Err(error) => Either::Left(ResponseFuture::refused(error)),
                }
            }
            Err(error) => Either::Left(ResponseFuture::refused(error)),
        }
    }
}

/// Tells the layers behind, and the log, who it is.
fn introduce<B>(request: &mut Request<B>, identity: Identity) {
    if let Some(name) = &identity.name {
        Seen::token(request.extensions(), name);
    }
    request.extensions_mut().insert(identity);
}

/// Who sent the request; its credentials are taken out.
fn authenticate<B>(config: &Config, request: &mut Request<B>, passwords: &Passwords) -> Result<Who, Error> {
    let open = is_open(request.method(), request.uri().path(), request.headers());
    let mut uri = mem::take(request.uri_mut());
    let credential = take(&mut uri, request.headers_mut(), config.auth.mode != AuthMode::None);
    *request.uri_mut() = uri;
    match credential {
        // Where none is needed, a bad one doesn't matter.
        Err(_) if open || config.auth.mode == AuthMode::None => identify(config, None, open, passwords),
        credential => identify(config, credential?, open, passwords),
    }
}
