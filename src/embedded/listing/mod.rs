//! What the store tells of itself: its buckets, partitions, numbers. Statements about points are the query engine's.

mod modules;
mod shards;

pub(super) use modules::Counters;

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};

use super::{Engine, Query, catalog::Bucket};
use crate::{
    access::{Access, Permission},
    error::{Error, Kind},
    influxql::{
        Statement, StatementKind,
        ast::{Show, ShowKind},
    },
    native::MEASUREMENT_COLUMN,
};

impl Engine {
    /// The answer to a statement about the store itself; `None` for all others. Blocks.
    pub(super) fn listing(&self, statement: &Statement, query: &Query) -> Option<Result<RecordBatch, Error>> {
        let StatementKind::Show(show) = &statement.kind else { return None };
        Some(match &show.kind {
            ShowKind::Databases => self.databases(&query.access),
            ShowKind::RetentionPolicies => self.retention_policies(show, query),
            ShowKind::Queries => all_access(query).and_then(|()| self.queries()),
            ShowKind::Shards => all_access(query).and_then(|()| shards::shards(self)),
            ShowKind::ShardGroups => all_access(query).and_then(|()| shards::shard_groups(self)),
            ShowKind::Stats(module) => all_access(query).and_then(|()| modules::batch(&modules::stats(self)?, module.as_deref())),
            ShowKind::Diagnostics(module) => {
                all_access(query).and_then(|()| modules::batch(&modules::diagnostics(self), module.as_deref()))
            }
            _ => return None,
        })
    }

    /// Statements that are running, this one among them.
    fn queries(&self) -> Result<RecordBatch, Error> {
        let rows = self.0.running.rows();
        let columns = vec![
            ("qid", integers(rows.iter().map(|row| i64::try_from(row.id).unwrap_or(i64::MAX)))),
            ("query", texts(rows.iter().map(|row| &*row.text))),
            ("database", texts(rows.iter().map(|row| &*row.database))),
            ("duration", texts(rows.iter().map(|row| row.duration.as_str()))),
            ("status", texts(rows.iter().map(|row| row.status))),
        ];
        named(texts(rows.iter().map(|_| "")), columns)
    }

    fn readable_buckets(&self, access: &Access) -> Vec<Arc<Bucket>> {
        let mut buckets = self.0.catalog.buckets();
        buckets.retain(|bucket| access.allows(&bucket.name, Permission::Read));
        buckets
    }

    /// As 3 Core gives them.
    fn databases(&self, access: &Access) -> Result<RecordBatch, Error> {
        let buckets = self.readable_buckets(access);
        let deleted: ArrayRef = Arc::new(BooleanArray::from(vec![false; buckets.len()]));
        let fields = vec![Field::new("iox::database", DataType::Utf8, false), Field::new("deleted", DataType::Boolean, false)];
        let names = texts(buckets.iter().map(|bucket| &*bucket.name));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![names, deleted]).map_err(Error::internal)
    }

    /// As 3 Core gives them.
    fn retention_policies(&self, show: &Show, query: &Query) -> Result<RecordBatch, Error> {
        let on = show.database.as_ref().map(|database| &*database.name).or(query.bucket.as_deref());
        let mut buckets = self.readable_buckets(&query.access);
        buckets.retain(|bucket| on.is_none_or(|on| &*bucket.name == on));
        let seconds = buckets.iter().map(|bucket| format!("{}s", bucket.retention.unwrap_or_default().as_secs()));
        let columns = vec![
            texts(buckets.iter().map(|bucket| &*bucket.name)),
            texts(buckets.iter().map(|_| "autogen")),
            texts(seconds.collect::<Vec<_>>().iter().map(String::as_str)),
        ];
        let fields = ["iox::database", "name", "duration"].map(|name| Field::new(name, DataType::Utf8, false));
        RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns).map_err(Error::internal)
    }
}

fn all_access(query: &Query) -> Result<(), Error> {
    match *query.access {
        Access::All => Ok(()),
        Access::Grants(_) => Err(Error::new(Kind::Forbidden, "not allowed to execute this statement: all-access is needed")),
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn integers(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

/// Columns that are never null, behind the name of their series.
fn named(names: ArrayRef, columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, Error> {
    let mut fields = vec![Field::new(MEASUREMENT_COLUMN, DataType::Utf8, false)];
    fields.extend(columns.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), false)));
    let columns = std::iter::once(names).chain(columns.into_iter().map(|(_, values)| values)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Error::internal)
}
