//! `SHOW` statements about what a bucket holds. Catalog statements (databases, policies, users) are not the query engine's.

mod cardinality;
mod keys;
mod series;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{
    condition,
    context::{Budget, Context},
    expr::Expr,
    output::Sink,
    resolve::{self, Found},
    time_range::{self, Clock},
    value::Scalar,
};
use crate::{
    embedded::{self, Tables},
    error::{Error, Kind},
    influxql::ast::{self, Show, ShowKind},
    native::MEASUREMENT_COLUMN,
};

/// Rows of a batch.
const BATCH: usize = 8192;

/// A `SHOW` statement, ready to run.
pub(super) struct Plan {
    what: What,
    found: Found,
    condition: Option<ast::Expr>,
    time: (i64, i64),
    limit: usize,
    offset: usize,
}

enum What {
    Measurements,
    TagKeys(keys::Pattern),
    TagValues(keys::Pattern),
    FieldKeys,
    Series,
    Cardinality(cardinality::Of),
}

/// Resolves a `SHOW` statement.
pub(super) fn plan(show: &Show, context: &Context<'_>) -> Result<Plan, Error> {
    let what = match &show.kind {
        ShowKind::Measurements => What::Measurements,
        ShowKind::TagKeys => What::TagKeys(keys::Pattern::new(show.with_key.as_ref())?),
        ShowKind::TagValues => What::TagValues(keys::Pattern::new(show.with_key.as_ref())?),
        ShowKind::FieldKeys => What::FieldKeys,
        ShowKind::Series => What::Series,
        kind => match cardinality::Of::new(kind, show)? {
            Some(of) => What::Cardinality(of),
            None => return Err(Error::new(Kind::NotImplemented, "not implemented: this SHOW statement")),
        },
    };
    if show.on_all.databases || show.on_all.retention_policies {
        return Err(Error::new(Kind::NotImplemented, "not implemented: SHOW … ON *"));
    }
    if !show.group_by.is_empty() {
        return Err(Error::new(Kind::NotImplemented, "not implemented: GROUP BY in a SHOW statement"));
    }
    let bucket = match (&show.database, &show.retention_policy) {
        (Some(database), None) => database.name.clone(),
        (Some(database), Some(policy)) => format!("{}/{}", database.name, policy.name).into(),
        (None, _) => context.bucket.into(),
    };
    let context = Context { bucket: &bucket, ..*context };
    let all;
    let from = match (&show.with_measurement, &show.from[..]) {
        (Some(measurement), _) => {
            all = [ast::Source::Measurement(measurement.clone())];
            &all[..]
        }
        (None, from) => from,
    };
    let mut found = Found::new();
    if from.is_empty() {
        let tables = (context.tables)(context.bucket)?;
        for name in tables.measurements() {
            if let Some(schema) = tables.schema(&name) {
                found.entry(name).or_default().push((Arc::clone(&tables), schema));
            }
        }
    } else {
        found = resolve::find(from, &context)?;
    }
    let clock = Clock { now: context.now, zone: None };
    let (condition, range) = match &show.condition {
        Some(condition) => time_range::split(condition, clock)?,
        None => (None, time_range::TimeRange::default()),
    };
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Ok(Plan {
        what,
        found,
        condition,
        time: (range.lower(), range.upper()),
        limit: show.limits.limit.filter(|limit| *limit > 0).map_or(usize::MAX, size),
        offset: show.limits.offset.map_or(0, size),
    })
}

impl Plan {
    /// Columns of the result.
    pub(super) fn schema(&self) -> SchemaRef {
        let columns: &[&str] = match &self.what {
            What::Measurements => &["name"],
            What::TagKeys(_) => &["tagKey"],
            What::TagValues(_) => &["key", "value"],
            What::FieldKeys => &["fieldKey", "fieldType"],
            What::Series => &["key"],
            What::Cardinality(of) => return table_schema(&[of.column()], &DataType::Int64),
        };
        table_schema(columns, &DataType::Utf8)
    }

