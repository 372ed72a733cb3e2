//! `sample`: points chosen at random, without keeping the others (algorithm R in J. S. Vitter, “Random sampling with a reservoir”, ACM
//! Transactions on Mathematical Software 11, 1985).

use std::{
    cmp::Ordering,
    hash::{BuildHasher, RandomState},
};

use super::{Fold, Input, Point, Windows, group, has_values, reducers::scalar};
use crate::{
    embedded::query::{
        context::Budget,
        value::{Kind, Scalar, down, row_bytes},
    },
    error::Error,
};

struct Row<K: Kind> {
    time: i64,
    value: K::Owned,
    aux: Option<Box<[Scalar]>>,
}

struct Reservoir<K: Kind> {
    rows: Vec<Row<K>>,
    /// Points so far.
    seen: u64,
}

impl<K: Kind> Default for Reservoir<K> {
    fn default() -> Self {
        Self { rows: Vec::new(), seen: 0 }
    }
}

struct Sample<K: Kind> {
    count: usize,
    random: RandomState,
    /// Numbers that were drawn.
    drawn: u64,
    groups: Vec<Windows<Reservoir<K>>>,
}

/// A fold that takes samples of so many points.
pub(super) fn boxed<K: Kind>(count: usize) -> Box<dyn Fold> {
    Box::new(Sample::<K> { count, random: RandomState::new(), drawn: 0, groups: Vec::new() })
}

impl<K: Kind> Fold for Sample<K> {
    fn update(&mut self, input: &Input<'_>, budget: &Budget<'_>) -> Result<(), Error> {
        let windows = group(&mut self.groups, input.group);
        let array = down::<K::Array>(input.column);
        for run in input.runs {
            if !has_values(input.column, run) {
                continue;
            }
            let (reservoir, _) = windows.at(run.start);
            let mut bytes = 0;
            K::each(array, run.rows.clone(), |row, value| {
                reservoir.seen += 1;
                let place = if reservoir.rows.len() < self.count {
                    reservoir.rows.len()
                } else {
                    // The n-th point gets a place with a chance of count in n.
                    self.drawn += 1;
                    let drawn = self.random.hash_one(self.drawn) % reservoir.seen;
                    match usize::try_from(drawn) {
                        Ok(place) if place < self.count => place,
                        _ => return,
                    }
                };
                let value = K::own(value);
                let aux = input.aux.map(|aux| aux(row));
                bytes += size_of::<Row<K>>() + K::heap(&value) + aux.as_deref().map_or(0, row_bytes);
                let row = Row { time: input.times[row], value, aux };
                match reservoir.rows.get_mut(place) {
                    Some(known) => *known = row,
                    None => reservoir.rows.push(row),
                }
            });
            budget.take(bytes)?;
        }
        Ok(())
    }

    fn finish(&mut self, number: usize) -> Vec<(i64, Vec<Point>)> {
        let windows = std::mem::take(group(&mut self.groups, number));
        let points = |reservoir: Reservoir<K>| {
            let mut rows = reservoir.rows;
            rows.sort_by(|a, b| match a.time.cmp(&b.time) {
                Ordering::Equal => K::order(&a.value, &b.value),
                order => order,
            });
            rows.into_iter().map(|row| Point { time: row.time, value: scalar::<K>(row.value), aux: row.aux }).collect()
        };
        windows.slots.into_iter().map(|(start, reservoir)| (start, points(reservoir))).collect()
    }
}
