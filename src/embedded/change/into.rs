//! `SELECT … INTO`

use std::{borrow::Cow, sync::Arc};

use arrow_array::{
    Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
    cast::AsArray,
    types::{Float64Type, Int64Type, TimestampNanosecondType, UInt64Type},
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use futures_util::StreamExt;
use serde::Deserialize;

use crate::{
    access::Permission,
    embedded::{
        Engine, Outcome, Query,
        batch::{Batch, Builder},
    },
    error::{Error, Kind},
    influxql::{
        Statement, StatementKind,
        ast::{Dimension, Fill, Select},
    },
    lineprotocol::{FieldValue, Line},
    native::{GROUP_KEY_METADATA, MEASUREMENT_COLUMN},
};

/// Points of one write: as many as 1.x writes at once.
const POINTS: usize = 10_000;

impl Engine {
    /// Runs the selection and writes what it gives, some thousand points at a time, each of these writes whole or not at all. The answer
    /// says how many there were.
    pub(super) async fn select_into(&self, select: &Select, query: &Query) -> Result<RecordBatch, Error> {
        let Some(target) = &select.into else { return Err(Error::invalid("missing target")) };
        let name = target.database.as_ref().map(|name| &*name.name).or(query.bucket.as_deref());
        let name: Box<str> = name.ok_or_else(|| Error::invalid("database name required"))?.into();
        if !query.access.allows(&name, Permission::Write) {
            return Err(Error::new(Kind::Forbidden, format!("not allowed to write to \"{name}\"")));
        }
        if self.0.catalog.bucket(&name).is_none() {
            return Err(Error::new(Kind::NotFound, format!("database not found: \"{name}\"")));
        }
        let measurement = target.name.as_ref().map(|name| name.name.clone());
        let mut select = Select { into: None, ..select.clone() };
        if matches!(select.fill, Fill::Default | Fill::Null)
            && select.group_by.iter().any(|dimension| matches!(dimension, Dimension::Time { .. }))
        {
            // As 1.x: empty windows aren't written.
            select.fill = Fill::None;
        }
        let statement = Statement { span: select.span, kind: StatementKind::Select(Box::new(select)) };
        let mut batches = self.start(statement, query.clone()).await?;
        let mut written = 0_i64;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let mut from = 0;
            while from < batch.num_rows() {
                let part = batch.slice(from, POINTS.min(batch.num_rows() - from));
                from += part.num_rows();
                let points = points(&part, measurement.as_deref())?;
                let count = points.points.len();
                if count > 0
                    && let Outcome::Rejected(rejected) = self.write_points(&name, points).await?
                {
                    return Err(Error::invalid(rejected.error));
                }
                written += i64::try_from(count).unwrap_or(0);
            }
        }
        answer(written)
    }
}

/// `{"name":"result","columns":["time","written"],"values":[["1970-01-01T00:00:00Z",3]]}`
fn answer(written: i64) -> Result<RecordBatch, Error> {
    let fields = vec![
        Field::new(MEASUREMENT_COLUMN, DataType::Utf8, false),
        Field::new("time", DataType::Timestamp(TimeUnit::Nanosecond, None), false),
        Field::new("written", DataType::Int64, true),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["result"])),
        Arc::new(TimestampNanosecondArray::from(vec![0])),
        Arc::new(Int64Array::from(vec![written])),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Error::internal)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Keys {
    tag_key_columns: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    tag_key: Box<str>,
    column_index: usize,
}

/// Points of rows; those without a value are none.
fn points(batch: &RecordBatch, measurement: Option<&str>) -> Result<Batch, Error> {
    let schema = batch.schema();
    let odd = || Error::internal("a selection has no column of times");
    let keys: Keys = match schema.metadata().get(GROUP_KEY_METADATA) {
        Some(text) => serde_json::from_str(text).map_err(Error::internal)?,
        None => Keys::default(),
    };
    let mut tags: Vec<(Box<str>, StringArray)> = Vec::with_capacity(keys.tag_key_columns.len());
    for key in &keys.tag_key_columns {
        tags.push((key.tag_key.clone(), texts(batch.columns().get(key.column_index).ok_or_else(odd)?)?));
    }
    tags.sort_by(|a, b| a.0.cmp(&b.0));
    let names = texts(batch.columns().first().ok_or_else(odd)?)?;
    let times = batch.columns().get(1).and_then(|times| times.as_primitive_opt::<TimestampNanosecondType>()).ok_or_else(odd)?;
    let is_field = |place: &usize| *place > 1 && !keys.tag_key_columns.iter().any(|key| key.column_index == *place);
    let fields: Vec<(usize, ArrayRef)> =
        (0..batch.num_columns()).filter(is_field).map(|place| (place, plain(batch.column(place)))).collect();
    let mut builder = Builder::default();
    for row in 0..batch.num_rows() {
        let values = fields
            .iter()
            .filter_map(|(place, values)| Some((Cow::Borrowed(schema.field(*place).name().as_str()), value(values, row)?)));
        let line = Line {
            measurement: Cow::Borrowed(measurement.unwrap_or_else(|| names.value(row))),
            tags: tags
                .iter()
                .filter(|(_, values)| values.is_valid(row) && !values.value(row).is_empty())
                .map(|(key, values)| (Cow::Borrowed(&**key), Cow::Borrowed(values.value(row))))
                .collect(),
            fields: values.collect(),
            timestamp: None,
            number: row + 1,
            text: b"",
        };
        if !line.fields.is_empty() {
            builder
                .push(&line, times.value(row))
                .ok_or_else(|| Error::new(Kind::TooLarge, "the points don't fit into a write"))?;
        }
    }
    Ok(builder.finish(0))
}

fn texts(values: &ArrayRef) -> Result<StringArray, Error> {
    let values = plain(values);
    values.as_string_opt::<i32>().cloned().ok_or_else(|| Error::internal("a tag is no text"))
}

/// Without a dictionary.
fn plain(values: &ArrayRef) -> ArrayRef {
    match values.as_any_dictionary_opt() {
        Some(dictionary) => {
            let taken = arrow_select::take::take(dictionary.values(), dictionary.keys(), None);
            taken.unwrap_or_else(|_| arrow_array::new_null_array(&DataType::Utf8, values.len()))
        }
        None => Arc::clone(values),
    }
}

fn value(values: &ArrayRef, row: usize) -> Option<FieldValue<'_>> {
    if values.is_null(row) {
        return None;
    }
    Some(match values.data_type() {
        DataType::Float64 => {
            FieldValue::Float(Some(values.as_primitive::<Float64Type>().value(row)).filter(|value| value.is_finite())?)
        }
        DataType::Int64 => FieldValue::Integer(values.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => FieldValue::Unsigned(values.as_primitive::<UInt64Type>().value(row)),
        DataType::Boolean => FieldValue::Boolean(values.as_boolean().value(row)),
        DataType::Utf8 => FieldValue::String(Cow::Borrowed(values.as_string::<i32>().value(row))),
        _ => return None,
    })
}
