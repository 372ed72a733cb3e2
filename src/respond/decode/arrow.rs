//! An Arrow IPC stream laid out as a v3 server lays out InfluxQL over Flight.

use std::panic::{self, AssertUnwindSafe};

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Float64Array, Int32Array, Int64Array, LargeStringArray, RecordBatch,
    StringArray, StringViewArray, TimestampNanosecondArray, UInt64Array,
    cast::AsArray,
    types::{
        ArrowDictionaryKeyType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{DataType, Schema, TimeUnit};
use bytes::Bytes;
use serde::Deserialize;

use super::{Frames, flight::Flight, nonsense};
use crate::{
    error::{Error, Kind},
    native::{GROUP_KEY_METADATA, MEASUREMENT_COLUMN, PLAN_COLUMN},
    respond::table::{Batch, Cell, Column, Event, Header},
};

/// The end of a stream.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// A batch of so many bytes is nothing that a memory budget should refuse.
const ORDINARY: usize = 64 << 20;

pub(crate) struct Arrow {
    frames: Source,
    decoder: StreamDecoder,
    buffer: Buffer,
    since_batch: usize,
    /// The most that may come before a batch is complete.
    largest: usize,
    layout: Option<Layout>,
    /// A batch that came together with the schema, which goes first.
    pending: Option<RecordBatch>,
    ended: bool,
}

/// Where the bytes of the stream come from.
pub(super) enum Source {
    Ipc(Frames),
    Flight(Box<Flight>),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Ipc(frames) => frames.next().await,
            Self::Flight(flight) => flight.next().await,
        }
    }
}

/// Lets the decoder look at bytes that somebody else has made. It checks what it reads, but for offsets that lie outside of a message's body,
/// upon which it panics.
fn decode(decoder: &mut StreamDecoder, buffer: &mut Buffer) -> Result<Option<RecordBatch>, Error> {
    let decoded = panic::catch_unwind(AssertUnwindSafe(|| decoder.decode(buffer)));
    decoded.map_err(|_| nonsense("a message points outside of itself"))?.map_err(nonsense)
}

/// Which column is what.
struct Layout {
    name: Option<usize>,
    tags: Vec<usize>,
    columns: Vec<usize>,
}

/// [`GROUP_KEY_METADATA`]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupKey {
    #[serde(default)]
    tag_key_columns: Vec<TagKeyColumn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagKeyColumn {
    tag_key: Box<str>,
    #[serde(default)]
    column_index: usize,
    #[serde(default)]
    is_projected: bool,
}

impl Arrow {
    pub(super) fn new(frames: Source, largest: usize) -> Self {
        Self {
            frames,
            decoder: StreamDecoder::new(),
            buffer: Buffer::default(),
            since_batch: 0,
            largest: largest.max(ORDINARY),
            layout: None,
            pending: None,
            ended: false,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(batch) = self.pending.take() {
                if let Some(event) = self.rows(&batch)? {
                    return Ok(Some(event));
                }
                continue;
            }
            if !self.buffer.is_empty() {
                self.pending = decode(&mut self.decoder, &mut self.buffer)?;
                if self.pending.is_some() {
                    self.since_batch = 0;
                }
                if let Some(header) = self.header()? {
                    return Ok(Some(header));
                }
                continue;
            }
            if self.ended {
                self.decoder.finish().map_err(nonsense)?;
                // A statement without rows has a schema at least.
                return if self.layout.is_some() { Ok(None) } else { Err(nonsense("a reply without a schema")) };
            }
            match self.frames.next().await? {
                Some(frame) => {
                    self.since_batch += frame.len();
                    if self.since_batch > self.largest {
                        let message = "a batch of the answer needs more than a query's memory budget (limits.query_memory)";
                        return Err(Error::new(Kind::Unprocessable, message));
                    }
                    self.buffer = Buffer::from(frame);
                }
                None => {
                    self.ended = true;
                    if self.layout.is_none() {
                        // The decoder looks at a schema only when something follows it, and its body is empty.
                        self.buffer = Buffer::from(END);
                    }
                }
            }
        }
    }

