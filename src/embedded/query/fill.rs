//! Windows without a value.

use super::{
    aggregate::Point,
    context::Budget,
    ir::{Fill, Function},
    value::{Scalar, Type},
    window::{MIN_TIME, Windows},
};
use crate::error::Error;

/// What a filled window holds until it is on its way out: here, and once more when the calls of a row are joined.
const WINDOW_BYTES: i128 = 2 * size_of::<Point>() as i128;

/// Puts points into the empty windows of a group. `points` are in the order of the result; `time` are the bounds of the call; `most` is
/// how many points anybody looks at.
///
/// # Errors
/// When all windows between the bounds are more than the budget holds: told before the first is made, since a year has 31 million seconds.
#[expect(clippy::too_many_arguments, reason = "all of a call that matters here")]
pub(super) fn fill(
    points: Vec<Point>,
    function: &Function,
    kind: Type,
    fill: &Fill,
    windows: &Windows,
    time: (i64, i64),
    ascending: bool,
    most: usize,
    budget: &Budget<'_>,
) -> Result<Vec<Point>, Error> {
    let mut number = match fill {
        Fill::None => return Ok(points),
        Fill::Null if *function == Function::Count => Some(Scalar::Integer(0)),
        Fill::Number(number) => Some(number.clone()),
        _ => None,
    };
    if let Some(number) = &mut number {
        *number = match (&number, kind) {
            (_, Type::String) => Scalar::String("".into()),
            (_, Type::Boolean) => Scalar::Boolean(false),
            (number, kind) => number.cast(kind),
        };
    }
    let Some(first) = points.first() else { return Ok(points) };
    let (mut next, end) =
        if ascending { (windows.of(time.0).0, windows.of(time.1).0) } else { (windows.of(time.1).0, windows.of(time.0).0) };
    if next <= MIN_TIME.saturating_add(windows.width) && time.0 == MIN_TIME && ascending {
        next = windows.of(first.time).0;
    }
    // Backwards without a lower bound, the last point is the end.
    let open_end = !ascending && time.0 == MIN_TIME;
    let last = if open_end { points.last().map_or(end, |point| point.time) } else { end };
    let count = (i128::from(last) - i128::from(next)).abs() / i128::from(windows.width.max(1)) + 1;
    let count = count.min(i128::try_from(most).unwrap_or(i128::MAX));
    budget.take(usize::try_from(count.saturating_mul(WINDOW_BYTES)).unwrap_or(usize::MAX))?;

    let mut offset = windows.offset_at(next);
    let mut result: Vec<Point> = Vec::with_capacity(points.len());
    let mut previous: Option<(i64, Scalar)> = None;
    let mut points = points.into_iter().peekable();
    while result.len() < most {
        let expected = match points.peek() {
            Some(point) => !(if ascending { point.time > next } else { point.time < next }),
            None if open_end || (if ascending { next > end } else { next < end }) => break,
            None => false,
        };
        if expected {
            if let Some(point) = points.next() {
                previous = Some((point.time, point.value.clone()));
                result.push(point);
            }
        } else {
            let value = match (fill, &number) {
                (_, Some(number)) => number.clone(),
                (Fill::Previous, _) => previous.as_ref().map_or(Scalar::Null, |(_, value)| value.clone()),
                (Fill::Linear, _) => match (&previous, points.peek()) {
                    (Some(previous), Some(following)) => linear(next, windows.width, previous, following),
                    _ => Scalar::Null,
                },
                _ => Scalar::Null,
            };
            result.push(Point { time: next, value, aux: None });
        }
        let step = windows.step(next, !ascending, &mut offset);
        if step == next {
            break;
        }
        next = step;
    }
    Ok(result)
}

fn linear(time: i64, width: i64, previous: &(i64, Scalar), next: &Point) -> Scalar {
    let (from, to) = (previous.0 / width, next.time / width);
    let between = |a: f64, b: f64| (b - a) / (to - from) as f64 * (time / width - from) as f64 + a;
    match (&previous.1, &next.value) {
        (Scalar::Float(a), Scalar::Float(b)) => Scalar::Float(between(*a, *b)),
        (Scalar::Integer(a), Scalar::Integer(b)) => Scalar::Integer(between(*a as f64, *b as f64) as i64),
        (Scalar::Unsigned(a), Scalar::Unsigned(b)) => Scalar::Unsigned(between(*a as f64, *b as f64) as u64),
        _ => Scalar::Null,
    }
}
