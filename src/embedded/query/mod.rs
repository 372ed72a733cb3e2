//! InfluxQL over [`Tables`](crate::embedded::Tables): a statement's tree is resolved against the schemas into a typed plan, which small
//! vectorized operators carry out, batch by batch.
//!
//! ```text
//!  tree ─▶ resolve ─▶ plan (ir) ─▶ rows: scan, WHERE, types ─▶ raw: merge series by time ──────────────────────┐
//!           time_range · condition · fields · functions    └▶ calls: fold windows ─▶ transform ─▶ fill ─▶ join ─▶ output
//! ```
//!
//! Its meaning is that of InfluxDB 1.6.7 (1.8 where they differ), asked about with recorded cases in `tests/cases/query`.
//! <https://docs.influxdata.com/influxdb/v1/query_language/>

mod aggregate;
mod calls;
mod condition;
mod context;
mod describe;
mod explain;
mod expr;
mod fields;
mod fill;
mod fold;
mod functions;
mod holt_winters;
mod ir;
mod math;
mod merge;
mod nelder_mead;
mod output;
mod pattern;
mod points;
mod raw;
mod resolve;
mod rows;
mod select;
mod show;
mod subquery;
mod technical;
mod time_range;
mod transform;
mod value;
mod window;

pub use context::{Context, FindTables, Limits, MemoryPool, Siblings};

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use self::{context::Budget, output::Output};
use crate::{
    error::{Error, Kind},
    influxql::{Statement, StatementKind, ast::Expr},
};

/// A statement, ready to run.
pub struct Plan<'a> {
    context: Context<'a>,
    schema: SchemaRef,
    kind: PlanKind,
}

enum PlanKind {
    Select(Box<ir::Select>),
    Show(Box<show::Plan>),
    Explain(Box<explain::Explain>),
}

/// Resolves a statement: which columns it gives is known afterwards, nothing has been read yet.
///
/// # Errors
/// For statements that make no sense, in 1.x's words, and for what isn't implemented ([`Kind::NotImplemented`]).
pub fn plan<'a>(statement: &Statement, context: &Context<'a>) -> Result<Plan<'a>, Error> {
    let (kind, schema) = match &statement.kind {
        StatementKind::Select(select) => {
            let select = Box::new(resolve::select(select, context)?);
            let schema = output::schema(&select);
            (PlanKind::Select(select), schema)
        }
        StatementKind::Show(show) => {
            let plan = Box::new(show::plan(show, context)?);
            let schema = plan.schema();
            (PlanKind::Show(plan), schema)
        }
        StatementKind::Explain(explain) => {
            let plan = Box::new(explain::plan(explain, context)?);
            let schema = plan.schema();
            (PlanKind::Explain(plan), schema)
        }
        _ => return Err(Error::new(Kind::NotImplemented, "not implemented: this kind of statement")),
    };
    Ok(Plan { context: *context, schema, kind })
}

/// What a condition on series says: the condition without its time range, and the bounds of that, both included.
///
/// # Errors
/// For times that make no sense, in 1.x's words.
pub(super) fn split_time(condition: &Expr, now: i64) -> Result<(Option<Expr>, [Option<i64>; 2]), Error> {
    let (rest, range) = time_range::split(condition, time_range::Clock { now, zone: None })?;
    Ok((rest, [range.min, range.max]))
}

/// Compiles a pattern that was written for Go.
///
/// # Errors
/// When it is none, or too large.
pub(super) fn compile_pattern(pattern: &str) -> Result<Arc<regex::Regex>, Error> {
    pattern::compile(pattern)
}

impl Plan<'_> {
    /// Columns of every batch, laid out as a v3 server lays out InfluxQL over Flight: [`MEASUREMENT_COLUMN`](crate::native::MEASUREMENT_COLUMN),
    /// the time, the tags of `GROUP BY`, the selected columns. With `tz()` the time's type names the zone. `SHOW` statements have no time.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Runs it, handing over the batches. Rows are sorted by measurement, group tags and time (all backwards with `ORDER BY time DESC`,
    /// as in 1.x). It blocks: for a thread that may.
    ///
    /// # Errors
    /// Those of the store and of `sink`, which end it; over the memory budget; cancelled.
    pub fn run(&self, sink: &mut dyn FnMut(RecordBatch) -> Result<(), Error>) -> Result<(), Error> {
        let budget = Budget::new(&self.context);
        match &self.kind {
            PlanKind::Show(plan) => plan.run(&self.schema, &budget, sink),
            PlanKind::Explain(plan) => plan.run(&self.schema, &budget, sink),
            PlanKind::Select(select) => {
                let mut output = Output::new(select, SchemaRef::clone(&self.schema), sink);
                select::run(select, &budget, &mut output)?;
                output.flush()
            }
        }
    }
}

impl std::fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("schema", &self.schema).finish_non_exhaustive()
    }
}
