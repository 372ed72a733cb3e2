//! Where each series of a file stands. Rows of a series follow each other, so that a query for some series skips the rows of all others
//! without reading a tag, and gets the tags of those that it reads from here.

use std::{
    ops::{Range, RangeInclusive},
    sync::Arc,
};

use crate::embedded::{TagSet, buffer::Run, catalog::FileRecord};

/// The series of a file, in its order.
#[derive(Debug)]
pub(in crate::embedded) struct Directory {
    /// Tag sets, sorted.
    pub(in crate::embedded) sets: Arc<[TagSet]>,
    /// The first row of each, and the number of rows at the end.
    starts: Box<[usize]>,
}

impl Directory {
    /// Of a file that is made of this run.
    pub(super) fn of(run: &Run) -> Self {
        Self { sets: run.series.as_slice().into(), starts: run.starts.as_slice().into() }
    }

    /// Of series with their first rows, and the number of all rows.
    pub(super) fn new(series: Vec<(TagSet, usize)>, rows: usize) -> Self {
        let (sets, mut starts): (Vec<TagSet>, Vec<usize>) = series.into_iter().unzip();
        starts.push(rows);
        Self { sets: sets.into(), starts: starts.into() }
    }

    /// The series that `wanted` takes, each with its rows as far as they are in `kept`, which is sorted.
    pub(super) fn rows(&self, wanted: impl Fn(&[Box<str>]) -> bool, kept: &[Range<usize>]) -> Vec<(usize, Range<usize>)> {
        let mut rows = Vec::new();
        let mut kept = kept.iter().peekable();
        for (series, bounds) in self.starts.windows(2).enumerate() {
            while kept.next_if(|range| range.end <= bounds[0]).is_some() {}
            if kept.peek().is_none_or(|range| range.start >= bounds[1]) || !wanted(&self.sets[series]) {
                continue;
            }
            // The last of these ranges may reach into the next series: it stays.
            for range in kept.clone().take_while(|range| range.start < bounds[1]) {
                rows.push((series, range.start.max(bounds[0])..range.end.min(bounds[1])));
            }
        }
        rows
    }
}

/// Which rows of a series suffice.
#[derive(Clone, Copy, Debug)]
pub(in crate::embedded) enum Ends {
    /// So many from its beginning.
    First(usize),
    /// So many up to its end.
    Last(usize),
}

impl Ends {
    /// Whether no row at these ends is outside of `time`.
    pub(super) fn within(self, file: &FileRecord, time: &RangeInclusive<i64>) -> bool {
        match self {
            Self::First(_) => file.min_time >= *time.start(),
            Self::Last(_) => file.max_time <= *time.end(),
        }
    }

    /// What suffices of the rows of one series.
    pub(in crate::embedded) fn of(self, rows: Range<usize>) -> Range<usize> {
        match self {
            Self::First(most) => rows.start..rows.end.min(rows.start.saturating_add(most)),
            Self::Last(most) => rows.start.max(rows.end.saturating_sub(most))..rows.end,
        }
    }

    /// What suffices of `rows`, which are those of [`Directory::rows`].
    pub(super) fn of_each(self, rows: &[(usize, Range<usize>)]) -> Vec<(usize, Range<usize>)> {
        let mut ends = Vec::new();
        for ranges in rows.chunk_by(|a, b| a.0 == b.0) {
            let all: usize = ranges.iter().map(|(_, range)| range.len()).sum();
            let (mut skip, mut take) = match self {
                Self::First(most) => (0, most),
                Self::Last(most) => (all.saturating_sub(most), most),
            };
            for (series, range) in ranges {
                let start = range.start + skip.min(range.len());
                let end = start + take.min(range.end - start);
                skip -= start - range.start;
                take -= end - start;
                if start < end {
                    ends.push((*series, start..end));
                }
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_series_within_ranges() {
        let set = |name: &str| -> TagSet { Arc::from([Box::from(name)]) };
        let directory = Directory::new(vec![(set("a"), 0), (set("b"), 10), (set("c"), 20)], 35);
        let not_b = |set: &[Box<str>]| *set[0] != *"b";
        let all = |_: &[Box<str>]| true;
        assert_eq!(directory.rows(not_b, std::slice::from_ref(&(0..35))), [(0, 0..10), (2, 20..35)]);
        assert_eq!(directory.rows(all, &[5..12, 12..21]), [(0, 5..10), (1, 10..12), (1, 12..20), (2, 20..21)]);
        assert_eq!(directory.rows(all, &[0..1, 9..10, 34..35]), [(0, 0..1), (0, 9..10), (2, 34..35)]);
        assert_eq!(directory.rows(all, &[]), []);
        assert_eq!(directory.rows(|_| false, &[0..20, 20..35]), []);
    }

    #[test]
    fn ends_of_series() {
        let rows = [(0, 5..10), (1, 10..12), (1, 14..20), (3, 30..31)];
        assert_eq!(Ends::First(3).of_each(&rows), [(0, 5..8), (1, 10..12), (1, 14..15), (3, 30..31)]);
        assert_eq!(Ends::Last(7).of_each(&rows), [(0, 5..10), (1, 11..12), (1, 14..20), (3, 30..31)]);
        assert_eq!(Ends::Last(1).of_each(&rows), [(0, 9..10), (1, 19..20), (3, 30..31)]);
        assert_eq!(Ends::First(0).of_each(&rows), []);
    }
}
