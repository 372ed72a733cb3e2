//! `SELECT` without functions: points as they are, series merged by time, partition after partition.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array, ArrayRef, Int64Array, StringArray};

use super::{
    context::Budget,
    ir::{Fill, Place, Reader, Ref, Select, Source},
    merge::{Merge, gives_groups, sort_series},
    output::Output,
    rows::{self, Column, Key, Rows, Wanted},
    value::{Scalar, Type, column, nulls},
};
use crate::error::Error;

/// Rows of a piece of output.
const CHUNK: usize = 4096;

/// Runs it over one measurement.
pub(super) fn run(select: &Select, source: &Source, budget: &Budget<'_>, output: &mut Output<'_>) -> Result<(), Error> {
    let descending = !select.ascending;
    let limited = rows::limited(select, source)?;
    let limit = Remaining::of(select);
    // Only so many points of a series can be among the first of its group.
    let most = limit.skip.saturating_add(limit.take);
    let wanted = Wanted { time: select.time, descending, selected_only: true, most: (most < usize::MAX).then_some(most) };
    // Sources overlap in time: each is merged first, then all of them.
    let streams = select.dimensions.is_empty() && source.tables.len() == 1;
    let mut state =
        Partitions { select, source, budget, output, ties: ties(select), groups: BTreeMap::new(), last: None, streams };
    for (number, table) in source.tables.iter().enumerate() {
        let found = |place: &Place| match table.reader {
            Reader::Tables(_) => matches!(place, Place::Field(_)),
            Reader::Subquery(_) => true,
        };
        let known = |(place, r): (&Place, &Ref)| r.selected && r.kind != Type::Unknown && found(place);
        if !table.places.iter().zip(&select.refs).any(known) {
            continue;
        }
        state.last = None;
        let more = rows::scan(select, table, &source.name, wanted, budget, &mut |rows| {
            if limited.as_ref().is_some_and(|limited| !limited.has(table, &rows.tags)) {
                return Ok(true);
            }
            let key = rows::key(&rows.tags, table);
            let len = rows.time.len();
            let rows = if len > most { rows.slice(if descending { len - most } else { 0 }, most) } else { rows };
            state.add(number, key, rows)
        })?;
        if !more {
            break;
        }
    }
    state.finish()
}

/// What `LIMIT` and `OFFSET` still leave of a group.
#[derive(Clone, Copy)]
struct Remaining {
    skip: usize,
    take: usize,
}

impl Remaining {
    fn of(select: &Select) -> Self {
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            skip: size(select.limits.offset.unwrap_or(0)),
            take: select.limits.limit.filter(|limit| *limit > 0).map_or(usize::MAX, size),
        }
    }
}

/// Selected columns by name: while they hold texts, they decide between points at the same time.
fn ties(select: &Select) -> Vec<usize> {
    let mut ties = select.aux();
    ties.sort_by(|a, b| select.refs[*a].name.cmp(&select.refs[*b].name));
    ties
}

struct Group {
    /// Of each source, the partitions that are complete and the one that is coming in.
    sources: Vec<Vec<Vec<Rows>>>,
    remaining: Remaining,
    last: Vec<Scalar>,
}

struct Partitions<'a, 'o, 'b> {
    select: &'a Select,
    source: &'a Source,
    budget: &'a Budget<'b>,
    output: &'a mut Output<'o>,
    ties: Vec<usize>,
    groups: BTreeMap<Key, Group>,
    /// The series of the last batch, and when it begins.
    last: Option<(Arc<[Box<str>]>, i64)>,
    streams: bool,
}

