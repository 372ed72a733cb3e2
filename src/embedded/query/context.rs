//! What a statement runs in: its data, its clock, its limits.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::{embedded::Tables, error::Error, error::Kind};

/// Looks up a bucket by its name.
pub type FindTables<'a> = dyn Fn(&str) -> Result<Arc<dyn Tables>, Error> + 'a;

/// What a statement runs in.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The points of a bucket, as they are at this moment; an error for a bucket that doesn't exist or may not be read.
    pub tables: &'a FindTables<'a>,
    /// The bucket of measurements that don't name one.
    pub bucket: &'a str,
    /// Buckets of the same database (other retention policies), by bucket: some `SHOW` statements are about the database as a whole.
    pub siblings: &'a Siblings,
    /// `now()`, in nanoseconds since 1970.
    pub now: i64,
    /// Set from elsewhere to end the query; looked at once a batch.
    pub cancelled: &'a AtomicBool,
    /// Bounds of this query.
    pub limits: Limits,
    /// The memory that all queries share.
    pub pool: &'a MemoryPool,
}

/// Buckets that are one database, each with the others.
pub type Siblings = BTreeMap<Box<str>, Vec<Box<str>>>;

impl Context<'_> {
    /// The other buckets of a bucket's database.
    pub(super) fn siblings_of(&self, bucket: &str) -> impl Iterator<Item = &str> {
        self.siblings.get(bucket).into_iter().flatten().map(|sibling| &**sibling).filter(move |sibling| *sibling != bucket)
    }
}

/// Bounds of one query.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that it may keep at once, without what is on its way out.
    pub memory: usize,
    /// Most windows of `GROUP BY time` a series; 0 for any number (1.x's `max-select-buckets`).
    pub max_buckets: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 256 << 20, max_buckets: 0 }
    }
}

/// Memory that all queries share.
#[derive(Debug)]
pub struct MemoryPool {
    limit: usize,
    used: AtomicUsize,
}

impl MemoryPool {
    /// A pool of so many bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("bucket", &self.bucket).field("now", &self.now).field("limits", &self.limits).finish()
    }
}

/// What one query holds of the memory; given back when it is dropped.
pub(super) struct Budget<'a> {
    pool: &'a MemoryPool,
    cancelled: &'a AtomicBool,
    limit: usize,
    used: Cell<usize>,
}

impl<'a> Budget<'a> {
    pub(super) fn new(context: &Context<'a>) -> Self {
        Self { pool: context.pool, cancelled: context.cancelled, limit: context.limits.memory, used: Cell::new(0) }
    }

    /// Takes `bytes`, or says that they aren't there.
    pub(super) fn take(&self, bytes: usize) -> Result<(), Error> {
        let used = self.used.get().saturating_add(bytes);
        if used > self.limit {
            return Err(Error::new(
                Kind::Unprocessable,
                format!("query needs more than its memory budget of {} bytes (limits.query_memory)", self.limit),
            ));
        }
        let all = self.pool.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.used.set(used);
        if all > self.pool.limit {
            return Err(Error::new(Kind::Unavailable, "queries need more memory than there is, try again later"));
        }
        Ok(())
    }

    /// So many bytes rows may hold that are on their way from files to the answer.
    pub(super) fn share(&self) -> usize {
        // More isn't quicker.
        (self.limit / 4).min(64 << 20)
    }

    /// What it holds.
    pub(super) fn used(&self) -> usize {
        self.used.get()
    }

    /// Gives `bytes` back.
    pub(super) fn give_back(&self, bytes: usize) {
        let bytes = bytes.min(self.used.get());
        self.used.set(self.used.get() - bytes);
        self.pool.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Ends the query when somebody asked for it.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::new(Kind::Timeout, "query interrupted")) } else { Ok(()) }
    }
}

impl Drop for Budget<'_> {
    fn drop(&mut self) {
        self.pool.used.fetch_sub(self.used.get(), Ordering::Relaxed);
    }
}
