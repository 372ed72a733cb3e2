//! Points as they arrive.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    column::{self, Cell, Sparse},
    run::{Run, RunField},
};
use crate::{
    embedded::batch::{Batch, Point, Value},
    lineprotocol::FieldType,
};

/// Keys and values.
type Tags = Box<[(Box<str>, Box<str>)]>;

/// Appended points of one partition.
#[derive(Debug, Default)]
pub(super) struct Active {
    by_key: HashMap<Box<[u8]>, u32>,
    /// Tags of each series, by number.
    series: Vec<Tags>,
    /// The series of each row.
    rows: Vec<u32>,
    times: Vec<i64>,
    by_name: HashMap<Box<str>, usize>,
    fields: Vec<(Box<str>, Sparse)>,
    bytes: usize,
    scratch: Vec<u8>,
}

impl Active {
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// About how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a point; true when its series or one of its fields is new here.
    pub(super) fn push(&mut self, batch: &Batch, point: &Point) -> bool {
        let before = self.bytes;
        let (series, mut new) = self.series(batch, point);
        let row = self.rows.len() as u32;
        self.rows.push(series);
        self.times.push(point.time);
        self.bytes += 12;
        for (name, value) in batch.fields(point) {
            let cell = match value {
                Value::Float(value) => Cell::Float(*value),
                Value::Integer(value) => Cell::Integer(*value),
                Value::Unsigned(value) => Cell::Unsigned(*value),
                Value::Boolean(value) => Cell::Boolean(*value),
                Value::String(sym) => Cell::String(batch.text(*sym)),
            };
            self.bytes += cell.bytes();
            let name = batch.text(*name);
            let index = match self.by_name.get(name) {
                Some(index) => *index,
                None => {
                    new = true;
                    self.bytes += 2 * name.len() + 128;
                    self.by_name.insert(name.into(), self.fields.len());
                    self.fields.push((name.into(), Sparse::new(cell.field_type())));
                    self.fields.len() - 1
                }
            };
            self.fields[index].1.push(row, cell);
        }
        debug_assert!(self.bytes > before);
        new
    }

    fn series(&mut self, batch: &Batch, point: &Point) -> (u32, bool) {
        let tags = batch.tags(point);
        self.scratch.clear();
        for (key, value) in tags {
            // Bytes that UTF-8 never has.
            self.scratch.extend_from_slice(batch.text(*key).as_bytes());
            self.scratch.push(0xfe);
            self.scratch.extend_from_slice(batch.text(*value).as_bytes());
            self.scratch.push(0xff);
        }
        if let Some(series) = self.by_key.get(&*self.scratch) {
            return (*series, false);
        }
        let series = self.series.len() as u32;
        self.bytes += 2 * self.scratch.len() + 96 + tags.len() * 32;
        self.by_key.insert(self.scratch.as_slice().into(), series);
        self.series.push(tags.iter().map(|(key, value)| (batch.text(*key).into(), batch.text(*value).into())).collect());
        (series, true)
    }

    /// Shows all tags and fields to `tag` and `field`.
    pub(super) fn columns(&self, tag: &mut dyn FnMut(&str), field: &mut dyn FnMut(&str, FieldType)) {
        self.series.iter().flatten().for_each(|(key, _)| tag(key));
        self.fields.iter().for_each(|(name, values)| field(name, values.field_type()));
    }

    /// Sorts it; the last value for a series, time and field stays.
    pub(super) fn into_run(self) -> Run {
        let keys: BTreeSet<&str> = self.series.iter().flat_map(|tags| tags.iter().map(|(key, _)| &**key)).collect();
        let keys: Arc<[Box<str>]> = keys.into_iter().map(Into::into).collect();
        let sets: Vec<Arc<[Box<str>]>> = self
            .series
            .into_iter()
            .map(|tags| {
                let mut set = vec![Box::<str>::default(); keys.len()];
                for (key, value) in tags {
                    if let Ok(place) = keys.binary_search(&key) {
                        set[place] = value;
                    }
                }
                set.into()
            })
            .collect();
        // Rank of every series, so that rows are compared by numbers only.
        let mut order: Vec<u32> = (0..sets.len() as u32).collect();
        order.sort_unstable_by(|a, b| super::run::compare(&sets[*a as usize], &sets[*b as usize]));
        let mut rank = vec![0_u32; sets.len()];
        for (place, series) in order.iter().enumerate() {
            rank[*series as usize] = place as u32;
        }
        let key = |row: u32| (rank[self.rows[row as usize] as usize], self.times[row as usize]);
        let mut rows: Vec<u32> = (0..self.rows.len() as u32).collect();
        if !rows.is_sorted_by_key(|row| key(*row)) {
            rows.sort_unstable_by_key(|row| key(*row));
        }

        let mut target = vec![0_u32; rows.len()];
        let (mut times, mut starts) = (Vec::with_capacity(rows.len()), Vec::with_capacity(sets.len() + 1));
        let mut last = None;
        for row in rows {
            let (series, time) = key(row);
            if last != Some((series, time)) {
                if last.is_none_or(|(last, _)| last != series) {
                    starts.push(times.len());
                }
                times.push(time);
                last = Some((series, time));
            }
            target[row as usize] = times.len() as u32 - 1;
        }
        starts.push(times.len());
        let mut fields: Vec<RunField> = self
            .fields
            .into_iter()
            .map(|(name, values)| {
                let field_type: FieldType = values.field_type();
                RunField { name, field_type, values: values.into_array(times.len(), &target) }
            })
            .collect();
        fields.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let series = order.into_iter().map(|series| Arc::clone(&sets[series as usize])).collect();
        Run { tags: keys, series, starts, time: column::times(times), fields }
    }
}
