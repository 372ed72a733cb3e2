//! `SHOW TAG KEYS`, `SHOW TAG VALUES`, `SHOW FIELD KEYS`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regex::Regex;

use super::Plan;
use crate::{
    embedded::{
        Schema, Tables,
        query::{context::Budget, pattern, value::Type},
    },
    error::Error,
    influxql::ast::WithKey,
};

/// `WITH KEY …`
pub(super) enum Pattern {
    All,
    In(Vec<Box<str>>),
    Not(Box<str>),
    Regex { regex: Arc<Regex>, negated: bool },
}

impl Pattern {
    pub(super) fn new(with_key: Option<&WithKey>) -> Result<Self, Error> {
        Ok(match with_key {
            None => Self::All,
            Some(WithKey::Eq(key)) => Self::In(vec![key.name.clone()]),
            Some(WithKey::In(keys)) => Self::In(keys.iter().map(|key| key.name.clone()).collect()),
            Some(WithKey::NotEq(key)) => Self::Not(key.name.clone()),
            Some(WithKey::Regex(regex)) => Self::Regex { regex: pattern::compile(&regex.pattern)?, negated: false },
            Some(WithKey::NotRegex(regex)) => Self::Regex { regex: pattern::compile(&regex.pattern)?, negated: true },
        })
    }

    fn matches(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::In(keys) => keys.iter().any(|wanted| **wanted == *key),
            Self::Not(unwanted) => **unwanted != *key,
            Self::Regex { regex, negated } => regex.is_match(key) != *negated,
        }
    }
}

/// A measurement in every bucket that has it.
pub(super) type Found = [(Arc<dyn Tables>, Arc<Schema>)];

/// Keys that some series has a value for, sorted.
pub(super) fn tag_keys(
    plan: &Plan,
    name: &str,
    tables: &Found,
    pattern: &Pattern,
    budget: &Budget<'_>,
) -> Result<BTreeSet<Box<str>>, Error> {
    budget.check()?;
    let mut keys = BTreeSet::new();
    plan.each_series(name, tables, &mut |schema, tags| {
        for (key, value) in schema.tags.iter().zip(tags) {
            if !value.is_empty() && !keys.contains(key) && pattern.matches(key) {
                keys.insert(key.clone());
            }
        }
    })?;
    Ok(keys)
}

/// A key and a value of it.
type Pair = (Box<str>, Box<str>);

/// Keys and values, sorted by key and then by value.
pub(super) fn tag_values(
    plan: &Plan,
    name: &str,
    tables: &Found,
    pattern: &Pattern,
    budget: &Budget<'_>,
) -> Result<BTreeSet<Pair>, Error> {
    budget.check()?;
    let mut by_key: BTreeMap<Box<str>, BTreeSet<Box<str>>> = BTreeMap::new();
    let mut bytes = 0;
    plan.each_series(name, tables, &mut |schema, tags| {
        for (key, value) in schema.tags.iter().zip(tags) {
            if value.is_empty() || !pattern.matches(key) {
                continue;
            }
            let values = match by_key.get_mut(key) {
                Some(values) => values,
                None => by_key.entry(key.clone()).or_default(),
            };
            if !values.contains(value) {
                bytes += value.len() + 64;
                values.insert(value.clone());
            }
        }
    })?;
    budget.take(bytes)?;
    Ok(by_key.into_iter().flat_map(|(key, values)| values.into_iter().map(move |value| (key.clone(), value))).collect())
}

/// Fields with their types, sorted.
pub(super) fn field_keys(tables: &Found) -> BTreeSet<(Box<str>, &'static str)> {
    let fields = tables.iter().flat_map(|(_, schema)| &schema.fields);
    fields.flat_map(|(name, kinds)| kinds.iter().map(|kind| (name.clone(), Type::from(*kind).name()))).collect()
}
