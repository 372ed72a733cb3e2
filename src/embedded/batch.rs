//! Points on their way: one write, with its names and texts told once. Also its form in the log.

use std::collections::HashMap;

use crate::lineprotocol::{FieldType, FieldValue, Line};

/// The frame kind of an encoded batch.
pub(super) const KIND: u8 = 1;

/// An index into [`Batch::strings`].
pub(super) type Sym = u32;

/// Accepted points of one write.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Batch {
    /// The bucket's number.
    pub(super) bucket: u64,
    /// Partitions of the points, start included, end not. Decided once, by the schema check, and part of the batch: a replay puts points
    /// where they were put first, even if the bucket's retention has changed since.
    pub(super) partitions: Vec<(i64, i64)>,
    strings: Vec<Box<str>>,
    tags: Vec<(Sym, Sym)>,
    fields: Vec<(Sym, Value)>,
    pub(super) points: Vec<Point>,
}

/// One point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// The measurement.
    pub(super) table: Sym,
    /// Nanoseconds since 1970.
    pub(super) time: i64,
    /// Index into [`Batch::partitions`].
    pub(super) partition: u32,
    tags: (u32, u32),
    fields: (u32, u32),
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    String(Sym),
    Boolean(bool),
}

impl Value {
    pub(super) const fn field_type(self) -> FieldType {
        match self {
            Self::Float(_) => FieldType::Float,
            Self::Integer(_) => FieldType::Integer,
            Self::Unsigned(_) => FieldType::Unsigned,
            Self::String(_) => FieldType::String,
            Self::Boolean(_) => FieldType::Boolean,
        }
    }
}

impl Batch {
    /// A name or text.
    pub(super) fn text(&self, sym: Sym) -> &str {
        &self.strings[sym as usize]
    }

    /// How many names and texts there are: symbols are below.
    pub(super) fn symbols(&self) -> usize {
        self.strings.len()
    }

    /// Tags of a point, sorted by key.
    pub(super) fn tags(&self, point: &Point) -> &[(Sym, Sym)] {
        &self.tags[point.tags.0 as usize..point.tags.1 as usize]
    }

    /// Fields of a point.
    pub(super) fn fields(&self, point: &Point) -> &[(Sym, Value)] {
        &self.fields[point.fields.0 as usize..point.fields.1 as usize]
    }

    /// Leaves points out, told by their places in ascending order.
    pub(super) fn leave_out(&mut self, mut places: impl Iterator<Item = usize>) {
        let mut next = places.next();
        let mut place = 0;
        self.points.retain(|_| {
            let out = next == Some(place);
            if out {
                next = places.next();
            }
            place += 1;
            !out
        });
    }

