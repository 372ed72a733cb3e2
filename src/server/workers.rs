//! Threads that serve connections in front of an upstream, each with a runtime of its own.
//!
//! What a proxy does for a request takes less time than handing it to another core: a connection stays on one thread for its life, and so do
//! the connections to the upstream that it uses. Over the embedded store, where answers are computed, connections stay on the program's
//! runtime, whose threads take work off each other.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use crate::upstream::keep_to_this_thread;

/// The threads; they end when this is dropped, and what runs on them with them.
#[derive(Debug)]
pub(super) struct Workers(Box<[Worker]>);

#[derive(Debug)]
struct Worker {
    handle: Handle,
    connections: Arc<AtomicUsize>,
    /// Dropped: the end.
    _stop: oneshot::Sender<()>,
}

impl Workers {
    /// As many as the machine runs at once.
    pub(super) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        (0..count).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    /// Where the next connection is served: where the fewest are. It counts there until the place is dropped.
    pub(super) fn choose(&self) -> Option<(&Handle, Place)> {
        let worker = self.0.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed))?;
        worker.connections.fetch_add(1, Ordering::Relaxed);
        Some((&worker.handle, Place(Arc::clone(&worker.connections))))
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            keep_to_this_thread();
            // An error says that the other half was dropped, which is how it is told.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, connections: Arc::default(), _stop: stop })
    }
}

/// A connection's place on a thread.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_evenly_and_run_where_they_are_put() {
        let workers = Workers::start().unwrap();
        let count = workers.0.len();
        let places: Vec<_> = (0..3 * count).map(|_| workers.choose().unwrap().1).collect();
        assert!(workers.0.iter().all(|worker| worker.connections.load(Ordering::Relaxed) == 3));
        drop(places);
        assert!(workers.0.iter().all(|worker| worker.connections.load(Ordering::Relaxed) == 0));
        let (handle, _place) = workers.choose().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        handle.spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            tell.send(thread::current().name().map(str::to_owned)).unwrap();
        });
        assert_eq!(told.recv().unwrap().as_deref(), Some("worker-0"));
    }
}
