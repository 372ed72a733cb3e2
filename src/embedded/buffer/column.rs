//! Columns of one type: sparse while they grow, Arrow arrays once they don't.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Int64Array, PrimitiveArray, StringArray,
    cast::AsArray,
    types::{ArrowPrimitiveType, Float64Type, Int64Type, UInt64Type},
};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::DataType;

use crate::lineprotocol::FieldType;

/// The Arrow type of a field.
pub(in crate::embedded) const fn data_type(field_type: FieldType) -> DataType {
    match field_type {
        FieldType::Float => DataType::Float64,
        FieldType::Integer => DataType::Int64,
        FieldType::Unsigned => DataType::UInt64,
        FieldType::String => DataType::Utf8,
        FieldType::Boolean => DataType::Boolean,
    }
}

/// The field type of an Arrow array.
pub(in crate::embedded) const fn field_type(data_type: &DataType) -> Option<FieldType> {
    Some(match data_type {
        DataType::Float64 => FieldType::Float,
        DataType::Int64 => FieldType::Integer,
        DataType::UInt64 => FieldType::Unsigned,
        DataType::Utf8 => FieldType::String,
        DataType::Boolean => FieldType::Boolean,
        _ => return None,
    })
}

/// A field's values with the rows that they belong to, in the order of arrival.
#[derive(Debug)]
pub(super) struct Sparse {
    rows: Vec<u32>,
    values: Values,
}

#[derive(Debug)]
pub(super) enum Values {
    Float(Vec<f64>),
    Integer(Vec<i64>),
    Unsigned(Vec<u64>),
    Boolean(Vec<bool>),
    String { ends: Vec<usize>, text: String },
}

/// A value to append.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    Boolean(bool),
    String(&'a str),
}

impl Cell<'_> {
    pub(super) const fn field_type(&self) -> FieldType {
        match self {
            Self::Float(_) => FieldType::Float,
            Self::Integer(_) => FieldType::Integer,
            Self::Unsigned(_) => FieldType::Unsigned,
            Self::Boolean(_) => FieldType::Boolean,
            Self::String(_) => FieldType::String,
        }
    }

    /// Bytes that it takes.
    pub(super) const fn bytes(&self) -> usize {
        match self {
            Self::String(text) => 12 + text.len(),
            Self::Boolean(_) => 5,
            _ => 12,
        }
    }
}

impl Sparse {
    pub(super) fn new(field_type: FieldType) -> Self {
        let values = match field_type {
            FieldType::Float => Values::Float(Vec::new()),
            FieldType::Integer => Values::Integer(Vec::new()),
            FieldType::Unsigned => Values::Unsigned(Vec::new()),
            FieldType::Boolean => Values::Boolean(Vec::new()),
            FieldType::String => Values::String { ends: Vec::new(), text: String::new() },
        };
        Self { rows: Vec::new(), values }
    }

    pub(super) const fn field_type(&self) -> FieldType {
        match self.values {
            Values::Float(_) => FieldType::Float,
            Values::Integer(_) => FieldType::Integer,
            Values::Unsigned(_) => FieldType::Unsigned,
            Values::Boolean(_) => FieldType::Boolean,
            Values::String { .. } => FieldType::String,
        }
    }

    /// Appends a value; one of another type is left out (the schema check has refused it before).
    pub(super) fn push(&mut self, row: u32, cell: Cell<'_>) {
        match (&mut self.values, cell) {
            (Values::Float(values), Cell::Float(value)) => values.push(value),
            (Values::Integer(values), Cell::Integer(value)) => values.push(value),
            (Values::Unsigned(values), Cell::Unsigned(value)) => values.push(value),
            (Values::Boolean(values), Cell::Boolean(value)) => values.push(value),
            (Values::String { ends, text }, Cell::String(value)) => {
                text.push_str(value);
                ends.push(text.len());
            }
            _ => {
                debug_assert!(false, "the schema check lets one type a partition pass");
                return;
            }
        }
        self.rows.push(row);
    }

