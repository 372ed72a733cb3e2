//! A subquery as a source: its result takes the place of points.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array,
    types::Int32Type,
};

use super::{
    context::Budget,
    ir::Select,
    output::{self, Output},
    rows::bytes,
    select,
    value::down,
};
use crate::{
    embedded::{Scan, SeriesBatch},
    error::Error,
};

/// Runs a subquery. Its groups are series, sorted, their points by ascending time; what it takes of the memory stays taken until the
/// query is done.
pub(super) fn run(inner: &Select, scan: &Scan, budget: &Budget<'_>) -> Result<Vec<SeriesBatch>, Error> {
    let schema = output::schema(inner);
    let first = 2 + inner.dimensions.len();
    let wanted: Vec<Option<usize>> = scan
        .fields
        .iter()
        .map(|field| inner.columns.iter().position(|column| column.name == *field).map(|place| first + place))
        .collect();
    let mut batches: Vec<SeriesBatch> = Vec::new();
    let mut take = |batch: RecordBatch| -> Result<(), Error> {
        budget.take(wanted.iter().flatten().map(|column| bytes(batch.column(*column))).sum::<usize>() + 8 * batch.num_rows())?;
        let time: &TimestampNanosecondArray = down(batch.column(1));
        for range in groups(&batch, inner.dimensions.len()) {
            let (start, len) = (range.start, range.len());
            let tags: Arc<[Box<str>]> = (0..inner.dimensions.len()).map(|i| text(batch.column(2 + i), start).into()).collect();
            if scan.series.as_ref().is_some_and(|wanted| !wanted(&tags)) {
                continue;
            }
            let tags = match batches.last() {
                Some(last) if last.tags == tags => Arc::clone(&last.tags),
                _ => tags,
            };
            let mut time = Int64Array::new(time.values().slice(start, len), None);
            let mut fields: Vec<Option<ArrayRef>> =
                wanted.iter().map(|column| column.map(|column| batch.column(column).slice(start, len))).collect();
            if !inner.ascending {
                let backwards = UInt64Array::from_iter_values((0..len as u64).rev());
                let reverse = |array: &dyn Array| arrow_select::take::take(array, &backwards, None).map_err(Error::internal);
                time = down::<Int64Array>(&reverse(&time)?).clone();
                for field in fields.iter_mut().flatten() {
                    *field = reverse(field)?;
                }
            }
            batches.push(SeriesBatch { tags, time, fields });
        }
        Ok(())
    };
    let mut output = Output::new(inner, schema, &mut take);
    select::run(inner, budget, &mut output)?;
    output.flush()?;
    drop(output);
    if !inner.ascending {
        batches.reverse();
    }
    Ok(batches)
}

/// Rows of the same group.
fn groups(batch: &RecordBatch, dimensions: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    let same = |a: usize, b: usize| (0..dimensions).all(|i| text(batch.column(2 + i), a) == text(batch.column(2 + i), b));
    for row in 0..batch.num_rows() {
        match ranges.last_mut() {
            Some(range) if same(range.start, row) => range.end = row + 1,
            _ => ranges.push(row..row + 1),
        }
    }
    ranges
}

/// The text in a dictionary's column.
fn text(array: &dyn Array, row: usize) -> &str {
    let dictionary: &DictionaryArray<Int32Type> = down(array);
    let values: &StringArray = down(dictionary.values());
    dictionary.key(row).map_or("", |key| values.value(key))
}
