//! Functions from a series of points to a series of points. They take points in the order of the result.

use super::{
    aggregate::Point,
    context::Budget,
    holt_winters::{self, Model},
    ir::Function,
    value::{Scalar, Type},
    window::{MIN_TIME, Windows},
};
use crate::error::Error;

/// Applies a transformation; points without a value are passed over.
///
/// # Errors
/// Of the budget, for what grows beyond the points.
pub(super) fn apply(function: &Function, points: &[Point], ascending: bool, budget: &Budget<'_>) -> Result<Vec<Point>, Error> {
    // One point comes of each at most.
    budget.take(size_of_val(points))?;
    let points = points.iter().filter(|point| point.value != Scalar::Null);
    Ok(match function {
        Function::CumulativeSum => {
            let mut sum = Scalar::Null;
            points
                .map(|point| {
                    sum = match (&sum, &point.value) {
                        (Scalar::Float(a), Scalar::Float(b)) => Scalar::Float(a + b),
                        (Scalar::Integer(a), Scalar::Integer(b)) => Scalar::Integer(a.wrapping_add(*b)),
                        (Scalar::Unsigned(a), Scalar::Unsigned(b)) => Scalar::Unsigned(a.wrapping_add(*b)),
                        (_, value) => value.clone(),
                    };
                    at(point.time, sum.clone())
                })
                .collect()
        }
        Function::Derivative { unit, non_negative } => pairs(points, |previous, current| {
            let difference = match (&previous.value, &current.value) {
                // Unsigned numbers can fall too.
                (Scalar::Unsigned(a), Scalar::Unsigned(b)) if b < a => -((a - b) as f64),
                (a, b) => float(&minus(b, a)?)?,
            };
            let elapsed = if ascending { current.time - previous.time } else { previous.time - current.time };
            if *non_negative && difference < 0.0 {
                return None;
            }
            Some(Scalar::Float(if elapsed != 0 { difference / (elapsed as f64 / *unit as f64) } else { 0.0 }))
        }),
        Function::Difference { non_negative } => pairs(points, |previous, current| {
            let difference = minus(&current.value, &previous.value)?;
            let falls = match (&previous.value, &current.value) {
                (Scalar::Unsigned(a), Scalar::Unsigned(b)) => b < a,
                _ => float(&difference)? < 0.0,
            };
            (!*non_negative || !falls).then_some(difference)
        }),
        Function::Elapsed { unit } => {
            let times: Vec<i64> = points.map(|point| point.time).collect();
            times.windows(2).map(|pair| at(pair[1], Scalar::Integer((pair[1] - pair[0]) / unit))).collect()
        }
        Function::MovingAverage(len) => moving_average(points, *len),
        Function::HoltWinters { horizon, season, fit, interval } => {
            let points: Vec<(i64, f64)> = points.filter_map(|point| Some((point.time, float(&point.value)?))).collect();
            forecast(&points, *horizon, *season, *fit, *interval, budget)?
        }
        Function::Technical(technical) => {
            let (times, values): (Vec<i64>, Vec<f64>) =
                points.filter_map(|point| Some((point.time, float(&point.value)?))).unzip();
            technical.apply(values.into_iter()).map(|(i, result)| at(times[i], Scalar::Float(result))).collect()
        }
        _ => Vec::new(),
    })
}

/// What comes after the points, and with `fit` what was to be expected of them.
fn forecast(
    points: &[(i64, f64)],
    horizon: usize,
    season: usize,
    fit: bool,
    interval: i64,
    budget: &Budget<'_>,
) -> Result<Vec<Point>, Error> {
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else { return Ok(Vec::new()) };
    let Some(len) = holt_winters::len(*first, *last, interval) else { return Ok(Vec::new()) };
    budget.take(len.saturating_add(horizon).saturating_mul(2 * size_of::<Point>()))?;
    let Some(model) = Model::new(points, interval, season) else { return Ok(Vec::new()) };
    let forecast = model.forecast(horizon, &|| budget.check().is_ok());
    budget.check()?;
    let (start, skip) = if fit { (*first, 0) } else { (last.saturating_add(interval), len) };
    let time = |i: usize| i64::try_from(i).ok().and_then(|i| start.checked_add(interval.checked_mul(i)?));
    let points = forecast.into_iter().skip(skip).enumerate().filter(|(_, value)| !value.is_nan());
    Ok(points.filter_map(|(i, value)| Some(at(time(i)?, Scalar::Float(value)))).collect())
}