impl Partitions<'_, '_, '_> {
    /// Takes in points of a series; `false` when no more are needed.
    fn add(&mut self, number: usize, key: Key, rows: Rows) -> Result<bool, Error> {
        // Series come sorted: one that isn't behind the last one begins the next partition.
        // Backwards, a series that goes on earlier does too: within a partition its batches ascend.
        let start = rows.time.values().first().copied().unwrap_or_default();
        let next = self.last.as_ref().is_some_and(|(tags, time)| rows.tags < *tags || rows.tags == *tags && start < *time);
        self.last = Some((Arc::clone(&rows.tags), start));
        if next && self.streams {
            self.emit_all()?;
            if self.groups.values().all(|group| group.remaining.take == 0) {
                return Ok(false);
            }
        } else if next {
            for partitions in self.groups.values_mut().map(|group| &mut group.sources[number]) {
                if !partitions.last().is_some_and(Vec::is_empty) {
                    partitions.push(Vec::new());
                }
            }
        }
        let sources = self.source.tables.len();
        let group = self.groups.entry(key).or_insert_with(|| Group {
            sources: (0..sources).map(|_| vec![Vec::new()]).collect(),
            remaining: Remaining::of(self.select),
            last: vec![Scalar::Null; self.select.refs.len()],
        });
        let partitions = &mut group.sources[number];
        // Enough in the partitions before?
        if let Some((_, complete)) = partitions.split_last() {
            let needed = group.remaining.skip.saturating_add(group.remaining.take);
            let have: usize = complete.iter().flatten().map(|rows| rows.time.len()).sum();
            if have >= needed {
                return Ok(true);
            }
        }
        self.budget.take(rows.bytes())?;
        if let Some(partition) = partitions.last_mut() {
            partition.push(rows);
        }
        Ok(true)
    }

    fn finish(mut self) -> Result<(), Error> {
        self.emit_all()
    }

    fn emit_all(&mut self) -> Result<(), Error> {
        let keys: Vec<Key> = self.groups.keys().cloned().collect();
        let keys: Box<dyn Iterator<Item = Key>> =
            if self.select.ascending { Box::new(keys.into_iter()) } else { Box::new(keys.into_iter().rev()) };
        for key in keys {
            let Some(mut group) = self.groups.remove(&key) else { continue };
            let mut sources = std::mem::take(&mut group.sources);
            let full = |source: &Vec<Vec<Rows>>| source.iter().any(|partition| !partition.is_empty());
            if sources.iter().filter(|source| full(source)).count() > 1 {
                self.emit_sources(&key, &mut group, sources)?;
            } else if let Some(number) = sources.iter().position(full) {
                for partition in std::mem::take(&mut sources[number]) {
                    self.emit(&key, &mut group, number, partition)?;
                }
            }
            if self.streams {
                group.sources = vec![vec![Vec::new()]];
                self.groups.insert(key, group);
            }
        }
        Ok(())
    }

    /// Merges several sources, each merged itself.
    fn emit_sources(&mut self, key: &Key, group: &mut Group, sources: Vec<Vec<Vec<Rows>>>) -> Result<(), Error> {
        let mut merged = Vec::new();
        let mut bytes = 0;
        for (number, partitions) in sources.into_iter().enumerate() {
            let (mut pieces, mut indices) = (Vec::new(), Vec::new());
            for partition in partitions.into_iter().filter(|partition| !partition.is_empty()) {
                let partition = self.sorted(number, partition);
                let from = pieces.len();
                let merge = Merge::new(&partition, &self.ties, gives_groups(&self.source.tables[number]), !self.select.ascending);
                indices.extend(merge.map(|(piece, row)| (from + piece, row)));
                pieces.extend(partition);
            }
            bytes += pieces.iter().map(Rows::bytes).sum::<usize>();
            let Some(first) = pieces.first() else { continue };
            // The merge takes pieces that ascend.
            if !self.select.ascending {
                indices.reverse();
            }
            let (time, slots) = self.picked(&pieces, &indices)?;
            let columns = slots.into_iter().map(Column::Field).collect();
            merged.push(Rows { tags: Arc::clone(&first.tags), time, columns });
        }
        let ties = self.ties.clone();
        self.hand_on_all(key, group, &merged, Merge::sources(&merged, &ties, !self.select.ascending))?;
        self.budget.give_back(bytes);
        Ok(())
    }

    /// The series of a partition in the order in which 1.x sorts them.
    fn sorted(&self, number: usize, mut partition: Vec<Rows>) -> Vec<Rows> {
        sort_series(&mut partition, &self.source.tables[number]);
        partition
    }

    /// Time and slots of picked rows.
    fn picked(&self, pieces: &[Rows], indices: &[(usize, usize)]) -> Result<(Int64Array, Vec<ArrayRef>), Error> {
        let time = Int64Array::from_iter_values(indices.iter().map(|(piece, row)| pieces[*piece].time.value(*row)));
        let slots = (0..self.select.refs.len()).map(|slot| gather(pieces, slot, self.select.refs[slot].kind, indices));
        Ok((time, slots.collect::<Result<Vec<_>, Error>>()?))
    }

    /// Merges the series of a partition and hands their points on.
    fn emit(&mut self, key: &Key, group: &mut Group, number: usize, partition: Vec<Rows>) -> Result<(), Error> {
        let bytes: usize = partition.iter().map(Rows::bytes).sum();
        let pieces = self.sorted(number, partition);
        if let [rows] = &pieces[..]
            && self.select.ascending
        {
            let skip = group.remaining.skip.min(rows.time.len());
            let take = group.remaining.take.min(rows.time.len() - skip);
            group.remaining.skip -= skip;
            let rows = rows.slice(skip, take);
            let mut from = 0;
            while from < take {
                let len = CHUNK.min(take - from);
                let part = rows.slice(from, len);
                let slots = self.select.refs.iter().zip(&part.columns).map(|(r, column)| column.array(r.kind, len)).collect();
                self.hand_on(key, group, part.time, slots)?;
                from += len;
            }
        } else {
            let ties = self.ties.clone();
            let merge = Merge::new(&pieces, &ties, gives_groups(&self.source.tables[number]), !self.select.ascending);
            self.hand_on_all(key, group, &pieces, merge)?;
        }
        self.budget.give_back(bytes);
        Ok(())
    }

    /// Hands on what a merge gives.
    fn hand_on_all(&mut self, key: &Key, group: &mut Group, pieces: &[Rows], mut merge: Merge<'_>) -> Result<(), Error> {
        let mut indices = Vec::with_capacity(CHUNK);
        while group.remaining.take > 0 {
            indices.clear();
            for item in merge.by_ref() {
                if group.remaining.skip > 0 {
                    group.remaining.skip -= 1;
                    continue;
                }
                indices.push(item);
                if indices.len() >= CHUNK.min(group.remaining.take) {
                    break;
                }
            }
            if indices.is_empty() {
                break;
            }
            self.budget.check()?;
            let (time, slots) = self.picked(pieces, &indices)?;
            self.hand_on(key, group, time, slots)?;
        }
        Ok(())
    }

    fn hand_on(&mut self, key: &Key, group: &mut Group, time: Int64Array, mut slots: Vec<ArrayRef>) -> Result<(), Error> {
        group.remaining.take = group.remaining.take.saturating_sub(time.len());
        match &self.select.fill {
            Fill::Number(number) => {
                for (slot, reference) in slots.iter_mut().zip(&self.select.refs).filter(|(_, r)| r.kind.is_number()) {
                    let number = number.cast(reference.kind);
                    *slot = filled(slot, reference.kind, |_| number.clone());
                }
            }
            Fill::Previous => {
                for ((slot, reference), last) in slots.iter_mut().zip(&self.select.refs).zip(&mut group.last) {
                    let values: Vec<Scalar> = (0..slot.len())
                        .map(|row| {
                            if slot.is_valid(row) {
                                *last = Scalar::of(slot, row);
                            }
                            last.clone()
                        })
                        .collect();
                    *slot = column(reference.kind, values.iter());
                }
            }
            Fill::Null | Fill::None | Fill::Linear => {}
        }
        self.output.push(&self.source.name, key, time, slots)
    }
}

