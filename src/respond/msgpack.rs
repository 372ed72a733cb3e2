//! v1's MessagePack: maps by name, times as extension type 5 (seconds, then nanoseconds, big-endian), the smallest form of everything.
//!
//! MessagePack writes counts before what is counted, and how many rows there will be is known only at the end: so a document is kept until
//! it is complete, with room for the counts, and that is limited. `chunked=true` has no such limit.
//!
//! <https://github.com/msgpack/msgpack/blob/master/spec.md>

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    table::{Batch, Cell},
    writer::{Clock, Key, Message},
};

/// What is written of the document.
#[derive(Debug, Default)]
pub(super) struct MsgPack {
    /// Complete pieces, and empty ones where counts will be.
    pieces: Vec<Bytes>,
    size: usize,
    document: Slot,
    results: usize,
    result: Slot,
    entries: usize,
    series_slot: Slot,
    series: usize,
    one: Slot,
    one_entries: usize,
    values_slot: Slot,
    values: usize,
}

/// Room for a count: the index of an empty piece.
#[derive(Clone, Copy, Debug, Default)]
struct Slot(usize);

impl MsgPack {
    /// Bytes that are kept, `out` not counted.
    pub(super) fn kept(&self) -> usize {
        self.size
    }

    pub(super) fn begin_document(&mut self, out: &mut BytesMut) {
        self.results = 0;
        map(out, 1);
        string(out, "results");
        self.document = self.slot(out);
    }

    /// The whole document.
    pub(super) fn end_document(&mut self, out: &mut BytesMut) -> Vec<Bytes> {
        self.fill(self.document, array, self.results);
        self.flush(out);
        self.size = 0;
        std::mem::take(&mut self.pieces)
    }

    pub(super) fn begin_result(&mut self, out: &mut BytesMut, id: usize, messages: &[Message]) {
        self.results += 1;
        self.series = 0;
        self.result = self.slot(out);
        self.entries = 2;
        string(out, "statement_id");
        integer(out, i64::try_from(id).unwrap_or(i64::MAX));
        if !messages.is_empty() {
            self.entries += 1;
            string(out, "messages");
            array(out, messages.len());
            for message in messages {
                map(out, 2);
                string(out, "level");
                string(out, message.level);
                string(out, "text");
                string(out, &message.text);
            }
        }
        string(out, "series");
        self.series_slot = self.slot(out);
    }

    pub(super) fn end_result(&mut self, out: &mut BytesMut, partial: bool, error: Option<&str>) {
        if self.series == 0
            && let Some(error) = error
        {
            // 1.x has nothing but the error here.
            out.clear();
            self.pieces.truncate(self.result.0 + 1);
            self.fill(self.result, map, 1);
            string(out, "error");
            return string(out, error);
        }
        self.fill(self.series_slot, array, self.series);
        if partial {
            self.entries += 1;
            string(out, "partial");
            out.put_u8(0xc3);
        }
        if let Some(error) = error {
            self.entries += 1;
            string(out, "error");
            string(out, error);
        }
        self.fill(self.result, map, self.entries);
    }

    pub(super) fn begin_series(&mut self, out: &mut BytesMut, key: &Key, columns: &[Box<str>]) {
        self.series += 1;
        self.one = self.slot(out);
        self.one_entries = 2;
        if !key.name.is_empty() {
            self.one_entries += 1;
            string(out, "name");
            string(out, &key.name);
        }
        if !key.tags.is_empty() {
            self.one_entries += 1;
            string(out, "tags");
            map(out, key.tags.len());
            for (tag, value) in &key.tags {
                string(out, tag);
                string(out, value);
            }
        }
        string(out, "columns");
        array(out, columns.len());
        for column in columns {
            string(out, column);
        }
        string(out, "values");
        self.values = 0;
        self.values_slot = self.slot(out);
    }

    pub(super) fn end_series(&mut self, out: &mut BytesMut, partial: bool) {
        self.fill(self.values_slot, array, self.values);
        if partial {
            self.one_entries += 1;
            string(out, "partial");
            out.put_u8(0xc3);
        }
        self.fill(self.one, map, self.one_entries);
    }

