//! Aggregates and selectors: columns are folded into one state for each group and window, without keeping rows where that can be avoided.

mod collect;
mod extremes;
mod reduce;
mod reducers;
mod sample;

use arrow_array::{Array, ArrayRef};

pub(super) use self::extremes::insert;

use super::{
    context::Budget,
    ir::Function,
    value::{Boolean, Float, Integer, Scalar, Text, Type, Unsigned},
    window::Run,
};
use crate::error::Error;

/// One point of a call's result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// The start of its window; for selectors and raw points their own time.
    pub(super) time: i64,
    pub(super) value: Scalar,
    /// Values of the other columns in the row that a selector picked.
    pub(super) aux: Option<Box<[Scalar]>>,
}

/// A batch on its way into a fold.
pub(super) struct Input<'a> {
    pub(super) group: usize,
    pub(super) times: &'a [i64],
    pub(super) runs: &'a [Run],
    pub(super) column: &'a ArrayRef,
    /// The other columns of a row, when they are wanted.
    pub(super) aux: Option<&'a dyn Fn(usize) -> Box<[Scalar]>>,
}

/// One call over all groups and windows.
pub(super) trait Fold {
    /// Takes in the rows of a batch.
    fn update(&mut self, input: &Input<'_>, budget: &Budget<'_>) -> Result<(), Error>;

    /// The points of a group, by window, and what they held of the memory.
    fn finish(&mut self, group: usize) -> Vec<(i64, Vec<Point>)>;
}

/// The fold of a function over values of a type; `None` where 1.x has none. `aux` are the columns that rows come with.
pub(super) fn fold(function: &Function, kind: Type, aux: &[usize], ascending: bool) -> Option<Box<dyn Fold>> {
    use reducers::{Count, First, Last, Max, Mean, Min, Spread, Sum};
    macro_rules! numbers {
        ($state:ident) => {
            match kind {
                Type::Float => Some(reduce::boxed::<Float, $state<Float>>()),
                Type::Integer => Some(reduce::boxed::<Integer, $state<Integer>>()),
                Type::Unsigned => Some(reduce::boxed::<Unsigned, $state<Unsigned>>()),
                _ => None,
            }
        };
    }
    macro_rules! kinds {
        ($state:ident) => {
            match kind {
                Type::String => Some(reduce::boxed::<Text, $state<Text>>()),
                Type::Boolean => Some(reduce::boxed::<Boolean, $state<Boolean>>()),
                _ => numbers!($state),
            }
        };
    }
    macro_rules! every_kind {
        ($module:ident, $($with:expr),+) => {
            match kind {
                Type::Float => Some($module::boxed::<Float>($($with),+)),
                Type::Integer => Some($module::boxed::<Integer>($($with),+)),
                Type::Unsigned => Some($module::boxed::<Unsigned>($($with),+)),
                Type::String => Some($module::boxed::<Text>($($with),+)),
                Type::Boolean => Some($module::boxed::<Boolean>($($with),+)),
                Type::Tag | Type::Unknown => None,
            }
        };
    }
    match function {
        Function::Count => match kind {
            Type::Float => Some(reduce::boxed::<Float, Count>()),
            Type::Integer => Some(reduce::boxed::<Integer, Count>()),
            Type::Unsigned => Some(reduce::boxed::<Unsigned, Count>()),
            Type::String => Some(reduce::boxed::<Text, Count>()),
            Type::Boolean => Some(reduce::boxed::<Boolean, Count>()),
            Type::Tag | Type::Unknown => None,
        },
        Function::Sum => numbers!(Sum),
        Function::Mean => numbers!(Mean),
        Function::Spread => numbers!(Spread),
        Function::First => kinds!(First),
        Function::Last => kinds!(Last),
        Function::Max if kind == Type::Boolean => Some(reduce::boxed::<Boolean, Max<Boolean>>()),
        Function::Min if kind == Type::Boolean => Some(reduce::boxed::<Boolean, Min<Boolean>>()),
        Function::Max => numbers!(Max),
        Function::Min => numbers!(Min),
        Function::Extremes { largest, count, by, .. } => {
            let column = |slot: &usize| aux.iter().position(|aux| aux == slot);
            let by = by.as_ref().map(|by| by.iter().filter_map(column).collect());
            let wanted = extremes::Wanted { largest: *largest, count: *count, by };
            match kind {
                Type::Float => Some(extremes::boxed::<Float>(wanted)),
                Type::Integer => Some(extremes::boxed::<Integer>(wanted)),
                Type::Unsigned => Some(extremes::boxed::<Unsigned>(wanted)),
                _ => None,
            }
        }
        Function::Sample(count) => every_kind!(sample, *count),
        Function::Distinct | Function::Median | Function::Mode | Function::Percentile(_) | Function::Stddev => {
            every_kind!(collect, function.clone(), ascending)
        }
        Function::Points
        | Function::CumulativeSum
        | Function::Derivative { .. }
        | Function::Difference { .. }
        | Function::Elapsed { .. }
        | Function::Integral { .. }
        | Function::MovingAverage(_)
        | Function::HoltWinters { .. }
        | Function::Technical(_) => None,
    }
}

/// Whether a run has any value.
fn has_values(column: &ArrayRef, run: &Run) -> bool {
    column.nulls().is_none_or(|nulls| run.rows.clone().any(|row| nulls.is_valid(row)))
}

/// States of the windows of one group, by start. Batches come by ascending time within a series, so the place of the next window is
/// nearly always where the last one was, or right behind it.
struct Windows<S> {
    slots: Vec<(i64, S)>,
    hint: usize,
}

impl<S> Default for Windows<S> {
    fn default() -> Self {
        Self { slots: Vec::new(), hint: 0 }
    }
}

impl<S: Default> Windows<S> {
    /// The state of a window; `true` when it is new.
    fn at(&mut self, start: i64) -> (&mut S, bool) {
        let slots = &self.slots;
        let found = [self.hint, self.hint + 1].into_iter().find(|i| slots.get(*i).is_some_and(|slot| slot.0 == start));
        let (place, new) = match found {
            Some(place) => (place, false),
            None => match slots.binary_search_by_key(&start, |slot| slot.0) {
                Ok(place) => (place, false),
                Err(place) => (place, true),
            },
        };
        if new {
            self.slots.insert(place, (start, S::default()));
        }
        self.hint = place;
        (&mut self.slots[place].1, new)
    }
}

/// The states of a group, made when the group turns up.
fn group<S: Default>(groups: &mut Vec<Windows<S>>, number: usize) -> &mut Windows<S> {
    if groups.len() <= number {
        groups.resize_with(number + 1, Windows::default);
    }
    &mut groups[number]
}
