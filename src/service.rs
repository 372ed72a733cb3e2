//! What the layers share: a future that either is the inner service's or a refusal that is there already, and what they say when one of
//! them is missing; and what the innermost one asks of the service below.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    body::Body,
    error::{Error, Kind},
    types::BoxError,
};

/// A service that speaks the native API, as all that runs its calls needs it. A private name for bounds that are spelt out where users of
/// the stack read them.
pub(crate) trait NativeService:
    Service<Request<Body>, Response = Response<Self::Reply>, Future: Send + 'static, Error: Into<BoxError>>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// The body of its answers.
    type Reply: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> NativeService for S
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Reply = B;
}

/// What a layer says whose predecessor has left nothing for it: the stack is put together in the wrong order.
#[must_use]
pub fn missing_layer(layer: &str, predecessor: &str) -> Error {
    Error::new(Kind::Internal, format!("layer {layer:?} needs layer {predecessor:?} in front of it"))
}

pin_project! {
    /// The inner service's future with its error boxed, or a refusal.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Inner { #[pin] future: F },
        Refused { error: Option<Error> },
    }
}

impl<F> ResponseFuture<F> {
    /// Waits for the inner service.
    pub fn inner(future: F) -> Self {
        Self { state: State::Inner { future } }
    }

    /// Is ready, with this error.
    pub fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Inner { future } => Poll::Ready(ready!(future.poll(cx)).map_err(Into::into)),
            StateProj::Refused { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(|| Error::internal("a refused future was polled again")).into()))
            }
        }
    }
}
