//! The store itself: `open`, `write`, `query`, `close`.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use tokio::{runtime::Handle, sync::Semaphore, task};

use super::{
    Tables,
    catalog::{Bucket, Catalog},
    delete::{Entry, settle::Settler},
    flush::{Flusher, Gauge},
    ingest::{self, Parsed},
    listing::Counters,
    memory_of,
    parquet::{DataFile, Files},
    query::MemoryPool,
    scan::Snapshot,
    schema::Types,
};
use crate::{
    config,
    error::{Blame, Error, Kind},
    lineprotocol::Unit,
    wal::{self, Disk, Lock, Log, LogDir, Sink},
};

/// The store. Clones share it.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) catalog: Arc<Catalog>,
    pub(super) memory: Arc<Mutex<super::buffer::Memory>>,
    /// Also says in which order writes go into the log: whoever holds it is the next.
    types: Mutex<Types>,
    pub(super) running: Arc<super::change::Running>,
    log: Arc<Log<Entry>>,
    pub(super) gauge: Arc<Gauge>,
    flusher: Flusher,
    pub(super) settler: Arc<Settler>,
    pub(super) files: Files,
    pub(super) pool: MemoryPool,
    pub(super) queries: Arc<Semaphore>,
    /// Bytes of bodies that are being written, against more than memory takes.
    bodies: Arc<Semaphore>,
    /// Permits of `bodies`: a single body takes all of them at most, or it would wait for ever.
    body_permits: u32,
    write_timeout: Duration,
    pub(super) limits: config::Limits,
    pub(super) counters: Counters,
    /// Dropped last.
    _lock: Lock,
}

/// A write.
#[derive(Clone, Debug)]
pub struct Write {
    /// The bucket's name.
    pub bucket: Box<str>,
    /// Line protocol, not compressed.
    pub body: Bytes,
    /// The unit of its timestamps.
    pub unit: Unit,
    /// Whether good lines are kept when others are bad.
    pub accept_partial: bool,
}

/// How a write ended, unless it failed as a whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Everything is on disk.
    Written,
    /// Some or all lines were refused; the others are on disk.
    Rejected(Rejected),
}

/// What was refused of a write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejected {
    /// 1.x's phrase: `partial write: … dropped=1`, `unable to parse '…': …`.
    pub error: String,
    /// The lines, the first hundred of them.
    pub lines: Vec<RejectedLine>,
    /// Whether other lines were kept.
    pub partial: bool,
}

/// A line that was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RejectedLine {
    /// Why.
    pub reason: String,
    /// Its number, from 1.
    pub number: usize,
    /// Its beginning.
    pub line: String,
}

/// Permits of [`Inner::bodies`] are for so many bytes each.
const BODY_UNIT: usize = 1 << 10;
/// Bodies from this size on are parsed on a thread that may take its time.
const LARGE_BODY: usize = 1 << 16;

impl Engine {
    /// Opens `config.data_dir`, makes it when it isn't there, and replays the log. Needs a tokio runtime.
    ///
    /// # Errors
    /// When another process has it open, or something in it is corrupt; the message says which file and what to do.
    pub async fn open(config: &config::Embedded, limits: config::Limits) -> Result<Self, Error> {
        let config = config.clone();
        blocking(move || {
            let lock = Lock::take(&config.data_dir, "embedded.data_dir")?;
            let path = config.data_dir.join("wal");
            let log = Disk::open(&path).map_err(|error| start(format!("can't open the log \"{}\": {error}", path.display())))?;
            Self::open_locked(&config, limits, Arc::new(log), lock)
        })
        .await?
    }