fn at(time: i64, value: Scalar) -> Point {
    Point { time, value, aux: None }
}

fn float(value: &Scalar) -> Option<f64> {
    match value.cast(Type::Float) {
        Scalar::Float(value) => Some(value),
        _ => None,
    }
}

fn minus(a: &Scalar, b: &Scalar) -> Option<Scalar> {
    match (a, b) {
        (Scalar::Float(a), Scalar::Float(b)) => Some(Scalar::Float(a - b)),
        (Scalar::Integer(a), Scalar::Integer(b)) => Some(Scalar::Integer(a.wrapping_sub(*b))),
        (Scalar::Unsigned(a), Scalar::Unsigned(b)) => Some(Scalar::Unsigned(a.wrapping_sub(*b))),
        _ => None,
    }
}

/// Each point with the one before it. Of several points at one time the first counts.
fn pairs<'a>(points: impl Iterator<Item = &'a Point>, f: impl Fn(&Point, &Point) -> Option<Scalar>) -> Vec<Point> {
    let mut result = Vec::new();
    let mut previous: Option<&Point> = None;
    for point in points {
        if let Some(before) = previous {
            if before.time == point.time {
                continue;
            }
            result.extend(f(before, point).map(|value| at(point.time, value)));
        }
        previous = Some(point);
    }
    result
}

fn moving_average<'a>(points: impl Iterator<Item = &'a Point>, len: usize) -> Vec<Point> {
    let mut values = std::collections::VecDeque::new();
    // Integers are summed as such, and overflow.
    let (mut floats, mut integers) = (0.0_f64, 0_i64);
    let mut result = Vec::new();
    for point in points {
        let (float, integer) = match &point.value {
            Scalar::Float(value) => (*value, 0),
            Scalar::Integer(value) => (0.0, *value),
            Scalar::Unsigned(value) => (0.0, *value as i64),
            _ => continue,
        };
        if values.len() == len
            && let Some((float, integer)) = values.pop_front()
        {
            floats -= float;
            integers = integers.wrapping_sub(integer);
        }
        floats += float;
        integers = integers.wrapping_add(integer);
        values.push_back((float, integer));
        if values.len() == len {
            let sum = match &point.value {
                Scalar::Float(_) => floats,
                Scalar::Unsigned(_) => integers as u64 as f64,
                _ => integers as f64,
            };
            result.push(at(point.time, Scalar::Float(sum / len as f64)));
        }
    }
    result
}

/// The area under the line through the points, for each window; where a window ends between two points the line is cut there.
pub(super) fn integral(points: &[Point], unit: i64, windows: Option<&Windows>, start: i64, ascending: bool) -> Vec<Point> {
    let unit = unit as f64;
    let bounds = |time: i64| match windows {
        Some(windows) => {
            let (start, end) = windows.of(time);
            if ascending { (start, end) } else { (end, start) }
        }
        None => (if start == MIN_TIME { 0 } else { start }, i64::MAX),
    };
    let mut result = Vec::new();
    let mut previous: Option<(i64, f64)> = None;
    let (mut from, mut to, mut sum) = (0, 0, 0.0);
    for point in points {
        let Some(value) = float(&point.value) else { continue };
        let Some((mut before, mut before_value)) = previous else {
            previous = Some((point.time, value));
            (from, to) = bounds(point.time);
            continue;
        };
        if before == point.time {
            previous = Some((point.time, value));
            continue;
        }
        let mut end = value;
        let beyond = if ascending { point.time >= to } else { point.time <= to };
        if windows.is_some() && beyond {
            if before != to {
                let slope = (value - before_value) / (point.time - before) as f64;
                let cut = slope * (to - before) as f64 + before_value;
                sum += 0.5 * (cut + before_value) * ((to - before) as f64 / unit);
                before = to;
                // With integers 1.x takes the value at the cut for the end of the line instead of its beginning.
                if matches!(point.value, Scalar::Float(_)) {
                    before_value = cut;
                } else {
                    end = cut;
                }
            }
            result.push(at(from, Scalar::Float(sum)));
            (from, to) = bounds(point.time);
            sum = 0.0;
        }
        sum += 0.5 * (end + before_value) * ((point.time - before) as f64 / unit);
        previous = Some((point.time, value));
    }
    if previous.is_some_and(|(time, _)| time != from) {
        result.push(at(from, Scalar::Float(sum)));
    }
    result
}
