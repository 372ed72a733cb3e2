//! A part of a partition that doesn't change any more.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{active::Active, run::Run};
use crate::{embedded::delete::Tombstone, lineprotocol::FieldType};

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
    /// Without what is deleted.
    Masked(Arc<Piece>, Arc<Tombstone>),
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

    /// The same without what is deleted.
    pub(super) fn masked(piece: &Arc<Self>, delete: &Arc<Tombstone>) -> Self {
        Self {
            rows: piece.rows,
            bytes: piece.bytes,
            source: Mutex::new(Some(Source::Masked(Arc::clone(piece), Arc::clone(delete)))),
            run: OnceLock::new(),
        }
    }

    /// Whether it is known that it has no points.
    pub(super) fn is_empty(&self) -> bool {
        self.run.get().is_some_and(|run| run.rows() == 0)
    }

    /// Shows all tags and fields to `tag` and `field`. Before it is sorted there may be more tags than it has.
    pub(super) fn columns(&self, tag: &mut dyn FnMut(&str), field: &mut dyn FnMut(&str, FieldType)) {
        if self.run.get().is_none() {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            match &*source {
                Some(Source::Active(active)) => return active.columns(tag, field),
                Some(Source::Merged(pieces)) => return pieces.iter().for_each(|piece| piece.columns(tag, field)),
                Some(Source::Masked(piece, _)) => return piece.columns(tag, field),
                // Somebody is sorting it.
                None => {}
            }
        }
        let run = self.run();
        run.tags.iter().for_each(|key| tag(key));
        run.fields.iter().for_each(|there| field(&there.name, there.field_type));
    }

    /// Its points, sorted. The first call does the work, and others wait for it.
    pub(in crate::embedded) fn run(&self) -> Arc<Run> {
        let run = self.run.get_or_init(|| {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
            Arc::new(match source.expect("taken once, by the one who makes the run") {
                Source::Active(active) => active.into_run(),
                Source::Merged(pieces) => merge(&pieces),
                Source::Masked(piece, delete) => piece.run().without(&delete),
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
