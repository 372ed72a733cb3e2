//! The native front: the store as a small v3 (and v2) server.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use http::{Request, Response};

use super::Engine;
use crate::{Body, types::BoxFuture};

/// The store as a service that speaks native HTTP.
#[derive(Clone, Debug)]
pub struct Embedded {
    engine: Engine,
}

impl Embedded {
    /// In front of this store.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// The store.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl tower_service::Service<Request<Body>> for Embedded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Body>) -> Self::Future {
        Box::pin(async { Ok(Response::new(Body::empty())) })
    }
}
