//! v1's JSON, compact and pretty (four spaces), byte for byte as Go's encoder writes it.

use bytes::BytesMut;

use super::{
    number,
    table::{Batch, Cell},
    time::{epoch, rfc3339},
    writer::{Clock, Key, Message},
};

/// Where in a document the encoder is.
#[derive(Debug, Default)]
pub(super) struct Json {
    pretty: bool,
    depth: usize,
    /// Nothing stands yet in the innermost brackets.
    first: bool,
    has_series: bool,
    has_values: bool,
}

impl Json {
    pub(super) fn new(pretty: bool) -> Self {
        Self { pretty, ..Self::default() }
    }

    pub(super) fn begin_document(&mut self, out: &mut BytesMut) {
        self.open(out, b'{');
        self.key(out, "results");
        self.open(out, b'[');
    }

    pub(super) fn end_document(&mut self, out: &mut BytesMut) {
        self.close(out, b']');
        self.close(out, b'}');
        out.extend_from_slice(b"\n");
    }

    pub(super) fn begin_result(&mut self, out: &mut BytesMut, id: usize) {
        self.has_series = false;
        self.separate(out);
        self.open(out, b'{');
        self.key(out, "statement_id");
        number::integer(out, id);
    }

    pub(super) fn end_result(&mut self, out: &mut BytesMut, messages: &[Message], partial: bool, error: Option<&str>) {
        if self.has_series {
            self.close(out, b']');
        }
        if !messages.is_empty() {
            self.key(out, "messages");
            self.open(out, b'[');
            for message in messages {
                self.separate(out);
                self.open(out, b'{');
                self.key(out, "level");
                string(out, message.level);
                self.key(out, "text");
                string(out, &message.text);
                self.close(out, b'}');
            }
            self.close(out, b']');
        }
        if partial {
            self.key(out, "partial");
            out.extend_from_slice(b"true");
        }
        if let Some(error) = error {
            self.key(out, "error");
            string(out, error);
        }
        self.close(out, b'}');
    }

    pub(super) fn begin_series(&mut self, out: &mut BytesMut, key: &Key, columns: &[Box<str>]) {
        if !self.has_series {
            self.has_series = true;
            self.key(out, "series");
            self.open(out, b'[');
        }
        self.has_values = false;
        self.separate(out);
        self.open(out, b'{');
        if !key.name.is_empty() {
            self.key(out, "name");
            string(out, &key.name);
        }
        if !key.tags.is_empty() {
            self.key(out, "tags");
            self.open(out, b'{');
            for (tag, value) in &key.tags {
                self.key(out, tag);
                string(out, value);
            }
            self.close(out, b'}');
        }
        self.key(out, "columns");
        self.open(out, b'[');
        for column in columns {
            self.separate(out);
            string(out, column);
        }
        self.close(out, b']');
    }

    pub(super) fn end_series(&mut self, out: &mut BytesMut, partial: bool) {
        if self.has_values {
            self.close(out, b']');
        }
        if partial {
            self.key(out, "partial");
            out.extend_from_slice(b"true");
        }
        self.close(out, b'}');
    }

    /// Writes a row, or nothing and says which value JSON doesn't have.
    pub(super) fn row(&mut self, out: &mut BytesMut, batch: &Batch, row: usize, clock: &Clock) -> Result<(), &'static str> {
        if let Some(value) = batch.columns.iter().find_map(|column| unsupported(column.cell(row))) {
            return Err(value);
        }
        if !self.has_values {
            self.has_values = true;
            self.key(out, "values");
            self.open(out, b'[');
        }
        self.separate(out);
        self.open(out, b'[');
        for column in &batch.columns {
            self.separate(out);
            cell(out, column.cell(row), clock);
        }
        self.close(out, b']');
        Ok(())
    }

    fn open(&mut self, out: &mut BytesMut, bracket: u8) {
        out.extend_from_slice(&[bracket]);
        self.depth += 1;
        self.first = true;
    }

    fn close(&mut self, out: &mut BytesMut, bracket: u8) {
        self.depth = self.depth.saturating_sub(1);
        if self.pretty && !self.first {
            self.line(out);
        }
        out.extend_from_slice(&[bracket]);
        self.first = false;
    }

    /// Before each item.
    fn separate(&mut self, out: &mut BytesMut) {
        if !self.first {
            out.extend_from_slice(b",");
        }
        self.first = false;
        if self.pretty {
            self.line(out);
        }
    }

    fn line(&self, out: &mut BytesMut) {
        out.extend_from_slice(b"\n");
        for _ in 0..self.depth {
            out.extend_from_slice(b"    ");
        }
    }

    fn key(&mut self, out: &mut BytesMut, key: &str) {
        self.separate(out);
        string(out, key);
        out.extend_from_slice(if self.pretty { b": " } else { b":" });
    }
}

/// An error alone.
pub(super) fn error_document(out: &mut BytesMut, message: &str) {
    out.extend_from_slice(b"{\"error\":");
    string(out, message);
    out.extend_from_slice(b"}\n");
}

/// Infinities have no JSON, which is an error in 1.x; what isn't a number is null there.
fn unsupported(cell: Cell<'_>) -> Option<&'static str> {
    match cell {
        Cell::Float(float) if float.is_infinite() => {
            Some(if float > 0.0 { "json: unsupported value: +Inf" } else { "json: unsupported value: -Inf" })
        }
        _ => None,
    }
}

fn cell(out: &mut BytesMut, cell: Cell<'_>, clock: &Clock) {
    match cell {
        Cell::Float(float) if float.is_finite() => number::json_float(out, float),
        Cell::Null | Cell::Float(_) => out.extend_from_slice(b"null"),
        Cell::Time(nanos) => match clock.unit {
            Some(unit) => epoch(out, nanos, unit),
            None => {
                out.extend_from_slice(b"\"");
                rfc3339(out, nanos, clock.zone.as_ref());
                out.extend_from_slice(b"\"");
            }
        },
        Cell::Integer(integer) => number::integer(out, integer),
        Cell::Unsigned(integer) => number::integer(out, integer),
        Cell::Boolean(true) => out.extend_from_slice(b"true"),
        Cell::Boolean(false) => out.extend_from_slice(b"false"),
        Cell::Text(text) => string(out, text),
    }
}

/// A string with Go's escapes: also of what would mean something in HTML, and of U+2028 and U+2029.
fn string(out: &mut BytesMut, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\"");
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let plain = byte >= 0x20 && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
        if plain || byte == 0xe2 && !matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9])) {
            continue;
        }
        out.extend_from_slice(bytes.get(start..at).unwrap_or_default());
        start = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0xe2 => {
                out.extend_from_slice(if bytes.get(at + 2) == Some(&0xa8) { b"\\u2028" } else { b"\\u2029" });
                start = at + 3;
            }
            _ => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(bytes.get(start..).unwrap_or_default());
    out.extend_from_slice(b"\"");
}
