//! One after the other, what waits on disk goes to the upstream.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderValue, Method, Request, header::CONTENT_ENCODING};
use http_body_util::{BodyExt, Limited};
use tokio::{sync::watch, time::Instant};

use super::{
    entry::Entry,
    fate::{Fate, fate},
    service::now,
    store::Store,
};
use crate::{
    body::Body,
    error::Error,
    lineprotocol::gunzip,
    telemetry::delivery::{Event, count},
    upstream::{Upstream, body::Source},
    wal::Position,
};

/// The cursor is synced after so many writes, after so long, and when nothing waits any more.
const WRITES: u64 = 64;
const EVERY: Duration = Duration::from_secs(1);
/// Between two tries of one write.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// No `Retry-After` is believed beyond this: somebody may have mended the upstream.
const BELIEVED: Duration = Duration::from_secs(300);
/// As much of an answer as is read.
const ENOUGH: usize = 64 << 10;

pub(super) struct Deliverer {
    pub(super) store: Arc<Store>,
    pub(super) upstream: Upstream,
    pub(super) max_age: Duration,
    /// Bytes that a body may have once it is unpacked.
    pub(super) unpacked: u64,
}

/// What is delivered, and not yet said on disk.
struct Done {
    cursor: Position,
    writes: u64,
    bytes: u64,
    since: Instant,
}

impl Deliverer {
    /// Delivers until told to stop, or until the disk can't be read any more.
    pub(super) async fn run(self, cursor: Position, mut stopped: watch::Receiver<bool>) {
        let mut done = Done { cursor, writes: 0, bytes: 0, since: Instant::now() };
        let stop = async move {
            // Nobody left to say so is an end too.
            let _ = stopped.wait_for(|&stop| stop).await;
        };
        let result = match select(pin!(stop), pin!(self.work(&mut done))).await {
            Either::Left(((), _)) => Ok(()),
            Either::Right((result, _)) => result,
        };
        if let Err(reason) = result {
            tracing::error!(%reason, "the spool can't be delivered: writes wait on disk until the next start");
        }
        if let Err(error) = self.say(&mut done).await {
            tracing::warn!(%error, "the spool's cursor can't be written: some writes will be delivered again");
        }
    }

    async fn work(&self, done: &mut Done) -> Result<(), String> {
        let mut at = done.cursor;
        loop {
            let store = Arc::clone(&self.store);
            let (entries, next) = tokio::task::spawn_blocking(move || store.read(at)).await.map_err(|e| e.to_string())??;
            for (entry, end) in entries {
                self.settle(&entry).await;
                done.cursor = end;
                done.writes += 1;
                done.bytes += entry.size();
                if done.writes >= WRITES || done.since.elapsed() > EVERY || self.store.waiting() <= done.writes {
                    self.say(done).await.map_err(|error| format!("can't write its cursor: {error}"))?;
                }
            }
            if next == at {
                self.store.more(at).await;
            } else if next.segment > at.segment {
                done.cursor = next;
            }
            at = next;
        }
    }

    /// Delivers one write, or finds that it never will be.
    async fn settle(&self, entry: &Entry) {
        let begun = Instant::now();
        let mut pause = SHORTEST;
        let reason = loop {
            let age = Duration::from_millis(now().saturating_sub(entry.received));
            if age > self.max_age {
                break format!("older than spool.max_age, after {} s", age.as_secs());
            }
            let asked = match self.try_once(entry, begun.elapsed()).await {
                Ok(Fate::Delivered) => return count(Event::Deliver),
                Ok(Fate::Dead(reason)) => break reason,
                Ok(Fate::Later(asked)) => asked,
                Err(error) => error.retry_delay(),
            };
            // Half of it at random: several shims that lost the same upstream must not come back all at once.
            let jitter = pause.mul_f64(0.5 + (crate::upstream::delivery::random() % 1024) as f64 / 2048.0);
            tokio::time::sleep(jitter.max(asked.unwrap_or_default().min(BELIEVED))).await;
            pause = (pause * 2).min(LONGEST);
        };
        count(Event::DeadLetter);
        tracing::warn!(%reason, path = %entry.uri, "a write that was acknowledged can't be delivered: it is among the dead letters");
        let (store, entry, unpacked) = (Arc::clone(&self.store), entry.clone(), self.unpacked);
        let buried = tokio::task::spawn_blocking(move || {
            let lines = if entry.gzip {
                gunzip(&entry.body, unpacked).map_or_else(|_| entry.body.clone(), Bytes::from)
            } else {
                entry.body.clone()
            };
            store.bury(&entry, &reason, &String::from_utf8_lossy(&lines))
        });
        if let Err(error) = buried.await.map_err(io::Error::other).flatten() {
            tracing::error!(%error, "dead letters can't be written: this one is lost");
        }
    }

    async fn try_once(&self, entry: &Entry, tried: Duration) -> Result<Fate, Error> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = entry.uri.clone();
        if entry.gzip {
            request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        self.upstream.authorize(&mut request);
        let (mut parts, _) = request.into_parts();
        let answer = self.upstream.send_write(&mut parts, &Source::Full(entry.body.clone())).await?;
        let (head, body) = answer.into_parts();
        let text = Limited::new(body, ENOUGH).collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
        Ok(fate(head.status, &head.headers, &text, tried))
    }

    /// Says on disk what is delivered.
    fn say(&self, done: &mut Done) -> impl Future<Output = io::Result<()>> + use<> {
        let (store, cursor) = (Arc::clone(&self.store), done.cursor);
        let (writes, bytes) = (std::mem::take(&mut done.writes), std::mem::take(&mut done.bytes));
        done.since = Instant::now();
        async move { tokio::task::spawn_blocking(move || store.advance(cursor, writes, bytes)).await.map_err(io::Error::other)? }
    }
}
