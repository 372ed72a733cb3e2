//! InfluxQL over [`Tables`](crate::embedded::Tables): a statement's tree is resolved against the schemas into a typed plan, which small
//! vectorized operators carry out, batch by batch.

mod context;
mod value;

pub use context::{Context, Limits, MemoryPool};

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};

use crate::{error::Error, error::Kind, influxql::Statement};

/// A statement, ready to run.
pub struct Plan<'a> {
    context: Context<'a>,
    schema: SchemaRef,
}

/// Resolves a statement: which columns it gives is known afterwards, nothing has been read yet.
///
/// # Errors
/// For statements that make no sense, in 1.x's words, and for what isn't implemented ([`Kind::NotImplemented`]).
pub fn plan<'a>(_statement: &Statement, context: &Context<'a>) -> Result<Plan<'a>, Error> {
    let _ = Plan { context: *context, schema: Schema::empty().into() };
    Err(Error::new(Kind::NotImplemented, "not implemented: queries"))
}

impl Plan<'_> {
    /// Columns of every batch, laid out as a v3 server lays out InfluxQL over Flight: [`MEASUREMENT_COLUMN`](crate::native::MEASUREMENT_COLUMN),
    /// the time, the tags of `GROUP BY`, the selected columns. With `tz()` the time's type names the zone. `SHOW` statements have no time.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Runs it, handing over the batches. Rows are sorted by measurement, group tags and time (all backwards with `ORDER BY time DESC`, as in 1.x).
    /// It blocks: for a thread that may.
    ///
    /// # Errors
    /// Those of the store and of `sink`, which end it; over the memory budget; cancelled.
    pub fn run(&self, _sink: &mut dyn FnMut(RecordBatch) -> Result<(), Error>) -> Result<(), Error> {
        let _ = self.context;
        Ok(())
    }
}

impl std::fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("schema", &self.schema).finish_non_exhaustive()
    }
}
