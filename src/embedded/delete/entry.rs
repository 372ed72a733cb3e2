//! Entries of the log: points, deletes, dropped measurements.

use std::sync::Arc;

use regex::Regex;

use super::{Predicate, Tombstone};
use crate::embedded::{
    batch::{self, Batch, Input, put, unzigzag, zigzag},
    query,
};

/// The frame kind of an encoded [`Delete`].
const DELETE: u8 = 2;
/// The frame kind of an encoded [`Forget`].
const FORGET: u8 = 3;

/// What a frame of the log says.
#[derive(Debug)]
pub(in crate::embedded) enum Entry {
    /// Points are written.
    Points(Batch),
    /// Points are deleted.
    Delete(Delete),
    /// A measurement is dropped: its points and what is known of its fields.
    Forget(Forget),
}

/// Deletes points of a bucket.
#[derive(Debug)]
pub(in crate::embedded) struct Delete {
    /// The bucket's number.
    pub(in crate::embedded) bucket: u64,
    /// The measurements; none: all.
    pub(in crate::embedded) tables: Vec<TableName>,
    pub(in crate::embedded) tombstone: Arc<Tombstone>,
}

/// Drops a measurement.
#[derive(Debug)]
pub(in crate::embedded) struct Forget {
    /// The bucket's number.
    pub(in crate::embedded) bucket: u64,
    pub(in crate::embedded) table: Box<str>,
}

/// How a measurement is named.
#[derive(Clone, Debug)]
pub(in crate::embedded) enum TableName {
    Name(Box<str>),
    Pattern(Box<str>, Arc<Regex>),
}

impl TableName {
    fn is(&self, table: &str) -> bool {
        match self {
            Self::Name(name) => &**name == table,
            Self::Pattern(_, regex) => regex.is_match(table),
        }
    }
}

impl Delete {
    /// Whether a measurement is meant.
    pub(in crate::embedded) fn names(&self, table: &str) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|name| name.is(table))
    }
}

impl Entry {
    /// Appends its payload and says its frame kind.
    pub(in crate::embedded) fn encode(&self, out: &mut Vec<u8>) -> u8 {
        let text = |out: &mut Vec<u8>, text: &str| {
            put(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        };
        match self {
            Self::Points(batch) => {
                batch.encode(out);
                batch::KIND
            }
            Self::Delete(delete) => {
                put(out, delete.bucket);
                put(out, delete.tables.len() as u64);
                for name in &delete.tables {
                    let (tag, name) = match name {
                        TableName::Name(name) => (0, name),
                        TableName::Pattern(pattern, _) => (1, pattern),
                    };
                    out.push(tag);
                    text(out, name);
                }
                put(out, zigzag(*delete.tombstone.time.start()));
                put(out, zigzag(*delete.tombstone.time.end()));
                match &delete.tombstone.series {
                    None => out.push(0),
                    Some(series) => {
                        out.push(1);
                        series.encode(out);
                    }
                }
                DELETE
            }
            Self::Forget(forget) => {
                put(out, forget.bucket);
                text(out, &forget.table);
                FORGET
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Why that isn't what it is.
    pub(in crate::embedded) fn decode(kind: u8, payload: &[u8]) -> Result<Self, String> {
        let entry = match kind {
            batch::KIND => Batch::decode(payload).map(Self::Points),
            DELETE => decode_delete(payload).map(Self::Delete),
            FORGET => decode_forget(payload).map(Self::Forget),
            other => return Err(format!("frame kind {other} is not known")),
        };
        entry.ok_or_else(|| "its contents make no sense, though the checksum is right".to_owned())
    }

    /// The bucket that it is about.
    pub(in crate::embedded) const fn bucket(&self) -> u64 {
        match self {
            Self::Points(batch) => batch.bucket,
            Self::Delete(delete) => delete.bucket,
            Self::Forget(forget) => forget.bucket,
        }
    }
}

fn decode_delete(payload: &[u8]) -> Option<Delete> {
    let mut input = Input(payload);
    let bucket = input.varint()?;
    let mut tables = Vec::new();
    for _ in 0..input.count()? {
        tables.push(match (input.byte()?, input.text()?) {
            (0, name) => TableName::Name(name.into()),
            (1, pattern) => TableName::Pattern(pattern.into(), query::compile_pattern(pattern).ok()?),
            _ => return None,
        });
    }
    let time = unzigzag(input.varint()?)..=unzigzag(input.varint()?);
    let series = match input.byte()? {
        0 => None,
        1 => Some(Predicate::decode(&mut input)?),
        _ => return None,
    };
    input.0.is_empty().then(|| Delete { bucket, tables, tombstone: Arc::new(Tombstone { time, series }) })
}

fn decode_forget(payload: &[u8]) -> Option<Forget> {
    let mut input = Input(payload);
    let forget = Forget { bucket: input.varint()?, table: input.text()?.into() };
    input.0.is_empty().then_some(forget)
}
