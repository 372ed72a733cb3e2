//! The schema check: as in 1.x, the first write within a partition fixes the type of a field there.

use std::collections::{BTreeMap, HashMap};

use super::{
    batch::{Batch, Point},
    partition::{self, Found},
};
use crate::lineprotocol::FieldType;

/// Types of all fields, by bucket, measurement and partition.
#[derive(Debug, Default)]
pub(super) struct Types(HashMap<u64, HashMap<Box<str>, BTreeMap<i64, Partition>>>);

#[derive(Debug)]
struct Partition {
    end: i64,
    fields: HashMap<Box<str>, FieldType>,
}

/// A point that was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refused {
    /// Its place in the batch.
    pub(super) index: usize,
    pub(super) reason: Reason,
}

/// Why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Reason {
    Conflict { field: Box<str>, measurement: Box<str>, given: FieldType, fixed: FieldType },
    Retention,
}

impl Reason {
    pub(super) const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Conflict { field, measurement, given, fixed } => write!(
                f,
                "field type conflict: input field \"{field}\" on measurement \"{measurement}\" is type {}, already exists as type {}",
                given.name(),
                fixed.name()
            ),
            Self::Retention => f.write_str("points beyond retention policy"),
        }
    }
}

/// Types of one (measurement, partition) while a batch is checked, by symbol: a batch repeats its names.
struct Known {
    /// Index into the batch's partitions.
    partition: u32,
    bounds: (i64, i64),
    by_symbol: Vec<Option<FieldType>>,
}

impl Types {
    /// Fixes a type that the catalog or the log knows.
    pub(super) fn fix(&mut self, bucket: u64, table: &str, bounds: (i64, i64), field: &str, field_type: FieldType) {
        let partition = self.partition(bucket, table, bounds);
        partition.fields.entry(field.into()).or_insert(field_type);
    }

    /// Forgets a bucket.
    pub(super) fn forget(&mut self, bucket: u64) {
        self.0.remove(&bucket);
    }

    /// Forgets a measurement.
    pub(super) fn forget_table(&mut self, bucket: u64, table: &str) {
        if let Some(tables) = self.0.get_mut(&bucket) {
            tables.remove(table);
        }
    }

    /// Fixes the types of a batch from the log.
    pub(super) fn replay(&mut self, batch: &Batch) {
        for point in &batch.points {
            let partition = self.partition(batch.bucket, batch.text(point.table), batch.partitions[point.partition as usize]);
            for (name, value) in batch.fields(point) {
                let field = batch.text(*name);
                if !partition.fields.contains_key(field) {
                    partition.fields.insert(field.into(), value.field_type());
                }
            }
        }
    }

    /// Checks a batch, puts its points into partitions (new ones are `shard` nanoseconds long) and fixes the types of what is new. Returns
    /// what is refused, in order.
    ///
    /// With `fix` false nothing is remembered: for writes that are refused as a whole when anything is.
    pub(super) fn check(&mut self, batch: &mut Batch, shard: i64, earliest: Option<i64>, fix: bool) -> Vec<Refused> {
        let mut refused = Vec::new();
        let mut known: HashMap<u32, Vec<Known>> = HashMap::new();
        for index in 0..batch.points.len() {
            let point = batch.points[index];
            if earliest.is_some_and(|earliest| point.time < earliest) {
                refused.push(Refused { index, reason: Reason::Retention });
                continue;
            }
            let known = known.entry(point.table).or_default();
            let place = match known.iter().position(|known| (known.bounds.0..known.bounds.1).contains(&point.time)) {
                Some(place) => place,
                None => {
                    let bounds = self.bounds(batch, &point, shard);
                    let partition = batch.partitions.iter().position(|there| *there == bounds).unwrap_or_else(|| {
                        batch.partitions.push(bounds);
                        batch.partitions.len() - 1
                    });
                    known.push(Known { partition: partition as u32, bounds, by_symbol: vec![None; batch.symbols()] });
                    known.len() - 1
                }
            };
            let known = &mut known[place];
            batch.points[index].partition = known.partition;
            if let Some(reason) = self.check_point(batch, &point, known, fix) {
                refused.push(Refused { index, reason });
            }
        }
        refused
    }

    fn check_point(&mut self, batch: &Batch, point: &Point, known: &mut Known, fix: bool) -> Option<Reason> {
        let table = batch.text(point.table);
        let there = self.0.get(&batch.bucket).and_then(|tables| tables.get(table)).and_then(|there| there.get(&known.bounds.0));
        let mut new = false;
        for (name, value) in batch.fields(point) {
            let slot = &mut known.by_symbol[*name as usize];
            if slot.is_none() {
                *slot = there.and_then(|there| there.fields.get(batch.text(*name))).copied();
            }
            match *slot {
                Some(fixed) if fixed != value.field_type() => {
                    return Some(Reason::Conflict {
                        field: batch.text(*name).into(),
                        measurement: table.into(),
                        given: value.field_type(),
                        fixed,
                    });
                }
                Some(_) => {}
                None => new = true,
            }
        }
        // Only now: a point that is refused fixes nothing.
        if new {
            for (name, value) in batch.fields(point) {
                let slot = &mut known.by_symbol[*name as usize];
                if slot.is_none() {
                    *slot = Some(value.field_type());
                    if fix {
                        self.fix(batch.bucket, table, known.bounds, batch.text(*name), value.field_type());
                    }
                }
            }
        }
        None
    }

    fn bounds(&self, batch: &Batch, point: &Point, shard: i64) -> (i64, i64) {
        let table = self.0.get(&batch.bucket).and_then(|tables| tables.get(batch.text(point.table)));
        let Some(partitions) = table else { return partition::bounds(point.time, shard) };
        match partition::find(partitions, |partition| partition.end, point.time, shard) {
            Found::There(start) => (start, partitions[&start].end),
            Found::New { start, end } => (start, end),
        }
    }

    fn partition(&mut self, bucket: u64, table: &str, (start, end): (i64, i64)) -> &mut Partition {
        let tables = self.0.entry(bucket).or_default();
        if !tables.contains_key(table) {
            tables.insert(table.into(), BTreeMap::new());
        }
        let partitions = tables.get_mut(table).expect("inserted above");
        partitions.entry(start).or_insert_with(|| Partition { end, fields: HashMap::new() })
    }
}