    /// The header, once, as soon as the schema is there.
    fn header(&mut self) -> Result<Option<Event>, Error> {
        if self.layout.is_some() {
            return Ok(None);
        }
        let Some(schema) = self.decoder.schema() else { return Ok(None) };
        let (layout, header) = layout(&schema)?;
        self.layout = Some(layout);
        Ok(Some(Event::Header(header)))
    }

    fn rows(&self, batch: &RecordBatch) -> Result<Option<Event>, Error> {
        let Some(layout) = &self.layout else { return Err(nonsense("rows without a schema")) };
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let columns = |indices: &[usize]| indices.iter().map(|&index| column(batch, index)).collect::<Result<Vec<_>, _>>();
        Ok(Some(Event::Rows(Batch {
            len: batch.num_rows(),
            name: layout.name.map(|index| column(batch, index)).transpose()?,
            tags: columns(&layout.tags)?,
            columns: columns(&layout.columns)?,
        })))
    }
}

fn layout(schema: &Schema) -> Result<(Layout, Header), Error> {
    let mut key: GroupKey = match schema.metadata().get(GROUP_KEY_METADATA) {
        Some(text) => serde_json::from_str(text).map_err(nonsense)?,
        None => GroupKey { tag_key_columns: Vec::new() },
    };
    // As 1.x shows them.
    key.tag_key_columns.sort_by(|left, right| left.tag_key.cmp(&right.tag_key));
    let fields = schema.fields();
    if let Some(wrong) = key.tag_key_columns.iter().find(|tag| tag.column_index >= fields.len()) {
        return Err(nonsense(format!("there is no column {}", wrong.column_index)));
    }
    let name =
        [MEASUREMENT_COLUMN, PLAN_COLUMN].into_iter().find_map(|name| fields.iter().position(|field| field.name() == name));
    let hidden = |index: usize| key.tag_key_columns.iter().any(|tag| tag.column_index == index && !tag.is_projected);
    let columns: Vec<usize> = (0..fields.len()).filter(|&index| Some(index) != name && !hidden(index)).collect();
    let header = Header {
        tags: key.tag_key_columns.iter().map(|tag| tag.tag_key.clone()).collect(),
        columns: columns.iter().filter_map(|&index| fields.get(index)).map(|field| field.name().as_str().into()).collect(),
    };
    Ok((Layout { name, tags: key.tag_key_columns.iter().map(|tag| tag.column_index).collect(), columns }, header))
}

/// A column whose type is known.
#[derive(Debug)]
pub(crate) enum ArrowColumn {
    Time(TimestampNanosecondArray),
    Float(Float64Array),
    Integer(Int64Array),
    Unsigned(UInt64Array),
    Boolean(BooleanArray),
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Dictionary { keys: Int32Array, values: StringArray },
    Null,
}

fn column(batch: &RecordBatch, index: usize) -> Result<Column, Error> {
    let Some(array) = batch.columns().get(index) else { return Err(nonsense(format!("there is no column {index}"))) };
    ArrowColumn::new(array).map(Column::Arrow).ok_or_else(|| nonsense(format!("a column has the type {}", array.data_type())))
}

/// Times beyond 1.x's range are at its ends.
fn nanoseconds<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, unit: i64) -> TimestampNanosecondArray {
    array.as_primitive::<T>().unary(|time| time.saturating_mul(unit))
}

/// A dictionary with keys of another width. None points to where a key of ours couldn't.
fn dictionary<K: ArrowDictionaryKeyType>(array: &ArrayRef) -> Option<ArrowColumn>
where
    K::Native: TryInto<i32>,
{
    let dictionary = array.as_dictionary::<K>();
    let keys: Int32Array = dictionary.keys().iter().map(|key| key.map(|key| key.try_into().unwrap_or(-1))).collect();
    Some(ArrowColumn::Dictionary { keys, values: texts(dictionary.values())? })
}

/// The texts of a dictionary, which are few.
fn texts(values: &ArrayRef) -> Option<StringArray> {
    Some(match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().clone(),
        DataType::LargeUtf8 => values.as_string::<i64>().iter().collect(),
        DataType::Utf8View => values.as_string_view().iter().collect(),
        _ => return None,
    })
}

