//! The service: an [`Upstream`] with a spool beside it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_ENCODING, request::Parts};
use tokio::{sync::watch, task::JoinHandle};
use tower_service::Service;

use super::{
    deliver::Deliverer,
    entry::Entry,
    fate::{is_away, is_failure},
    store::Store,
};
use crate::{
    body::Body,
    config,
    error::{Error, Kind},
    telemetry::delivery::{Event, count},
    types::BoxFuture,
    upstream::{
        Upstream,
        body::{Keep, Source},
        request::Purpose,
    },
};

/// An [`Upstream`] before which writes wait on disk while it is away. Clones share it.
#[derive(Clone)]
pub struct Spooled(Arc<Inner>);

struct Inner {
    upstream: Upstream,
    store: Arc<Store>,
    /// Bytes that a body may have.
    longest: usize,
    stop: watch::Sender<bool>,
    deliverer: Mutex<Option<JoinHandle<()>>>,
}

impl Spooled {
    /// Opens the directory, makes it when it isn't there, and begins to deliver what waits there. Needs a tokio runtime.
    ///
    /// # Errors
    /// When another process has it open, or something in it is corrupt; the message says which file and what to do.
    pub async fn open(upstream: Upstream, spool: &config::Spool, limits: config::Limits) -> Result<Self, Error> {
        let Some(dir) = spool.dir.clone() else { return Err(Error::invalid("spool.dir is empty")) };
        let max_bytes = spool.max_bytes;
        let (store, cursor) =
            tokio::task::spawn_blocking(move || Store::open(&dir, max_bytes)).await.map_err(Error::internal)??;
        let store = Arc::new(store);
        if store.waiting() > 0 {
            tracing::info!(writes = store.waiting(), "the spool has writes of an earlier run: they are delivered first");
        }
        let (stop, stopped) = watch::channel(false);
        let deliverer = Deliverer {
            store: Arc::clone(&store),
            upstream: upstream.clone(),
            max_age: spool.max_age,
            unpacked: limits.decompressed,
        };
        let deliverer = tokio::spawn(deliverer.run(cursor, stopped));
        Ok(Self(Arc::new(Inner {
            upstream,
            store,
            longest: usize::try_from(limits.body).unwrap_or(usize::MAX),
            stop,
            deliverer: Mutex::new(Some(deliverer)),
        })))
    }

    /// The upstream below.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.0.upstream
    }

    /// Stops delivering; what waits, waits for the next start.
    pub async fn close(&self) {
        let _ = self.0.stop.send(true);
        let deliverer = self.0.deliverer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(deliverer) = deliverer
            && deliverer.await.is_err()
        {
            tracing::error!("the spool's deliverer panicked");
        }
        let store = Arc::clone(&self.0.store);
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

impl Service<Request<Body>> for Spooled {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Error>>;

    /// Always ready, as the upstream is.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if Purpose::of(request.method(), request.uri().path()) != Purpose::Write {
            return self.0.upstream.clone().call(request);
        }
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.write(request).await })
    }
}

impl Inner {
    async fn write(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let (mut parts, body) = request.into_parts();
        // All of it has to be at hand for the disk, and no other request's body makes it less.
        let keep = Keep { bytes: self.longest, room: Arc::new(AtomicUsize::new(self.longest)) };
        let source = Source::new(body, keep);
        if self.store.waiting() > 0 {
            return self.spool(&parts, &source).await;
        }
        let result = self.upstream.send_write(&mut parts, &source).await;
        let away = match &result {
            Ok(answer) => is_away(answer.status()),
            Err(error) => is_failure(error),
        };
        if !away {
            return result;
        }
        match self.spool(&parts, &source).await {
            Ok(acknowledged) => Ok(acknowledged),
            // The upstream's own words are worth more than that the disk is full too.
            Err(error) => {
                tracing::warn!(%error, "a write can't wait on disk");
                result
            }
        }
    }

    /// Puts a write on disk and acknowledges it.
    async fn spool(&self, parts: &Parts, source: &Source) -> Result<Response<Body>, Error> {
        let body = match source.collect().await {
            Ok(Some(body)) => body,
            Ok(None) => return Err(Error::new(Kind::TooLarge, format!("the body may have {} bytes", self.longest))),
            Err(error) => {
                return Err(match error.downcast::<Error>() {
                    Ok(error) => *error,
                    Err(error) => Error::invalid("the request's body broke off").with_source(error),
                });
            }
        };
        let gzip = match parts.headers.get(CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
            None | Some(b"identity" | b"") => false,
            Some(b"gzip") => true,
            Some(_) => return Err(Error::new(Kind::UnsupportedMediaType, "content encoding is neither gzip nor identity")),
        };
        let entry = Entry { received: now(), gzip, uri: parts.uri.clone(), body };
        if !self.store.append(entry).await? {
            return Err(
                Error::new(Kind::Unavailable, "the upstream is away and the spool is full").retry_after(Duration::from_secs(30))
            );
        }
        count(Event::Spool);
        let mut answer = Response::new(Body::from(Bytes::new()));
        *answer.status_mut() = StatusCode::NO_CONTENT;
        Ok(answer)
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Spooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spooled").field("upstream", &self.0.upstream).finish_non_exhaustive()
    }
}
