//! Merges series by time, in the order in which 1.x does: a binary heap that works as Go's `container/heap`, so that points of several
//! series at the same time come out in the same sequence.

use std::cmp::Ordering;

use super::{
    ir::{Reader, Table},
    rows::Rows,
};

/// Sorts the pieces of a partition as 1.x sorts series: by the text of their keys, in which missing tags don't stand. Until then they are
/// sorted by the values of their tags.
pub(super) fn sort_series(pieces: &mut [Rows], table: &Table) {
    let stored = matches!(table.reader, Reader::Tables(_));
    if stored && pieces.iter().any(|rows| rows.tags.iter().any(|value| value.is_empty())) {
        pieces.sort_by_cached_key(|rows| -> String {
            let tags = table.schema.tags.iter().zip(rows.tags.iter()).filter(|(_, value)| !value.is_empty());
            tags.map(|(name, value)| format!(",{name}={value}")).collect()
        });
    }
}

/// How far points are sorted by their groups.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ByGroups {
    No,
    /// At the same time.
    AtOneTime,
    /// Before they are by time.
    First,
}

/// How far points of a table are sorted by their groups: what a subquery's calls give is, and without windows it isn't sorted by time.
pub(super) fn gives_groups(table: &Table) -> ByGroups {
    match &table.reader {
        Reader::Subquery(inner) if inner.calls.is_empty() => ByGroups::No,
        Reader::Subquery(inner)
            if inner.windows.is_some() || inner.calls.iter().any(|call| call.function.is_transformation()) =>
        {
            ByGroups::AtOneTime
        }
        Reader::Subquery(_) => ByGroups::First,
        Reader::Tables(_) => ByGroups::No,
    }
}

/// Rows of one series, batch after batch.
struct Cursor {
    pieces: Vec<usize>,
    /// Which of `pieces`, and which row of it.
    at: (usize, usize),
}

/// Batches of several series that are merged. Batches of one series stand side by side, by ascending time.
pub(super) struct Merge<'a> {
    pieces: &'a [Rows],
    /// Columns that decide between equal times while they hold texts, by name.
    ties: &'a [usize],
    /// Whether their tags decide before that.
    by_groups: ByGroups,
    descending: bool,
    heap: Vec<Cursor>,
}

impl<'a> Merge<'a> {
    /// Merges `pieces`, whose series are sorted as 1.x sorts series keys.
    pub(super) fn new(pieces: &'a [Rows], ties: &'a [usize], by_groups: ByGroups, descending: bool) -> Self {
        let mut series: Vec<Vec<usize>> = Vec::new();
        let mut last: Option<&Rows> = None;
        for (i, piece) in pieces.iter().enumerate() {
            match series.last_mut() {
                Some(series) if last.is_some_and(|last| last.tags == piece.tags) => series.push(i),
                _ => series.push(vec![i]),
            }
            last = Some(piece);
        }
        if descending {
            series.reverse();
        }
        Self::of(pieces, series, ties, by_groups, descending)
    }

    /// Merges `pieces`, each on its own, in this order.
    pub(super) fn sources(pieces: &'a [Rows], ties: &'a [usize], descending: bool) -> Self {
        Self::of(pieces, (0..pieces.len()).map(|i| vec![i]).collect(), ties, ByGroups::No, descending)
    }

    fn of(pieces: &'a [Rows], series: Vec<Vec<usize>>, ties: &'a [usize], by_groups: ByGroups, descending: bool) -> Self {
        let mut heap: Vec<Cursor> = series.into_iter().map(|pieces| Cursor { pieces, at: (0, 0) }).collect();
        if descending {
            for cursor in &mut heap {
                cursor.pieces.reverse();
                cursor.at.1 = pieces[cursor.pieces[0]].time.len() - 1;
            }
        }
        let mut merge = Self { pieces, ties, by_groups, descending, heap };
        for i in (0..merge.heap.len() / 2).rev() {
            merge.down(i, merge.heap.len());
        }
        merge
    }

    fn less(&self, a: &Cursor, b: &Cursor) -> bool {
        let (a_piece, a_row) = (&self.pieces[a.pieces[a.at.0]], a.at.1);
        let (b_piece, b_row) = (&self.pieces[b.pieces[b.at.0]], b.at.1);
        let mut order = a_piece.time.value(a_row).cmp(&b_piece.time.value(b_row));
        match self.by_groups {
            ByGroups::No => {}
            ByGroups::AtOneTime => order = order.then_with(|| a_piece.tags.cmp(&b_piece.tags)),
            ByGroups::First => order = a_piece.tags.cmp(&b_piece.tags).then(order),
        }
        for column in self.ties {
            if order != Ordering::Equal {
                break;
            }
            match (a_piece.columns[*column].text(a_row), b_piece.columns[*column].text(b_row)) {
                (Some(a), Some(b)) => order = a.cmp(b),
                _ => return false,
            }
        }
        order == if self.descending { Ordering::Greater } else { Ordering::Less }
    }

    fn down(&mut self, mut i: usize, len: usize) {
        loop {
            let mut child = 2 * i + 1;
            if child >= len {
                return;
            }
            if child + 1 < len && self.less(&self.heap[child + 1], &self.heap[child]) {
                child += 1;
            }
            if !self.less(&self.heap[child], &self.heap[i]) {
                return;
            }
            self.heap.swap(i, child);
            i = child;
        }
    }

    fn up(&mut self, mut i: usize) {
        while i > 0 {
            let parent = (i - 1) / 2;
            if !self.less(&self.heap[i], &self.heap[parent]) {
                return;
            }
            self.heap.swap(i, parent);
            i = parent;
        }
    }

    /// Steps a cursor; `false` at its end.
    fn step(&self, cursor: &mut Cursor) -> bool {
        let len = self.pieces[cursor.pieces[cursor.at.0]].time.len();
        if self.descending && cursor.at.1 > 0 {
            cursor.at.1 -= 1;
        } else if !self.descending && cursor.at.1 + 1 < len {
            cursor.at.1 += 1;
        } else {
            if cursor.at.0 + 1 == cursor.pieces.len() {
                return false;
            }
            cursor.at.0 += 1;
            cursor.at.1 = if self.descending { self.pieces[cursor.pieces[cursor.at.0]].time.len() - 1 } else { 0 };
        }
        true
    }
}

impl Iterator for Merge<'_> {
    /// Batch and row.
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        // Go's Pop swaps the top with the last and sinks it; Push appends and lifts.
        let last = self.heap.len().checked_sub(1)?;
        self.heap.swap(0, last);
        self.down(0, last);
        let mut cursor = self.heap.pop()?;
        let item = (cursor.pieces[cursor.at.0], cursor.at.1);
        if self.step(&mut cursor) {
            self.heap.push(cursor);
            self.up(self.heap.len() - 1);
        }
        Some(item)
    }
}
