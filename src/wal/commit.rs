//! Group commit: one thread appends what is waiting, syncs once, applies it in that order and only then tells the writers.

use std::{
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::oneshot;

use super::{LogDir, LogFile, Position, SEGMENT_BYTES, frame, segment_name};
use crate::error::{Blame, Error, Kind};

/// What entries become. Called on the log's own thread, in the log's order, and only with what is on disk.
pub(crate) trait Sink<E>: Send + 'static {
    /// The frame kind and the payload.
    fn encode(&self, entry: &E, out: &mut Vec<u8>) -> u8;

    /// Makes the entry visible.
    fn apply(&mut self, entry: E);

    /// All up to here is on disk and has been applied.
    fn durable(&mut self, _end: Position) {}
}

/// The log, open for appending.
pub(crate) struct Log<E> {
    shared: Arc<Shared<E>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared<E> {
    queue: Mutex<Queue<E>>,
    wake: Condvar,
}

struct Queue<E> {
    waiting: Vec<Waiting<E>>,
    cuts: Vec<Cut>,
    closed: bool,
    /// Why nothing more is taken.
    broken: Option<String>,
}

struct Waiting<E> {
    entry: E,
    done: oneshot::Sender<Result<(), Error>>,
}

/// Runs between two entries, with the number of the segment that all later entries go to.
type Cut = Box<dyn FnOnce(u64) + Send>;

impl<E: Send + 'static> Log<E> {
    /// Starts to write segment `number`.
    pub(crate) fn start(dir: Arc<dyn LogDir>, number: u64, sink: impl Sink<E>) -> Result<Self, Error> {
        let file = create(&*dir, number).map_err(|error| {
            Error::new(Kind::Internal, format!("can't create \"{}\": {error}", dir.describe(&segment_name(number))))
        })?;
        let queue = Queue { waiting: Vec::new(), cuts: Vec::new(), closed: false, broken: None };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), wake: Condvar::new() });
        let writer = Writer { shared: Arc::clone(&shared), dir, file, number, written: 0, sink, buffer: Vec::new() };
        let thread =
            std::thread::Builder::new().name("v1shim-log".into()).spawn(move || writer.run()).map_err(Error::internal)?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Queues an entry; the receiver hears when it is on disk and applied. The order of calls is the order of the log.
    pub(crate) fn append(&self, entry: E) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let mut queue = self.shared.lock();
        if let Some(reason) = &queue.broken {
            return Err(unavailable(reason));
        }
        if queue.closed {
            return Err(unavailable("the store is closed"));
        }
        let (done, receiver) = oneshot::channel();
        queue.waiting.push(Waiting { entry, done });
        drop(queue);
        self.shared.wake.notify_one();
        Ok(receiver)
    }

    /// Begins a new segment and runs `cut` there, on the log's thread; drops it when the log is broken.
    #[cfg_attr(not(feature = "embedded"), expect(dead_code, reason = "the store's alone"))]
    pub(crate) fn cut(&self, cut: impl FnOnce(u64) + Send + 'static) {
        let mut queue = self.shared.lock();
        if queue.broken.is_some() {
            return;
        }
        queue.cuts.push(Box::new(cut));
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Why it refuses entries, if it does.
    #[cfg_attr(not(feature = "embedded"), expect(dead_code, reason = "the store's alone"))]
    pub(crate) fn broken(&self) -> Option<String> {
        self.shared.lock().broken.clone()
    }
}

impl<E> Log<E> {
    /// Writes what is waiting and ends the thread. Blocks.
    pub(crate) fn end(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the log's thread panicked");
        }
    }
}

impl<E> Drop for Log<E> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<E> Shared<E> {
    fn lock(&self) -> MutexGuard<'_, Queue<E>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer<E, S> {
    shared: Arc<Shared<E>>,
    dir: Arc<dyn LogDir>,
    file: Box<dyn LogFile>,
    number: u64,
    /// Bytes in this segment.
    written: u64,
    sink: S,
    buffer: Vec<u8>,
}

