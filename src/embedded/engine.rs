//! The store itself: `open`, `write`, `query`, `close`.

use std::{pin::Pin, sync::Arc, time::Duration};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;

use crate::{
    access::Access,
    config, dbrp,
    error::{Error, Kind},
    influxql::Params,
    types::Precision,
};

/// The store. Clones share it.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    _limits: config::Limits,
}

/// The unit of the timestamps of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// This one.
    Given(Precision),
    /// v3's `auto`: told by the timestamps' size.
    Auto,
}

/// A write.
#[derive(Clone, Debug)]
pub struct Write {
    /// The bucket's name.
    pub bucket: Box<str>,
    /// Line protocol, not compressed.
    pub body: Bytes,
    /// The unit of its timestamps.
    pub unit: Unit,
    /// Whether good lines are kept when others are bad.
    pub accept_partial: bool,
}

/// How a write ended, unless it failed as a whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Everything is on disk.
    Written,
    /// Some or all lines were refused; the others are on disk.
    Rejected(Rejected),
}

/// What was refused of a write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejected {
    /// 1.x's phrase: `partial write: … dropped=1`, `unable to parse '…': …`.
    pub error: String,
    /// The lines.
    pub lines: Vec<RejectedLine>,
    /// Whether other lines were kept.
    pub partial: bool,
}

/// A line that was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RejectedLine {
    /// Why.
    pub reason: String,
    /// Its number, from 1.
    pub number: usize,
    /// Its beginning.
    pub line: String,
}

/// One statement.
#[derive(Clone, Debug)]
pub struct Query {
    /// The bucket's name, where the statement names none.
    pub bucket: Option<Box<str>>,
    /// The statement.
    pub q: Box<str>,
    /// Bind parameters.
    pub params: Params,
    /// What the caller may read.
    pub access: Arc<Access>,
    /// How long it may take.
    pub timeout: Duration,
    /// Bytes that it may hold.
    pub memory: usize,
}

/// The answer to a statement. Dropping it cancels the statement.
pub struct Reply {
    /// Columns, laid out as a v3 server does over Flight.
    pub schema: SchemaRef,
    /// Rows.
    pub batches: Pin<Box<dyn futures_core::Stream<Item = Result<RecordBatch, Error>> + Send>>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens `config.data_dir`, makes it when it isn't there, and replays the log. Needs a tokio runtime.
    ///
    /// # Errors
    /// When another process has it open, or something in it is corrupt; the message says which file and what to do.
    pub async fn open(_config: &config::Embedded, limits: config::Limits) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner { _limits: limits })))
    }

    /// Writes points; returns when they are on disk.
    ///
    /// # Errors
    /// `NotFound` for a bucket that isn't there, `Unavailable` when the log or memory can't take more.
    pub async fn write(&self, _write: Write) -> Result<Outcome, Error> {
        Err(Error::new(Kind::NotImplemented, "not written yet"))
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// When it can't be parsed, planned or started; later ones come through the stream.
    pub async fn query(&self, _query: Query) -> Result<Reply, Error> {
        Err(Error::new(Kind::NotImplemented, "not written yet"))
    }

    /// Buckets and mappings, for the resolver of `db` and `rp`.
    #[must_use]
    pub fn catalog(&self) -> Arc<dyn dbrp::Catalog> {
        unimplemented!("lands with the catalog")
    }

    /// Ends it: what is waiting is written, later writes are refused. Dropping it without is as safe as a crash.
    pub async fn close(&self) {}
}
