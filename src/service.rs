//! What the layers share: a future that either is the inner service's or a refusal that is there already, and what they say when one of
//! them is missing.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{
    error::{Error, Kind},
    types::BoxError,
};

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
