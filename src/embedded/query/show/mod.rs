//! `SHOW` statements about what a database holds. Those about databases, policies and users are not the query engine's.
//!
//! 1.x answers some of them from an index that all retention policies of a database share, whatever `FROM` and `ON` say of a policy, others by
//! queries of one policy's shards. So do we: a database is a bucket and its [siblings](super::Context::siblings).

mod cardinality;
mod filter;
mod keys;
mod names;
mod points;
mod rows;
mod series;

use std::sync::Arc;

use arrow_schema::SchemaRef;

use self::{
    names::Names,
    rows::{Rows, numbers, schema},
};
use super::{
    condition,
    context::{Budget, Context},
    output::Sink,
    resolve,
    time_range::{self, Clock, TimeRange},
};
use crate::{
    embedded,
    error::{Error, Kind},
    influxql::ast::{self, Measurement, MeasurementName, Show, ShowKind},
};

/// A measurement in every bucket that has it.
type Tables = [(Arc<dyn embedded::Tables>, Arc<embedded::Schema>)];
/// Measurements by name.
type Found = resolve::Found;

/// A `SHOW` statement, ready to run.
pub(super) struct Plan {
    what: What,
    found: Found,
    /// Without its time.
    condition: Option<ast::Expr>,
    time: TimeRange,
    limit: usize,
    offset: usize,
}

enum What {
    Measurements(Names),
    TagKeys(keys::Tags),
    TagValues(keys::Tags),
    FieldKeys,
    /// From the index.
    Series(series::Fields),
    /// From points.
    SeriesWithTime {
        descending: bool,
    },
    Estimate {
        of_series: bool,
    },
    Count {
        of: cardinality::Of,
        dimensions: Vec<Box<str>>,
    },
}

/// Resolves a `SHOW` statement.
pub(super) fn plan(show: &Show, context: &Context<'_>) -> Result<Plan, Error> {
    if show.on_all.databases || show.on_all.retention_policies {
        return Err(Error::new(Kind::NotImplemented, "not implemented: SHOW … ON *"));
    }
    let bucket = match (&show.database, &show.retention_policy) {
        (Some(database), None) => database.name.clone(),
        (Some(database), Some(policy)) => format!("{}/{}", database.name, policy.name).into(),
        (None, _) => context.bucket.into(),
    };
    let context = Context { bucket: &bucket, ..*context };
    let names = || Names::new(&show.from, show.with_measurement.as_ref());
    let has_time = show.condition.as_ref().is_some_and(time_range::has_time);
    if matches!(show.kind, ShowKind::Measurements) {
        if has_time {
            return Err(Error::invalid("SHOW MEASUREMENTS doesn't support time in WHERE clause"));
        }
        let what = What::Measurements(names()?);
        return Ok(Plan::new(show, what, whole(&context)?, show.condition.clone(), TimeRange::default()));
    }
    let clock = Clock { now: context.now, zone: None };
    let (condition, time) = match &show.condition {
        Some(condition) => time_range::split(condition, clock)?,
        None => (None, TimeRange::default()),
    };
    let condition = condition.and_then(filter::reduce);
    // `FROM ""` says nothing, where points aren't read.
    let named: Vec<ast::Source> = show.from.iter().filter(|source| !is_nameless(source)).cloned().collect();
    let own = || if named.is_empty() { all(&[&bucket], &context) } else { resolve::find(&named, &context) };
    let fields = || match &condition {
        Some(_) => Ok(series::Fields::of(&*(context.tables)(&bucket)?)),
        None => Ok(series::Fields::default()),
    };
    let (what, found) = match &show.kind {
        ShowKind::TagKeys | ShowKind::TagValues => {
            let by_key = matches!(show.kind, ShowKind::TagValues);
            let pattern = keys::Pattern::new(show.with_key.as_ref())?;
            let tags = keys::Tags { names: names()?, pattern, by_key, condition: condition.clone(), fields: fields()?, time };
            (if by_key { What::TagValues(tags) } else { What::TagKeys(tags) }, whole(&context)?)
        }
        ShowKind::FieldKeys => (What::FieldKeys, own()?),
        ShowKind::Series if has_time => {
            (What::SeriesWithTime { descending: show.order_by.is_some_and(|order| order.descending) }, own()?)
        }
        ShowKind::Series => {
            (What::Series(fields()?), if named.is_empty() { whole(&context)? } else { widened(&named, &context)? })
        }
        kind => {
            let Some(of) = cardinality::Of::new(show)? else {
                return Err(Error::new(Kind::NotImplemented, "not implemented: this SHOW statement"));
            };
            if cardinality::is_estimate(show) {
                let of_series = matches!(kind, ShowKind::SeriesCardinality { .. });
                (What::Estimate { of_series }, whole(&context)?)
            } else {
                if let (true, Some(statement)) = (has_time, of.without_time()) {
                    return Err(Error::invalid(format!("{statement} doesn't support time in WHERE clause")));
                }
                let found = own()?;
                // The tags of a measurement are the database's.
                let mut index = found.clone();
                for (name, tables) in whole(&context)? {
                    index.entry(name).and_modify(|there| there.extend(tables));
                }
                let dimensions = cardinality::dimensions(&show.group_by, &index)?;
                (What::Count { of, dimensions }, found)
            }
        }
    };
    if matches!(what, What::Count { .. } | What::SeriesWithTime { .. }) && named.len() < show.from.len() {
        return Err(Error::invalid("invalid measurement"));
    }
    if let (What::Count { .. } | What::Series(_) | What::SeriesWithTime { .. }, Some(rest)) = (&what, &condition) {
        // Mistakes are told whether there are measurements or not.
        let mut names = condition::Names {
            field: &mut |_| None,
            mixed: &|_| None,
            elsewhere: &|_| false,
            tag: &|_| None,
            measurement: Some(""),
        };
        condition::bind(rest, &mut names)?;
    }
    Ok(Plan::new(show, what, found, condition, time))
}

