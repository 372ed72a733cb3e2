//! `SHOW SERIES`

use std::collections::BTreeSet;

use super::{
    Found, all_series,
    filter::{self, Filter},
    keys::value_of,
    points::{self, Points},
};
use crate::{
    embedded::query::{context::Budget, time_range::TimeRange},
    error::Error,
    influxql::ast::Expr,
};

/// Names that 1.x gives its table of all series: conditions on them are not looked at.
const COLUMNS: [&str; 4] = ["key", "_seriesKey", "_tagKey", "_tagValue"];

/// A series, as it is sorted: by measurement, then by its tags.
type Series = (Box<str>, Vec<(Box<str>, Box<str>)>);

/// The keys of all series that a condition leaves, as line protocol writes them, sorted by their parts.
pub(super) fn of_index(found: &Found, condition: Option<&Expr>, budget: &Budget<'_>) -> Result<Vec<Box<str>>, Error> {
    let filter = match condition {
        Some(condition) => {
            filter::check_operators(condition)?;
            Filter::new(condition, &|name, _| COLUMNS.contains(&name))?
        }
        None => Filter::All,
    };
    let mut all: BTreeSet<Series> = BTreeSet::new();
    for (name, tables) in found {
        budget.check()?;
        let mut bytes = 0;
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
