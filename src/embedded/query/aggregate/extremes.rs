//! `top` and `bottom`: the points with the largest or smallest values, without keeping the others.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{Fold, Input, Point, Windows, group, has_values};
use crate::{
    embedded::query::{
        context::Budget,
        value::{Number, Scalar, down, row_bytes},
    },
    error::Error,
};

/// Which points are asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) largest: bool,
    pub(super) count: usize,
    /// Columns beside the field that tell points apart: of each combination only the best counts.
    pub(super) by: Option<Vec<usize>>,
}

struct Row<K: Number> {
    time: i64,
    value: K::Owned,
    aux: Box<[Scalar]>,
}

impl<K: Number> Row<K> {
    fn bytes(&self) -> usize {
        size_of::<Self>() + row_bytes(&self.aux)
    }
}

impl Wanted {
    /// Which of two comes first: the better value, then the earlier time.
    fn order<K: Number>(&self, a: (&K::Owned, i64), b: (&K::Owned, i64)) -> Ordering {
        let order = K::order(a.0, b.0);
        let order = if self.largest { order.reverse() } else { order };
        order.then(a.1.cmp(&b.1))
    }
}

impl Wanted {
    /// The first of the rows, in an order in which equal ones stand as in 1.x.
    fn choose<K: Number>(&self, rows: impl Iterator<Item = Row<K>>) -> Vec<Row<K>> {
        let after = |a: &Row<K>, b: &Row<K>| self.order::<K>((&a.value, a.time), (&b.value, b.time)) == Ordering::Greater;
        let mut heap: Vec<Row<K>> = Vec::new();
        rows.for_each(|row| insert(&mut heap, row, self.count, after));
        heap
    }
}

/// Adds an item to the first `count`, which are a binary heap with the last one on top, as in 1.x: equal ones then stand as there.
pub(in crate::embedded::query) fn insert<T>(heap: &mut Vec<T>, item: T, count: usize, after: impl Fn(&T, &T) -> bool) {
    if heap.len() < count {
        heap.push(item);
        let mut child = heap.len() - 1;
        while child > 0 && after(&heap[child], &heap[(child - 1) / 2]) {
            heap.swap(child, (child - 1) / 2);
            child = (child - 1) / 2;
        }
    } else if heap.first().is_some_and(|last| after(last, &item)) {
        heap[0] = item;
        let mut parent = 0;
        loop {
            let mut child = 2 * parent + 1;
            if child + 1 < heap.len() && after(&heap[child + 1], &heap[child]) {
                child += 1;
            }
            if child >= heap.len() || !after(&heap[child], &heap[parent]) {
                break;
            }
            heap.swap(child, parent);
            parent = child;
        }
    }
}

/// What is remembered of a window.
struct State<K: Number> {
    /// Up to twice as many as wanted; the first are sorted once there were enough of them.
    rows: Vec<Row<K>>,
    /// Only rows before this one in the order can be among the first.
    bound: Option<(K::Owned, i64)>,
    by: BTreeMap<Vec<Box<str>>, Row<K>>,
}

impl<K: Number> Default for State<K> {
    fn default() -> Self {
        Self { rows: Vec::new(), bound: None, by: BTreeMap::new() }
    }
}

impl<K: Number> State<K> {
    /// Keeps the first rows; what goes is given back.
    fn trim(&mut self, wanted: &Wanted, budget: &Budget<'_>) {
        self.rows.sort_by(|a, b| wanted.order::<K>((&a.value, a.time), (&b.value, b.time)));
        if self.rows.len() > wanted.count {
            budget.give_back(self.rows.drain(wanted.count..).map(|row| row.bytes()).sum());
        }
        self.bound = self.rows.last().map(|row| (row.value.clone(), row.time));
    }
}

struct Extremes<K: Number> {
    wanted: Wanted,
    groups: Vec<Windows<State<K>>>,
}

/// A fold of these.
pub(super) fn boxed<K: Number>(wanted: Wanted) -> Box<dyn Fold> {
    Box::new(Extremes::<K> { wanted, groups: Vec::new() })
}

impl<K: Number> Fold for Extremes<K> {
    fn update(&mut self, input: &Input<'_>, budget: &Budget<'_>) -> Result<(), Error> {
        let wanted = &self.wanted;
        let windows = group(&mut self.groups, input.group);
        let array = down::<K::Array>(input.column);
        let aux = |row: usize| input.aux.map_or_else(Box::default, |aux| aux(row));
        for run in input.runs {
            if !has_values(input.column, run) {
                continue;
            }
            let (state, _) = windows.at(run.start);
            let mut bytes = 0;
            let mut trimmed = Ok(());
            K::each(array, run.rows.clone(), |row, value| {
                let time = input.times[row];
                if let Some(by) = &wanted.by {
                    let aux = aux(row);
                    let key: Vec<Box<str>> = by.iter().map(|column| text(&aux[*column])).collect();
                    let new = Row { time, value: K::own(value), aux };
                    match state.by.get_mut(&key) {
                        Some(known) => {
                            if wanted.order::<K>((&new.value, time), (&known.value, known.time)) == Ordering::Less {
                                *known = new;
                            }
                        }
                        None => {
                            bytes += new.bytes() + key.iter().map(|part| part.len() + size_of::<Box<str>>()).sum::<usize>();
                            state.by.insert(key, new);
                        }
                    }
                    return;
                }
                let value = K::own(value);
                let beyond = |(bound, at): &(K::Owned, i64)| wanted.order::<K>((&value, time), (bound, *at)) != Ordering::Less;
                if state.bound.as_ref().is_some_and(beyond) {
                    return;
                }
                let row = Row { time, value, aux: aux(row) };
                bytes += row.bytes();
                state.rows.push(row);
                if state.rows.len() >= wanted.count.saturating_mul(2) {
                    trimmed = std::mem::replace(&mut trimmed, Ok(())).and_then(|()| budget.take(std::mem::take(&mut bytes)));
                    state.trim(wanted, budget);
                }
            });
            trimmed?;
            budget.take(bytes)?;
        }
        Ok(())
    }

    fn finish(&mut self, number: usize) -> Vec<(i64, Vec<Point>)> {
        let windows = std::mem::take(group(&mut self.groups, number));
        let points = |mut state: State<K>| {
            state.rows.sort_by_key(|row| row.time);
            let rows = state.rows.into_iter().chain(state.by.into_values());
            let mut rows = self.wanted.choose(rows);
            // Always by ascending time; of those at one time the best is first.
            rows.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| self.wanted.order::<K>((&a.value, a.time), (&b.value, b.time))));
            let point =
                |row: Row<K>| Point { time: row.time, value: super::reducers::scalar::<K>(row.value), aux: Some(row.aux) };
            rows.into_iter().map(point).collect()
        };
        windows.slots.into_iter().map(|(start, state)| (start, points(state))).collect()
    }
}

fn text(value: &Scalar) -> Box<str> {
    match value {
        Scalar::String(text) => (&**text).into(),
        _ => Box::default(),
    }
}
