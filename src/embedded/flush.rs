//! From memory to files, so that memory and the log stay bounded.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    buffer::{Flush, Memory},
    catalog::{Catalog, FileRecord},
    delete::{Entry, settle::Settler},
    engine::unavailable,
    memory_of,
    parquet::{DataFile, Files},
};
use crate::{
    error::Error,
    wal::{Log, LogDir, remove_before},
};

/// The log is replayed at the start: with more than this in it since the last flush, the next one is due.
const LOG_BYTES: usize = 256 << 20;
/// After a flush that failed.
const RETRY: Duration = Duration::from_secs(2);

/// How full memory and the log are.
#[derive(Debug)]
pub(super) struct Gauge {
    limit: usize,
    held: AtomicUsize,
    logged: AtomicUsize,
    /// Wakes writers that wait for room.
    room: Notify,
    due: Mutex<bool>,
    wake: Condvar,
}

impl Gauge {
    /// For this many bytes in memory.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            held: AtomicUsize::new(0),
            logged: AtomicUsize::new(0),
            room: Notify::new(),
            due: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// Memory holds so much now. Half of the limit makes a flush due, so that writers seldom wait for it.
    pub(super) fn set(&self, held: usize) {
        self.held.store(held, Ordering::Release);
        if held < self.limit {
            self.room.notify_waiters();
        }
        if self.is_due() {
            self.ask();
        }
    }