    /// Appends its form in the log.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.bucket);
        put(out, self.partitions.len() as u64);
        for (start, end) in &self.partitions {
            put(out, zigzag(*start));
            put(out, zigzag(*end));
        }
        put(out, self.strings.len() as u64);
        for text in &self.strings {
            put(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        put(out, self.points.len() as u64);
        let mut last = 0_i64;
        for point in &self.points {
            put(out, point.table.into());
            put(out, point.partition.into());
            put(out, zigzag(point.time.wrapping_sub(last)));
            last = point.time;
            let tags = self.tags(point);
            put(out, tags.len() as u64);
            for (key, value) in tags {
                put(out, (*key).into());
                put(out, (*value).into());
            }
            let fields = self.fields(point);
            put(out, fields.len() as u64);
            for (name, value) in fields {
                put(out, (*name).into());
                match value {
                    Value::Float(value) => {
                        out.push(0);
                        out.extend_from_slice(&value.to_le_bytes());
                    }
                    Value::Integer(value) => {
                        out.push(1);
                        put(out, zigzag(*value));
                    }
                    Value::Unsigned(value) => {
                        out.push(2);
                        put(out, *value);
                    }
                    Value::String(sym) => {
                        out.push(3);
                        put(out, (*sym).into());
                    }
                    Value::Boolean(value) => out.push(4 + u8::from(*value)),
                }
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` when it isn't that.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let mut batch = Self { bucket: input.varint()?, ..Self::default() };
        for _ in 0..input.count()? {
            batch.partitions.push((unzigzag(input.varint()?), unzigzag(input.varint()?)));
        }
        let partitions = batch.partitions.len() as u64;
        for _ in 0..input.count()? {
            let len = usize::try_from(input.varint()?).ok()?;
            batch.strings.push(std::str::from_utf8(input.take(len)?).ok()?.into());
        }
        let symbols = batch.strings.len() as u64;
        let mut last = 0_i64;
        for _ in 0..input.count()? {
            let table = input.symbol(symbols)?;
            let partition = input.symbol(partitions)?;
            let time = last.wrapping_add(unzigzag(input.varint()?));
            last = time;
            let tags = u32::try_from(batch.tags.len()).ok()?;
            for _ in 0..input.count()? {
                batch.tags.push((input.symbol(symbols)?, input.symbol(symbols)?));
            }
            let fields = u32::try_from(batch.fields.len()).ok()?;
            for _ in 0..input.count()? {
                let name = input.symbol(symbols)?;
                let value = match input.byte()? {
                    0 => Value::Float(f64::from_le_bytes(input.take(8)?.try_into().ok()?)),
                    1 => Value::Integer(unzigzag(input.varint()?)),
                    2 => Value::Unsigned(input.varint()?),
                    3 => Value::String(input.symbol(symbols)?),
                    tag @ (4 | 5) => Value::Boolean(tag == 5),
                    _ => return None,
                };
                batch.fields.push((name, value));
            }
            let tags = (tags, u32::try_from(batch.tags.len()).ok()?);
            let fields = (fields, u32::try_from(batch.fields.len()).ok()?);
            batch.points.push(Point { table, time, partition, tags, fields });
        }
        input.0.is_empty().then_some(batch)
    }
}

/// Collects lines.
#[derive(Debug, Default)]
pub(super) struct Builder {
    batch: Batch,
    names: HashMap<Box<str>, Sym>,
}

impl Builder {
    /// Adds a point. `None` when there are more than fit into one write (four billion names, tags or fields).
    pub(super) fn push(&mut self, line: &Line<'_>, time: i64) -> Option<()> {
        let table = self.intern(&line.measurement)?;
        let tags = u32::try_from(self.batch.tags.len()).ok()?;
        for (key, value) in &line.tags {
            let tag = (self.intern(key)?, self.intern(value)?);
            self.batch.tags.push(tag);
        }
        let fields = u32::try_from(self.batch.fields.len()).ok()?;
        for (name, value) in &line.fields {
            let name = self.intern(name)?;
            let value = match value {
                FieldValue::Float(value) => Value::Float(*value),
                FieldValue::Integer(value) => Value::Integer(*value),
                FieldValue::Unsigned(value) => Value::Unsigned(*value),
                FieldValue::Boolean(value) => Value::Boolean(*value),
                // Texts are mostly different from each other: not looked up.
                FieldValue::String(value) => Value::String(self.add(value)?),
            };
            self.batch.fields.push((name, value));
        }
        let tags = (tags, u32::try_from(self.batch.tags.len()).ok()?);
        let fields = (fields, u32::try_from(self.batch.fields.len()).ok()?);
        self.batch.points.push(Point { table, time, partition: 0, tags, fields });
        Some(())
    }

    pub(super) fn finish(self, bucket: u64) -> Batch {
        Batch { bucket, ..self.batch }
    }

    fn intern(&mut self, text: &str) -> Option<Sym> {
        if let Some(sym) = self.names.get(text) {
            return Some(*sym);
        }
        let sym = self.add(text)?;
        self.names.insert(text.into(), sym);
        Some(sym)
    }

    fn add(&mut self, text: &str) -> Option<Sym> {
        let sym = u32::try_from(self.batch.strings.len()).ok()?;
        self.batch.strings.push(text.into());
        Some(sym)
    }
}

pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) const fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Reads what [`put`] and others wrote.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A number of things that take at least a byte each: more than there are bytes left is not believed.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.varint()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    /// A text behind its length.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.varint()?).ok()?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    fn symbol(&mut self, symbols: u64) -> Option<Sym> {
        let sym = self.varint()?;
        (sym < symbols).then(|| u32::try_from(sym).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for value in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN, i64::MIN + 2] {
            let mut out = Vec::new();
            put(&mut out, zigzag(value));
            assert_eq!(Input(&out).varint().map(unzigzag), Some(value));
        }
        assert_eq!(Input(&[0xff; 10]).varint(), None, "more than 64 bits");
        assert_eq!(Input(&[0x80]).varint(), None, "cut short");
    }

    #[test]
    fn decoding_survives_everything_that_was_cut_or_flipped() {
        let body = b"cpu,host=a,region=eu usage=1.5,count=2i,big=18446744073709551615u,up=true,note=\"first\" 1700000000000000000\nmem used=-9i -5";
        let mut builder = Builder::default();
        for line in crate::lineprotocol::parse_lines(body, crate::types::Precision::Nanosecond) {
            let line = line.unwrap();
            builder.push(&line, line.timestamp.unwrap()).unwrap();
        }
        let mut batch = builder.finish(7);
        batch.partitions.push((-3, i64::MAX));
        let mut bytes = Vec::new();
        batch.encode(&mut bytes);
        assert_eq!(Batch::decode(&bytes), Some(batch));
        for end in 0..bytes.len() {
            assert_eq!(Batch::decode(&bytes[..end]), None);
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let _ = Batch::decode(&bytes);
            }
        }
    }
}
