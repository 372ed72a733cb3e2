//! Which measurements a condition leaves: `SHOW MEASUREMENTS WHERE …`, and `FROM` of the others.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Found, all_series,
    filter::{self, NAME, Test},
};
use crate::{
    embedded::query::{context::Budget, describe, pattern},
    error::Error,
    influxql::ast::{BinaryOp, Expr, Measurement, MeasurementName, Source},
};

/// `FROM` and `WITH MEASUREMENT`, of which these statements see the names only.
pub(super) enum Names {
    All,
    Some(Vec<Test>),
}

impl Names {
    pub(super) fn new(from: &[Source], with: Option<&Measurement>) -> Result<Self, Error> {
        let named = from.iter().filter_map(|source| match source {
            Source::Measurement(measurement) => Some(measurement),
            Source::Subquery(_) => None,
        });
        let nameless =
            |measurement: &&Measurement| matches!(&measurement.name, MeasurementName::Name(name) if name.name.is_empty());
        let tests = named
            .chain(with)
            .filter(|measurement| !nameless(measurement))
            .map(|measurement| {
                Ok(match &measurement.name {
                    MeasurementName::Name(name) => Test::Text { text: name.name.clone(), negated: false },
                    MeasurementName::Regex(regex) => Test::Regex { regex: pattern::compile(&regex.pattern)?, negated: false },
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(if tests.is_empty() { Self::All } else { Self::Some(tests) })
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(tests) => tests.iter().any(|test| test.holds(name)),
        }
    }
}

/// Names of the measurements that a condition leaves. It is about each measurement as a whole, as in 1.x: `host = 'a'` leaves those with
/// such a series, `host != 'a'` those that have the tag and no such series, and `AND` combines measurements, not series.
pub(super) fn by_condition(condition: &Expr, found: &Found, budget: &Budget<'_>) -> Result<BTreeSet<Arc<str>>, Error> {
    match condition {
        Expr::Binary(binary) => match binary.op {
            BinaryOp::And | BinaryOp::Or => {
                let left = by_condition(&binary.left, found, budget)?;
                let right = by_condition(&binary.right, found, budget)?;
                Ok(if binary.op == BinaryOp::And { &left & &right } else { &left | &right })
            }
            op @ (BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::EqRegex | BinaryOp::NotEqRegex) => {
                let Expr::VarRef(reference) = &binary.left else { return Err(filter::left_side(op)) };
                let test = Test::new(op, &binary.right)?.ok_or_else(|| filter::right_side(op))?;
                let key = &*reference.name.name;
                let mut names = BTreeSet::new();
                for (name, tables) in found {
                    budget.check()?;
                    if if key == NAME { test.holds(name) } else { has_tag(key, &test, name, tables)? } {
                        names.insert(Arc::clone(name));
                    }
                }
                Ok(names)
            }
            _ => Err(filter::invalid_operator()),
        },
        Expr::Paren(inner, _) => by_condition(inner, found, budget),
        other => Err(Error::invalid(describe::go(other))),
    }
}

fn has_tag(key: &str, test: &Test, name: &str, tables: &super::Tables) -> Result<bool, Error> {
    let (mut any, mut equal) = (false, false);
    for (tables, schema) in tables {
        let Some(place) = schema.tags.iter().position(|tag| **tag == *key) else { continue };
        for tags in all_series(&**tables, name)? {
            let value = tags.get(place).map_or("", |value| &**value);
            any |= !value.is_empty();
            equal |= !value.is_empty() && test.equals(value);
        }
    }
    Ok(any && equal != test.is_negated())
}