    /// The same, with its log somewhere else: for tests.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with_log(config: &config::Embedded, limits: config::Limits, log: Arc<dyn LogDir>) -> Result<Self, Error> {
        let config = config.clone();
        blocking(move || {
            let lock = Lock::take(&config.data_dir, "embedded.data_dir")?;
            Self::open_locked(&config, limits, log, lock)
        })
        .await?
    }

    fn open_locked(config: &config::Embedded, limits: config::Limits, dir: Arc<dyn LogDir>, lock: Lock) -> Result<Self, Error> {
        let handle = Handle::current();
        let (catalog, loaded) = Catalog::open(&config.data_dir.join("catalog.redb"))?;
        let catalog = Arc::new(catalog);
        let files = Files::local(&config.data_dir, handle)?;
        files.sweep(&loaded.files)?;

        let (mut memory, mut types) = (super::buffer::Memory::default(), Types::default());
        for file in loaded.files {
            for field in &file.fields {
                types.fix(file.bucket, &file.table, (file.start, file.end), &field.name, field.field_type);
            }
            memory.add_file(&Arc::new(DataFile::new(file)));
        }
        let mut deletes = Vec::new();
        let next = wal::recover(&*dir, loaded.first_segment, |_, frame| {
            let entry = Entry::decode(frame.kind, frame.payload)?;
            // Not of a bucket that has been removed since.
            if catalog.bucket_by_id(entry.bucket()).is_some() {
                match &entry {
                    Entry::Points(batch) => types.replay(batch),
                    Entry::Forget(forget) => types.forget_table(forget.bucket, &forget.table),
                    Entry::Delete(_) => {}
                }
                apply(&mut memory, &entry);
                if let Entry::Delete(delete) = entry {
                    deletes.push(delete);
                }
            }
            Ok(())
        })?;

        let memory = Arc::new(Mutex::new(memory));
        let gauge = Arc::new(Gauge::new(config.memory));
        gauge.set(memory_of(&memory).bytes());
        let sink = Applier { memory: Arc::clone(&memory), gauge: Arc::clone(&gauge) };
        let log = Arc::new(Log::start(Arc::clone(&dir), next, sink)?);
        let settler = Arc::new(Settler::new(Arc::clone(&memory), Arc::clone(&catalog), files.clone()));
        let settled = deletes.iter().try_for_each(|delete| settler.carry_out(delete)).and_then(|()| settler.settle(&|| false));
        if let Err(error) = settled {
            tracing::warn!(%error, "files can't be written without what is deleted; trying again later");
        }
        let flusher = Flusher::start(
            Arc::clone(&log),
            dir,
            Arc::clone(&memory),
            Arc::clone(&catalog),
            files.clone(),
            Arc::clone(&gauge),
            Arc::clone(&settler),
        )?;
        let bodies = usize::try_from(limits.decompressed).unwrap_or(usize::MAX).max(64 << 20) / BODY_UNIT;
        let body_permits = u32::try_from(bodies).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS.try_into().unwrap_or(u32::MAX));
        Ok(Self(Arc::new(Inner {
            catalog,
            memory,
            types: Mutex::new(types),
            log,
            gauge,
            flusher,
            settler,
            running: Arc::default(),
            files,
            pool: MemoryPool::new(limits.query_memory.saturating_mul(2)),
            queries: Arc::new(Semaphore::new(limits.concurrent_queries.clamp(1, Semaphore::MAX_PERMITS))),
            bodies: Arc::new(Semaphore::new(body_permits as usize)),
            body_permits,
            write_timeout: limits.write_timeout,
            limits,
            counters: Counters::new(),
            _lock: lock,
        })))
    }

    /// Writes points; returns when they are on disk.
    ///
    /// # Errors
    /// `NotFound` for a bucket that isn't there, `Unavailable` when the log or memory can't take more.
    pub async fn write(&self, write: Write) -> Result<Outcome, Error> {
        let inner = &self.0;
        let bucket = inner
            .catalog
            .bucket(&write.bucket)
            .ok_or_else(|| Error::new(Kind::NotFound, format!("database not found: \"{}\"", write.bucket)))?;
        if let Some(reason) = inner.log.broken() {
            return Err(unavailable("the store can't take writes right now").with_source(reason));
        }
        let permits = u32::try_from((write.body.len() / BODY_UNIT).max(1)).unwrap_or(u32::MAX).min(inner.body_permits);
        let room = async {
            inner.gauge.room().await;
            inner.bodies.acquire_many(permits).await
        };
        let _permit = tokio::time::timeout(inner.write_timeout, room)
            .await
            .map_err(|_| unavailable("timeout: the store can't keep up with writes, memory is full"))?
            .map_err(|_| unavailable("the store is closed"))?;

        let now = now();
        let Write { body, unit, accept_partial, .. } = write;
        let id = bucket.id;
        let parsed = if body.len() < LARGE_BODY {
            ingest::parse(&body, unit, now, id)?
        } else {
            let body = body.clone();
            blocking(move || ingest::parse(&body, unit, now, id)).await??
        };
        let (done, rejected) = self.submit(parsed, &body, &bucket, now, accept_partial)?;
        if let Some(done) = done {
            // The log's thread answers everybody, or is gone.
            done.await.unwrap_or_else(|_| Err(unavailable("the store can't take writes right now")))?;
        }
        Ok(rejected.map_or(Outcome::Written, Outcome::Rejected))
    }

    /// Writes points that are no lines; returns when they are on disk.
    pub(super) async fn write_points(&self, bucket: &str, mut points: super::batch::Batch) -> Result<Outcome, Error> {
        let inner = &self.0;
        let bucket = inner
            .catalog
            .bucket(bucket)
            .ok_or_else(|| Error::new(Kind::NotFound, format!("database not found: \"{bucket}\"")))?;
        tokio::time::timeout(inner.write_timeout, inner.gauge.room())
            .await
            .map_err(|_| unavailable("timeout: the store can't keep up with writes, memory is full"))?;
        points.bucket = bucket.id;
        let parsed = Parsed::of(points);
        let (done, rejected) = self.submit(parsed, b"", &bucket, now(), true)?;
        if let Some(done) = done {
            done.await.unwrap_or_else(|_| Err(unavailable("the store can't take writes right now")))?;
        }
        Ok(rejected.map_or(Outcome::Written, Outcome::Rejected))
    }

    /// Checks types and hands over to the log, in one step: so that the order of checks is the order of the log.
    #[expect(clippy::type_complexity, reason = "said in one place only")]
    fn submit(
        &self,
        mut parsed: Parsed,
        body: &[u8],
        bucket: &Bucket,
        now: i64,
        accept_partial: bool,
    ) -> Result<(Option<tokio::sync::oneshot::Receiver<Result<(), Error>>>, Option<super::Rejected>), Error> {
        let shard = i64::try_from(bucket.shard().as_nanos()).unwrap_or(i64::MAX);
        let earliest = ingest::earliest(bucket.retention, now);
        let mut batch = std::mem::take(&mut parsed.batch);
        let mut types = self.types();
        if !accept_partial {
            let refused = types.check(&mut batch, shard, earliest, false);
            if let Some(mut rejected) = parsed.report(body, &refused, false) {
                rejected.lines.truncate(1);
                return Ok((None, Some(rejected)));
            }
        }
        let refused = types.check(&mut batch, shard, earliest, true);
        batch.leave_out(refused.iter().map(|refused| refused.index));
        self.0.counters.wrote(batch.points.len(), refused.len());
        let written = !batch.points.is_empty();
        let done = if written { Some(self.0.log.append(Entry::Points(batch))?) } else { None };
        drop(types);
        Ok((done, parsed.report(body, &refused, written)))
    }

    /// What is in a bucket now. Reading it blocks: for a thread that may.
    ///
    /// # Errors
    /// `NotFound` for a bucket that isn't there.
    pub fn snapshot(&self, bucket: &str) -> Result<Arc<dyn Tables>, Error> {
        let bucket = self
            .0
            .catalog
            .bucket(bucket)
            .ok_or_else(|| Error::new(Kind::NotFound, format!("database not found: \"{bucket}\"")))?;
        let view = memory_of(&self.0.memory).view(bucket.id);
        Ok(Arc::new(Snapshot::new(view, self.0.files.clone())))
    }

    /// Writes everything that is in memory to files. It happens by itself when memory or the log get too large.
    ///
    /// # Errors
    /// When files or the catalog can't be written; everything is then as before.
    pub async fn flush(&self) -> Result<(), Error> {
        let engine = self.clone();
        blocking(move || engine.0.flusher.flush()).await?
    }

    /// Ends it: what is waiting is written, later writes are refused. Dropping it without is as safe as a crash.
    pub async fn close(&self) {
        let engine = self.clone();
        let ended = blocking(move || {
            engine.0.bodies.close();
            engine.0.flusher.close();
            engine.0.log.end();
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "closing the store failed");
        }
    }

    /// Why writes are refused, if they are.
    pub(super) fn broken(&self) -> Option<String> {
        self.0.log.broken()
    }

    /// Removes a bucket with everything in it. Blocks.
    pub(super) fn remove_bucket(&self, id: u64) -> Result<(), Error> {
        self.0.catalog.delete_bucket(id)?;
        self.forget_bucket(id);
        Ok(())
    }

    /// Forgets a bucket that the catalog doesn't know any more. Its files go as soon as nobody reads them. Blocks.
    pub(super) fn forget_bucket(&self, id: u64) {
        self.types().forget(id);
        let files = memory_of(&self.0.memory).forget(id);
        self.0.files.bury(files);
    }

    /// Appends what isn't points to the log; returns when it is on disk and seen.
    pub(super) async fn submit_change(&self, entry: Entry) -> Result<(), Error> {
        let done = {
            // As for writes: the order of what is known about types is that of the log.
            let mut types = self.types();
            let forget = match &entry {
                Entry::Forget(forget) => Some((forget.bucket, forget.table.clone())),
                _ => None,
            };
            let done = self.0.log.append(entry)?;
            if let Some((bucket, table)) = forget {
                types.forget_table(bucket, &table);
            }
            done
        };
        done.await.unwrap_or_else(|_| Err(unavailable("the store can't take writes right now")))
    }

    fn types(&self) -> MutexGuard<'_, Types> {
        self.0.types.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("catalog", &self.0.catalog).finish_non_exhaustive()
    }
}

