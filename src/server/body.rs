//! The bodies at the edge: a request's, which may not stall, and an answer's, whose end is the end of the request.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use crate::{
    body::Body,
    error::{Blame, Error, Kind},
    types::BoxError,
};

pin_project! {
    /// A request's body: counted, and ended with an error when its client sends nothing for too long.
    pub(super) struct Upload<B> {
        #[pin]
        body: B,
        patience: Duration,
        // Set while we wait for the client, and only then: how long we take ourselves is not its fault.
        waiting: Option<Pin<Box<Sleep>>>,
        received: Arc<AtomicU64>,
    }
}

impl<B> Upload<B> {
    pub(super) fn new(body: B, patience: Duration, received: Arc<AtomicU64>) -> Self {
        Self { body, patience, waiting: None, received }
    }
}

impl<B> HttpBody for Upload<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        match this.body.poll_frame(cx) {
            Poll::Ready(frame) => {
                *this.waiting = None;
                if let Some(Ok(frame)) = &frame {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    this.received.fetch_add(bytes as u64, Ordering::Relaxed);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let patience = *this.patience;
                let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
                match waiting.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        let message = format!("the request's body has stalled: nothing came for {patience:?}");
                        Poll::Ready(Some(Err(Error::new(Kind::Unavailable, message).blaming(Blame::Client).into())))
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What happens when an answer has gone, or its client has: called once.
pub(super) trait End: Send + 'static {
    /// `bytes` were handed to the connection; `complete` says that these were all.
    fn end(self, bytes: u64, complete: bool);
}

/// An answer's body. Panics of whoever makes it become errors, so that one answer is cut off and not a whole connection.
pub(super) struct Download<E: End> {
    body: Body,
    bytes: u64,
    end: Option<E>,
    started: Instant,
}

impl<E: End> Download<E> {
    pub(super) fn new(body: Body, end: E) -> Self {
        let mut download = Self { body, bytes: 0, end: Some(end), started: Instant::now() };
        // hyper doesn't poll a body that has nothing.
        if download.body.is_end_stream() {
            download.finish(true);
        }
        download
    }

    fn finish(&mut self, complete: bool) {
        if let Some(end) = self.end.take() {
            end.end(self.bytes, complete);
        }
    }
}

impl<E: End> Drop for Download<E> {
    fn drop(&mut self) {
        self.finish(false);
    }
}

impl<E: End + Unpin> HttpBody for Download<E> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Ok(polled) = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.body).poll_frame(cx))) else {
            tracing::error!(after = ?self.started.elapsed(), "panic while an answer was being made");
            self.body = Body::empty();
            self.finish(false);
            return Poll::Ready(Some(Err("the answer broke off".into())));
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                // A body that knows its end is not asked again.
                if self.body.is_end_stream() {
                    self.finish(true);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::warn!(%error, "an answer broke off");
                self.finish(false);
            }
            Poll::Ready(None) => self.finish(true),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_slow_but_not_stall() {
        let drops = stream::unfold(0, |n| async move {
            // The fourth piece comes too late.
            sleep(Duration::from_secs(if n < 3 { 9 } else { 11 })).await;
            Some((Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"xy"))), n + 1))
        });
        let received = Arc::new(AtomicU64::new(0));
        let body = Upload::new(StreamBody::new(Box::pin(drops)), Duration::from_secs(10), Arc::clone(&received));
        let error = body.collect().await.unwrap_err().downcast::<Error>().unwrap();
        assert_eq!((error.kind(), error.blame()), (Kind::Unavailable, Blame::Client));
        assert_eq!(received.load(Ordering::Relaxed), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_of_the_body_is_no_stall() {
        let pieces =
            stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"a"))), Ok(Frame::data(Bytes::from_static(b"b")))]);
        let mut body = Box::pin(Upload::new(StreamBody::new(pieces), Duration::from_secs(1), Arc::default()));
        while let Some(frame) = body.frame().await {
            frame.unwrap();
            sleep(Duration::from_secs(60)).await;
        }
    }

    #[derive(Clone, Default)]
    struct Ends(Arc<Mutex<Vec<(u64, bool)>>>);

    impl End for Ends {
        fn end(self, bytes: u64, complete: bool) {
            self.0.lock().unwrap().push((bytes, complete));
        }
    }

    #[tokio::test]
    async fn the_end_is_told_once() {
        let ends = Ends::default();
        Download::new(Body::from("four"), ends.clone()).collect().await.unwrap();
        drop(Download::new(Body::empty(), ends.clone()));
        drop(Download::new(Body::from("never read"), ends.clone()));
        let broken = stream::iter([Ok(Frame::data(Bytes::from_static(b"half"))), Err(BoxError::from("lost"))]);
        Download::new(Body::new(StreamBody::new(broken)), ends.clone()).collect().await.unwrap_err();
        assert_eq!(*ends.0.lock().unwrap(), [(4, true), (0, true), (0, false), (4, false)]);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_that_breaks_off() {
        let ends = Ends::default();
        let body = StreamBody::new(stream::poll_fn(|_| -> Poll<Option<Result<Frame<Bytes>, BoxError>>> { panic!("a bug") }));
        assert!(Download::new(Body::new(body), ends.clone()).collect().await.is_err());
        assert_eq!(*ends.0.lock().unwrap(), [(0, false)]);
    }
}