impl<E, S: Sink<E>> Writer<E, S> {
    fn run(mut self) {
        // A panic below must not leave writers waiting for ever.
        let _guard = BreakOnDrop(Arc::clone(&self.shared));
        while let Some((waiting, cuts)) = self.next() {
            if let Err(reason) = self.commit(waiting) {
                tracing::error!(%reason, "the log can't be written: refusing writes until the next start");
                self.shared.fail(&reason);
                return;
            }
            if cuts.is_empty() {
                continue;
            }
            if let Err(error) = self.rotate() {
                let reason = format!("can't begin a new log segment: {error}");
                tracing::error!(%reason, "refusing writes until the next start");
                self.shared.fail(&reason);
                return;
            }
            for cut in cuts {
                cut(self.number);
            }
        }
    }

    fn next(&self) -> Option<(Vec<Waiting<E>>, Vec<Cut>)> {
        let mut queue = self.shared.lock();
        while queue.waiting.is_empty() && queue.cuts.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Some((std::mem::take(&mut queue.waiting), std::mem::take(&mut queue.cuts)))
    }

    /// Appends, syncs, applies, acknowledges: in this order for all of `waiting`.
    fn commit(&mut self, waiting: Vec<Waiting<E>>) -> Result<(), String> {
        if waiting.is_empty() {
            return Ok(());
        }
        self.buffer.clear();
        let mut durable = Vec::with_capacity(waiting.len());
        for Waiting { entry, done } in waiting {
            match frame::encode(&mut self.buffer, |out| self.sink.encode(&entry, out)) {
                Ok(()) => durable.push((entry, done)),
                Err(_) => {
                    let _ = done.send(Err(Error::new(Kind::TooLarge, "the write is too large for the log")));
                }
            }
        }
        if let Err(error) = self.write() {
            let reason = format!("writing \"{}\" failed: {error}", self.dir.describe(&segment_name(self.number)));
            for (_, done) in durable {
                let _ = done.send(Err(unavailable(&reason)));
            }
            return Err(reason);
        }
        for (entry, done) in durable {
            self.sink.apply(entry);
            // Nobody listens any more when the client has gone away; the points are in all the same.
            let _ = done.send(Ok(()));
        }
        self.sink.durable(Position { segment: self.number, offset: self.written });
        // One very large write must not keep its memory for ever.
        if self.buffer.capacity() > 4 << 20 {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        if self.written > SEGMENT_BYTES {
            self.rotate()?;
        }
        self.file.append(&self.buffer)?;
        self.file.sync()?;
        self.written += self.buffer.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        // What is in the old segment is synced already: every append is.
        self.file = create(&*self.dir, self.number + 1)?;
        self.number += 1;
        self.written = 0;
        Ok(())
    }
}

impl<E> Shared<E> {
    fn fail(&self, reason: &str) {
        let mut queue = self.lock();
        queue.broken.get_or_insert_with(|| reason.to_owned());
        queue.cuts.clear();
        for waiting in std::mem::take(&mut queue.waiting) {
            let _ = waiting.done.send(Err(unavailable(reason)));
        }
    }
}

struct BreakOnDrop<E>(Arc<Shared<E>>);

impl<E> Drop for BreakOnDrop<E> {
    fn drop(&mut self) {
        self.0.fail("the log is closed");
    }
}

impl<E> fmt::Debug for Log<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

fn create(dir: &dyn LogDir, number: u64) -> io::Result<Box<dyn LogFile>> {
    let file = dir.create(&segment_name(number))?;
    dir.sync()?;
    Ok(file)
}

fn unavailable(reason: &str) -> Error {
    Error::new(Kind::Unavailable, "the store can't take writes right now")
        .blaming(Blame::Shim)
        .retry_after(Duration::from_secs(5))
        .with_source(reason.to_owned())
}
