//! Points of a field as they are, series merged by time: what transformations and `integral` work on.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{Array, ArrayRef, Int64Array};

use super::{
    aggregate::Point,
    context::Budget,
    ir::Source,
    merge::{Merge, gives_groups, sort_series},
    rows::{Column, Rows},
    value::Scalar,
};
use crate::error::Error;

/// Collects the points of all groups.
#[derive(Default)]
pub(super) struct Points {
    /// For each group the pieces of its partitions.
    groups: Vec<BTreeMap<usize, Vec<Rows>>>,
}

impl Points {
    /// Takes in those of `rows` that have a value.
    pub(super) fn add(
        &mut self,
        (group, partition): (usize, usize),
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
        let mut partitions: Vec<Vec<Rows>> =
            self.groups.get_mut(group).map(std::mem::take).unwrap_or_default().into_values().collect();
        if !ascending {
            partitions.reverse();
        }
        let mut points = Vec::new();
        for mut pieces in partitions {
            budget.check()?;
            let bytes = pieces.iter().map(Rows::bytes).sum();
            budget.take(pieces.iter().map(|rows| rows.time.len() * size_of::<Point>()).sum())?;
            let mut by_groups = false;
            if let [table] = &source.tables[..] {
                sort_series(&mut pieces, table);
                by_groups = gives_groups(table);
            }
            let value = |piece: usize, row: usize| pieces[piece].columns.first().map_or(Scalar::Null, |column| column.value(row));
            let point =
                |(piece, row): (usize, usize)| Point { time: pieces[piece].time.value(row), value: value(piece, row), aux: None };
            points.extend(Merge::new(&pieces, &[], by_groups, !ascending).map(point));
            budget.give_back(bytes);
        }
        Ok(points)
    }
}