    /// So much more is in the log.
    pub(super) fn logged(&self, bytes: usize) {
        self.logged.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns when memory has room.
    pub(super) async fn room(&self) {
        loop {
            // Listening comes before looking, or a wake-up in between would be lost.
            let notified = self.room.notified();
            if self.held.load(Ordering::Acquire) < self.limit {
                return;
            }
            notified.await;
        }
    }

    fn is_due(&self) -> bool {
        self.held.load(Ordering::Acquire) > self.limit / 2 || self.logged.load(Ordering::Relaxed) > LOG_BYTES
    }

    /// Wakes the thread.
    pub(super) fn ask(&self) {
        let mut due = self.due();
        if !*due {
            *due = true;
            self.wake.notify_one();
        }
    }

    fn due(&self) -> MutexGuard<'_, bool> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes files in the background.
#[derive(Debug)]
pub(super) struct Flusher {
    work: Arc<Work>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Work {
    log: Arc<Log<Entry>>,
    dir: Arc<dyn LogDir>,
    memory: Arc<Mutex<Memory>>,
    catalog: Arc<Catalog>,
    files: Files,
    gauge: Arc<Gauge>,
    settler: Arc<Settler>,
    /// One flush at a time.
    running: Mutex<()>,
    closed: std::sync::atomic::AtomicBool,
}

impl Flusher {
    pub(super) fn start(
        log: Arc<Log<Entry>>,
        dir: Arc<dyn LogDir>,
        memory: Arc<Mutex<Memory>>,
        catalog: Arc<Catalog>,
        files: Files,
        gauge: Arc<Gauge>,
        settler: Arc<Settler>,
    ) -> Result<Self, Error> {
        let work =
            Arc::new(Work { log, dir, memory, catalog, files, gauge, settler, running: Mutex::new(()), closed: false.into() });
        let worker = Arc::clone(&work);
        let thread =
            std::thread::Builder::new().name("v1shim-flush".into()).spawn(move || worker.run()).map_err(Error::internal)?;
        Ok(Self { work, thread: Mutex::new(Some(thread)) })
    }

    /// Flushes now. Blocks.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.work.flush()
    }

    /// Ends the thread, after the flush that it is at. Blocks.
    pub(super) fn close(&self) {
        self.work.closed.store(true, Ordering::Release);
        *self.work.gauge.due() = true;
        self.work.gauge.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the flushing thread panicked");
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        // Whoever opens the directory next must be alone with it.
        self.close();
    }
}

impl Work {
    fn run(&self) {
        loop {
            {
                let mut due = self.gauge.due();
                while !*due {
                    due = self.gauge.wake.wait(due).unwrap_or_else(PoisonError::into_inner);
                }
                *due = false;
            }
            if self.is_closed() {
                return;
            }
            if let Err(error) = self.settler.settle(&|| self.is_closed() || self.gauge.is_due()) {
                tracing::warn!(%error, cause = error_cause(&error), "files can't be written without what is deleted; trying again later");
            }
            // What the log took is safe there, and it takes nothing more.
            if !self.gauge.is_due() || self.log.broken().is_some() {
                continue;
            }
            let flushed = std::panic::catch_unwind(AssertUnwindSafe(|| self.flush())).unwrap_or_else(|_| {
                // As after any other failure. Without this thread memory would stay full for ever.
                memory_of(&self.memory).abort_flush();
                Err(Error::internal("moving points to files panicked"))
            });
            if let Err(error) = flushed {
                tracing::error!(%error, cause = error_cause(&error), "points can't be moved from memory to files; trying again");
                self.pause(RETRY);
                self.gauge.ask();
            }
        }
    }

    /// Waits, but not when the store is being closed.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut due = self.gauge.due();
        while !self.is_closed() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            due = self.gauge.wake.wait_timeout(due, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(due);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Writes what is in memory to files, tells the catalog, and only then lets the log's segments go.
    fn flush(&self) -> Result<(), Error> {
        let _running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // Between two entries of the log: what is in memory then is what stands in the segments before.
        let (sender, receiver) = mpsc::channel();
        let memory = Arc::clone(&self.memory);
        let gauge = Arc::clone(&self.gauge);
        self.log.cut(move |segment| {
            gauge.logged.store(0, Ordering::Relaxed);
            let mut memory = memory_of(&memory);
            // What files say is only right together with the deletes in the log.
            let segment = (!memory.is_unsettled()).then_some(segment);
            let _ = sender.send((segment, memory.begin_flush()));
        });
        let (segment, parts) = receiver.recv().map_err(|_| unavailable("the log is closed"))?;
        let result = self.write(segment, &parts);
        if result.is_err() {
            memory_of(&self.memory).abort_flush();
        }
        result
    }

    fn write(&self, segment: Option<u64>, parts: &[Flush]) -> Result<(), Error> {
        let started = Instant::now();
        // None of those whose points are all deleted.
        let mut written: Vec<Option<DataFile>> = Vec::with_capacity(parts.len());
        if !parts.is_empty() {
            let first = self.catalog.next_file(parts.len() as u64)?;
            for (seq, part) in (first..).zip(parts) {
                let run = part.run();
                if run.rows() == 0 {
                    written.push(None);
                    continue;
                }
                match self.files.write(seq, (part.bucket, &part.table), (part.start, part.end), &run) {
                    Ok(file) => written.push(Some(file)),
                    Err(error) => {
                        for file in written.iter().flatten() {
                            self.files.remove(&file.record.path);
                        }
                        return Err(error);
                    }
                }
            }
        }
        let records: Vec<FileRecord> = written.iter().flatten().map(|file| file.record.clone()).collect();
        let bytes: u64 = records.iter().map(|record| record.bytes).sum();
        // Those of buckets that were removed meanwhile.
        let gone = self.catalog.add_files(&records, segment)?;
        {
            let mut memory = memory_of(&self.memory);
            for (part, file) in parts.iter().zip(written) {
                let file = file.filter(|file| !gone.contains(&file.record));
                memory.flushed(part, file.map(Arc::new));
            }
            for record in &gone {
                memory.forget(record.bucket);
            }
            self.gauge.set(memory.bytes());
        }
        for record in gone {
            self.files.remove(&record.path);
        }
        self.files.reap();
        if let Some(segment) = segment
            && let Err(error) = remove_before(&*self.dir, segment)
        {
            // They are removed at the next start, if not by the next flush.
            tracing::warn!(%error, "old log segments can't be removed");
        }
        tracing::debug!(files = parts.len(), bytes, elapsed = ?started.elapsed(), "moved points from memory to files");
        Ok(())
    }
}

fn error_cause(error: &Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