/// Puts what is on disk into memory.
struct Applier {
    memory: Arc<Mutex<super::buffer::Memory>>,
    gauge: Arc<Gauge>,
}

impl Sink<Entry> for Applier {
    fn encode(&self, entry: &Entry, out: &mut Vec<u8>) -> u8 {
        let before = out.len();
        let kind = entry.encode(out);
        self.gauge.logged(out.len() - before);
        kind
    }

    fn apply(&mut self, entry: Entry) {
        let mut memory = memory_of(&self.memory);
        apply(&mut memory, &entry);
        self.gauge.set(memory.bytes());
        if !matches!(entry, Entry::Points(_)) {
            // Whoever asked for it may have gone away: files are settled all the same.
            self.gauge.ask();
        }
    }
}

fn apply(memory: &mut super::buffer::Memory, entry: &Entry) {
    match entry {
        Entry::Points(batch) => memory.apply(batch),
        Entry::Delete(delete) => memory.delete(delete),
        Entry::Forget(forget) => memory.forget_table(forget),
    }
}

/// Runs what blocks.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    task::spawn_blocking(work).await.map_err(Error::internal)
}

/// Nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn unavailable(message: &'static str) -> Error {
    Error::new(Kind::Unavailable, message).blaming(Blame::Shim).retry_after(Duration::from_secs(5))
}

pub(super) fn start(message: String) -> Error {
    Error::new(Kind::Internal, message)
}
