//! The spool's directory: the log of writes, the place up to which they are delivered, and what could not be.
//!
//! | file | what |
//! |---|---|
//! | `log/*.wal` | the writes, in order; see [`wal`](crate::wal) |
//! | `cursor` | up to where they are delivered: segment and offset |
//! | `dead-letter.jsonl` | a line for each write that the upstream refused for good; `dead-letter.1.jsonl` is the older half |
//! | `lock` | held by the process that uses it |

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;
use tokio::sync::watch;

use super::entry::{Entry, KIND};
use crate::{
    error::{Error, Kind},
    wal::{self, Disk, Lock, Log, LogDir, Position, Sink, frame},
};

/// What is read at a time.
const CHUNK: usize = 1 << 20;
/// How long a file of dead letters gets before it is put aside. One is kept.
const DEAD_BYTES: u64 = 64 << 20;

/// The directory, open.
pub(super) struct Store {
    path: PathBuf,
    dir: Arc<dyn LogDir>,
    log: Log<Entry>,
    /// Up to where the log is on disk.
    end: watch::Receiver<Position>,
    waiting: Waiting,
    max_bytes: u64,
    _lock: Lock,
}

/// What is not delivered yet.
#[derive(Debug, Default)]
struct Waiting {
    writes: AtomicU64,
    bytes: AtomicU64,
}

struct Applier(watch::Sender<Position>);

impl Sink<Entry> for Applier {
    fn encode(&self, entry: &Entry, out: &mut Vec<u8>) -> u8 {
        entry.encode(out);
        KIND
    }

    fn apply(&mut self, _entry: Entry) {
        // It is read back from disk when its turn comes: memory holds nothing that grows with an outage.
    }

    fn durable(&mut self, end: Position) {
        self.0.send_replace(end);
    }
}

impl Store {
    /// Opens `path` and reads what waits there. Blocks. The position is where delivering begins.
    pub(super) fn open(path: &Path, max_bytes: u64) -> Result<(Self, Position), Error> {
        let lock = Lock::take(path, "spool.dir")?;
        let failed = |what: &str, error: io::Error| {
            Error::new(Kind::Internal, format!("can't {what} the spool \"{}\": {error}", path.display()))
        };
        let disk = Disk::open(path.join("log")).map_err(|error| failed("open", error))?;
        let cursor = read_cursor(path).map_err(|error| failed("read the cursor of", error))?;
        let first = cursor.map_or_else(|| Ok(wal::segments(&disk)?.first().copied().unwrap_or(1)), |cursor| Ok(cursor.segment));
        let first = first?;
        let cursor = cursor.unwrap_or(Position { segment: first, offset: 0 });
        let waiting = Waiting::default();
        let next = wal::recover(&disk, first, |at, frame| {
            if frame.kind != KIND {
                return Err(format!("frame kind {} is not known", frame.kind));
            }
            let entry = Entry::decode(frame.payload).ok_or("its write makes no sense, though the checksum is right")?;
            if at >= cursor {
                waiting.writes.fetch_add(1, Ordering::Relaxed);
                waiting.bytes.fetch_add(entry.size(), Ordering::Relaxed);
            }
            Ok(())
        })?;
        let dir: Arc<dyn LogDir> = Arc::new(disk);
        let (sender, end) = watch::channel(Position { segment: next, offset: 0 });
        let log = Log::start(Arc::clone(&dir), next, Applier(sender))?;
        let store = Self { path: path.to_owned(), dir, log, end, waiting, max_bytes, _lock: lock };
        store.tell();
        Ok((store, cursor))
    }

