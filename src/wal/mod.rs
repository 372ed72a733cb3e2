//! A write-ahead log: what was acknowledged is in it, on disk. The embedded store stands on one, and so does the spool before an upstream.
//!
//! Numbered segments (`00000000000000000001.wal`) of frames, see [`frame`]. All writers that wait at a moment share one `fsync`. A frame
//! that a crash tore at the very end of the last segment was never acknowledged: it is cut off, and reported. Anything else that can't
//! be read stops the start, because going on would lose acknowledged points silently.

mod commit;
mod file;
pub mod frame;
mod lock;
mod recover;
#[cfg(test)]
mod tests;

pub use file::{Disk, LogDir, LogFile};

pub(crate) use commit::{Log, Sink};
pub(crate) use lock::Lock;
pub(crate) use recover::{recover, remove_before, segments};

/// Bytes after which a segment is followed by the next one.
const SEGMENT_BYTES: u64 = 32 << 20;

/// A place in the log: behind a frame, or before the first one.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The segment's number.
    pub segment: u64,
    /// Bytes before it in the segment.
    pub offset: u64,
}

/// A segment's file name.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:020}.wal")
}

/// The number in a segment's file name.
fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}
