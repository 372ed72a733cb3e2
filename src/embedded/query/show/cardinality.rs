//! How many there are. The estimates of 1.x are exact here.

use std::collections::BTreeSet;

use arrow_schema::SchemaRef;

use super::{Plan, keys, numbers, series};
use crate::{
    embedded::query::{context::Budget, output::Sink},
    error::Error,
    influxql::ast::{Show, ShowKind},
};

/// What is counted.
pub(super) enum Of {
    /// All measurements, as an estimate or exactly.
    Measurements {
        exact: bool,
    },
    /// All series together.
    SeriesEstimate,
    /// Series of each measurement.
    Series,
    TagKeys,
    TagValues(keys::Pattern),
    FieldKeys,
}

impl Of {
    /// `None` for a statement that counts nothing.
    pub(super) fn new(kind: &ShowKind, show: &Show) -> Result<Option<Self>, Error> {
        let plain = show.from.is_empty() && show.condition.is_none();
        Ok(Some(match kind {
            ShowKind::MeasurementCardinality { exact } => Self::Measurements { exact: *exact || !plain },
            ShowKind::SeriesCardinality { exact: false } if plain => Self::SeriesEstimate,
            ShowKind::SeriesCardinality { .. } => Self::Series,
            ShowKind::TagKeyCardinality { .. } => Self::TagKeys,
            ShowKind::TagValuesCardinality { .. } => Self::TagValues(keys::Pattern::new(show.with_key.as_ref())?),
            ShowKind::FieldKeyCardinality { .. } => Self::FieldKeys,
            _ => return Ok(None),
        }))
    }

    pub(super) const fn column(&self) -> &'static str {
        match self {
            Self::SeriesEstimate | Self::Measurements { exact: false } => "cardinality estimation",
            _ => "count",
        }
    }

    pub(super) fn run(&self, plan: &Plan, schema: &SchemaRef, budget: &Budget<'_>, sink: Sink<'_>) -> Result<(), Error> {
        let count = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
        let mut rows = Vec::new();
        match self {
            Self::Measurements { .. } => {
                let mut measurements = 0;
                for (name, tables) in &plan.found {
                    measurements += usize::from(plan.condition.is_none() || plan.any_series(name, tables)?);
                }
                rows.push((Box::default(), count(measurements)));
            }
            Self::SeriesEstimate => rows.push((Box::default(), count(series::keys(plan, budget)?.len()))),
            Self::Series | Self::TagKeys | Self::TagValues(_) | Self::FieldKeys => {
                for (name, tables) in &plan.found {
                    budget.check()?;
                    let len = match self {
                        Self::Series => {
                            let mut series = BTreeSet::new();
                            plan.each_series(name, tables, &mut |_, tags| {
                                series.insert(Box::<[Box<str>]>::from(tags));
                            })?;
                            series.len()
                        }
                        Self::TagKeys => keys::tag_keys(plan, name, tables, &keys::Pattern::All, budget)?.len(),
                        Self::TagValues(pattern) => keys::tag_values(plan, name, tables, pattern, budget)?.len(),
                        _ => keys::field_keys(tables).len(),
                    };
                    if len > 0 {
                        rows.push(((**name).into(), count(len)));
                    }
                }
            }
        }
        numbers(schema, &plan.limited(rows.into_iter()).collect::<Vec<_>>(), sink)
    }
}
