//! `SHOW SERIES`

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Found, all_series,
    filter::{self, Filter},
    keys::value_of,
    points::{self, Points},
};
use crate::{
    embedded::{
        Tables,
        query::{context::Budget, time_range::TimeRange},
    },
    error::Error,
    influxql::ast::{Cast, Expr},
};

/// Names that 1.x gives its table of all series: conditions on them are not looked at.
const COLUMNS: [&str; 4] = ["key", "_seriesKey", "_tagKey", "_tagValue"];

/// A series, as it is sorted: by measurement, then by its tags.
type Series = (Box<str>, Vec<(Box<str>, Box<str>)>);

/// The fields of measurements, as far as 1.x's index knows them: those of the last partition. Comparisons of them leave all series.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<Arc<str>, Vec<Box<str>>>);

impl Fields {
    pub(super) fn of(tables: &dyn Tables) -> Self {
        let partitions = tables.measurements().into_iter().map(|name| (tables.partitions(&name).pop(), name));
        let last: Vec<_> = partitions.filter_map(|(last, name)| Some((last?, name))).collect();
        let start = last.iter().map(|(partition, _)| partition.start).max();
        let last = last.into_iter().filter(|(partition, _)| Some(partition.start) == start);
        Self(last.map(|(partition, name)| (name, partition.fields)).collect())
    }

    /// Whether a name in a condition is that of a field.
    pub(super) fn may_be(&self, measurement: &str, name: &str, cast: Option<Cast>) -> bool {
        match cast {
            None | Some(Cast::Field) => self.0.get(measurement).is_some_and(|fields| fields.iter().any(|field| **field == *name)),
            Some(Cast::Tag) => false,
            Some(_) => true,
        }
    }
}

/// The keys of all series that a condition leaves, as line protocol writes them, sorted by their parts.
pub(super) fn of_index(
    found: &Found,
    condition: Option<&Expr>,
    fields: &Fields,
    budget: &Budget<'_>,
) -> Result<Vec<Box<str>>, Error> {
    condition.map_or(Ok(()), filter::check_operators)?;
    let mut all: BTreeSet<Series> = BTreeSet::new();
    for (name, tables) in found {
        budget.check()?;
        let mut bytes = 0;
        let unknown = |key: &str, cast: Option<Cast>| COLUMNS.contains(&key) || fields.may_be(name, key, cast);
        let filter = condition.map_or(Ok(Filter::All), |condition| Filter::new(condition, &unknown))?;
        for (tables, schema) in tables {
            for tags in all_series(&**tables, name)? {
                if filter.holds(name, &value_of(schema, &tags)) {
                    let pairs = schema.tags.iter().zip(&*tags).filter(|(_, value)| !value.is_empty());
                    let pairs: Vec<_> = pairs.map(|(key, value)| (key.clone(), value.clone())).collect();
                    bytes += name.len() + 64 + pairs.iter().map(|(key, value)| key.len() + value.len() + 32).sum::<usize>();
                    all.insert(((**name).into(), pairs));
                }
            }
        }
        budget.take(bytes)?;
    }
    Ok(all.iter().map(|(name, tags)| key(name, tags.iter().map(|(key, value)| (&**key, &**value))).into()).collect())
}

/// The keys of series in the partitions that a time range touches, sorted as texts.
pub(super) fn of_points(
    found: &Found,
    condition: Option<&Expr>,
    time: TimeRange,
    descending: bool,
    budget: &Budget<'_>,
) -> Result<Vec<Box<str>>, Error> {
    // 1.x makes a point of each series, at time 0, and reads points in the query's direction until they are outside of the range.
    if if descending { time.lower() > 0 } else { time.upper() < 0 } {
        return Ok(Vec::new());
    }
    let fields = points::fields(found);
    let mut all = BTreeSet::new();
    for (name, tables) in found {
        let mut bytes = 0;
        for (tables, schema) in tables {
            budget.check()?;
            Points { tables: &**tables, schema, name, fields: &fields, time }.each(condition, &mut |series| {
                let pairs = schema.tags.iter().zip(series.tags).filter(|(_, value)| !value.is_empty());
                let key = key(name, pairs.map(|(key, value)| (&**key, &**value)));
                bytes += key.len() + 48;
                all.insert(Box::from(key));
                Ok(())
            })?;
        }
        budget.take(bytes)?;
    }
    Ok(all.into_iter().collect())
}

fn key<'a>(name: &str, tags: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut key = escape(name, &[',', ' ']);
    for (tag, value) in tags {
        key.push(',');
        key.push_str(&escape(tag, &[',', '=', ' ']));
        key.push('=');
        key.push_str(&escape(value, &[',', '=', ' ']));
    }
    key
}

fn escape(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