fn filled(array: &ArrayRef, kind: Type, with: impl Fn(usize) -> Scalar) -> ArrayRef {
    if array.null_count() == 0 {
        return Arc::clone(array);
    }
    let values: Vec<Scalar> =
        (0..array.len()).map(|row| if array.is_null(row) { with(row) } else { Scalar::of(array, row) }).collect();
    column(kind, values.iter())
}

/// One column of the rows that were picked.
fn gather(pieces: &[Rows], slot: usize, kind: Type, indices: &[(usize, usize)]) -> Result<ArrayRef, Error> {
    if kind == Type::Tag && pieces.iter().any(|rows| matches!(rows.columns[slot], Column::Tag(_))) {
        let values = indices.iter().map(|(piece, _)| match &pieces[*piece].columns[slot] {
            Column::Tag(value) => value.as_deref(),
            _ => None,
        });
        return Ok(Arc::new(StringArray::from_iter(values)));
    }
    if kind == Type::Unknown {
        return Ok(nulls(kind, indices.len()));
    }
    let arrays: Vec<ArrayRef> = pieces.iter().map(|rows| rows.columns[slot].array(kind, rows.time.len())).collect();
    let arrays: Vec<&dyn Array> = arrays.iter().map(|array| &**array).collect();
    arrow_select::interleave::interleave(&arrays, indices).map_err(Error::internal)
}
