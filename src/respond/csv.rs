//! v1's CSV: `name,tags,` and the columns; a blank line where the columns change. Without `epoch`, times are nanoseconds.

use bytes::BytesMut;

use super::{
    number,
    table::{Batch, Cell},
    time::epoch,
    writer::{Clock, Key},
};

/// What has been written.
#[derive(Debug, Default)]
pub(super) struct Csv {
    /// Anything at all.
    started: bool,
    /// The columns of the header that rows stand below; of which statement.
    columns: Option<(usize, Vec<Box<str>>)>,
    statement: usize,
    /// `name,tags,` of the open series.
    prefix: Vec<u8>,
}

impl Csv {
    pub(super) fn begin_result(&mut self, id: usize) {
        self.statement = id;
    }

    pub(super) fn begin_series(&mut self, out: &mut BytesMut, key: &Key, columns: &[Box<str>]) {
        let same = self.columns.as_ref().is_some_and(|(statement, known)| *statement == self.statement && known == columns);
        if !same {
            self.block(out);
            out.extend_from_slice(b"name,tags");
            for column in columns {
                out.extend_from_slice(b",");
                field(out, column);
            }
            out.extend_from_slice(b"\n");
            self.columns = Some((self.statement, columns.to_vec()));
        }
        let mut prefix = BytesMut::new();
        field(&mut prefix, &key.name);
        prefix.extend_from_slice(b",");
        field(&mut prefix, &tags(&key.tags));
        self.prefix.clear();
        self.prefix.extend_from_slice(&prefix);
    }

    pub(super) fn row(&self, out: &mut BytesMut, batch: &Batch, row: usize, clock: &Clock) {
        out.extend_from_slice(&self.prefix);
        for column in &batch.columns {
            out.extend_from_slice(b",");
            match column.cell(row) {
                Cell::Null => {}
                Cell::Time(nanos) => epoch(out, nanos, clock.unit.unwrap_or(1)),
                Cell::Float(float) if float.is_nan() => {}
                Cell::Float(float) => number::csv_float(out, float),
                Cell::Integer(integer) => number::integer(out, integer),
                Cell::Unsigned(integer) => number::integer(out, integer),
                Cell::Boolean(boolean) => out.extend_from_slice(if boolean { b"true" } else { b"false" }),
                Cell::Text(text) => field(out, text),
            }
        }
        out.extend_from_slice(b"\n");
    }

    /// 1.x leaves a failed statement out, so that its rows just seem to end: here it has a block of its own, in the form of 1.x's errors.
    pub(super) fn end_result(&mut self, out: &mut BytesMut, error: Option<&str>) {
        if let Some(error) = error {
            self.block(out);
            error_document(out, error);
            self.columns = None;
        }
    }

    fn block(&mut self, out: &mut BytesMut) {
        if self.started {
            out.extend_from_slice(b"\n");
        }
        self.started = true;
    }
}

/// An error alone.
pub(super) fn error_document(out: &mut BytesMut, message: &str) {
    out.extend_from_slice(b"error\n");
    field(out, message);
    out.extend_from_slice(b"\n");
}

/// `host=a,region=eu`, as 1.x keys a series: empty values left out, commas, spaces and equals signs escaped.
fn tags(tags: &[(Box<str>, String)]) -> String {
    let mut text = String::new();
    for (key, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
        if !text.is_empty() {
            text.push(',');
        }
        escape(&mut text, key);
        text.push('=');
        escape(&mut text, value);
    }
    text
}

fn escape(text: &mut String, part: &str) {
    for c in part.chars() {
        if matches!(c, ',' | '=' | ' ') {
            text.push('\\');
        }
        text.push(c);
    }
}

/// A field, quoted when Go's `encoding/csv` would.
fn field(out: &mut BytesMut, text: &str) {
    let quoted = text == "\\."
        || text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'))
        || text.chars().next().is_some_and(char::is_whitespace);
    if !quoted {
        return out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"\"");
    for (index, part) in text.split('"').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\"");
}