impl ArrowColumn {
    fn new(array: &ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Timestamp(unit, _) => Self::Time(match unit {
                TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().clone(),
                TimeUnit::Microsecond => nanoseconds::<TimestampMicrosecondType>(array, 1_000),
                TimeUnit::Millisecond => nanoseconds::<TimestampMillisecondType>(array, 1_000_000),
                TimeUnit::Second => nanoseconds::<TimestampSecondType>(array, 1_000_000_000),
            }),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>().clone()),
            DataType::Float32 => Self::Float(array.as_primitive::<Float32Type>().unary(f64::from)),
            DataType::Int64 => Self::Integer(array.as_primitive::<Int64Type>().clone()),
            DataType::Int32 => Self::Integer(array.as_primitive::<Int32Type>().unary(i64::from)),
            DataType::Int16 => Self::Integer(array.as_primitive::<Int16Type>().unary(i64::from)),
            DataType::Int8 => Self::Integer(array.as_primitive::<Int8Type>().unary(i64::from)),
            DataType::UInt64 => Self::Unsigned(array.as_primitive::<UInt64Type>().clone()),
            DataType::UInt32 => Self::Unsigned(array.as_primitive::<UInt32Type>().unary(u64::from)),
            DataType::UInt16 => Self::Unsigned(array.as_primitive::<UInt16Type>().unary(u64::from)),
            DataType::UInt8 => Self::Unsigned(array.as_primitive::<UInt8Type>().unary(u64::from)),
            DataType::Boolean => Self::Boolean(array.as_boolean().clone()),
            DataType::Utf8 => Self::Text(array.as_string::<i32>().clone()),
            DataType::LargeUtf8 => Self::LargeText(array.as_string::<i64>().clone()),
            DataType::Utf8View => Self::TextView(array.as_string_view().clone()),
            DataType::Null => Self::Null,
            DataType::Dictionary(key, _) => match **key {
                DataType::Int8 => dictionary::<Int8Type>(array)?,
                DataType::Int16 => dictionary::<Int16Type>(array)?,
                DataType::Int32 => {
                    let dictionary = array.as_dictionary::<Int32Type>();
                    Self::Dictionary { keys: dictionary.keys().clone(), values: texts(dictionary.values())? }
                }
                DataType::Int64 => dictionary::<Int64Type>(array)?,
                DataType::UInt8 => dictionary::<UInt8Type>(array)?,
                DataType::UInt16 => dictionary::<UInt16Type>(array)?,
                DataType::UInt32 => dictionary::<UInt32Type>(array)?,
                DataType::UInt64 => dictionary::<UInt64Type>(array)?,
                _ => return None,
            },
            _ => return None,
        })
    }

    #[inline]
    pub(crate) fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Time(array) if array.is_valid(row) => Cell::Time(array.value(row)),
            Self::Float(array) if array.is_valid(row) => Cell::Float(array.value(row)),
            Self::Integer(array) if array.is_valid(row) => Cell::Integer(array.value(row)),
            Self::Unsigned(array) if array.is_valid(row) => Cell::Unsigned(array.value(row)),
            Self::Boolean(array) if array.is_valid(row) => Cell::Boolean(array.value(row)),
            Self::Text(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            Self::LargeText(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            Self::TextView(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            Self::Dictionary { keys, values } if keys.is_valid(row) => match usize::try_from(keys.value(row)) {
                Ok(key) if key < values.len() && values.is_valid(key) => Cell::Text(values.value(key)),
                _ => Cell::Null,
            },
            _ => Cell::Null,
        }
    }

    /// Whether two rows have the same value, where that can be told without looking at it.
    pub(crate) fn same_key(&self, left: usize, right: usize) -> Option<bool> {
        match self {
            Self::Dictionary { keys, .. }
                if keys.is_valid(left) && keys.is_valid(right) && keys.value(left) == keys.value(right) =>
            {
                Some(true)
            }
            _ => None,
        }
    }
}
