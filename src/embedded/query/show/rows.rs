//! Rows of a result, and their batches.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;

use crate::{embedded::query::output::Sink, error::Error};

/// Rows of a batch.
const BATCH: usize = 8192;

/// Layouts of the results.
pub(super) mod schema {
    use std::{collections::HashMap, sync::Arc};

    use arrow_schema::{DataType, Field, Schema, SchemaRef};
    use serde_json::json;

    use crate::native::{GROUP_KEY_METADATA, MEASUREMENT_COLUMN};

    pub(in super::super) fn texts(columns: &[&str]) -> SchemaRef {
        let columns = std::iter::once(&MEASUREMENT_COLUMN).chain(columns);
        Arc::new(Schema::new(columns.map(|name| Field::new(*name, DataType::Utf8, false)).collect::<Vec<_>>()))
    }

    /// One number a group.
    pub(in super::super) fn numbers(dimensions: &[Box<str>], column: &str) -> SchemaRef {
        let mut fields = vec![Field::new(MEASUREMENT_COLUMN, DataType::Utf8, false)];
        fields.extend(dimensions.iter().map(|name| Field::new(&**name, DataType::Utf8, false)));
        fields.push(Field::new(column, DataType::Int64, false));
        if dimensions.is_empty() {
            return Arc::new(Schema::new(fields));
        }
        let keys: Vec<_> =
            dimensions.iter().enumerate().map(|(i, name)| json!({ "tagKey": &**name, "columnIndex": i + 1 })).collect();
        let metadata = json!({ "tagKeyColumns": keys }).to_string();
        Arc::new(Schema::new_with_metadata(fields, HashMap::from([(GROUP_KEY_METADATA.to_owned(), metadata)])))
    }
}

/// Collects rows of texts.
pub(super) struct Rows<'a> {
    schema: &'a SchemaRef,
    sink: Sink<'a>,
    measurement: Vec<Box<str>>,
    columns: Vec<Vec<Box<str>>>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(schema: &'a SchemaRef, sink: Sink<'a>) -> Self {
        Self { schema, sink, measurement: Vec::new(), columns: Vec::new() }
    }

    pub(super) fn push(&mut self, measurement: &str, values: &[&str]) -> Result<(), Error> {
        self.columns.resize_with(values.len(), Vec::new);
        self.measurement.push(measurement.into());
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push((*value).into());
        }
        if self.measurement.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if self.measurement.is_empty() {
            return Ok(());
        }
        let texts = |values: &mut Vec<Box<str>>| -> ArrayRef { Arc::new(StringArray::from_iter_values(values.drain(..))) };
        let mut columns = vec![texts(&mut self.measurement)];
        columns.extend(self.columns.iter_mut().map(texts));
        (self.sink)(RecordBatch::try_new(SchemaRef::clone(self.schema), columns).map_err(Error::internal)?)
    }

    pub(super) fn into_sink(self) -> Sink<'a> {
        self.sink
    }
}

/// A measurement and the values of the dimensions.
pub(super) type Group = (Box<str>, Vec<Box<str>>);

/// One number a row, with its measurement and the values of the dimensions.
pub(super) fn numbers(schema: &SchemaRef, rows: &[(Group, usize)], sink: Sink<'_>) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(rows.iter().map(|((name, _), _)| name)))];
    for i in 0..schema.fields().len() - 2 {
        columns.push(Arc::new(StringArray::from_iter_values(rows.iter().map(|((_, values), _)| &values[i]))));
    }
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    columns.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, number)| count(*number)))));
    sink(RecordBatch::try_new(SchemaRef::clone(schema), columns).map_err(Error::internal)?)
}
