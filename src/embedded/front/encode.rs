//! Batches as 3 Core gives them: JSON, JSON lines, CSV, a table for people; and as an Arrow stream.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;

use super::text::{Columns, csv_text, json_text};
use crate::{
    error::Error,
    native::{ARROW_STREAM, FORMAT_ARROW},
};

/// `format`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Json,
    Jsonl,
    Csv,
    Pretty,
    Arrow,
}

impl Format {
    /// By name; JSON when nothing is said.
    pub(super) fn of(name: Option<&str>) -> Result<Self, Error> {
        Ok(match name {
            None | Some("" | "json") => Self::Json,
            Some("jsonl" | "json_lines") => Self::Jsonl,
            Some("csv") => Self::Csv,
            Some("pretty") => Self::Pretty,
            Some(FORMAT_ARROW) => Self::Arrow,
            Some(other) => {
                return Err(Error::invalid(format!(
                    "unknown format {other:?}, expected one of \"json\", \"jsonl\", \"csv\", \"pretty\", \"arrow\""
                )));
            }
        })
    }

    /// The name of the format with this media type.
    pub(super) fn of_media_type(media_type: &str) -> Option<&'static str> {
        Some(match media_type {
            "application/json" => "json",
            "application/jsonl" | "application/x-ndjson" => "jsonl",
            "text/csv" => "csv",
            "text/plain" => "pretty",
            ARROW_STREAM => FORMAT_ARROW,
            _ => return None,
        })
    }

    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Jsonl => "application/jsonl",
            Self::Csv => "text/csv",
            Self::Pretty => "text/plain; charset=utf-8",
            Self::Arrow => ARROW_STREAM,
        }
    }
}

/// Writes batches, one after the other.
pub(super) struct Encoder {
    format: Format,
    schema: SchemaRef,
    started: bool,
    arrow: Option<StreamWriter<Vec<u8>>>,
}

impl Encoder {
    pub(super) fn new(format: Format, schema: &SchemaRef) -> Result<Self, Error> {
        let arrow = match format {
            Format::Arrow => Some(StreamWriter::try_new(Vec::new(), schema).map_err(Error::internal)?),
            _ => None,
        };
        Ok(Self { format, schema: SchemaRef::clone(schema), started: false, arrow })
    }

    /// A batch, with what comes before it.
    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<Bytes, Error> {
        let mut out = Vec::with_capacity(batch.num_rows() * 16 * batch.num_columns().max(1));
        if let Some(arrow) = &mut self.arrow {
            arrow.write(batch).map_err(Error::internal)?;
            return Ok(std::mem::take(arrow.get_mut()).into());
        }
        let columns = Columns::of(batch)?;
        for row in 0..batch.num_rows() {
            match self.format {
                Format::Json => {
                    out.push(if self.started { b',' } else { b'[' });
                    json_row(&mut out, &columns, row);
                }
                Format::Jsonl => {
                    json_row(&mut out, &columns, row);
                    out.push(b'\n');
                }
                Format::Csv => {
                    if !self.started {
                        csv_line(&mut out, names(&self.schema));
                    }
                    csv_line(&mut out, columns.iter().map(|column| column.text(row).unwrap_or_default()));
                }
                Format::Pretty | Format::Arrow => {
                    if !self.started {
                        table_line(&mut out, names(&self.schema));
                        table_line(&mut out, self.schema.fields().iter().map(|field| "-".repeat(field.name().len())));
                    }
                    table_line(&mut out, columns.iter().map(|column| column.text(row).unwrap_or_default()));
                }
            }
            self.started = true;
        }
        Ok(out.into())
    }

    /// What comes after the last batch.
    pub(super) fn finish(&mut self) -> Result<Bytes, Error> {
        if let Some(arrow) = &mut self.arrow {
            arrow.finish().map_err(Error::internal)?;
            return Ok(std::mem::take(arrow.get_mut()).into());
        }
        Ok(Bytes::from_static(match (self.format, self.started) {
            (Format::Json, true) => b"]",
            (Format::Json, false) => b"[]",
            _ => b"",
        }))
    }
}

/// Nulls are left out.
fn json_row(out: &mut Vec<u8>, columns: &Columns<'_>, row: usize) {
    let mut first = true;
    out.push(b'{');
    for column in columns.iter() {
        let start = out.len();
        if !first {
            out.push(b',');
        }
        json_text(out, column.name());
        out.push(b':');
        if column.json(row, out) {
            first = false;
        } else {
            out.truncate(start);
        }
    }
    out.push(b'}');
}

fn names(schema: &Schema) -> impl Iterator<Item = String> {
    schema.fields().iter().map(|field| field.name().clone())
}

fn csv_line(out: &mut Vec<u8>, cells: impl Iterator<Item = String>) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        csv_text(out, &cell);
    }
    out.push(b'\n');
}

fn table_line(out: &mut Vec<u8>, cells: impl Iterator<Item = String>) {
    // Rows stream by, so that the widest cell isn't known: a fixed width keeps short ones below each other.
    for cell in cells {
        let _ = write!(out, "| {:<20} ", cell.replace(['\n', '\r'], " "));
    }
    out.extend_from_slice(b"|\n");
}
