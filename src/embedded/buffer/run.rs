//! A sorted run: points by series, then time, one row a timestamp. What pieces of memory become, and what is in a file.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array};

use super::column;
use crate::{
    embedded::{SeriesBatch, TagSet, delete::Tombstone},
    error::Error,
    lineprotocol::FieldType,
};

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

    /// The same without what is deleted. All fields stay, tags that no series has any more don't.
    pub(super) fn without(&self, delete: &Tombstone) -> Self {
        let mut keep = vec![true; self.rows()];
        let (mut series, mut starts, mut left) = (Vec::new(), Vec::new(), 0);
        for (set, bounds) in self.series.iter().zip(self.starts.windows(2)) {
            let times = &self.time.values()[bounds[0]..bounds[1]];
            let deleted = if delete.hits(&self.tags, set) { delete.rows(times) } else { 0..0 };
            let rows = times.len() - deleted.len();
            keep[bounds[0] + deleted.start..bounds[0] + deleted.end].fill(false);
            if rows > 0 {
                series.push(Arc::clone(set));
                starts.push(left);
                left += rows;
            }
        }
        starts.push(left);
        let keep = BooleanArray::from(keep);
        let filter = |array: &dyn Array| arrow_select::filter::filter(array, &keep).expect("the mask is as long as the array");
        let times = self.time.values().iter().zip(keep.values()).filter(|(_, keep)| *keep).map(|(time, _)| *time).collect();
        let field = |field: &RunField| RunField { values: filter(&field.values), ..field.clone() };
        let fields = self.fields.iter().map(field).collect();
        let (tags, series) = narrow(&self.tags, series);
        Self { tags, series, starts, time: column::times(times), fields }
    }

    /// Puts batches together, which come by series and time and have all these fields.
    pub(in crate::embedded) fn collect(
        tags: &[Box<str>],
        fields: &[(Box<str>, FieldType)],
        batches: &[SeriesBatch],
    ) -> Result<Self, Error> {
        let (mut series, mut starts, mut times) = (Vec::<TagSet>::new(), Vec::new(), Vec::new());
        for batch in batches {
            if series.last() != Some(&batch.tags) {
                series.push(Arc::clone(&batch.tags));
                starts.push(times.len());
            }
            times.extend_from_slice(batch.time.values());
        }
        starts.push(times.len());
        let column = |(place, (name, field_type)): (usize, &(Box<str>, FieldType))| {
            let parts = batches.iter().map(|batch| match &batch.fields[place] {
                Some(values) => Arc::clone(values),
                None => arrow_array::new_null_array(&super::data_type(*field_type), batch.time.len()),
            });
            let parts: Vec<ArrayRef> = parts.collect();
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            let values = if parts.is_empty() {
                arrow_array::new_empty_array(&super::data_type(*field_type))
            } else {
                arrow_select::concat::concat(&parts).map_err(Error::internal)?
            };
            Ok(RunField { name: name.clone(), field_type: *field_type, values })
        };
        let fields = fields.iter().enumerate().map(column).collect::<Result<_, Error>>()?;
        let (tags, series) = narrow(tags, series);
        Ok(Self { tags, series, starts, time: column::times(times), fields })
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

/// Leaves tags out that no series has.
fn narrow(tags: &[Box<str>], series: Vec<TagSet>) -> (TagSet, Vec<TagSet>) {
    let used = |place: &usize| series.iter().any(|set| !set[*place].is_empty());
    let places: Vec<usize> = (0..tags.len()).filter(used).collect();
    if places.len() == tags.len() {
        return (tags.into(), series);
    }
    let pick = |all: &[Box<str>]| -> TagSet { places.iter().map(|place| all[*place].clone()).collect() };
    (pick(tags), series.iter().map(|set| pick(set)).collect())
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
