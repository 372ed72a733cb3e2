//! Merges series by time, in the order in which 1.x does: a binary heap that works as Go's `container/heap`, so that points of several
//! series at the same time come out in the same sequence.

use std::cmp::Ordering;

use super::{
    ir::{Reader, Table},
    rows::Rows,
};

/// A binary heap whose elements of equal order come out in the sequence of Go's `container/heap`.
pub(super) struct Heap<T> {
    items: Vec<T>,
}

impl<T> Heap<T> {
    /// Puts `items` in order.
    pub(super) fn new(items: Vec<T>, less: &impl Fn(&T, &T) -> bool) -> Self {
        let mut heap = Self { items };
        for i in (0..heap.items.len() / 2).rev() {
            heap.down(i, heap.items.len(), less);
        }
        heap
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// What comes out next.
    pub(super) fn peek(&self) -> Option<&T> {
        self.items.first()
    }

    /// Takes the first out: swaps it with the last, which sinks.
    pub(super) fn pop(&mut self, less: &impl Fn(&T, &T) -> bool) -> Option<T> {
        let last = self.items.len().checked_sub(1)?;
        self.items.swap(0, last);
        self.down(0, last, less);
        self.items.pop()
    }

    /// Appends one, which rises.
    pub(super) fn push(&mut self, item: T, less: &impl Fn(&T, &T) -> bool) {
        self.items.push(item);
        let mut i = self.items.len() - 1;
        while i > 0 {
            let parent = (i - 1) / 2;
            if !less(&self.items[i], &self.items[parent]) {
                return;
            }
            self.items.swap(i, parent);
            i = parent;
        }
    }

    fn down(&mut self, mut i: usize, len: usize, less: &impl Fn(&T, &T) -> bool) {
        loop {
            let mut child = 2 * i + 1;
            if child >= len {
                return;
            }
            if child + 1 < len && less(&self.items[child + 1], &self.items[child]) {
                child += 1;
            }
            if !less(&self.items[child], &self.items[i]) {
                return;
            }
            self.items.swap(i, child);
            i = child;
        }
    }
}

/// Sorts pieces of a partition as 1.x sorts series: by the text of their keys, in which missing tags don't stand. Until then they are
/// sorted by the values of their tags.
pub(super) fn sort_series(pieces: &mut [Rows], table: &Table) {
    if matches!(table.reader, Reader::Tables(_)) && pieces.iter().any(|rows| sorts_otherwise(&rows.tags)) {
        pieces.sort_by_cached_key(|rows| series_key(&rows.tags, table));
    }
}

/// Whether the text of a series' key may be sorted otherwise than the values of its tags: where one is missing, or has something that comes
/// before the comma behind it.
pub(super) fn sorts_otherwise(tags: &[Box<str>]) -> bool {
    tags.iter().any(|value| value.is_empty() || value.bytes().any(|byte| byte <= b','))
}

/// What 1.x sorts a measurement's series by.
pub(super) fn series_key(tags: &[Box<str>], table: &Table) -> String {
    let mut key = String::new();
    for (name, value) in table.schema.tags.iter().zip(tags).filter(|(_, value)| !value.is_empty()) {
        key.push(',');
        escape(name, &mut key);
        key.push('=');
        escape(value, &mut key);
    }
    key
}

fn escape(text: &str, out: &mut String) {
    for char in text.chars() {
        if matches!(char, ',' | '=' | ' ') {
            out.push('\\');
        }
        out.push(char);
    }
}

/// Whether a row comes before another one of the same time: their texts in so many columns, which are sorted by name, decide for as long as
/// there are texts.
pub(super) fn decided<'t>(ties: usize, descending: bool, texts: impl Fn(usize) -> (Option<&'t str>, Option<&'t str>)) -> bool {
    for tie in 0..ties {
        match texts(tie) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => return if descending { a > b } else { a < b },
            _ => return false,
        }
    }
    false
}

/// The same for two rows.
fn before(a: (&Rows, usize), b: (&Rows, usize), ties: &[usize], descending: bool) -> bool {
    decided(ties.len(), descending, |tie| (a.0.columns[ties[tie]].text(a.1), b.0.columns[ties[tie]].text(b.1)))
}

