//! What happens on a connection.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Server;

/// What happens on a connection, to know when nothing does, and whose words go out.
pub(super) struct Activity {
    open: AtomicUsize,
    /// Something of an answer may still wait in hyper's buffers.
    unflushed: AtomicBool,
    /// When the last answer had gone; before the first request, when that has to be there.
    idle_from: Mutex<Instant>,
    idle_timeout: Duration,
}

impl Activity {
    pub(super) fn new(config: &Server) -> Self {
        // Whoever opens a connection has something to say: its first request may not take longer than headers may.
        let early = config.idle_timeout.saturating_sub(config.header_timeout);
        let now = Instant::now();
        Self {
            open: AtomicUsize::new(0),
            unflushed: AtomicBool::new(false),
            idle_from: Mutex::new(now.checked_sub(early).unwrap_or(now)),
            idle_timeout: config.idle_timeout,
        }
    }

    /// When to look again; in the past: nothing has happened for too long.
    pub(super) fn deadline(&self) -> Instant {
        if self.open.load(Ordering::Acquire) > 0 {
            return Instant::now() + self.idle_timeout;
        }
        let from = self.idle_from.lock().map_or_else(|poisoned| *poisoned.into_inner(), |from| *from);
        from + self.idle_timeout
    }

    /// All that had to be written has been.
    pub(super) fn flushed(&self) {
        if self.open.load(Ordering::Acquire) == 0 {
            self.unflushed.store(false, Ordering::Release);
        }
    }

    /// Whether whatever is written now can't be an answer of ours: none is being made, and of those before nothing is left.
    pub(super) fn owes_nothing(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0 && !self.unflushed.load(Ordering::Acquire)
    }
}

/// A request that is being answered.
pub(super) struct Busy(Arc<Activity>);

impl Busy {
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Ordering::AcqRel);
        activity.unflushed.store(true, Ordering::Release);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Ok(mut from) = self.0.idle_from.lock() {
            *from = Instant::now();
        }
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
