//! Cells as text.

use std::io::Write;

use arrow_array::{
    Array, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
    UInt64Array, types::Int32Type,
};
use arrow_schema::DataType;
use jiff::Timestamp;

use crate::error::Error;

/// Columns of a batch, each looked at once.
pub(super) struct Columns<'a>(Vec<Column<'a>>);

pub(super) struct Column<'a> {
    name: &'a str,
    array: &'a dyn Array,
    values: Values<'a>,
}

enum Values<'a> {
    Text(&'a StringArray),
    Dictionary(&'a DictionaryArray<Int32Type>, &'a StringArray),
    Float(&'a Float64Array),
    Integer(&'a Int64Array),
    Unsigned(&'a UInt64Array),
    Boolean(&'a BooleanArray),
    Time(&'a TimestampNanosecondArray),
    Null,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, Error> {
        let schema = batch.schema_ref();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, array)| {
            let any = array.as_any();
            let values = match any.downcast_ref() {
                Some(dictionary) => text_values(dictionary),
                None => None,
            };
            let values = values
                .or_else(|| any.downcast_ref().map(Values::Text))
                .or_else(|| any.downcast_ref().map(Values::Float))
                .or_else(|| any.downcast_ref().map(Values::Integer))
                .or_else(|| any.downcast_ref().map(Values::Unsigned))
                .or_else(|| any.downcast_ref().map(Values::Boolean))
                .or_else(|| any.downcast_ref().map(Values::Time))
                .or_else(|| (*array.data_type() == DataType::Null).then_some(Values::Null))
                .ok_or_else(|| Error::internal(format!("no text for columns of type {}", array.data_type())))?;
            Ok(Column { name: field.name(), array, values })
        });
        Ok(Self(columns.collect::<Result<_, Error>>()?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Column<'a>> {
        self.0.iter()
    }
}

fn text_values(dictionary: &DictionaryArray<Int32Type>) -> Option<Values<'_>> {
    Some(Values::Dictionary(dictionary, dictionary.values().as_any().downcast_ref()?))
}

impl Column<'_> {
    pub(super) const fn name(&self) -> &str {
        self.name
    }

    fn string(&self, row: usize) -> Option<&str> {
        match self.values {
            Values::Text(values) => Some(values.value(row)),
            Values::Dictionary(dictionary, values) => {
                let key = dictionary.keys().value(row) as usize;
                values.is_valid(key).then(|| values.value(key))
            }
            _ => None,
        }
    }

    /// The cell as text; nothing for null.
    pub(super) fn text(&self, row: usize) -> Option<String> {
        if self.array.is_null(row) {
            return None;
        }
        if let Some(text) = self.string(row) {
            return Some(text.to_owned());
        }
        let mut out = Vec::new();
        match self.values {
            Values::Time(times) => Some(time(times.value(row))),
            _ => self.json(row, &mut out).then(|| String::from_utf8_lossy(&out).into_owned()),
        }
    }

    /// Writes the cell as JSON; false for null, and for what JSON can't say.
    pub(super) fn json(&self, row: usize, out: &mut Vec<u8>) -> bool {
        if self.array.is_null(row) {
            return false;
        }
        match self.values {
            Values::Text(_) | Values::Dictionary(..) => self.string(row).map(|text| json_text(out, text)).is_some(),
            Values::Float(values) if values.value(row).is_finite() => {
                serde_json::to_writer(&mut *out, &values.value(row)).is_ok()
            }
            Values::Integer(values) => write!(out, "{}", values.value(row)).is_ok(),
            Values::Unsigned(values) => write!(out, "{}", values.value(row)).is_ok(),
            Values::Boolean(values) => write!(out, "{}", values.value(row)).is_ok(),
            Values::Time(values) => write!(out, "\"{}\"", time(values.value(row))).is_ok(),
            Values::Float(_) | Values::Null => false,
        }
    }
}

/// `2023-11-14T22:13:20.000000002`: as 3 Core, without a zone, with three, six or nine digits where there is a fraction.
fn time(nanos: i64) -> String {
    let Ok(timestamp) = Timestamp::from_nanosecond(i128::from(nanos)) else { return nanos.to_string() };
    let fraction = nanos.rem_euclid(1_000_000_000);
    let precision = match fraction {
        0 => 0,
        fraction if fraction % 1_000_000 == 0 => 3,
        fraction if fraction % 1_000 == 0 => 6,
        _ => 9,
    };
    let mut text = format!("{timestamp:.precision$}");
    // jiff's `Z`
    text.pop();
    text
}

/// A JSON string.
pub(super) fn json_text(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"\"\"");
    }
}

/// A CSV cell, in quotes where it must be (RFC 4180).
pub(super) fn csv_text(out: &mut Vec<u8>, text: &str) {
    if !text.contains([',', '"', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_3_cores() {
        assert_eq!(time(1_700_000_000_000_000_000), "2023-11-14T22:13:20");
        assert_eq!(time(1_700_000_000_000_000_002), "2023-11-14T22:13:20.000000002");
        assert_eq!(time(1_700_000_000_120_000_000), "2023-11-14T22:13:20.120");
        assert_eq!(time(0), "1970-01-01T00:00:00");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999999999");
        for extreme in [i64::MIN, i64::MAX] {
            assert!(time(extreme).contains('T'));
        }
    }
}