    pub(super) fn row(&mut self, out: &mut BytesMut, batch: &Batch, row: usize, clock: &Clock) {
        self.values += 1;
        array(out, batch.columns.len());
        for column in &batch.columns {
            match column.cell(row) {
                Cell::Null => out.put_u8(0xc0),
                Cell::Time(nanos) => time(out, nanos, clock.unit),
                Cell::Float(float) if float.is_nan() => out.put_u8(0xc0),
                Cell::Float(float) => {
                    out.put_u8(0xcb);
                    out.put_f64(float);
                }
                Cell::Integer(value) => integer(out, value),
                Cell::Unsigned(value) => unsigned(out, value),
                Cell::Boolean(value) => out.put_u8(if value { 0xc3 } else { 0xc2 }),
                Cell::Text(text) => string(out, text),
            }
        }
    }

    /// Keeps what is in `out`.
    pub(super) fn flush(&mut self, out: &mut BytesMut) {
        if !out.is_empty() {
            self.size += out.len();
            self.pieces.push(out.split().freeze());
        }
    }

    fn slot(&mut self, out: &mut BytesMut) -> Slot {
        self.flush(out);
        self.pieces.push(Bytes::new());
        Slot(self.pieces.len() - 1)
    }

    fn fill(&mut self, slot: Slot, write: fn(&mut BytesMut, usize), count: usize) {
        if let Some(piece) = self.pieces.get_mut(slot.0) {
            let mut out = BytesMut::with_capacity(5);
            write(&mut out, count);
            *piece = out.freeze();
        }
    }
}

/// An error alone.
pub(super) fn error_document(out: &mut BytesMut, message: &str) {
    map(out, 1);
    string(out, "error");
    string(out, message);
}

fn time(out: &mut BytesMut, nanos: i64, unit: Option<i64>) {
    match unit {
        Some(unit) => integer(out, nanos / unit.max(1)),
        None => {
            out.put_slice(&[0xc7, 12, 5]);
            out.put_i64(nanos.div_euclid(1_000_000_000));
            out.put_u32(u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default());
        }
    }
}

fn map(out: &mut BytesMut, count: usize) {
    counted(out, count, 0x80, 0xde, 0xdf);
}

fn array(out: &mut BytesMut, count: usize) {
    counted(out, count, 0x90, 0xdc, 0xdd);
}

fn counted(out: &mut BytesMut, count: usize, short: u8, medium: u8, long: u8) {
    match (u8::try_from(count), u16::try_from(count)) {
        (Ok(count @ ..16), _) => out.put_u8(short | count),
        (_, Ok(count)) => {
            out.put_u8(medium);
            out.put_u16(count);
        }
        _ => {
            out.put_u8(long);
            out.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }
}

fn string(out: &mut BytesMut, text: &str) {
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(len @ ..32), _) => out.put_u8(0xa0 | len),
        (Ok(len), _) => out.put_slice(&[0xd9, len]),
        (_, Ok(len)) => {
            out.put_u8(0xda);
            out.put_u16(len);
        }
        _ => {
            out.put_u8(0xdb);
            out.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
    }
    out.put_slice(text.as_bytes());
}

/// As 1.x does it: always in a signed form.
fn integer(out: &mut BytesMut, value: i64) {
    if let Ok(value) = i8::try_from(value) {
        if value < -32 {
            out.put_u8(0xd0);
        }
        out.put_i8(value);
    } else if let Ok(value) = i16::try_from(value) {
        out.put_u8(0xd1);
        out.put_i16(value);
    } else if let Ok(value) = i32::try_from(value) {
        out.put_u8(0xd2);
        out.put_i32(value);
    } else {
        out.put_u8(0xd3);
        out.put_i64(value);
    }
}

fn unsigned(out: &mut BytesMut, value: u64) {
    match (u8::try_from(value), u16::try_from(value), u32::try_from(value)) {
        (Ok(value @ ..128), ..) => out.put_u8(value),
        (Ok(value), ..) => out.put_slice(&[0xcc, value]),
        (_, Ok(value), _) => {
            out.put_u8(0xcd);
            out.put_u16(value);
        }
        (.., Ok(value)) => {
            out.put_u8(0xce);
            out.put_u32(value);
        }
        _ => {
            out.put_u8(0xcf);
            out.put_u64(value);
        }
    }
}
