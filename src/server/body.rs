//! The bodies at the edge: a request's, which may not stall, and an answer's, whose end is the end of the request.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::{
    body::Body,
    error::{Blame, Error, Kind},
    types::BoxError,
};

/// Where a request's body goes that nobody wanted to the end.
pub(super) type Leftover<B> = Arc<Mutex<Option<B>>>;

/// A request's body: counted, and ended with an error when its client sends nothing for too long.
pub(super) struct Upload<B> {
    // Gone when it has ended.
    body: Option<B>,
    patience: Duration,
    // Set while we wait for the client, and only then: how long we take ourselves is not its fault.
    waiting: Option<Pin<Box<Sleep>>>,
    received: Arc<AtomicU64>,
    leftover: Leftover<B>,
}

impl<B> Upload<B> {
    pub(super) fn new(body: B, patience: Duration, received: Arc<AtomicU64>, leftover: Leftover<B>) -> Self {
        Self { body: Some(body), patience, waiting: None, received, leftover }
    }
}

impl<B> Drop for Upload<B> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && let Ok(mut leftover) = self.leftover.lock()
        {
            *leftover = Some(body);
        }
    }
}

impl<B> HttpBody for Upload<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.waiting = None;
                match &frame {
                    Some(Ok(frame)) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        this.received.fetch_add(bytes as u64, Ordering::Relaxed);
                    }
                    Some(Err(_)) | None => this.body = None,
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let patience = this.patience;
                let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
                match waiting.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        this.body = None;
                        let message = format!("the request's body has stalled: nothing came for {patience:?}");
                        Poll::Ready(Some(Err(Error::new(Kind::Unavailable, message).blaming(Blame::Client).into())))
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

/// How much of an unwanted body is read, in bytes, as Go's server and so InfluxDB 1.x does; and for how long.
const DRAIN_BYTES: u64 = 256 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Reads what is left of a request that was answered before its end, within limits.
///
/// A client that is still sending when its connection is closed, or its HTTP/2 stream reset, may never see the answer: a refusal that
/// should make it drop a batch then looks like an outage, after which it sends the same again.
pub(super) async fn drain<B>(mut body: B)
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    if body.is_end_stream() || body.size_hint().lower() > DRAIN_BYTES {
        return;
    }
    let reading = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            if bytes > DRAIN_BYTES {
                break;
            }
        }
    };
    // Whether it has ended, or was too long: the answer goes out now.
    let _ = timeout(DRAIN_TIME, reading).await;
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
                // A body that knows its end is not asked again, and nothing comes behind trailers.
                if frame.is_trailers() || self.body.is_end_stream() {
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
    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_slow_but_not_stall() {
        let drops = stream::unfold(0, |n| async move {
            // The fourth piece comes too late.
            sleep(Duration::from_secs(if n < 3 { 9 } else { 11 })).await;
            Some((Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"xy"))), n + 1))
        });
        let received = Arc::new(AtomicU64::new(0));
        let body = Upload::new(StreamBody::new(Box::pin(drops)), Duration::from_secs(10), Arc::clone(&received), Arc::default());
        let error = body.collect().await.unwrap_err().downcast::<Error>().unwrap();
        assert_eq!((error.kind(), error.blame()), (Kind::Unavailable, Blame::Client));
        assert_eq!(received.load(Ordering::Relaxed), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_of_the_body_is_no_stall() {
        let pieces =
            stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"a"))), Ok(Frame::data(Bytes::from_static(b"b")))]);
        let mut body = Upload::new(StreamBody::new(pieces), Duration::from_secs(1), Arc::default(), Arc::default());
        while let Some(frame) = body.frame().await {
            frame.unwrap();
            sleep(Duration::from_secs(60)).await;
        }
    }

    /// A body of pieces of 1 KiB, and how many of them were read.
    fn counted(pieces: usize) -> (impl HttpBody<Data = Bytes, Error = BoxError> + Unpin, Arc<AtomicU64>) {
        let read = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&read);
        let body = stream::iter(0..pieces).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Frame::data(Bytes::from(vec![b'x'; 1024])))
        });
        (StreamBody::new(body), read)
    }

    #[tokio::test]
    async fn what_nobody_wanted_is_left_over() {
        let leftover: Leftover<_> = Arc::default();
        let (body, read) = counted(100);
        let mut upload = Upload::new(body, Duration::from_secs(1), Arc::default(), Arc::clone(&leftover));
        upload.frame().await.unwrap().unwrap();
        drop(upload);
        assert_eq!(read.load(Ordering::Relaxed), 1);
        let rest = leftover.lock().unwrap().take().unwrap();
        drain(rest).await;
        assert_eq!(read.load(Ordering::Relaxed), 100);

        let (body, _) = counted(2);
        let mut upload = Upload::new(body, Duration::from_secs(1), Arc::default(), Arc::clone(&leftover));
        while upload.frame().await.is_some() {}
        drop(upload);
        assert!(leftover.lock().unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn draining_has_limits() {
        let (body, read) = counted(usize::MAX);
        drain(body).await;
        assert_eq!(read.load(Ordering::Relaxed), (DRAIN_BYTES >> 10) + 1);
        // Known to be too long.
        let long = http_body_util::Full::new(Bytes::from(vec![0; (DRAIN_BYTES + 1) as usize]));
        drain(long).await;
        let begun = Instant::now();
        drain(StreamBody::new(stream::pending::<Result<Frame<Bytes>, BoxError>>())).await;
        assert_eq!(begun.elapsed(), DRAIN_TIME);
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
        let trailers = stream::iter([Ok::<_, BoxError>(Frame::trailers(http::HeaderMap::new()))]);
        _ = Download::new(Body::new(StreamBody::new(trailers)), ends.clone()).frame().await;
        assert_eq!(*ends.0.lock().unwrap(), [(4, true), (0, true), (0, false), (4, false), (0, true)]);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_that_breaks_off() {
        let ends = Ends::default();
        let body = StreamBody::new(stream::poll_fn(|_| -> Poll<Option<Result<Frame<Bytes>, BoxError>>> { panic!("a bug") }));
        assert!(Download::new(Body::new(body), ends.clone()).collect().await.is_err());
        assert_eq!(*ends.0.lock().unwrap(), [(0, false)]);
    }
}
