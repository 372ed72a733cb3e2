//! The bodies of a call while it is under way: what is sent can be sent again and says when it moves, what is received must keep moving.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep};

use super::{
    failure::{Failure, within_answer},
    pool::Reply,
};
use crate::{body::Body, error::Error, types::BoxError};

// === sending ===

/// How much of a body is kept to be sent again.
#[derive(Clone, Debug)]
pub(super) struct Keep {
    /// Of one body.
    pub(super) bytes: usize,
    /// What all bodies may hold yet.
    pub(super) room: Arc<AtomicUsize>,
}

/// The body of a request, of which every attempt gets its own view. What has been sent is kept as the chunks that came, shared and not
/// copied, as long as they are not too many.
#[derive(Debug)]
pub(super) enum Source {
    /// It is all there.
    Full(Bytes),
    /// It is still coming.
    Stream(Arc<Shared>),
}

#[derive(Debug)]
pub(super) struct Shared {
    start: Instant,
    /// Milliseconds after `start`, or [`WAITING`].
    moved: AtomicU64,
    state: Mutex<State>,
    keep: Keep,
}

#[derive(Debug)]
struct State {
    /// What is still to come; none when all is here, or nothing comes any more.
    rest: Option<Body>,
    kept: SmallVec<[Bytes; 4]>,
    kept_bytes: usize,
    /// Something of it is gone, or has gone wrong.
    lost: bool,
    /// The attempt that may take from it.
    attempt: u32,
}

/// The upload waits for the client that sends it: no time passes for the upstream.
const WAITING: u64 = u64::MAX;

impl Source {
    pub(super) fn new(body: Body, keep: Keep) -> Self {
        match body.as_full() {
            Some(bytes) => Self::Full(bytes.clone()),
            None => Self::Stream(Arc::new(Shared {
                start: Instant::now(),
                moved: AtomicU64::new(0),
                state: Mutex::new(State { rest: Some(body), kept: SmallVec::new(), kept_bytes: 0, lost: false, attempt: 0 }),
                keep,
            })),
        }
    }

    /// The body for the next attempt; those of earlier ones end with an error.
    pub(super) fn attempt(&self) -> Body {
        match self {
            Self::Full(bytes) => Body::from(bytes.clone()),
            Self::Stream(shared) => {
                shared.moved();
                let mut state = shared.lock();
                state.attempt += 1;
                let attempt = state.attempt;
                drop(state);
                Body::new(Upload { shared: Arc::clone(shared), attempt, next: 0 })
            }
        }
    }

    /// Whether another attempt would send all of it.
    pub(super) fn replayable(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Stream(shared) => !shared.lock().lost,
        }
    }

    /// When it last moved; none when it didn't have to.
    pub(super) fn last(&self) -> Option<Instant> {
        match self {
            Self::Full(_) => None,
            Self::Stream(shared) => Some(shared.last()),
        }
    }

    /// All of it; nothing when it is too long to be kept. Attempts that are under way end.
    pub(super) async fn collect(&self) -> Result<Option<Bytes>, BoxError> {
        let shared = match self {
            Self::Full(bytes) => return Ok(Some(bytes.clone())),
            Self::Stream(shared) => shared,
        };
        let mut body = self.attempt();
        while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
            frame?;
            if shared.lock().lost {
                return Ok(None);
            }
        }
        let state = shared.lock();
        if state.lost {
            return Ok(None);
        }
        if let [only] = &*state.kept {
            return Ok(Some(only.clone()));
        }
        let mut all = BytesMut::with_capacity(state.kept_bytes);
        state.kept.iter().for_each(|chunk| all.extend_from_slice(chunk));
        Ok(Some(all.freeze()))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> Instant {
        match self.moved.load(Ordering::Relaxed) {
            WAITING => Instant::now(),
            millis => self.start + Duration::from_millis(millis),
        }
    }

    fn moved(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(WAITING - 1);
        self.moved.store(millis, Ordering::Relaxed);
    }

    /// Keeps a chunk if there is room for it.
    fn keep(&self, state: &mut State, chunk: &Bytes) {
        if state.lost {
            return;
        }
        let fits = state.kept_bytes + chunk.len() <= self.keep.bytes
            && self.keep.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(chunk.len())).is_ok();
        if fits {
            state.kept_bytes += chunk.len();
            state.kept.push(chunk.clone());
        } else {
            self.lose(state);
        }
    }

    fn lose(&self, state: &mut State) {
        state.lost = true;
        state.kept.clear();
        self.keep.room.fetch_add(std::mem::take(&mut state.kept_bytes), Ordering::Relaxed);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let kept = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).kept_bytes;
        self.keep.room.fetch_add(kept, Ordering::Relaxed);
    }
}

/// One attempt's view of a [`Source`].
struct Upload {
    shared: Arc<Shared>,
    attempt: u32,
    /// Chunks of those kept that this attempt has sent.
    next: usize,
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let mut state = this.shared.lock();
        if state.attempt != this.attempt {
            return Poll::Ready(Some(Err("another attempt sends this body".into())));
        }
        if let Some(chunk) = state.kept.get(this.next).filter(|_| !state.lost) {
            this.next += 1;
            this.shared.moved();
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        let Some(rest) = state.rest.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(rest).poll_frame(cx);
        match &polled {
            Poll::Pending => this.shared.moved.store(WAITING, Ordering::Relaxed),
            Poll::Ready(frame) => {
                this.shared.moved();
                match frame {
                    Some(Ok(frame)) => match frame.data_ref() {
                        Some(chunk) => {
                            this.shared.keep(&mut state, chunk);
                            this.next += 1;
                        }
                        // Trailers are not kept.
                        None => this.shared.lose(&mut state),
                    },
                    Some(Err(_)) => {
                        state.rest = None;
                        this.shared.lose(&mut state);
                    }
                    None => state.rest = None,
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = self.shared.lock();
        (state.lost || self.next >= state.kept.len()) && state.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.shared.lock();
        let rest = state.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint);
        let kept: u64 = if state.lost { 0 } else { state.kept.iter().skip(self.next).map(|chunk| chunk.len() as u64).sum() };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + kept);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + kept);
        }
        hint
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // All sent, or given up: from here on the upstream is awaited.
        self.shared.moved();
    }
}

// === receiving ===

/// A reply body that ends with an [`Error`] when it breaks off, stalls, or takes too long as a whole.
pub(super) struct Download<G> {
    body: Reply,
    patience: Duration,
    end: Option<Instant>,
    /// Made at the first wait and then reused: most replies are there at once.
    alarm: Option<Pin<Box<Sleep>>>,
    armed: bool,
    failed: bool,
    /// Lives as long as the body does.
    _guard: G,
}

impl<G> Download<G> {
    pub(super) fn new(body: Reply, patience: Duration, end: Option<Instant>, guard: G) -> Self {
        Self { body, patience, end, alarm: None, armed: false, failed: false, _guard: guard }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let patience = self.patience;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if !self.armed {
            let next = Instant::now() + patience;
            alarm.as_mut().reset(self.end.map_or(next, |end| end.min(next)));
            self.armed = true;
        }
        alarm.as_mut().poll(cx)
    }
}

impl<G: Unpin> HttpBody for Download<G> {
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
                let words = match self.end {
                    Some(end) if end <= Instant::now() => "it took too long as a whole".to_owned(),
                    _ => format!("no bytes for {:?}", self.patience),
                };
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
