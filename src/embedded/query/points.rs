//! Points of a field as they are, series merged by time: what transformations and `integral` work on.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{Array, ArrayRef, Int64Array};

use super::{
    aggregate::Point,
    context::Budget,
    ir::{Select, Source},
    merge::{ByGroups, Merge, gives_groups, sort_series},
    rows::{Column, Rows},
    value::Scalar,
};
use crate::error::Error;

/// Collects the points of all groups.
#[derive(Default)]
pub(super) struct Points {
    /// For each group the pieces of its partitions.
    groups: Vec<Partitions>,
}

/// Pieces by source and partition.
type Partitions = BTreeMap<(usize, usize), Vec<Rows>>;

/// A group, and which source and partition.
type Place = (usize, (usize, usize));

impl Points {
    /// Takes in those of `rows` that have a value.
    pub(super) fn add(
        &mut self,
        (group, partition): Place,
        batch: &Rows,
        column: &ArrayRef,
        rows: Range<usize>,
        budget: &Budget<'_>,
    ) -> Result<(), Error> {
        let (mut time, mut column) = (batch.time.slice(rows.start, rows.len()), column.slice(rows.start, rows.len()));
        if column.null_count() > 0 {
            let valid = arrow_array::BooleanArray::from_iter((0..column.len()).map(|row| Some(column.is_valid(row))));
            let keep = |array: &dyn Array| arrow_select::filter::filter(array, &valid).map_err(Error::internal);
            time = Int64Array::from(keep(&time)?.to_data());
            column = keep(&column)?;
        }
        if time.is_empty() {
            return Ok(());
        }
        let rows = Rows { tags: Arc::clone(&batch.tags), time, columns: vec![Column::Field(column)] };
        budget.take(rows.bytes())?;
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, BTreeMap::new);
        }
        self.groups[group].entry(partition).or_default().push(rows);
        Ok(())
    }

    /// The points of a group, in the order of the result.
    pub(super) fn finish(
        &mut self,
        group: usize,
        source: &Source,
        ascending: bool,
        budget: &Budget<'_>,
    ) -> Result<Vec<Point>, Error> {
        let partitions = self.groups.get_mut(group).map(std::mem::take).unwrap_or_default();
        let mut points = Vec::new();
        for (number, mut pieces) in in_order(partitions, source, ascending) {
            budget.check()?;
            let bytes = pieces.iter().map(Rows::bytes).sum();
            budget.take(pieces.iter().map(|rows| rows.time.len() * size_of::<Point>()).sum())?;
            let table = &source.tables[number];
            sort_series(&mut pieces, table);
            let by_groups = gives_groups(table);
            let value = |piece: usize, row: usize| pieces[piece].columns.first().map_or(Scalar::Null, |column| column.value(row));
            let point =
                |(piece, row): (usize, usize)| Point { time: pieces[piece].time.value(row), value: value(piece, row), aux: None };
            points.extend(Merge::new(&pieces, &[], by_groups, !ascending).map(point));
            budget.give_back(bytes);
        }
        Ok(points)
    }
}

/// Partitions in the order in which 1.x reads them: sources one after the other, the first, then the last and those before it, since nothing
/// sorts its heap.
fn in_order(partitions: Partitions, source: &Source, ascending: bool) -> Vec<(usize, Vec<Rows>)> {
    let sources = source.tables.len();
    let mut all: Vec<((usize, usize), Vec<Rows>)> = partitions.into_iter().collect();
    if !ascending {
        all.reverse();
    }
    all.sort_by_key(|((number, _), _)| if *number == 0 { 0 } else { sources - number });
    all.into_iter().map(|((number, _), pieces)| (number, pieces)).collect()
}

/// Collects the first or the last points of the series of all groups.
pub(super) struct Edges {
    first: bool,
    /// The selected columns beside the value, and their order by name: while they hold texts, they decide between equal times.
    aux: Vec<usize>,
    ties: Vec<usize>,
    groups: Vec<Partitions>,
}

impl Edges {
    pub(super) fn new(first: bool, aux: &[usize], select: &Select) -> Self {
        let mut ties: Vec<usize> = (0..aux.len()).collect();
        ties.sort_by(|a, b| select.refs[aux[*a]].name.cmp(&select.refs[aux[*b]].name));
        // Behind the value.
        let ties = ties.into_iter().map(|tie| tie + 1).collect();
        Self { first, aux: aux.to_vec(), ties, groups: Vec::new() }
    }

    /// Takes in the first or last of `rows` that has a value.
    pub(super) fn add(
        &mut self,
        (group, partition): Place,
        batch: &Rows,
        column: &ArrayRef,
        mut rows: Range<usize>,
        budget: &Budget<'_>,
    ) -> Result<(), Error> {
        let row = if self.first { rows.find(|row| column.is_valid(*row)) } else { rows.rfind(|row| column.is_valid(*row)) };
        let Some(row) = row else { return Ok(()) };
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, BTreeMap::new);
        }
        let pieces = self.groups[group].entry(partition).or_default();
        let same = pieces.last().is_some_and(|last| last.tags == batch.tags);
        // Batches of a series ascend.
        if same && self.first {
            return Ok(());
        }
        let columns = std::iter::once(Column::Field(column.slice(row, 1)));
        let columns = columns.chain(self.aux.iter().map(|slot| batch.columns[*slot].slice(row, 1))).collect();
        let edge = Rows { tags: Arc::clone(&batch.tags), time: batch.time.slice(row, 1), columns };
        if same {
            pieces.pop();
        } else {
            budget.take(edge.bytes())?;
        }
        pieces.push(edge);
        Ok(())
    }

    /// The first or last point of a group: of several at one time, the better of the first two that come out of 1.x's heap. A larger value
    /// is better, for `first` `false` is.
    pub(super) fn finish(&mut self, group: usize, source: &Source) -> Option<Point> {
        let partitions = self.groups.get_mut(group).map(std::mem::take).unwrap_or_default();
        let mut best: Option<Point> = None;
        for ((number, _), mut pieces) in partitions {
            sort_series(&mut pieces, &source.tables[number]);
            for (piece, row) in Merge::new(&pieces, &self.ties, ByGroups::No, !self.first).take(2) {
                let rows = &pieces[piece];
                let mut columns = rows.columns.iter().map(|column| column.value(row));
                let value = columns.next().unwrap_or(Scalar::Null);
                let point = Point { time: rows.time.value(row), value, aux: (!self.aux.is_empty()).then(|| columns.collect()) };
                if best.as_ref().is_none_or(|best| self.is_better(&point, best)) {
                    best = Some(point);
                }
            }
        }
        best
    }

    fn is_better(&self, point: &Point, best: &Point) -> bool {
        let later = point.time.cmp(&best.time);
        let time = if self.first { later.reverse() } else { later };
        let value = point.value.order(&best.value);
        let value = if self.first && matches!(point.value, Scalar::Boolean(_)) { value.reverse() } else { value };
        time.then(value).is_gt()
    }
}
