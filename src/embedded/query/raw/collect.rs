//! Rows that are read as a whole before they are merged: groups after each other, and several sources of one measurement.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        context::Budget,
        ir::{Reader, Select, Source},
        merge::{Merge, Orders, sort_series},
        rows::{self, Key, Rows},
    },
    emit::{CHUNK, Emitter},
    outer_key, outer_places, ties, wanted,
};
use crate::{embedded::SeriesFilter, error::Error};

/// What a group of the outermost query has in each source: its partitions, the last one of which is coming in.
type Group = Vec<Vec<Vec<Rows>>>;

/// Reads all tables in `read`, or the wanted series of them, and hands on group after group.
pub(super) fn run(
    select: &Select,
    source: &Source,
    read: &[usize],
    series: Option<&SeriesFilter>,
    budget: &Budget<'_>,
    emitter: &mut Emitter<'_, '_, '_>,
) -> Result<(), Error> {
    let limited = rows::limited(select, source)?;
    let wanted = wanted(select, series.cloned());
    let most = wanted.most.unwrap_or(usize::MAX);
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    for (place, number) in read.iter().enumerate() {
        let table = &source.tables[*number];
        let stored = matches!(table.reader, Reader::Tables(_));
        let places = outer_places(select, table);
        // The series of the last batch, and when it begins.
        let mut last: Option<(Arc<[Box<str>]>, i64)> = None;
        rows::scan(select, table, &source.name, &wanted, budget, &mut |rows| {
            if limited.as_ref().is_some_and(|limited| !limited.has(table, &rows.tags)) {
                return Ok(true);
            }
            let len = rows.time.len();
            let rows = if stored && len > most { rows.slice(if select.ascending { 0 } else { len - most }, most) } else { rows };
            // Series come sorted: one that isn't behind the last one begins the next partition.
            // Backwards, a series that goes on earlier does too: within a partition its batches ascend.
            let start = rows.time.values().first().copied().unwrap_or_default();
            let next = last.as_ref().is_some_and(|(tags, time)| rows.tags < *tags || rows.tags == *tags && start < *time);
            last = Some((Arc::clone(&rows.tags), start));
            if next && stored {
                for partitions in groups.values_mut().map(|group| &mut group[place]) {
                    if !partitions.last().is_some_and(Vec::is_empty) {
                        partitions.push(Vec::new());
                    }
                }
            }
            let key = outer_key(&rows.tags, &places);
            let group = groups.entry(key).or_insert_with(|| vec![vec![Vec::new()]; read.len()]);
            let partitions = &mut group[place];
            // Enough in the partitions before?
            if let Some((_, complete)) = partitions.split_last()
                && !select.mixes_groups()
                && complete.iter().flatten().map(|rows| rows.time.len()).sum::<usize>() >= most
            {
                return Ok(true);
            }
            budget.take(rows.bytes())?;
            if let Some(partition) = partitions.last_mut() {
                partition.push(rows);
            }
            Ok(true)
        })?;
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    if !select.ascending {
        groups.reverse();
    }
    for group in groups {
        emit(select, source, read, group, budget, emitter)?;
    }
    Ok(())
}

/// Merges what a group has and hands it on.
fn emit(
    select: &Select,
    source: &Source,
    read: &[usize],
    group: Group,
    budget: &Budget<'_>,
    emitter: &mut Emitter<'_, '_, '_>,
) -> Result<(), Error> {
    let ties = ties(select);
    let mut sources: Vec<(usize, Vec<Vec<Rows>>)> = Vec::new();
    for (partitions, number) in group.into_iter().zip(read) {
        let partitions: Vec<_> = partitions.into_iter().filter(|partition| !partition.is_empty()).collect();
        if !partitions.is_empty() {
            sources.push((*number, partitions));
        }
    }
    let one = sources.len() == 1;
    let (mut all, mut keys, mut orders) = (Vec::<Rows>::new(), Vec::<Key>::new(), Vec::new());
    for (number, partitions) in sources {
        let table = &source.tables[number];
        let stored = matches!(table.reader, Reader::Tables(_));
        let mut order: Vec<(usize, usize)> = Vec::new();
        for mut pieces in partitions {
            sort_series(&mut pieces, table);
            let its: Vec<Key> = pieces.iter().map(|rows| rows::key(&rows.tags, table)).collect();
            if one {
                hand_on(select, &pieces, &its, stored, emitter)?;
                budget.give_back(pieces.iter().map(Rows::bytes).sum());
                continue;
            }
            let from = all.len();
            if stored {
                order.extend(Merge::new(&pieces, &ties, !select.ascending).map(|(piece, row)| (from + piece, row)));
            } else {
                order.extend(in_order(&pieces).map(|(piece, row)| (from + piece, row)));
            }
            budget.take(order.len() * size_of::<(usize, usize)>())?;
            keys.extend(its);
            all.extend(pieces);
        }
        orders.push(order);
    }
    if !one {
        // Each source is merged first, then all of them.
        let taken = orders.iter().map(Vec::len).sum::<usize>() * size_of::<(usize, usize)>();
        chunks(&mut Orders::new(&all, orders, &ties, !select.ascending), &all, &keys, select, emitter)?;
        budget.give_back(taken + all.iter().map(Rows::bytes).sum::<usize>());
    }
    Ok(())
}

/// Hands on what a partition of one source has.
fn hand_on(select: &Select, pieces: &[Rows], keys: &[Key], stored: bool, emitter: &mut Emitter<'_, '_, '_>) -> Result<(), Error> {
    match pieces {
        [rows] if select.ascending || !stored => emitter.rows(&keys[0], rows),
        _ if stored => {
            let ties = ties(select);
            chunks(&mut Merge::new(pieces, &ties, !select.ascending), pieces, keys, select, emitter)
        }
        _ => chunks(&mut in_order(pieces), pieces, keys, select, emitter),
    }
}

/// All rows of the pieces as they are.
fn in_order(pieces: &[Rows]) -> impl Iterator<Item = (usize, usize)> {
    pieces.iter().enumerate().flat_map(|(piece, rows)| (0..rows.time.len()).map(move |row| (piece, row)))
}

fn chunks(
    order: &mut dyn Iterator<Item = (usize, usize)>,
    pieces: &[Rows],
    keys: &[Key],
    select: &Select,
    emitter: &mut Emitter<'_, '_, '_>,
) -> Result<(), Error> {
    loop {
        let indices: Vec<(usize, usize)> = std::iter::from_fn(|| order.next()).take(CHUNK).collect();
        let Some((piece, _)) = indices.last() else { return Ok(()) };
        let key = &keys[*piece];
        emitter.picked(pieces, keys, indices)?;
        if !select.mixes_groups() && emitter.is_full(key) {
            return Ok(());
        }
    }
}
