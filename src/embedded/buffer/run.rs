//! A sorted run: points by series, then time, one row a timestamp. What pieces of memory become, and what is in a file.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use arrow_array::{ArrayRef, Int64Array};

use super::column;
use crate::{embedded::TagSet, lineprotocol::FieldType};

/// A sorted run. Immutable, and cheap to cut: a series is a slice of every column.
#[derive(Debug)]
pub(in crate::embedded) struct Run {
    /// Keys of all tags, sorted.
    pub(in crate::embedded) tags: Arc<[Box<str>]>,
    /// Tag sets, sorted, each with the values of all tags in order (empty: missing).
    pub(in crate::embedded) series: Vec<Arc<[Box<str>]>>,
    /// The first row of each series, and the number of rows at the end.
    pub(in crate::embedded) starts: Vec<usize>,
    pub(in crate::embedded) time: Int64Array,
    /// Fields, sorted by name.
    pub(in crate::embedded) fields: Vec<RunField>,
}

/// A field of a run.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct RunField {
    pub(in crate::embedded) name: Box<str>,
    pub(in crate::embedded) field_type: FieldType,
    pub(in crate::embedded) values: ArrayRef,
}

impl Run {
    /// The field of this name.
    pub(in crate::embedded) fn field(&self, name: &str) -> Option<&RunField> {
        self.fields.binary_search_by(|field| (*field.name).cmp(name)).ok().map(|index| &self.fields[index])
    }

    pub(in crate::embedded) fn rows(&self) -> usize {
        self.time.values().len()
    }

    /// Merges runs; where they have the same series and time, the later run's fields replace the earlier's.
    pub(super) fn merge(runs: &[Arc<Self>]) -> Self {
        let mut tags: Vec<Box<str>> = runs.iter().flat_map(|run| run.tags.iter().cloned()).collect();
        tags.sort_unstable();
        tags.dedup();
        let tags: Arc<[Box<str>]> = tags.into();
        let mut all: Vec<(TagSet, usize, usize)> = Vec::new();
        for (number, run) in runs.iter().enumerate() {
            let widener = Widener::new(&run.tags, &tags);
            all.extend(run.series.iter().enumerate().map(|(place, series)| (widener.widen(series), number, place)));
        }
        // Stable, so that runs stay in their order within a series.
        all.sort_by(|a, b| compare(&a.0, &b.0));

        let mut targets: Vec<Vec<u32>> = runs.iter().map(|run| vec![0; run.rows()]).collect();
        let (mut series, mut starts, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for group in all.chunk_by(|a, b| a.0 == b.0) {
            series.push(Arc::clone(&group[0].0));
            starts.push(times.len());
            let rows = |(_, run, place): &(_, usize, usize)| runs[*run].starts[*place]..runs[*run].starts[*place + 1];
            let parts: Vec<&[i64]> = group.iter().map(|part| &runs[part.1].time.values()[rows(part)]).collect();
            let (merged, places) = column::merge_times(&parts, times.len() as u32);
            for (part, places) in group.iter().zip(places) {
                targets[part.1][rows(part)].copy_from_slice(&places);
            }
            times.extend(merged);
        }
        starts.push(times.len());

        let mut names: BTreeMap<&str, FieldType> = BTreeMap::new();
        for field in runs.iter().flat_map(|run| &run.fields) {
            names.entry(&field.name).or_insert(field.field_type);
        }
        let fields = names
            .into_iter()
            .map(|(name, field_type)| {
                let layers: Vec<(&ArrayRef, &[u32])> = runs
                    .iter()
                    .zip(&targets)
                    .filter_map(|(run, target)| {
                        Some((&run.field(name).filter(|field| field.field_type == field_type)?.values, &**target))
                    })
                    .collect();
                RunField { name: name.into(), field_type, values: column::overlay(field_type, times.len(), &layers) }
            })
            .collect();
        Self { tags, series, starts, time: column::times(times), fields }
    }
}

/// Compares tag sets over the same keys.
pub(super) fn compare(a: &[Box<str>], b: &[Box<str>]) -> Ordering {
    a.cmp(b)
}

/// Brings tag sets over some keys into the order of more keys; the others are missing. The order of tag sets stays the same.
#[derive(Debug)]
pub(in crate::embedded) struct Widener {
    /// For each wide key the place among the narrow ones; `None`: they are the same keys.
    places: Option<Vec<Option<usize>>>,
}

/// See [`Widener`].
pub(in crate::embedded) fn widen(narrow: &[Box<str>], wide: &[Box<str>]) -> Widener {
    Widener::new(narrow, wide)
}

impl Widener {
    fn new(narrow: &[Box<str>], wide: &[Box<str>]) -> Self {
        let places = (narrow != wide).then(|| wide.iter().map(|key| narrow.binary_search(key).ok()).collect());
        Self { places }
    }

    /// One tag set.
    pub(in crate::embedded) fn widen(&self, tags: &Arc<[Box<str>]>) -> Arc<[Box<str>]> {
        match &self.places {
            None => Arc::clone(tags),
            Some(places) => places.iter().map(|place| place.map_or_else(Box::default, |place| tags[place].clone())).collect(),
        }
    }
}
