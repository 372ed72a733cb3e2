//! `SELECT` without functions: points as they are.
//!
//! Series are merged by time, partition after partition, without holding more of one than a share of the memory ([`lazy`]). Groups come one
//! after the other, and measurements of several sources have to be merged with each other: these are read as a whole where they are small
//! ([`collect`]), and otherwise some groups at a time.

mod collect;
mod emit;
mod lazy;

use std::{collections::BTreeSet, sync::Arc};

use self::emit::Emitter;
use super::{
    context::Budget,
    ir::{Place, Reader, Ref, Select, Source, Table},
    output::Output,
    rows::{self, Key, Wanted},
    value::Type,
};
use crate::{
    embedded::{SeriesFilter, Tables},
    error::Error,
};

/// Runs it over one measurement.
pub(super) fn run(select: &Select, source: &Source, budget: &Budget<'_>, output: &mut Output<'_>) -> Result<(), Error> {
    let read: Vec<usize> = (0..source.tables.len()).filter(|number| is_read(&source.tables[*number], select)).collect();
    let mut emitter = Emitter::new(select, source, budget, output);
    let [number] = read[..] else {
        return collect::run(select, source, &read, None, budget, &mut emitter);
    };
    let table = &source.tables[number];
    match &table.reader {
        // It is in order.
        Reader::Subquery(_) => {
            let wanted = wanted(select, None);
            rows::scan(select, table, &source.name, &wanted, budget, &mut |rows| {
                emitter.rows(&rows::key(&rows.tags, table), &rows)?;
                Ok(true)
            })?;
            Ok(())
        }
        Reader::Tables(_) if select.limited_by.is_empty() => {
            lazy::run(select, source, number, None, budget, &mut emitter)?;
            Ok(())
        }
        Reader::Tables(tables) => groups(select, source, number, &**tables, budget, &mut emitter),
    }
}

/// Reads groups, as many at a time as there is memory for.
fn groups(
    select: &Select,
    source: &Source,
    number: usize,
    tables: &dyn Tables,
    budget: &Budget<'_>,
    emitter: &mut Emitter<'_, '_, '_>,
) -> Result<(), Error> {
    let table = &source.tables[number];
    let there: usize = lazy::partitions(select, source, number).map(|partition| partition.bytes).fold(0, usize::saturating_add);
    let share = budget.share();
    if there <= share {
        return collect::run(select, source, &[number], None, budget, emitter);
    }
    let places = outer_places(select, table);
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    for tags in tables.series(&source.name, select.time.0..=select.time.1)? {
        if rows::chosen(table, &tags) {
            keys.insert(outer_key(&tags, &places));
        }
    }
    let mut keys: Vec<Key> = keys.into_iter().collect();
    if !select.ascending {
        keys.reverse();
    }
    // Few enough that what they have, if it is equally much, takes half of the share.
    let parts = there.div_ceil(share / 2 + 1).max(1);
    for some in keys.chunks(keys.len().div_ceil(parts).max(1)) {
        let some: Arc<BTreeSet<Key>> = Arc::new(some.iter().cloned().collect());
        let one = some.len() == 1;
        let places = places.clone();
        let series: SeriesFilter = Arc::new(move |tags: &[Box<str>]| some.contains(&outer_key(tags, &places)));
        if one {
            lazy::run(select, source, number, Some(&series), budget, emitter)?;
        } else {
            collect::run(select, source, &[number], Some(&series), budget, emitter)?;
        }
    }
    Ok(())
}

/// Whether a table has anything that is selected.
fn is_read(table: &Table, select: &Select) -> bool {
    let found = |place: &Place| match table.reader {
        Reader::Tables(_) => matches!(place, Place::Field(_)),
        Reader::Subquery(_) => true,
    };
    let known = |(place, r): (&Place, &Ref)| r.selected && r.kind != Type::Unknown && found(place);
    table.places.iter().zip(&select.refs).any(known)
}

fn wanted(select: &Select, series: Option<SeriesFilter>) -> Wanted {
    Wanted { time: select.time, descending: !select.ascending, selected_only: true, most: most(select), series }
}

/// Only so many points of a series can be among the first of its group.
fn most(select: &Select) -> Option<usize> {
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let limit = select.limits.limit.filter(|limit| *limit > 0)?;
    Some(size(limit).saturating_add(size(select.limits.offset.unwrap_or(0)))).filter(|most| *most < usize::MAX)
}

/// Selected columns by name: while they hold texts, they decide between points at the same time.
fn ties(select: &Select) -> Vec<usize> {
    let mut ties = select.aux();
    ties.sort_by(|a, b| select.refs[*a].name.cmp(&select.refs[*b].name));
    ties
}

/// Where a table has the tags of the outermost query's groups.
fn outer_places(select: &Select, table: &Table) -> Vec<Option<usize>> {
    select.outer_places().into_iter().map(|place| table.dimensions[place]).collect()
}

/// The group of the outermost query that a series belongs to.
fn outer_key(tags: &[Box<str>], places: &[Option<usize>]) -> Key {
    places.iter().map(|place| place.map_or_else(Box::default, |place| tags[place].clone())).collect()
}
