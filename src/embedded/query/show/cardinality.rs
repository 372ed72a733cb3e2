//! How many there are. Estimates are exact here: nothing is saved by guessing.
//!
//! Without `FROM` and `WHERE`, the numbers of series and measurements are those of the database. All others are counted as 1.x counts them,
//! by a query of a system column of the measurements of one retention policy.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Found, Plan, all_series, filter,
    keys::{Pattern, value_of},
    points::{self, Points},
    rows::Group,
};
use crate::{
    embedded::{
        Schema,
        query::{context::Budget, pattern},
    },
    error::{Error, Kind},
    influxql::ast::{Dimension, Show, ShowKind},
};

/// What is counted.
pub(super) enum Of {
    Measurements,
    Series,
    TagKeys,
    TagValues(Pattern),
    FieldKeys,
}

impl Of {
    /// `None` for a statement that counts nothing.
    pub(super) fn new(show: &Show) -> Result<Option<Self>, Error> {
        Ok(Some(match &show.kind {
            ShowKind::MeasurementCardinality { .. } => Self::Measurements,
            ShowKind::SeriesCardinality { .. } => Self::Series,
            ShowKind::TagKeyCardinality { .. } => Self::TagKeys,
            ShowKind::TagValuesCardinality { .. } => Self::TagValues(Pattern::new(show.with_key.as_ref())?),
            ShowKind::FieldKeyCardinality { .. } => Self::FieldKeys,
            _ => return Ok(None),
        }))
    }

    /// What its statement is called when it says that it takes no time; `None` when it takes one.
    pub(super) const fn without_time(&self) -> Option<&'static str> {
        match self {
            Self::Measurements => Some("SHOW MEASUREMENT EXACT CARDINALITY"),
            Self::Series => Some("SHOW SERIES EXACT CARDINALITY"),
            Self::TagKeys => Some("SHOW TAG KEY EXACT CARDINALITY"),
            Self::TagValues(_) => None,
            Self::FieldKeys => Some("SHOW FIELD KEY CARDINALITY"),
        }
    }
}

/// Whether it is the estimate of a whole database.
pub(super) fn is_estimate(show: &Show) -> bool {
    matches!(show.kind, ShowKind::MeasurementCardinality { exact: false } | ShowKind::SeriesCardinality { exact: false })
        && show.from.is_empty()
        && show.condition.is_none()
        && show.group_by.is_empty()
        && show.limits.limit.is_none()
        && show.limits.offset.is_none()
}

/// The number of measurements or series of a database.
pub(super) fn estimate(found: &Found, of_series: bool, budget: &Budget<'_>) -> Result<usize, Error> {
    if !of_series {
        return Ok(found.len());
    }
    let mut count = 0;
    for (name, tables) in found {
        budget.check()?;
        if let [(tables, _)] = &tables[..] {
            count += all_series(&**tables, name)?.len();
            continue;
        }
        let mut all: BTreeSet<Vec<(Box<str>, Box<str>)>> = BTreeSet::new();
        for (tables, schema) in tables {
            all.extend(all_series(&**tables, name)?.iter().map(|tags| pairs(schema, tags)));
        }
        count += all.len();
    }
    Ok(count)
}

fn pairs(schema: &Schema, tags: &[Box<str>]) -> Vec<(Box<str>, Box<str>)> {
    schema.tags.iter().zip(tags).filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The tags of `GROUP BY`, sorted.
pub(super) fn dimensions(group_by: &[Dimension], found: &Found) -> Result<Vec<Box<str>>, Error> {
    let all = || found.values().flatten().flat_map(|(_, schema)| schema.tags.iter().cloned());
    let mut names = BTreeSet::new();
    for dimension in group_by {
        match dimension {
            Dimension::Time { .. } => {
                return Err(Error::new(Kind::NotImplemented, "not implemented: GROUP BY time in a SHOW statement"));
            }
            Dimension::Tag(tag) => {
                names.insert(tag.name.clone());
            }
            Dimension::Wildcard(_) => names.extend(all()),
            Dimension::Regex(regex) => {
                let regex = pattern::compile(&regex.pattern)?;
                names.extend(all().filter(|tag| regex.is_match(tag)));
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// Counts, by measurement and group.
pub(super) fn count(of: &Of, plan: &Plan, dimensions: &[Box<str>], budget: &Budget<'_>) -> Result<Vec<(Group, usize)>, Error> {
    // At time 0 each, see `Points`; and 1.x looks whether that is in the range.
    if !(plan.time.lower()..=plan.time.upper()).contains(&0) {
        return Ok(Vec::new());
    }
    let fields = points::fields(&plan.found);
    let mut groups: BTreeMap<Group, BTreeSet<Box<[Box<str>]>>> = BTreeMap::new();
    for (name, tables) in &plan.found {
        for (tables, schema) in tables {
            budget.check()?;
            let bytes = add(of, plan, dimensions, &fields, (name, &**tables, schema), &mut groups)?;
            budget.take(bytes)?;
        }
    }
    Ok(groups.into_iter().map(|(group, members)| (group, members.len())).collect())
}

fn add(
    of: &Of,
    plan: &Plan,
    dimensions: &[Box<str>],
    fields: &BTreeSet<Box<str>>,
    (name, tables, schema): (&Arc<str>, &dyn crate::embedded::Tables, &Schema),
    groups: &mut BTreeMap<Group, BTreeSet<Box<[Box<str>]>>>,
) -> Result<usize, Error> {
    let mut bytes = 0;
    let points = Points { tables, schema, name, fields, time: plan.time };
    // The condition on values is each value's.
    let condition = plan.condition.as_ref();
    let (of_series, of_tags) = if matches!(of, Of::TagValues(_)) { (None, condition) } else { (condition, None) };
    points.each(of_series, &mut |series| {
        let value = value_of(schema, series.tags);
        // A name that some measurement has a field of is no tag's.
        let value_of_tag = |name: &str| if fields.contains(name) { "" } else { value(name) };
        let mut members: Vec<Box<[Box<str>]>> = Vec::new();
        let tags = || schema.tags.iter().zip(series.tags).filter(|(_, value)| !value.is_empty());
        match of {
            Of::Measurements => members.push([Box::from(&**name)].into()),
            Of::Series => members.push(tags().flat_map(|(key, value)| [key.clone(), value.clone()]).collect()),
            Of::TagKeys => members.extend(tags().map(|(key, _)| [key.clone()].into())),
            Of::TagValues(pattern) => {
                for (key, text) in tags().filter(|(key, _)| pattern.matches(key)) {
                    if match of_tags {
                        Some(condition) => filter::holds_for_tag(condition, key, &value_of_tag)?,
                        None => true,
                    } {
                        members.push([text.clone()].into());
                    }
                }
            }
            Of::FieldKeys => members.extend(series.partition.fields.iter().map(|field| [field.clone()].into())),
        }
        if series.by_field {
            // All of them are at time 0, and the field's value is there once.
            members.truncate(1);
        }
        if members.is_empty() {
            return Ok(());
        }
        let name = if matches!(of, Of::Measurements) { Box::default() } else { Box::from(&**name) };
        let group = groups.entry((name, dimensions.iter().map(|key| value(key).into()).collect())).or_default();
        for member in members {
            let size = 32 + member.iter().map(|part| part.len() + 16).sum::<usize>();
            bytes += if group.insert(member) { size } else { 0 };
        }
        Ok(())
    })?;
    Ok(bytes)
}
