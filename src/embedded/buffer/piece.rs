//! A part of a partition that doesn't change any more.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{active::Active, run::Run};

/// Sealed points. Sorting them is left to the first who reads them, so that sealing is quick enough to be done under a lock.
#[derive(Debug)]
pub(in crate::embedded) struct Piece {
    /// Rows, duplicates counted.
    pub(super) rows: usize,
    /// About how many bytes it holds.
    pub(super) bytes: usize,
    source: Mutex<Option<Source>>,
    run: OnceLock<Arc<Run>>,
}

#[derive(Debug)]
enum Source {
    Active(Box<Active>),
    Merged(Vec<Arc<Piece>>),
}

impl Piece {
    pub(super) fn seal(active: Active) -> Self {
        Self {
            rows: active.rows(),
            bytes: active.bytes(),
            source: Mutex::new(Some(Source::Active(Box::new(active)))),
            run: OnceLock::new(),
        }
    }

    /// Older first.
    pub(super) fn merge(pieces: Vec<Arc<Self>>) -> Self {
        Self {
            rows: pieces.iter().map(|piece| piece.rows).sum(),
            bytes: pieces.iter().map(|piece| piece.bytes).sum(),
            source: Mutex::new(Some(Source::Merged(pieces))),
            run: OnceLock::new(),
        }
    }

    /// Rows, duplicates counted.
    pub(in crate::embedded) fn rows(&self) -> usize {
        self.rows
    }

    /// Its points, sorted. The first call does the work, and others wait for it.
    pub(in crate::embedded) fn run(&self) -> Arc<Run> {
        let run = self.run.get_or_init(|| {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
            Arc::new(match source.expect("taken once, by the one who makes the run") {
                Source::Active(active) => active.into_run(),
                Source::Merged(pieces) => merge(&pieces),
            })
        });
        Arc::clone(run)
    }
}

/// Merges the runs of pieces, older first.
pub(super) fn merge(pieces: &[Arc<Piece>]) -> Run {
    let runs: Vec<Arc<Run>> = pieces.iter().map(|piece| piece.run()).collect();
    Run::merge(&runs)
}
