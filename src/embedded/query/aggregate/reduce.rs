//! Folds whose state has a fixed size.

use std::marker::PhantomData;

use super::{Fold, Input, Point, Windows, group, has_values};
use crate::{
    embedded::query::{
        context::Budget,
        value::{Kind, Scalar, down, row_bytes},
    },
    error::Error,
};

/// The state of one window.
pub(super) trait Reducer<K: Kind>: Default + 'static {
    /// Takes in a value; `true` when its row is now the one that was picked.
    fn push(&mut self, time: i64, value: K::Ref<'_>) -> bool;

    /// The result, and the time of the row that was picked.
    fn finish(self) -> (Option<i64>, Scalar);
}

struct State<R> {
    reducer: R,
    aux: Option<Box<[Scalar]>>,
}

impl<R: Default> Default for State<R> {
    fn default() -> Self {
        Self { reducer: R::default(), aux: None }
    }
}

struct Reduce<K, R> {
    groups: Vec<Windows<State<R>>>,
    kind: PhantomData<K>,
}

/// A fold of this reducer.
pub(super) fn boxed<K: Kind, R: Reducer<K>>() -> Box<dyn Fold> {
    Box::new(Reduce::<K, R> { groups: Vec::new(), kind: PhantomData })
}

impl<K: Kind, R: Reducer<K>> Fold for Reduce<K, R> {
    fn update(&mut self, input: &Input<'_>, budget: &Budget<'_>) -> Result<(), Error> {
        let windows = group(&mut self.groups, input.group);
        let array = down::<K::Array>(input.column);
        let mut bytes = 0;
        for run in input.runs {
            if !has_values(input.column, run) {
                continue;
            }
            let (state, new) = windows.at(run.start);
            if new {
                bytes += size_of::<(i64, State<R>)>();
            }
            let mut picked = None;
            K::each(array, run.rows.clone(), |row, value| {
                if state.reducer.push(input.times[row], value) {
                    picked = Some(row);
                }
            });
            if let (Some(row), Some(aux)) = (picked, input.aux) {
                let aux = aux(row);
                bytes += row_bytes(&aux);
                state.aux = Some(aux);
            }
        }
        budget.take(bytes)
    }

    fn finish(&mut self, number: usize) -> Vec<(i64, Vec<Point>)> {
        let windows = std::mem::take(group(&mut self.groups, number));
        windows
            .slots
            .into_iter()
            .map(|(start, state)| {
                let (time, value) = state.reducer.finish();
                (start, vec![Point { time: time.unwrap_or(start), value, aux: state.aux }])
            })
            .collect()
    }
}
