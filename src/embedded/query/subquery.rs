//! A subquery as a source: its result takes the place of points.

use std::{ops::Range, sync::Arc};

use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, types::Int32Type,
};

use super::{
    context::Budget,
    ir::Select,
    output::{self, Output},
    rows::{Column, bytes},
    select,
    value::down,
};
use crate::error::Error;

/// Rows of a subquery that follow each other, all of the same group of the query around it.
pub(super) struct Piece {
    pub(super) time: Int64Array,
    /// The wanted fields, in the order in which they are wanted.
    pub(super) fields: Vec<Option<ArrayRef>>,
    /// The tags that it groups by.
    pub(super) tags: Vec<Column>,
    /// The values of those tags in the first row.
    pub(super) first: Arc<[Box<str>]>,
}

/// Runs a subquery. Its rows come in its own order, which is 1.x's: nothing sorts them again. What it takes of the memory stays taken
/// until the query is done. `dimensions` are the places of the tags that are the same in all rows of a piece.
pub(super) fn run(
    inner: &Select,
    fields: &[Box<str>],
    dimensions: &[Option<usize>],
    budget: &Budget<'_>,
) -> Result<Vec<Piece>, Error> {
    let schema = output::schema(inner);
    let first = 2 + inner.dimensions.len();
    let wanted: Vec<Option<usize>> = fields
        .iter()
        .map(|field| inner.columns.iter().position(|column| column.name == *field).map(|place| first + place))
        .collect();
    let grouping: Vec<usize> = dimensions.iter().flatten().map(|place| 2 + place).collect();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut take_in = |batch: RecordBatch| -> Result<(), Error> {
        let columns = wanted.iter().flatten().map(|column| bytes(batch.column(*column))).sum::<usize>();
        budget.take(columns + (8 + 4 * inner.dimensions.len()) * batch.num_rows())?;
        let time: &TimestampNanosecondArray = down(batch.column(1));
        for range in groups(&batch, &grouping) {
            let (start, len) = (range.start, range.len());
            let tags = (0..inner.dimensions.len()).map(|i| tag(batch.column(2 + i), range.clone()));
            pieces.push(Piece {
                time: Int64Array::new(time.values().slice(start, len), None),
                fields: wanted.iter().map(|column| column.map(|column| batch.column(column).slice(start, len))).collect(),
                tags: tags.collect::<Result<_, Error>>()?,
                first: (0..inner.dimensions.len()).map(|i| text(batch.column(2 + i), start).into()).collect(),
            });
        }
        Ok(())
    };
    let mut output = Output::new(inner, schema, &mut take_in);
    select::run(inner, budget, &mut output)?;
    output.flush()?;
    drop(output);
    Ok(pieces)
}

/// Rows that have the same texts in some columns.
fn groups(batch: &RecordBatch, columns: &[usize]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let same = |a: usize, b: usize| columns.iter().all(|i| text(batch.column(*i), a) == text(batch.column(*i), b));
    for row in 0..batch.num_rows() {
        match ranges.last_mut() {
            Some(range) if same(range.start, row) => range.end = row + 1,
            _ => ranges.push(row..row + 1),
        }
    }
    ranges
}

/// A tag's values in some rows; told once where all are the same.
fn tag(array: &dyn Array, rows: Range<usize>) -> Result<Column, Error> {
    let first = text(array, rows.start);
    if rows.clone().all(|row| text(array, row) == first) {
        return Ok(Column::Tag(Some(first.into())));
    }
    let dictionary: &DictionaryArray<Int32Type> = down(array);
    let keys = dictionary.keys().slice(rows.start, rows.len());
    Ok(Column::Field(arrow_select::take::take(dictionary.values(), &keys, None).map_err(Error::internal)?))
}

/// The text in a dictionary's column.
fn text(array: &dyn Array, row: usize) -> &str {
    let dictionary: &DictionaryArray<Int32Type> = down(array);
    let values: &StringArray = down(dictionary.values());
    dictionary.key(row).map_or("", |key| values.value(key))
}