/// `FROM ""`
fn is_nameless(source: &ast::Source) -> bool {
    matches!(source, ast::Source::Measurement(Measurement { name: MeasurementName::Name(name), .. }) if name.name.is_empty())
}

/// All measurements of these buckets.
fn all(buckets: &[&str], context: &Context<'_>) -> Result<Found, Error> {
    let mut found = Found::new();
    for bucket in buckets {
        let tables = (context.tables)(bucket)?;
        for name in tables.measurements() {
            if let Some(schema) = tables.schema(&name) {
                found.entry(name).or_default().push((Arc::clone(&tables), schema));
            }
        }
    }
    Ok(found)
}

/// All measurements of the database.
fn whole(context: &Context<'_>) -> Result<Found, Error> {
    let mut buckets = vec![context.bucket];
    buckets.extend(context.siblings_of(context.bucket));
    all(&buckets, context)
}

/// The measurements of `FROM`, in every bucket of their databases.
fn widened(from: &[ast::Source], context: &Context<'_>) -> Result<Found, Error> {
    let mut sources = Vec::new();
    for source in from {
        sources.push(source.clone());
        let ast::Source::Measurement(measurement) = source else { continue };
        let bucket = measurement.database.as_ref().map_or(context.bucket, |database| &database.name);
        for sibling in context.siblings_of(bucket) {
            let database = ast::Ident { name: sibling.into(), span: measurement.span };
            let measurement = Measurement { database: Some(database), retention_policy: None, ..measurement.clone() };
            sources.push(ast::Source::Measurement(measurement));
        }
    }
    // Said twice, it is still there once.
    let mut seen: Vec<(Option<Box<str>>, MeasurementName)> = Vec::new();
    sources.retain(|source| {
        let ast::Source::Measurement(measurement) = source else { return true };
        let bucket = measurement.database.as_ref().map(|database| database.name.clone());
        let this = (bucket, measurement.name.clone());
        let new = !seen.contains(&this);
        if new {
            seen.push(this);
        }
        new
    });
    resolve::find(&sources, context)
}

