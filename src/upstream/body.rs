//! The bodies of a call while it is under way: what is sent says when it moves, what is received must keep moving.

use std::{
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
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::failure::{Failure, within_answer};
use crate::{body::Body, error::Error, types::BoxError};

// === sending ===

/// When an upload last moved. The wait for an answer begins when there is nothing more to send, or nothing more is taken: a slow client
/// is not a slow upstream.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Moved>);

#[derive(Debug)]
struct Moved {
    start: Instant,
    /// Milliseconds after `start`, or [`WAITING`].
    at: AtomicU64,
}

/// The upload waits for the client that sends it: no time passes for the upstream.
const WAITING: u64 = u64::MAX;

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Moved { start: Instant::now(), at: AtomicU64::new(0) }))
    }

    /// When the upstream last had something to do with us.
    pub(super) fn last(&self) -> Instant {
        match self.0.at.load(Ordering::Relaxed) {
            WAITING => Instant::now(),
            millis => self.0.start + Duration::from_millis(millis),
        }
    }

    fn moved(&self) {
        let millis = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(WAITING - 1);
        self.0.at.store(millis, Ordering::Relaxed);
    }

    fn waiting(&self) {
        self.0.at.store(WAITING, Ordering::Relaxed);
    }
}

/// A request body that reports to a [`Progress`].
pub(super) struct Upload {
    pub(super) body: Body,
    pub(super) progress: Progress,
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_pending() {
            self.progress.waiting();
        } else {
            self.progress.moved();
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

impl Drop for Upload {
    fn drop(&mut self) {
        // All sent, or given up: from here on the upstream is awaited.
        self.progress.moved();
    }
}

// === receiving ===

/// A reply body that ends with an [`Error`] when it breaks off or stalls.
pub(super) struct Download {
    body: Incoming,
    patience: Duration,
    /// Made at the first wait and then reused: most replies are there at once.
    alarm: Option<Pin<Box<Sleep>>>,
    armed: bool,
    failed: bool,
}

impl Download {
    pub(super) fn new(body: Incoming, patience: Duration) -> Self {
        Self { body, patience, alarm: None, armed: false, failed: false }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let patience = self.patience;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if !self.armed {
            alarm.as_mut().reset(Instant::now() + patience);
            self.armed = true;
        }
        alarm.as_mut().poll(cx)
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.failed {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => {
                self.failed = true;
                Poll::Ready(Some(Err(within_answer(&error))))
            }
            Poll::Ready(frame) => {
                self.armed = false;
                Poll::Ready(frame.map(|frame| frame.map_err(|error| within_answer(&error))))
            }
            Poll::Pending => {
                if self.poll_alarm(cx).is_pending() {
                    return Poll::Pending;
                }
                self.failed = true;
                let words = format_args!("no bytes for {:?}", self.patience).to_string();
                Poll::Ready(Some(Err(Failure::Stalled.error(words))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