    /// Writes that wait, those on their way to disk included.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.writes.load(Ordering::Acquire)
    }

    /// Puts a write on disk, behind all others. False when there is no room for it.
    pub(super) async fn append(&self, entry: Entry) -> Result<bool, Error> {
        let size = entry.size();
        let fits = |bytes: u64| bytes.checked_add(size).filter(|sum| *sum <= self.max_bytes);
        if self.waiting.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_err() {
            return Ok(false);
        }
        // Counted before it is acknowledged: whoever writes after that goes behind it.
        self.waiting.writes.fetch_add(1, Ordering::AcqRel);
        let written = match self.log.append(entry) {
            Ok(done) => done.await.unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "the spool is closed"))),
            Err(error) => Err(error),
        };
        if written.is_err() {
            self.waiting.writes.fetch_sub(1, Ordering::AcqRel);
            self.waiting.bytes.fetch_sub(size, Ordering::AcqRel);
        }
        self.tell();
        written.map(|()| true)
    }

    /// Waits for something behind `at`.
    pub(super) async fn more(&self, at: Position) {
        let mut end = self.end.clone();
        // The sender lives as long as the log does.
        let _ = end.wait_for(|end| *end > at).await;
    }

    /// The writes from `at` on, as many as are read at a time, each with where it ends; and where to read on. Blocks.
    pub(super) fn read(&self, at: Position) -> Result<(Vec<(Entry, Position)>, Position), String> {
        let end = *self.end.borrow();
        if at >= end {
            return Ok((Vec::new(), at));
        }
        let name = wal::segment_name(at.segment);
        let shown = || self.dir.describe(&name);
        let mut most = CHUNK;
        loop {
            // What is behind the end may be half a frame.
            let most_now =
                if at.segment == end.segment { most.min(usize::try_from(end.offset - at.offset).unwrap_or(most)) } else { most };
            let bytes =
                self.dir.read_at(&name, at.offset, most_now).map_err(|error| format!("can't read \"{}\": {error}", shown()))?;
            let (mut found, mut here, mut rest) = (Vec::new(), at, &bytes[..]);
            while let Ok(frame) = frame::decode(rest) {
                here.offset += frame.len as u64;
                let entry = Entry::decode(frame.payload).ok_or_else(|| format!("a write in \"{}\" makes no sense", shown()))?;
                found.push((entry, here));
                rest = &rest[frame.len..];
            }
            if !found.is_empty() {
                return Ok((found, here));
            }
            if bytes.is_empty() && at.segment < end.segment {
                return Ok((found, Position { segment: at.segment + 1, offset: 0 }));
            }
            if bytes.len() < most_now || most > frame::MAX_PAYLOAD {
                return Err(format!("\"{}\" can't be read at byte {}", shown(), at.offset));
            }
            most *= 4;
        }
    }

    /// Remembers, durably, that all up to `cursor` is delivered, and removes segments before it. Blocks.
    pub(super) fn advance(&self, cursor: Position, writes: u64, bytes: u64) -> io::Result<()> {
        let draft = self.path.join("cursor.new");
        let mut file = File::create(&draft)?;
        writeln!(file, "{} {}", cursor.segment, cursor.offset)?;
        file.sync_all()?;
        fs::rename(&draft, self.path.join("cursor"))?;
        File::open(&self.path)?.sync_all()?;
        self.waiting.bytes.fetch_sub(bytes, Ordering::AcqRel);
        // Last: from here on writes may go straight to the upstream.
        self.waiting.writes.fetch_sub(writes, Ordering::AcqRel);
        self.tell();
        wal::remove_before(&*self.dir, cursor.segment).map_err(io::Error::other)
    }

    /// Puts a write where somebody can look at it. Blocks.
    pub(super) fn bury(&self, entry: &Entry, reason: &str, lines: &str) -> io::Result<()> {
        #[derive(Serialize)]
        struct Letter<'a> {
            /// When it came, milliseconds since 1970.
            received: u64,
            /// Path and query of the native call.
            path: &'a str,
            reason: &'a str,
            /// The batch, unpacked; what isn't UTF-8 of it is replaced.
            lines: &'a str,
        }
        let path = self.path.join("dead-letter.jsonl");
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > DEAD_BYTES) {
            fs::rename(&path, self.path.join("dead-letter.1.jsonl"))?;
        }
        let target = entry.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        let mut text = serde_json::to_vec(&Letter { received: entry.received, path: target, reason, lines })?;
        text.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(&text)?;
        file.sync_data()
    }

    /// Writes what is on its way and ends the log. Blocks.
    pub(super) fn close(&self) {
        self.log.end();
    }

    fn tell(&self) {
        crate::telemetry::delivery::spooled(self.waiting(), self.waiting.bytes.load(Ordering::Relaxed));
    }
}

