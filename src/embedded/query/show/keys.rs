//! `SHOW TAG KEYS`, `SHOW TAG VALUES`, `SHOW FIELD KEYS`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regex::Regex;

use super::{
    Found, Tables, all_series,
    filter::{self, Filter, NAME, TAG_KEY},
    names::{self, Names},
    series::Fields,
};
use crate::{
    embedded::{
        Schema,
        query::{context::Budget, pattern, time_range::TimeRange, value::Type},
    },
    error::Error,
    influxql::ast::{Cast, Expr, WithKey},
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

    pub(super) fn matches(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::In(keys) => keys.iter().any(|wanted| **wanted == *key),
            Self::Not(unwanted) => **unwanted != *key,
            Self::Regex { regex, negated } => regex.is_match(key) != *negated,
        }
    }
}

/// Values by key.
pub(super) type Values = BTreeMap<Box<str>, BTreeSet<Box<str>>>;

/// Which keys of which series are asked for.
pub(super) struct Tags {
    pub(super) names: Names,
    pub(super) pattern: Pattern,
    /// Whether `_tagKey` of the condition counts: it does for the values.
    pub(super) by_key: bool,
    pub(super) condition: Option<Expr>,
    /// Comparisons of these leave all series.
    pub(super) fields: Fields,
    pub(super) time: TimeRange,
}

impl Tags {
    /// Keys with their values, by measurement; only the keys matter without `values`.
    pub(super) fn of(
        &self,
        found: &Found,
        budget: &Budget<'_>,
        each: &mut dyn FnMut(&str, &Values) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // What a condition says of measurements and what it says of tags counts on its own, even on both sides of an OR.
        let part = |keep: &dyn Fn(&str) -> bool| self.condition.as_ref().and_then(|condition| filter::only(condition, keep));
        let left = match part(&|name| name == NAME) {
            Some(condition) => Some(names::by_condition(&condition, found, budget)?),
            None => None,
        };
        let condition = part(&|name| name != NAME && name != TAG_KEY);
        let filter = |measurement: &str| match &condition {
            // Unlike SHOW SERIES, what is said to be a field is taken for one.
            Some(condition) => Filter::new(condition, &|name, cast| match cast {
                Some(cast) => cast != Cast::Tag,
                None => self.fields.may_be(measurement, name, cast),
            }),
            None => Ok(Filter::All),
        };
        if !self.reached(found) {
            return filter("").map(drop);
        }
        for (name, tables) in found {
            let filter = filter(name)?;
            if self.names.holds(name) && left.as_ref().is_none_or(|left| left.contains(name)) {
                budget.check()?;
                let (values, bytes) = self.values(name, tables, &filter)?;
                budget.take(bytes)?;
                each(name, &values)?;
                budget.give_back(bytes);
            }
        }
        Ok(())
    }

    /// 1.x asks the shards that a time range touches, but their index is the database's: any of them knows everything.
    fn reached(&self, found: &Found) -> bool {
        if self.time == TimeRange::default() {
            return true;
        }
        let (lower, upper) = (self.time.lower(), self.time.upper());
        found.iter().any(|(name, tables)| {
            let mut partitions = tables.iter().flat_map(|(tables, _)| tables.partitions(name));
            partitions.any(|partition| partition.start <= upper && partition.end > lower)
        })
    }

    fn values(&self, name: &str, tables: &Tables, filter: &Filter) -> Result<(Values, usize), Error> {
        let mut by_key: Values = BTreeMap::new();
        let mut bytes = 0;
        for (tables, schema) in tables {
            let wanted = self.wanted(schema)?;
            if wanted.is_empty() {
                continue;
            }
            for tags in all_series(&**tables, name)? {
                if !filter.holds(name, &value_of(schema, &tags)) {
                    continue;
                }
                for &place in &wanted {
                    let (key, value) = (&schema.tags[place], &tags[place]);
                    if value.is_empty() {
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
            }
        }
        Ok((by_key, bytes))
    }

    /// Places of the wanted keys.
    fn wanted(&self, schema: &Schema) -> Result<Vec<usize>, Error> {
        let by_condition = match &self.condition {
            Some(condition) if self.by_key => filter::keys(condition, &schema.tags)?,
            _ => None,
        };
        let wanted = |key: &str| {
            self.pattern.matches(key) && by_condition.as_ref().is_none_or(|keys| keys.iter().any(|wanted| **wanted == *key))
        };
        Ok((0..schema.tags.len()).filter(|place| wanted(&schema.tags[*place])).collect())
    }
}

/// The value of a tag of a series; empty: missing.
pub(super) fn value_of<'a>(schema: &'a Schema, tags: &'a [Box<str>]) -> impl Fn(&str) -> &'a str {
    |key| schema.tags.iter().position(|tag| **tag == *key).and_then(|place| tags.get(place)).map_or("", |value| &**value)
}

/// Fields with their types, sorted.
pub(super) fn field_keys(tables: &Tables) -> BTreeSet<(Box<str>, &'static str)> {
    let fields = tables.iter().flat_map(|(_, schema)| &schema.fields);
    fields.flat_map(|(name, kinds)| kinds.iter().map(|kind| (name.clone(), Type::from(*kind).name()))).collect()
}
