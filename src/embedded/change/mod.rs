//! Statements that change something.
//!
//! They come as any other query does, since the native API has no calls for most of them: whoever may run them has been asked before, and is
//! asked here once more.

mod into;
mod policy;
mod running;
mod series;

pub(super) use running::{Running, Ticket};

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};

use super::{Engine, Query};
use crate::{
    access::{Access, Permission},
    error::{Error, Kind},
    influxql::{Statement, StatementKind},
    native::MEASUREMENT_COLUMN,
};

impl Engine {
    /// Runs a statement that changes something; `None` when it is no such statement.
    pub(super) async fn change(&self, statement: &Statement, query: &Query) -> Result<Option<RecordBatch>, Error> {
        match &statement.kind {
            StatementKind::Delete(selection) => self.delete(selection, true, query).await?,
            StatementKind::DropSeries(selection) => self.delete(selection, false, query).await?,
            StatementKind::DropMeasurement(name) => self.drop_measurement(&name.name, query).await?,
            StatementKind::KillQuery(kill) => self.kill(kill.id, query)?,
            StatementKind::Select(select) if select.into.is_some() => return self.select_into(select, query).await.map(Some),
            kind if self.manage(kind, query).await? => {}
            _ => return Ok(None),
        }
        Ok(Some(nothing()))
    }

    /// The number of the bucket that a statement is about, if the caller may write to it.
    fn writable(&self, query: &Query) -> Result<u64, Error> {
        let name = query.bucket.as_deref().ok_or_else(|| Error::invalid("database name required"))?;
        if !query.access.allows(name, Permission::Write) {
            return Err(Error::new(Kind::Forbidden, format!("not allowed to write to \"{name}\"")));
        }
        let bucket = self.0.catalog.bucket(name);
        Ok(bucket.ok_or_else(|| Error::new(Kind::NotFound, format!("database not found: \"{name}\"")))?.id)
    }
}

/// Lets pass who may do everything.
fn manager(query: &Query) -> Result<(), Error> {
    match *query.access {
        Access::All => Ok(()),
        Access::Grants(_) => Err(Error::new(Kind::Forbidden, "managing databases needs an all-access token")),
    }
}

/// The answer of a statement that has none.
fn nothing() -> RecordBatch {
    RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new(MEASUREMENT_COLUMN, DataType::Utf8, false)])))
}
