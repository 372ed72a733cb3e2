//! `SHOW QUERIES`, `KILL QUERY`

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::manager;
use crate::{
    embedded::{Engine, Query},
    error::Error,
};

/// Statements that are running.
#[derive(Debug, Default)]
pub(in crate::embedded) struct Running(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: u64,
    statements: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    database: Box<str>,
    began: Instant,
    cancelled: Arc<AtomicBool>,
}

/// A row of `SHOW QUERIES`.
pub(in crate::embedded) struct Row {
    pub(in crate::embedded) id: u64,
    pub(in crate::embedded) text: Box<str>,
    pub(in crate::embedded) database: Box<str>,
    pub(in crate::embedded) duration: String,
    pub(in crate::embedded) status: &'static str,
}

/// A statement is running until this is dropped.
#[derive(Debug)]
pub(in crate::embedded) struct Ticket {
    running: Arc<Running>,
    id: u64,
}

impl Running {
    /// A statement begins, which looks at `cancelled`.
    pub(in crate::embedded) fn begin(self: &Arc<Self>, text: &str, database: &str, cancelled: &Arc<AtomicBool>) -> Ticket {
        let mut state = self.state();
        state.last += 1;
        let id = state.last;
        let entry =
            Entry { text: text.into(), database: database.into(), began: Instant::now(), cancelled: Arc::clone(cancelled) };
        state.statements.insert(id, entry);
        Ticket { running: Arc::clone(self), id }
    }

    /// All of them, in the order in which they began.
    pub(in crate::embedded) fn rows(&self) -> Vec<Row> {
        let row = |(id, entry): (&u64, &Entry)| Row {
            id: *id,
            text: entry.text.clone(),
            database: entry.database.clone(),
            duration: duration(entry.began.elapsed()),
            status: if entry.cancelled.load(Ordering::Relaxed) { "killed" } else { "running" },
        };
        self.state().statements.iter().map(row).collect()
    }

    /// Ends a statement, which hears of it with its next batch.
    fn kill(&self, id: u64) -> Result<(), Error> {
        match self.state().statements.get(&id) {
            Some(entry) => entry.cancelled.store(true, Ordering::Relaxed),
            None => return Err(Error::invalid(format!("no such query id: {id}"))),
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.running.state().statements.remove(&self.id);
    }
}

impl Engine {
    pub(super) fn kill(&self, id: u64, query: &Query) -> Result<(), Error> {
        manager(query)?;
        self.0.running.kill(id)
    }

    /// What v1 calls the database of a bucket.
    pub(in crate::embedded) fn database_of(&self, bucket: &str) -> Box<str> {
        let rows = self.0.catalog.mappings();
        rows.into_iter().find(|(.., row)| &*row.bucket == bucket).map_or_else(|| bucket.into(), |(.., row)| row.database)
    }
}

/// As Go prints it, and 1.x cuts it: in the largest unit that is full, from microseconds to seconds.
fn duration(elapsed: Duration) -> String {
    let (seconds, millis) = (elapsed.as_secs(), elapsed.as_millis());
    match (seconds, millis) {
        (3600.., _) => format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60),
        (60.., _) => format!("{}m{}s", seconds / 60, seconds % 60),
        (1.., _) => format!("{seconds}s"),
        (_, 1..) => format!("{millis}ms"),
        _ => format!("{}µs", elapsed.as_micros()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_come_and_go_and_are_killed() {
        let running = Arc::new(Running::default());
        let (one, two) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let first = running.begin("SELECT 1", "a", &one);
        let second = running.begin("SELECT 2", "b", &two);
        running.kill(2).unwrap();
        assert_eq!((one.load(Ordering::Relaxed), two.load(Ordering::Relaxed)), (false, true));
        let rows = running.rows();
        let rows: Vec<_> = rows.iter().map(|row| (row.id, &*row.text, &*row.database, row.status)).collect();
        assert_eq!(rows, [(1, "SELECT 1", "a", "running"), (2, "SELECT 2", "b", "killed")]);
        drop(second);
        assert_eq!(running.kill(2).unwrap_err().message(), "no such query id: 2");
        drop(first);
        assert!(running.rows().is_empty());
    }

    #[test]
    fn durations_are_cut_as_1x_cuts_them() {
        let of = |micros| duration(Duration::from_micros(micros));
        assert_eq!([16, 1_999, 2_000_000, 61_500_000, 3_661_000_000].map(of), ["16µs", "1ms", "2s", "1m1s", "1h1m1s"]);
    }
}
