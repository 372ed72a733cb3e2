//! What a delete covers.

use std::{ops::RangeInclusive, sync::Arc};

use arrow_array::{Array, BooleanArray, cast::AsArray, types::Int64Type};

use super::Predicate;
use crate::embedded::SeriesBatch;

/// Points that are deleted: those of some series within some time, as far as they were written before.
#[derive(Debug)]
pub(in crate::embedded) struct Tombstone {
    /// Nanoseconds since 1970, both ends included.
    pub(in crate::embedded) time: RangeInclusive<i64>,
    /// The series; `None`: all.
    pub(in crate::embedded) series: Option<Predicate>,
}

impl Tombstone {
    /// Whether a series is meant: its tags' values in the order of the sorted keys.
    pub(in crate::embedded) fn hits(&self, keys: &[Box<str>], values: &[Box<str>]) -> bool {
        self.series.as_ref().is_none_or(|series| series.holds(keys, values))
    }

    /// Whether nothing of a series that is meant is left of what lies between these times.
    pub(in crate::embedded) fn covers(&self, min: i64, max: i64) -> bool {
        *self.time.start() <= min && max <= *self.time.end()
    }

    /// The rows that are deleted among these times, which are sorted.
    pub(in crate::embedded) fn rows(&self, times: &[i64]) -> std::ops::Range<usize> {
        let from = times.partition_point(|time| time < self.time.start());
        from..times.partition_point(|time| time <= self.time.end()).max(from)
    }
}

/// What is left of a batch, whose tags have these keys.
pub(in crate::embedded) fn surviving(batch: SeriesBatch, keys: &[Box<str>], deletes: &[Arc<Tombstone>]) -> Option<SeriesBatch> {
    let times = batch.time.values();
    let hits = deletes.iter().filter(|delete| delete.hits(keys, &batch.tags)).map(|delete| delete.rows(times));
    let hits: Vec<_> = hits.filter(|rows| !rows.is_empty()).collect();
    if hits.is_empty() {
        return Some(batch);
    }
    let mut keep = vec![true; times.len()];
    hits.into_iter().for_each(|rows| keep[rows].fill(false));
    let keep = BooleanArray::from(keep);
    if keep.true_count() == 0 {
        return None;
    }
    let filter = |array: &dyn Array| arrow_select::filter::filter(array, &keep).expect("the mask is as long as the array");
    let time = filter(&batch.time).as_primitive::<Int64Type>().clone();
    let fields = batch.fields.iter().map(|field| field.as_ref().map(|values| filter(values))).collect();
    Some(SeriesBatch { tags: batch.tags, time, fields })
}