    pub(super) fn run(&self, schema: &SchemaRef, budget: &Budget<'_>, sink: Sink<'_>) -> Result<(), Error> {
        let mut rows = Rows { schema, sink, measurement: Vec::new(), columns: Vec::new() };
        match &self.what {
            What::Measurements => {
                let mut names = Vec::new();
                for (name, tables) in &self.found {
                    budget.check()?;
                    if self.condition.is_none() || self.any_series(name, tables)? {
                        names.push(name);
                    }
                }
                for name in self.limited(names.into_iter()) {
                    rows.push("measurements", &[name])?;
                }
            }
            What::TagKeys(pattern) => {
                for (name, tables) in &self.found {
                    let keys = keys::tag_keys(self, name, tables, pattern, budget)?;
                    for key in self.limited(keys.iter()) {
                        rows.push(name, &[key])?;
                    }
                }
            }
            What::TagValues(pattern) => {
                for (name, tables) in &self.found {
                    let values = keys::tag_values(self, name, tables, pattern, budget)?;
                    for (key, value) in self.limited(values.iter()) {
                        rows.push(name, &[key, value])?;
                    }
                }
            }
            What::FieldKeys => {
                for (name, tables) in &self.found {
                    let keys = keys::field_keys(tables);
                    for (key, kind) in self.limited(keys.iter()) {
                        rows.push(name, &[key, kind])?;
                    }
                }
            }
            What::Series => {
                let keys = series::keys(self, budget)?;
                for key in self.limited(keys.iter()) {
                    rows.push("", &[key])?;
                }
            }
            What::Cardinality(of) => return of.run(self, schema, budget, rows.sink),
        }
        rows.flush()
    }

    fn limited<T>(&self, items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        items.skip(self.offset).take(self.limit)
    }

    fn any_series(&self, name: &str, tables: &[(Arc<dyn Tables>, Arc<embedded::Schema>)]) -> Result<bool, Error> {
        let mut any = false;
        self.each_series(name, tables, &mut |_, _| any = true)?;
        Ok(any)
    }

    /// Calls `each` with the schema and the tags of every series that the condition and the time range leave.
    fn each_series(
        &self,
        name: &str,
        tables: &[(Arc<dyn Tables>, Arc<embedded::Schema>)],
        each: &mut dyn FnMut(&embedded::Schema, &[Box<str>]),
    ) -> Result<(), Error> {
        for (tables, schema) in tables {
            let condition: Option<Expr> = match &self.condition {
                Some(condition) => {
                    let tag = |name: &str| schema.tags.iter().position(|tag| **tag == *name);
                    Some(
                        condition::bind(
                            condition,
                            &mut condition::Names { field: &mut |_| None, tag: &tag, measurement: Some(name) },
                        )?
                        .place_tags(0),
                    )
                }
                None => None,
            };
            for tags in tables.series(name, self.time.0..=self.time.1)? {
                let holds = condition.as_ref().is_none_or(|condition| {
                    condition.bind(&|slot| Some(Scalar::String((*tags[slot]).into()))).truth() == Some(true)
                });
                if holds {
                    each(schema, &tags);
                }
            }
        }
        Ok(())
    }
}

fn table_schema(columns: &[&str], kind: &DataType) -> SchemaRef {
    let mut fields = vec![Field::new(MEASUREMENT_COLUMN, DataType::Utf8, false)];
    fields.extend(columns.iter().map(|name| Field::new(*name, kind.clone(), false)));
    Arc::new(Schema::new(fields))
}

/// Collects rows of texts.
struct Rows<'a> {
    schema: &'a SchemaRef,
    sink: Sink<'a>,
    measurement: Vec<Box<str>>,
    columns: Vec<Vec<Box<str>>>,
}

impl Rows<'_> {
    fn push(&mut self, measurement: &str, values: &[&str]) -> Result<(), Error> {
        self.columns.resize_with(values.len(), Vec::new);
        self.measurement.push(measurement.into());
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push((*value).into());
        }
        if self.measurement.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.measurement.is_empty() {
            return Ok(());
        }
        let texts = |values: &mut Vec<Box<str>>| -> ArrayRef { Arc::new(StringArray::from_iter_values(values.drain(..))) };
        let mut columns = vec![texts(&mut self.measurement)];
        columns.extend(self.columns.iter_mut().map(texts));
        (self.sink)(RecordBatch::try_new(SchemaRef::clone(self.schema), columns).map_err(Error::internal)?)
    }
}

/// One number a row, with the measurement it belongs to (or none).
fn numbers(schema: &SchemaRef, rows: &[(Box<str>, i64)], sink: Sink<'_>) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(name, _)| name)));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, number)| *number)));
    sink(RecordBatch::try_new(SchemaRef::clone(schema), vec![names, numbers]).map_err(Error::internal)?)
}
