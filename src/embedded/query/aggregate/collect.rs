//! Folds that need all values of a window at once.

use std::cmp::Ordering;

use super::{Fold, Input, Point, Windows, group, has_values};
use crate::{
    embedded::query::{
        context::Budget,
        ir::Function,
        value::{Kind, Scalar, Type, down, row_bytes},
    },
    error::Error,
};

struct Row<K: Kind> {
    time: i64,
    value: K::Owned,
    aux: Option<Box<[Scalar]>>,
}

struct Rows<K: Kind>(Vec<Row<K>>);

impl<K: Kind> Default for Rows<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

struct Collect<K: Kind> {
    function: Function,
    ascending: bool,
    groups: Vec<Windows<Rows<K>>>,
}

/// A fold of this function.
pub(super) fn boxed<K: Kind>(function: Function, ascending: bool) -> Box<dyn Fold> {
    Box::new(Collect::<K> { function, ascending, groups: Vec::new() })
}

impl<K: Kind> Fold for Collect<K> {
    fn update(&mut self, input: &Input<'_>, budget: &Budget<'_>) -> Result<(), Error> {
        let windows = group(&mut self.groups, input.group);
        let array = down::<K::Array>(input.column);
        let mut bytes = 0;
        for run in input.runs {
            if !has_values(input.column, run) {
                continue;
            }
            let (rows, _) = windows.at(run.start);
            K::each(array, run.rows.clone(), |row, value| {
                let value = K::own(value);
                let aux = input.aux.map(|aux| aux(row));
                bytes += size_of::<Row<K>>() + K::heap(&value) + aux.as_deref().map_or(0, row_bytes);
                rows.0.push(Row { time: input.times[row], value, aux });
            });
            // Before the next window: one batch may have many.
            budget.take(std::mem::take(&mut bytes))?;
        }
        Ok(())
    }

    fn finish(&mut self, number: usize) -> Vec<(i64, Vec<Point>)> {
        let windows = std::mem::take(group(&mut self.groups, number));
        windows.slots.into_iter().map(|(start, rows)| (start, self.reduce(start, rows.0))).collect()
    }
}

impl<K: Kind> Collect<K> {
    fn reduce(&self, start: i64, mut rows: Vec<Row<K>>) -> Vec<Point> {
        let scalar = |value: &K::Owned| Scalar::of(&K::build(vec![Some(value.clone())]), 0);
        let at_start = |value: Scalar| vec![Point { time: start, value, aux: None }];
        match &self.function {
            Function::Distinct => {
                // Each value where it first comes up, by time and then by value.
                rows.sort_by(|a, b| {
                    let order = a.time.cmp(&b.time);
                    K::order(&a.value, &b.value).then(if self.ascending { order } else { order.reverse() })
                });
                rows.dedup_by(|a, b| a.value == b.value);
                rows.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| K::order(&a.value, &b.value)));
                rows.into_iter().map(|row| Point { time: start, value: scalar(&row.value), aux: None }).collect()
            }
            Function::Mode => at_start(mode::<K>(rows)),
            Function::Percentile(percentile) => {
                let place = (rows.len() as f64 * percentile / 100.0 + 0.5).floor() - 1.0;
                if place.is_nan() || place < 0.0 || place >= rows.len() as f64 {
                    return Vec::new();
                }
                rows.sort_by(|a, b| K::order(&a.value, &b.value).then(a.time.cmp(&b.time)));
                let row = rows.swap_remove(place as usize);
                vec![Point { time: row.time, value: scalar(&row.value), aux: row.aux }]
            }
            Function::Median => {
                rows.sort_by(|a, b| K::order(&a.value, &b.value));
                let middle = rows.len() / 2;
                at_start(match (rows.len(), rows.get(middle)) {
                    (_, None) => Scalar::Null,
                    (len, Some(row)) if len % 2 == 1 => float::<K>(&row.value),
                    (_, Some(high)) => halfway(&scalar(&rows[middle - 1].value), &scalar(&high.value)),
                })
            }
            Function::Stddev => at_start(stddev(rows.iter().map(|row| to_f64::<K>(&row.value)))),
            _ => Vec::new(),
        }
    }
}

fn float<K: Kind>(value: &K::Owned) -> Scalar {
    Scalar::Float(to_f64::<K>(value))
}

fn to_f64<K: Kind>(value: &K::Owned) -> f64 {
    match Scalar::of(&K::build(vec![Some(value.clone())]), 0).cast(Type::Float) {
        Scalar::Float(value) => value,
        _ => f64::NAN,
    }
}

/// Between two values, computed in their own type as 1.x does.
fn halfway(low: &Scalar, high: &Scalar) -> Scalar {
    match (low, high) {
        (Scalar::Float(low), Scalar::Float(high)) => Scalar::Float(low + (high - low) / 2.0),
        (Scalar::Integer(low), Scalar::Integer(high)) => Scalar::Float(*low as f64 + high.wrapping_sub(*low) as f64 / 2.0),
        (Scalar::Unsigned(low), Scalar::Unsigned(high)) => Scalar::Float(*low as f64 + high.wrapping_sub(*low) as f64 / 2.0),
        _ => Scalar::Null,
    }
}

/// Of the sample; of a single value it is no number.
fn stddev(values: impl Iterator<Item = f64> + Clone) -> Scalar {
    let (mut mean, mut count) = (0.0, 0_u64);
    for value in values.clone().filter(|value| !value.is_nan()) {
        count += 1;
        mean += (value - mean) / count as f64;
    }
    // No number, which isn't filled, and of which transformations make more.
    if count < 2 {
        return Scalar::Float(f64::NAN);
    }
    let variance: f64 = values.filter(|value| !value.is_nan()).map(|value| (value - mean).powi(2)).sum();
    Scalar::Float((variance / (count - 1) as f64).sqrt())
}

/// The most frequent value; of several the one that came first, as far as 1.x looks.
fn mode<K: Kind>(mut rows: Vec<Row<K>>) -> Scalar {
    let scalar = |value: &K::Owned| Scalar::of(&K::build(vec![Some(value.clone())]), 0);
    if K::TYPE == Type::Boolean {
        let trues = rows.iter().filter(|row| scalar(&row.value) == Scalar::Boolean(true)).count();
        return Scalar::Boolean(trues * 2 >= rows.len());
    }
    rows.sort_by(|a, b| match K::order(&a.value, &b.value) {
        Ordering::Equal => a.time.cmp(&b.time),
        order => order,
    });
    let Some(first) = rows.first() else { return Scalar::Null };
    let (mut most, mut current) = ((0, &first.value, first.time), (0, &first.value, first.time));
    for row in &rows {
        if row.value != *current.1 {
            current = (1, &row.value, row.time);
            continue;
        }
        current.0 += 1;
        if most.0 > current.0 || most.0 == current.0 && current.2 > most.2 {
            continue;
        }
        most = (current.0, &row.value, row.time);
    }
    scalar(most.1)
}