/// All series of a measurement, whatever their times.
fn all_series(tables: &dyn embedded::Tables, name: &str) -> Result<Vec<Arc<[Box<str>]>>, Error> {
    tables.series(name, i64::MIN..=i64::MAX)
}

impl Plan {
    fn new(show: &Show, what: What, found: Found, condition: Option<ast::Expr>, time: TimeRange) -> Self {
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            what,
            found,
            condition,
            time,
            limit: show.limits.limit.filter(|limit| *limit > 0).map_or(usize::MAX, size),
            offset: show.limits.offset.map_or(0, size),
        }
    }

    /// Columns of the result.
    pub(super) fn schema(&self) -> SchemaRef {
        match &self.what {
            What::Measurements(_) => schema::texts(&["name"]),
            What::TagKeys(_) => schema::texts(&["tagKey"]),
            What::TagValues(_) => schema::texts(&["key", "value"]),
            What::FieldKeys => schema::texts(&["fieldKey", "fieldType"]),
            What::Series(_) | What::SeriesWithTime { .. } => schema::texts(&["key"]),
            What::Estimate { .. } => schema::numbers(&[], "cardinality estimation"),
            What::Count { dimensions, .. } => schema::numbers(dimensions, "count"),
        }
    }

    pub(super) fn run(&self, schema: &SchemaRef, budget: &Budget<'_>, sink: Sink<'_>) -> Result<(), Error> {
        let mut rows = Rows::new(schema, sink);
        match &self.what {
            What::Measurements(names) => {
                let left = match &self.condition {
                    Some(condition) => Some(names::by_condition(condition, &self.found, budget)?),
                    None => None,
                };
                let wanted = |name: &&Arc<str>| names.holds(name) && left.as_ref().is_none_or(|left| left.contains(*name));
                for name in self.limited(self.found.keys().filter(wanted)) {
                    rows.push("measurements", &[name])?;
                }
            }
            What::TagKeys(tags) => tags.of(&self.found, budget, &mut |name, values| {
                self.limited(values.keys()).try_for_each(|key| rows.push(name, &[key]))
            })?,
            What::TagValues(tags) => tags.of(&self.found, budget, &mut |name, values| {
                let pairs = values.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
                self.limited(pairs).try_for_each(|(key, value)| rows.push(name, &[key, value]))
            })?,
            What::FieldKeys => {
                for (name, tables) in &self.found {
                    let keys = keys::field_keys(tables);
                    for (key, kind) in self.limited(keys.iter()) {
                        rows.push(name, &[key, kind])?;
                    }
                }
            }
            What::Series(fields) => {
                let keys = series::of_index(&self.found, self.condition.as_ref(), fields, budget)?;
                self.limited(keys.iter()).try_for_each(|key| rows.push("", &[key]))?;
            }
            What::SeriesWithTime { descending } => {
                let keys = series::of_points(&self.found, self.condition.as_ref(), self.time, *descending, budget)?;
                self.limited(keys.iter()).try_for_each(|key| rows.push("", &[key]))?;
            }
            What::Estimate { of_series } => {
                let count = cardinality::estimate(&self.found, *of_series, budget)?;
                return numbers(schema, &[((Box::default(), Vec::new()), count)], rows.into_sink());
            }
            What::Count { of, dimensions } => {
                // One row a series: an offset leaves none.
                let counts = if self.offset == 0 { cardinality::count(of, self, dimensions, budget)? } else { Vec::new() };
                return numbers(schema, &counts, rows.into_sink());
            }
        }
        rows.flush()
    }

    fn limited<T>(&self, items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        items.skip(self.offset).take(self.limit)
    }
}
