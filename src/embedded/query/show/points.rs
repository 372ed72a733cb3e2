//! Series as 1.x's queries of system columns see them: partition by partition, each as one point at time 0. A condition on a field is about
//! the field's value at that time.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{Found, filter::TAG_KEY};
use crate::{
    embedded::{
        self, Partition, Scan, Schema, TagSet,
        query::{condition, time_range::TimeRange, value::Scalar},
    },
    error::Error,
    influxql::{
        Span,
        ast::{Binary, Expr, Literal, Value},
    },
};

/// One measurement of one bucket.
pub(super) struct Points<'a> {
    pub(super) tables: &'a dyn embedded::Tables,
    pub(super) schema: &'a Schema,
    pub(super) name: &'a Arc<str>,
    /// Fields of all measurements that are asked: a name that is one of them is a field everywhere.
    pub(super) fields: &'a BTreeSet<Box<str>>,
    pub(super) time: TimeRange,
}

/// A series in a partition.
pub(super) struct Series<'a> {
    /// Values of all tags of the schema, in order; empty: missing.
    pub(super) tags: &'a [Box<str>],
    pub(super) partition: &'a Partition,
    /// Whether the condition is about fields.
    pub(super) by_field: bool,
}

/// The fields of these measurements.
pub(super) fn fields(found: &Found) -> BTreeSet<Box<str>> {
    found.values().flatten().flat_map(|(_, schema)| schema.fields.iter().map(|(name, _)| name.clone())).collect()
}

impl Points<'_> {
    /// Every series of every partition that the time range touches and the condition leaves.
    pub(super) fn each(
        &self,
        condition: Option<&Expr>,
        each: &mut dyn FnMut(Series<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut fields: Vec<Box<str>> = Vec::new();
        let condition = match condition {
            Some(condition) => {
                let mut field = |name: &str| {
                    self.fields.get(name)?;
                    Some(fields.iter().position(|field| **field == *name).unwrap_or_else(|| {
                        fields.push(name.into());
                        fields.len() - 1
                    }))
                };
                let tag = |name: &str| self.schema.tags.iter().position(|tag| **tag == *name);
                let mut names = condition::Names {
                    field: &mut field,
                    mixed: &|_| None,
                    elsewhere: &|_| false,
                    tag: &tag,
                    measurement: Some(self.name),
                };
                let bound = condition::bind(&without_keys(condition), &mut names)?;
                Some(bound.place_tags(fields.len()).points)
            }
            None => None,
        };
        let at_zero = self.at_zero(&fields)?;
        let (lower, upper) = (self.time.lower(), self.time.upper());
        for partition in self.tables.partitions(self.name) {
            if partition.start > upper || partition.end <= lower {
                continue;
            }
            let has_zero = (partition.start..partition.end).contains(&0);
            for tags in self.tables.series(self.name, partition.start..=partition.start)? {
                let holds = condition.as_ref().is_none_or(|condition| {
                    let value = |slot: usize| match slot.checked_sub(fields.len()) {
                        Some(tag) => Scalar::String((*tags[tag]).into()),
                        None if has_zero => at_zero.get(&*tags).map_or(Scalar::Null, |values| values[slot].clone()),
                        None => Scalar::Null,
                    };
                    condition.bind(&|slot| Some(value(slot))).truth() == Some(true)
                });
                if holds {
                    each(Series { tags: &tags, partition: &partition, by_field: !fields.is_empty() })?;
                }
            }
        }
        Ok(())
    }

    /// The fields' values at time 0, by series.
    fn at_zero(&self, fields: &[Box<str>]) -> Result<HashMap<TagSet, Vec<Scalar>>, Error> {
        let mut values = HashMap::new();
        if fields.is_empty() || self.time.lower() > 0 || self.time.upper() < 0 {
            return Ok(values);
        }
        let scan = Scan {
            measurement: Arc::clone(self.name),
            time: 0..=0,
            fields: fields.into(),
            series: None,
            descending: false,
            most: None,
        };
        for batch in self.tables.scan(scan)? {
            let batch = batch?;
            let row = batch.fields.iter().map(|field| field.as_ref().map_or(Scalar::Null, |field| Scalar::of(field, 0)));
            values.insert(Arc::clone(&batch.tags), row.collect());
        }
        Ok(values)
    }
}

/// The condition, where whatever is said of [`TAG_KEY`] holds.
pub(super) fn without_keys(condition: &Expr) -> Expr {
    match condition {
        Expr::Binary(binary) => {
            let is_key = |expr: &Expr| matches!(expr, Expr::VarRef(reference) if &*reference.name.name == TAG_KEY);
            if is_key(&binary.left) || is_key(&binary.right) {
                return Expr::Literal(Literal { value: Value::Boolean(true), span: Span::default() });
            }
            let (left, right) = (without_keys(&binary.left), without_keys(&binary.right));
            Expr::Binary(Box::new(Binary { op: binary.op, left, right }))
        }
        Expr::Paren(inner, span) => Expr::Paren(Box::new(without_keys(inner)), *span),
        other => other.clone(),
    }
}
