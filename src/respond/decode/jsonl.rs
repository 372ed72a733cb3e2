//! 3 Core's `jsonl`: a JSON object a row, without what is null, so that columns and their order have to be known beforehand.

use std::{borrow::Cow, collections::HashMap, fmt};

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Frames, lines::Lines, nonsense};
use crate::{
    error::Error,
    native::{MEASUREMENT_COLUMN, PLAN_COLUMN},
    respond::{
        Columns,
        table::{Batch, Column, Event, Header, Value},
        time,
    },
};

/// Rows of a batch.
const ROWS: usize = 1024;

pub(crate) struct Jsonl {
    lines: Lines,
    layout: Option<Layout>,
    /// The first line, read to learn the columns.
    pending: Option<Bytes>,
    described: bool,
}

/// Where the members of a row go.
struct Layout {
    header: Header,
    has_time: bool,
    /// By name: numbers of tags and of columns.
    places: HashMap<Box<str>, Vec<Place>>,
}

#[derive(Clone, Copy)]
enum Place {
    Tag(usize),
    Column(usize),
}

/// Columns of a batch while it grows.
struct Rows {
    len: usize,
    names: Vec<Value>,
    tags: Vec<Vec<Value>>,
    columns: Vec<Vec<Value>>,
}

impl Jsonl {
    pub(super) fn new(frames: Frames, columns: Option<Columns>) -> Self {
        Self { lines: Lines::new(frames), layout: columns.map(Layout::new), pending: None, described: false }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Event>, Error> {
        if self.layout.is_none() {
            let Some(line) = self.lines.next().await? else { return Ok(None) };
            self.layout = Some(Layout::new(Columns::from_row(&line)?));
            self.pending = Some(line);
        }
        let Some(layout) = &self.layout else { return Ok(None) };
        if !self.described {
            self.described = true;
            return Ok(Some(Event::Header(layout.header.clone())));
        }
        let first = match self.pending.take() {
            Some(line) => Some(line),
            None => self.lines.next().await?,
        };
        let Some(first) = first else { return Ok(None) };
        let mut rows = Rows::new(&layout.header);
        let mut line = Some(first);
        while let Some(text) = line {
            layout.row(&text, &mut rows)?;
            line = if rows.len < ROWS { self.lines.buffered() } else { None };
        }
        Ok(Some(Event::Rows(rows.batch())))
    }
}

impl Columns {
    /// Of a statement that isn't ours to foresee: all that its first row has, in that order.
    fn from_row(line: &[u8]) -> Result<Self, Error> {
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).map_err(nonsense)?;
        let columns = row.into_iter().map(|(name, _)| name).filter(|name| !is_name(name)).map(Into::into).collect();
        Ok(Self { tags: Vec::new(), columns, has_time: false })
    }
}

impl Layout {
    fn new(columns: Columns) -> Self {
        let mut places = HashMap::<Box<str>, Vec<Place>>::new();
        for (index, tag) in columns.tags.iter().enumerate() {
            places.entry(tag.clone()).or_default().push(Place::Tag(index));
        }
        for (index, column) in columns.columns.iter().enumerate() {
            places.entry(column.clone()).or_default().push(Place::Column(index));
        }
        Self { header: Header { tags: columns.tags, columns: columns.columns }, has_time: columns.has_time, places }
    }

    fn row(&self, line: &[u8], rows: &mut Rows) -> Result<(), Error> {
        rows.push();
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        Row { layout: self, rows }.deserialize(&mut deserializer).map_err(nonsense)?;
        deserializer.end().map_err(nonsense)
    }

    fn put(&self, rows: &mut Rows, place: Place, value: Value) -> Result<(), String> {
        let (columns, index) = match place {
            Place::Tag(index) => (&mut rows.tags, index),
            Place::Column(index) => (&mut rows.columns, index),
        };
        let value = match (place, value) {
            (Place::Column(0), Value::Text(text)) if self.has_time => {
                Value::Time(time::parse(&text).ok_or_else(|| format!("{text:?} is not a timestamp"))?)
            }
            (_, value) => value,
        };
        if let Some(slot) = columns.get_mut(index).and_then(|column| column.last_mut()) {
            *slot = value;
        }
        Ok(())
    }
}

impl Rows {
    fn new(header: &Header) -> Self {
        Self {
            len: 0,
            names: Vec::new(),
            tags: vec![Vec::new(); header.tags.len()],
            columns: vec![Vec::new(); header.columns.len()],
        }
    }

    /// One more row, with nothing in it yet.
    fn push(&mut self) {
        self.len += 1;
        self.names.push(Value::Null);
        for column in self.tags.iter_mut().chain(&mut self.columns) {
            column.push(Value::Null);
        }
    }

    fn batch(self) -> Batch {
        Batch {
            len: self.len,
            name: Some(Column::Values(self.names)),
            tags: self.tags.into_iter().map(Column::Values).collect(),
            columns: self.columns.into_iter().map(Column::Values).collect(),
        }
    }
}

/// Reads the members of one object into the last row.
struct Row<'a> {
    layout: &'a Layout,
    rows: &'a mut Rows,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object for each row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if is_name(&key) && !self.layout.places.contains_key(&*key) {
                let name = value(map.next_value::<&RawValue>()?).map_err(serde::de::Error::custom)?;
                if let Some(slot) = self.rows.names.last_mut() {
                    *slot = name;
                }
                continue;
            }
            let Some(places) = self.layout.places.get(&*key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = value(map.next_value::<&RawValue>()?).map_err(serde::de::Error::custom)?;
            for &place in places {
                self.layout.put(self.rows, place, value.clone()).map_err(serde::de::Error::custom)?;
            }
        }
        Ok(())
    }
}

/// Whether this member names the series.
fn is_name(key: &str) -> bool {
    key == MEASUREMENT_COLUMN || key == PLAN_COLUMN
}

/// A member's name, borrowed unless it is escaped.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A value by its JSON type, numbers by how they are written: a float has a point or an exponent, whatever its value, and no digit of an
/// integer is lost.
pub(super) fn value(raw: &RawValue) -> Result<Value, String> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Value::Text(serde_json::from_str::<String>(text).map_err(|error| error.to_string())?.into()),
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'n') => Value::Null,
        Some(b'-' | b'0'..=b'9') => {
            if !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
                if let Ok(integer) = text.parse() {
                    return Ok(Value::Integer(integer));
                }
                if let Ok(integer) = text.parse() {
                    return Ok(Value::Unsigned(integer));
                }
            }
            Value::Float(text.parse().map_err(|_| format!("{text} is not a number"))?)
        }
        // Lists and objects are nothing that a column can have: shown as they are written.
        _ => Value::Text(text.into()),
    })
}
