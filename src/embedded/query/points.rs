//! Points of a field as they are, series merged by time: what transformations and `integral` work on.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{Array, ArrayRef, Int64Array};

use super::{
    aggregate::Point,
    calls::Sequence,
    context::Budget,
    ir::{Reader, Select, Source, Table},
    merge::{Heap, Merge, sort_series},
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

    /// The points of a group, in the order of the result; `rank` says which of its groups rows are of.
    pub(super) fn finish(
        &mut self,
        group: usize,
        source: &Source,
        select: &Select,
        rank: &mut dyn FnMut(&Rows, &Table) -> u32,
        budget: &Budget<'_>,
    ) -> Result<Sequence, Error> {
        let partitions = self.groups.get_mut(group).map(std::mem::take).unwrap_or_default();
        let mut sources: BTreeMap<usize, Sequence> = BTreeMap::new();
        let mut partitions: Vec<_> = partitions.into_iter().collect();
        if !select.ascending {
            partitions.reverse();
        }
        for ((number, _), mut pieces) in partitions {
            budget.check()?;
            let bytes = pieces.iter().map(Rows::bytes).sum();
            budget.take(pieces.iter().map(|rows| rows.time.len() * size_of::<Point>()).sum())?;
            let table = &source.tables[number];
            sort_series(&mut pieces, table);
            let value = |piece: usize, row: usize| pieces[piece].columns.first().map_or(Scalar::Null, |column| column.value(row));
            let point =
                |(piece, row): (usize, usize)| Point { time: pieces[piece].time.value(row), value: value(piece, row), aux: None };
            let ranks: Vec<u32> =
                if select.mixes_groups() { pieces.iter().map(|rows| rank(rows, table)).collect() } else { Vec::new() };
            let sequence = sources.entry(number).or_default();
            let mut take = |at: (usize, usize)| {
                sequence.points.push(point(at));
                sequence.ranks.extend(ranks.get(at.0));
            };
            match table.reader {
                Reader::Tables(_) => Merge::new(&pieces, &[], !select.ascending).for_each(&mut take),
                // It is in order.
                Reader::Subquery(_) => {
                    for (piece, rows) in pieces.iter().enumerate() {
                        (0..rows.time.len()).for_each(|row| take((piece, row)));
                    }
                }
            }
            budget.give_back(bytes);
        }
        Ok(by_window(sources.into_values().collect(), select))
    }
}

/// Puts together what several sources gave, window by window: what a source has in one window follows each other. Sources whose next
/// windows are the same come in the sequence of 1.x's heap.
pub(super) fn by_window(mut sources: Vec<Sequence>, select: &Select) -> Sequence {
    if sources.len() <= 1 {
        return sources.pop().unwrap_or_default();
    }
    let window = |time: i64| select.windows.as_ref().map_or((0, i64::MAX), |windows| windows.of(time));
    let start = |(sequence, at): &(Sequence, usize)| sequence.points.get(*at).map(|point| window(point.time).0);
    let less =
        |a: &(Sequence, usize), b: &(Sequence, usize)| if select.ascending { start(a) < start(b) } else { start(a) > start(b) };
    let inputs = sources.into_iter().filter(|sequence| !sequence.points.is_empty()).map(|sequence| (sequence, 0)).collect();
    let mut heap = Heap::new(inputs, &less);
    let mut all = Sequence::default();
    while let Some((sequence, mut at)) = heap.pop(&less) {
        let (from, to) = sequence.points.get(at).map_or((0, 0), |point| window(point.time));
        let within = |time: i64| select.windows.is_none() || if select.ascending { time < to } else { time >= from };
        while let Some(point) = sequence.points.get(at) {
            all.points.push(point.clone());
            all.ranks.extend(sequence.ranks.get(at));
            at += 1;
            if !sequence.points.get(at).is_some_and(|point| within(point.time)) {
                break;
            }
        }
        if at < sequence.points.len() {
            heap.push((sequence, at), &less);
        }
    }
    all
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
            for (piece, row) in Merge::new(&pieces, &self.ties, !self.first).take(2) {
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
