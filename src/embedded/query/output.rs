//! From slots to batches: column expressions, the layout of InfluxQL over Flight.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
    types::Int32Type,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::json;

use super::{
    expr::{Division, Expr},
    ir::{Column, Select},
    rows::Key,
    value::{Type, cast_or_null, down},
};
use crate::{
    error::Error,
    native::{COLUMN_TYPE_METADATA, GROUP_KEY_METADATA, MEASUREMENT_COLUMN},
};

/// Rows of a batch that is handed on.
const BATCH: usize = 8192;

/// What takes the batches.
pub(super) type Sink<'a> = &'a mut dyn FnMut(RecordBatch) -> Result<(), Error>;

/// Columns of a `SELECT`.
pub(super) fn schema(select: &Select) -> SchemaRef {
    let dictionary = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let zone = select.zone.as_ref().map(|(name, _)| Arc::<str>::from(&**name));
    // As a v3 server has it, where points come out as they were written.
    let raw = select.calls.is_empty();
    let time = Field::new(&*select.time_name, DataType::Timestamp(TimeUnit::Nanosecond, zone), false);
    let time = if raw { of_type(time, "timestamp") } else { time };
    let mut fields = vec![Field::new(MEASUREMENT_COLUMN, dictionary(), false), time];
    let mut keys = Vec::new();
    for (i, name) in select.dimensions.iter().enumerate() {
        keys.push(json!({ "tagKey": &**name, "columnIndex": i + 2 }));
        fields.push(of_type(Field::new(&**name, dictionary(), false), "tag"));
    }
    fields.extend(select.columns.iter().map(|column| {
        let field = Field::new(&*column.name, column.kind.arrow(), true);
        match column_type(column).filter(|_| raw) {
            Some(name) => of_type(field, name),
            None => field,
        }
    }));
    let metadata = json!({ "tagKeyColumns": keys }).to_string();
    Arc::new(Schema::new_with_metadata(fields, HashMap::from([(GROUP_KEY_METADATA.to_owned(), metadata)])))
}

fn of_type(field: Field, name: &str) -> Field {
    field.with_metadata(HashMap::from([(COLUMN_TYPE_METADATA.to_owned(), format!("iox::column_type::{name}"))]))
}

/// What a column is below, when it is nothing else than that.
fn column_type(column: &Column) -> Option<&'static str> {
    match &column.expr {
        Expr::Slot(_) => {}
        Expr::NonEmpty(inner) if matches!(**inner, Expr::Slot(_)) => {}
        _ => return None,
    }
    match column.kind {
        Type::Tag => Some("tag"),
        Type::Float => Some("field::float"),
        Type::Integer => Some("field::integer"),
        Type::Unsigned => Some("field::uinteger"),
        Type::String => Some("field::string"),
        Type::Boolean => Some("field::boolean"),
        Type::Unknown => None,
    }
}

/// Collects rows of groups and hands them on in batches.
pub(super) struct Output<'a> {
    select: &'a Select,
    schema: SchemaRef,
    sink: Sink<'a>,
    pieces: Vec<Piece>,
    rows: usize,
}

struct Piece {
    measurement: Arc<str>,
    /// Groups of the rows, and how many follow each other.
    keys: Vec<(Key, usize)>,
    time: Int64Array,
    slots: Vec<ArrayRef>,
}

impl<'a> Output<'a> {
    pub(super) fn new(select: &'a Select, schema: SchemaRef, sink: Sink<'a>) -> Self {
        Self { select, schema, sink, pieces: Vec::new(), rows: 0 }
    }

    /// Adds rows, with the values of all slots: so many of each group follow each other.
    pub(super) fn push(
        &mut self,
        measurement: &Arc<str>,
        keys: Vec<(Key, usize)>,
        time: Int64Array,
        slots: Vec<ArrayRef>,
    ) -> Result<(), Error> {
        if time.is_empty() {
            return Ok(());
        }
        self.rows += time.len();
        self.pieces.push(Piece { measurement: Arc::clone(measurement), keys, time, slots });
        if self.rows >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Hands on what is left.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        let pieces = std::mem::take(&mut self.pieces);
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(());
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        columns.push(dictionary(pieces.iter().map(|piece| (&*piece.measurement, piece.time.len()))));
        let time = concat(&pieces, |piece| Arc::new(piece.time.clone()))?;
        let time = TimestampNanosecondArray::new(down::<Int64Array>(&time).values().clone(), None);
        columns.push(match &self.select.zone {
            Some((name, _)) => Arc::new(time.with_timezone(&**name)),
            None => Arc::new(time),
        });
        for i in 0..self.select.dimensions.len() {
            columns.push(dictionary(pieces.iter().flat_map(|piece| piece.keys.iter().map(|(key, len)| (&*key[i], *len)))));
        }
        let slots = (0..pieces[0].slots.len())
            .map(|slot| concat(&pieces, |piece| Arc::clone(&piece.slots[slot])))
            .collect::<Result<Vec<_>, _>>()?;
        for column in &self.select.columns {
            columns.push(cast_or_null(&column.expr.eval(&slots, rows, Division::Float), column.kind));
        }
        (self.sink)(RecordBatch::try_new(SchemaRef::clone(&self.schema), columns).map_err(Error::internal)?)
    }
}

fn concat(pieces: &[Piece], column: impl Fn(&Piece) -> ArrayRef) -> Result<ArrayRef, Error> {
    if let [piece] = pieces {
        return Ok(column(piece));
    }
    let arrays: Vec<_> = pieces.iter().map(column).collect();
    let arrays: Vec<&dyn Array> = arrays.iter().map(|array| &**array).collect();
    arrow_select::concat::concat(&arrays).map_err(Error::internal)
}

/// Each text as often as it says.
fn dictionary<'a>(runs: impl Iterator<Item = (&'a str, usize)>) -> ArrayRef {
    let mut values: Vec<&str> = Vec::new();
    let mut keys: Vec<i32> = Vec::new();
    let mut known: HashMap<&str, i32> = HashMap::new();
    let mut last: Option<(&str, i32)> = None;
    for (value, len) in runs {
        let key = match last {
            Some((last, key)) if last == value => key,
            _ => *known.entry(value).or_insert_with(|| {
                values.push(value);
                values.len() as i32 - 1
            }),
        };
        last = Some((value, key));
        keys.resize(keys.len() + len, key);
    }
    let values = Arc::new(StringArray::from_iter_values(values));
    Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(keys), values))
}