fn read_cursor(path: &Path) -> io::Result<Option<Position>> {
    let text = match fs::read_to_string(path.join("cursor")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let position = text
        .trim_end()
        .split_once(' ')
        .and_then(|(segment, offset)| Some(Position { segment: segment.parse().ok()?, offset: offset.parse().ok()? }));
    match position {
        Some(position) => Ok(Some(position)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} is no place in a log"))),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entry(n: usize) -> Entry {
        let body = Bytes::from(format!("m v={n} {n}{}", " ".repeat(n % 7 * 1000)));
        Entry { received: n as u64, gzip: false, uri: "/api/v3/write_lp?db=d".parse().unwrap(), body }
    }

    fn drain(store: &Store, mut at: Position) -> (Vec<u64>, Position) {
        let mut seen = Vec::new();
        loop {
            let (found, next) = store.read(at).unwrap();
            if next == at {
                return (seen, at);
            }
            seen.extend(found.iter().map(|(entry, _)| entry.received));
            at = next;
        }
    }

    #[tokio::test]
    async fn what_was_put_in_comes_out_in_order_after_any_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (mut expected, mut n) = (Vec::new(), 0);
        for restart in 0..3 {
            let (store, cursor) = Store::open(dir.path(), 1 << 30).unwrap();
            assert_eq!(store.waiting(), expected.len() as u64, "start {restart}");
            assert_eq!(drain(&store, cursor).0, expected);
            for _ in 0..500 {
                assert!(store.append(entry(n)).await.unwrap());
                expected.push(n as u64);
                n += 1;
            }
            // Part of them is delivered.
            let (found, _) = store.read(cursor).unwrap();
            let (_, place) = found[99].clone();
            store.advance(place, 100, found[..100].iter().map(|(entry, _)| entry.size()).sum()).unwrap();
            expected.drain(..100);
            assert_eq!(drain(&store, place).0, expected);
            store.close();
        }
        let (store, cursor) = Store::open(dir.path(), 1 << 30).unwrap();
        let (seen, end) = drain(&store, cursor);
        assert_eq!(seen, expected);
        let bytes = store.waiting.bytes.load(Ordering::Relaxed);
        store.advance(end, expected.len() as u64, bytes).unwrap();
        assert_eq!((store.waiting(), wal::segments(&*store.dir).unwrap().len()), (0, 1), "delivered segments are gone");
    }

    #[tokio::test]
    async fn it_takes_what_fits() {
        let dir = tempfile::tempdir().unwrap();
        let (store, cursor) = Store::open(dir.path(), entry(0).size() * 2).unwrap();
        assert!(store.append(entry(0)).await.unwrap() && store.append(entry(0)).await.unwrap());
        assert!(!store.append(entry(0)).await.unwrap());
        let (found, _) = store.read(cursor).unwrap();
        store.advance(found[0].1, 1, entry(0).size()).unwrap();
        assert!(store.append(entry(0)).await.unwrap(), "there is room again");
    }

    #[test]
    fn one_process_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Store::open(dir.path(), 1).unwrap();
        let error = Store::open(dir.path(), 1).err().unwrap();
        assert!(error.message().contains("choose another \"spool.dir\""), "{error}");
    }

    #[test]
    fn a_cursor_that_makes_no_sense_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cursor"), "seven").unwrap();
        let error = Store::open(dir.path(), 1).err().unwrap();
        assert!(error.message().contains("\"seven\" is no place in a log"), "{error}");
    }
}