    /// The array of `len` rows in which row `r` stands at `target[r]`; of several at one place the last one stays.
    pub(super) fn into_array(self, len: usize, target: &[u32]) -> ArrayRef {
        let places = self.rows.iter().map(|row| target[*row as usize] as usize);
        match self.values {
            Values::Float(values) => primitive::<Float64Type>(len, places.zip(values)),
            Values::Integer(values) => primitive::<Int64Type>(len, places.zip(values)),
            Values::Unsigned(values) => primitive::<UInt64Type>(len, places.zip(values)),
            Values::Boolean(values) => boolean(len, places.zip(values)),
            Values::String { ends, text } => {
                let start = |index: usize| if index == 0 { 0 } else { ends[index - 1] };
                strings(len, places.enumerate().map(|(index, place)| (place, &text[start(index)..ends[index]])))
            }
        }
    }
}

/// Lays arrays of one type over each other, the later ones on top: row `r` of a layer goes to `target[r]`, and a null covers nothing.
pub(in crate::embedded) fn overlay(field_type: FieldType, len: usize, layers: &[(&ArrayRef, &[u32])]) -> ArrayRef {
    match field_type {
        FieldType::Float => primitive::<Float64Type>(len, numbers::<Float64Type>(layers)),
        FieldType::Integer => primitive::<Int64Type>(len, numbers::<Int64Type>(layers)),
        FieldType::Unsigned => primitive::<UInt64Type>(len, numbers::<UInt64Type>(layers)),
        FieldType::Boolean => boolean(
            len,
            layers.iter().flat_map(|(array, target)| {
                target.iter().zip(array.as_boolean().iter()).filter_map(|(place, value)| Some((*place as usize, value?)))
            }),
        ),
        FieldType::String => strings(
            len,
            layers.iter().flat_map(|(array, target)| {
                target.iter().zip(array.as_string::<i32>().iter()).filter_map(|(place, value)| Some((*place as usize, value?)))
            }),
        ),
    }
}

/// Merges ascending times: the distinct ones, and for each part where its rows went.
pub(in crate::embedded) fn merge_times(parts: &[&[i64]], base: u32) -> (Vec<i64>, Vec<Vec<u32>>) {
    let mut times: Vec<i64> = parts.concat();
    let ordered = times.is_sorted_by(|a, b| a < b);
    if !ordered {
        times.sort_unstable();
        times.dedup();
    }
    let targets = parts
        .iter()
        .map(|part| {
            let mut place = part.first().map_or(0, |first| times.partition_point(|time| time < first));
            part.iter()
                .map(|time| {
                    while times[place] < *time {
                        place += 1;
                    }
                    base + place as u32
                })
                .collect()
        })
        .collect();
    (times, targets)
}

fn numbers<'a, T: ArrowPrimitiveType>(layers: &'a [(&ArrayRef, &[u32])]) -> impl Iterator<Item = (usize, T::Native)> + 'a {
    layers.iter().flat_map(|(array, target)| {
        target.iter().zip(array.as_primitive::<T>().iter()).filter_map(|(place, value)| Some((*place as usize, value?)))
    })
}

fn primitive<T: ArrowPrimitiveType>(len: usize, cells: impl Iterator<Item = (usize, T::Native)>) -> ArrayRef {
    let mut values = vec![T::Native::default(); len];
    let mut valid = vec![false; len];
    for (place, value) in cells {
        values[place] = value;
        valid[place] = true;
    }
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls(valid)))
}

fn boolean(len: usize, cells: impl Iterator<Item = (usize, bool)>) -> ArrayRef {
    let mut values = vec![false; len];
    let mut valid = vec![false; len];
    for (place, value) in cells {
        values[place] = value;
        valid[place] = true;
    }
    Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls(valid)))
}

fn strings<'a>(len: usize, cells: impl Iterator<Item = (usize, &'a str)>) -> ArrayRef {
    let mut values: Vec<Option<&str>> = vec![None; len];
    for (place, value) in cells {
        values[place] = Some(value);
    }
    Arc::new(StringArray::from_iter(values))
}

fn nulls(valid: Vec<bool>) -> Option<NullBuffer> {
    (!valid.iter().all(|valid| *valid)).then(|| NullBuffer::from(valid))
}

/// Times as an array.
pub(super) fn times(times: Vec<i64>) -> Int64Array {
    Int64Array::new(ScalarBuffer::from(times), None)
}