/// Rows of one series, batch after batch.
struct Cursor {
    /// When its row is.
    time: i64,
    pieces: Vec<usize>,
    /// Which of `pieces`, and which row of it.
    at: (usize, usize),
}

/// Batches of several series that are merged.
pub(super) struct Merge<'a> {
    pieces: &'a [Rows],
    /// Columns that decide between equal times.
    ties: &'a [usize],
    descending: bool,
    heap: Heap<Cursor>,
}

impl<'a> Merge<'a> {
    /// Merges `pieces`, whose series are sorted as 1.x sorts series keys. Batches of one series stand side by side, by ascending time.
    pub(super) fn new(pieces: &'a [Rows], ties: &'a [usize], descending: bool) -> Self {
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
            series.iter_mut().for_each(|series| series.reverse());
        }
        let cursors = series.into_iter().filter_map(|series| {
            let mut cursor = Cursor { time: 0, at: (0, 0), pieces: series };
            let rows = pieces.get(*cursor.pieces.first()?)?;
            cursor.at.1 = if descending { rows.time.len() - 1 } else { 0 };
            cursor.time = rows.time.value(cursor.at.1);
            Some(cursor)
        });
        let heap = Heap::new(cursors.collect(), &|a, b| less(pieces, ties, descending, a, b));
        Self { pieces, ties, descending, heap }
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
        cursor.time = self.pieces[cursor.pieces[cursor.at.0]].time.value(cursor.at.1);
        true
    }
}

fn less(pieces: &[Rows], ties: &[usize], descending: bool, a: &Cursor, b: &Cursor) -> bool {
    match a.time.cmp(&b.time) {
        Ordering::Less => !descending,
        Ordering::Greater => descending,
        Ordering::Equal => {
            let row = |cursor: &Cursor| (&pieces[cursor.pieces[cursor.at.0]], cursor.at.1);
            before(row(a), row(b), ties, descending)
        }
    }
}

impl Iterator for Merge<'_> {
    /// Batch and row.
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let (pieces, ties, descending) = (self.pieces, self.ties, self.descending);
        let less = |a: &Cursor, b: &Cursor| less(pieces, ties, descending, a, b);
        let mut cursor = self.heap.pop(&less)?;
        let item = (cursor.pieces[cursor.at.0], cursor.at.1);
        if self.step(&mut cursor) {
            self.heap.push(cursor, &less);
        }
        Some(item)
    }
}

/// Rows of several sources, each in the order of the result, that are merged.
pub(super) struct Orders<'a> {
    pieces: &'a [Rows],
    ties: &'a [usize],
    descending: bool,
    heap: Heap<std::vec::IntoIter<(usize, usize)>>,
}

impl<'a> Orders<'a> {
    /// Merges `sources`: which piece, and which row of it.
    pub(super) fn new(pieces: &'a [Rows], sources: Vec<Vec<(usize, usize)>>, ties: &'a [usize], descending: bool) -> Self {
        let sources = sources.into_iter().filter(|source| !source.is_empty()).map(Vec::into_iter).collect();
        let heap = Heap::new(sources, &|a, b| less_ordered(pieces, ties, descending, a, b));
        Self { pieces, ties, descending, heap }
    }
}

fn less_ordered(
    pieces: &[Rows],
    ties: &[usize],
    descending: bool,
    a: &std::vec::IntoIter<(usize, usize)>,
    b: &std::vec::IntoIter<(usize, usize)>,
) -> bool {
    let (Some((a, row)), Some((b, other))) = (a.as_slice().first(), b.as_slice().first()) else { return false };
    let (a, b) = ((&pieces[*a], *row), (&pieces[*b], *other));
    match a.0.time.value(a.1).cmp(&b.0.time.value(b.1)) {
        Ordering::Less => !descending,
        Ordering::Greater => descending,
        Ordering::Equal => before(a, b, ties, descending),
    }
}

impl Iterator for Orders<'_> {
    /// Piece and row.
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let (pieces, ties, descending) = (self.pieces, self.ties, self.descending);
        let less = |a: &std::vec::IntoIter<(usize, usize)>, b: &_| less_ordered(pieces, ties, descending, a, b);
        let mut source = self.heap.pop(&less)?;
        let item = source.next();
        if !source.as_slice().is_empty() {
            self.heap.push(source, &less);
        }
        item
    }
}
