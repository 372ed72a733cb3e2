//! Batches as 1.x's JSON.

use arrow_array::{Array, RecordBatch, cast::AsArray, types};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use serde_json::{Map, Value, json};
use v1shim::native::GROUP_KEY_METADATA;

/// Collects the series of a result.
pub(super) struct Series {
    columns: Vec<String>,
    /// Tag keys with their columns.
    keys: Vec<(String, usize)>,
    series: Vec<(String, Vec<String>, Vec<Value>)>,
}

impl Series {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let metadata: Value =
            schema.metadata().get(GROUP_KEY_METADATA).map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
        let keys: Vec<(String, usize)> = metadata["tagKeyColumns"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|key| (key["tagKey"].as_str().unwrap().to_owned(), key["columnIndex"].as_u64().unwrap() as usize))
            .collect();
        let fields = schema.fields().iter().enumerate().skip(1);
        let columns =
            fields.filter(|(i, _)| !keys.iter().any(|key| key.1 == *i)).map(|(_, field)| field.name().clone()).collect();
        Self { columns, keys, series: Vec::new() }
    }

    pub(super) fn add(&mut self, batch: &RecordBatch) {
        for row in 0..batch.num_rows() {
            let name = text(batch.column(0), row);
            let tags: Vec<String> = self.keys.iter().map(|key| text(batch.column(key.1), row)).collect();
            if !self.series.last().is_some_and(|last| last.0 == name && last.1 == tags) {
                self.series.push((name, tags, Vec::new()));
            }
            let values = (1..batch.num_columns()).filter(|i| !self.keys.iter().any(|key| key.1 == *i));
            let values = values.map(|i| value(batch.column(i), row)).collect();
            self.series.last_mut().unwrap().2.push(Value::Array(values));
        }
    }

    pub(super) fn finish(self) -> Value {
        if self.series.is_empty() {
            return json!({});
        }
        let series = self.series.into_iter().map(|(name, tags, values)| {
            let mut series = Map::new();
            if !name.is_empty() {
                series.insert("name".into(), name.into());
            }
            if !self.keys.is_empty() {
                let tags = self.keys.iter().zip(tags).map(|(key, value)| (key.0.clone(), value.into())).collect();
                series.insert("tags".into(), Value::Object(tags));
            }
            series.insert("columns".into(), json!(self.columns));
            series.insert("values".into(), values.into());
            Value::Object(series)
        });
        json!({ "series": series.collect::<Vec<_>>() })
    }
}

fn text(array: &dyn Array, row: usize) -> String {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        _ => {
            let dictionary = array.as_dictionary::<types::Int32Type>();
            dictionary.values().as_string::<i32>().value(dictionary.key(row).unwrap()).to_owned()
        }
    }
}

fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => array.as_primitive::<types::TimestampNanosecondType>().value(row).into(),
        DataType::Float64 => array.as_primitive::<types::Float64Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<types::Int64Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<types::UInt64Type>().value(row).into(),
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        other => panic!("unexpected type {other}"),
    }
}
