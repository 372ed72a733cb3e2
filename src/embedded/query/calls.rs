//! `SELECT` with functions: one pass over the points folds all calls, then each group's results are filled, joined by time and handed on.

use std::{collections::BTreeSet, sync::Arc};

use arrow_array::{ArrayRef, Int64Array};

use super::{
    aggregate::{self, Fold, Input, Point},
    context::Budget,
    fill,
    ir::{Arg, Call, Fill, Function, Place, Reader, Select, Source},
    output::Output,
    points::{Edges, Points},
    rows::{self, Column, Groups, Rows, Wanted},
    transform,
    value::{Scalar, Type, column},
    window::{MIN_TIME, Run},
};
use crate::error::Error;

/// A call on its way: what its innermost function works with, and the times that it wants.
struct Running<'a> {
    call: &'a Call,
    leaf: Leaf,
    time: (i64, i64),
}

/// What points are collected in.
enum Leaf {
    /// Nowhere: 1.x has no such function for the type.
    Nothing,
    Fold(Box<dyn Fold>),
    /// All of them as they are, not by window.
    Points(Points),
    /// The first or last of each series.
    Edges(Edges),
}

/// Runs it over one measurement.
pub(super) fn run(select: &Select, source: &Source, budget: &Budget<'_>, output: &mut Output<'_>) -> Result<(), Error> {
    let aux = if select.is_selector() { select.aux() } else { Vec::new() };
    let stored = source.tables.iter().all(|table| matches!(table.reader, Reader::Tables(_)));
    let mut running: Vec<Running<'_>> = select
        .calls
        .iter()
        .map(|call| {
            let innermost = leaf(call);
            let leaf = match innermost.function {
                Function::Points | Function::Integral { .. } => Leaf::Points(Points::default()),
                Function::First | Function::Last if select.windows.is_none() && stored => {
                    Leaf::Edges(Edges::new(innermost.function == Function::First, &aux, select))
                }
                _ => aggregate::fold(&innermost.function, innermost.input, &aux, select.ascending)
                    .map_or(Leaf::Nothing, Leaf::Fold),
            };
            Running { call, leaf, time: extended(call, select) }
        })
        .collect();
    let time = (
        running.iter().map(|running| running.time.0).min().unwrap_or(select.time.0),
        running.iter().map(|running| running.time.1).max().unwrap_or(select.time.1),
    );
    let limited = rows::limited(select, source)?;
    let mut groups = Groups::default();
    let mut partition = 0;
    for (number, table) in source.tables.iter().enumerate() {
        let subquery = matches!(table.reader, Reader::Subquery(_));
        if !running.iter().any(|running| match table.places[running.call.slot()] {
            Place::Field(_) => true,
            Place::Tag(_) => subquery,
            Place::Nowhere => false,
        }) {
            continue;
        }
        groups.next_table();
        let mut last: Option<Arc<[Box<str>]>> = None;
        let mut feed = |rows: Rows, running: &mut [Running<'_>], pass: Option<(i64, i64)>| {
            if limited.as_ref().is_some_and(|limited| !limited.has(table, &rows.tags)) {
                return Ok(true);
            }
            // Series come sorted: one that isn't behind the last one begins the next partition.
            if last.as_ref().is_some_and(|last| rows.tags < *last) {
                partition += 1;
            }
            last = Some(Arc::clone(&rows.tags));
            let group = groups.of(&rows.tags, table);
            let times = rows.time.values();
            let whole = [Run { start: select.time.0, rows: 0..times.len() }];
            let runs = select.windows.as_ref().map(|windows| windows.runs(times));
            for running in running.iter_mut().filter(|running| pass.is_none_or(|pass| running.time == pass)) {
                let texts;
                let array = match &rows.columns[running.call.slot()] {
                    Column::Field(array) => array,
                    tag @ Column::Tag(Some(_)) if subquery => {
                        texts = tag.array(Type::Tag, times.len());
                        &texts
                    }
                    _ => continue,
                };
                let inside = || match pass {
                    Some(_) => 0..times.len(),
                    None => {
                        let before = |end: i64| times.partition_point(|time| *time < end);
                        before(running.time.0)..times.partition_point(|time| *time <= running.time.1)
                    }
                };
                let fold = match &mut running.leaf {
                    Leaf::Nothing => continue,
                    Leaf::Points(points) => {
                        points.add((group, (number, partition)), &rows, array, inside(), budget)?;
                        continue;
                    }
                    Leaf::Edges(edges) => {
                        edges.add((group, (number, partition)), &rows, array, inside(), budget)?;
                        continue;
                    }
                    Leaf::Fold(fold) => fold,
                };
                let runs = runs.as_deref().unwrap_or(&whole);
                let trimmed;
                let runs = if pass.is_some() || running.time == time {
                    runs
                } else {
                    trimmed = trim(runs, &inside());
                    &trimmed
                };
                let row = |row: usize| aux.iter().map(|slot| rows.columns[*slot].value(row)).collect();
                let aux: Option<&dyn Fn(usize) -> Box<[Scalar]>> = if aux.is_empty() { None } else { Some(&row) };
                fold.update(&Input { group, times, runs, column: array, aux }, budget)?;
            }
            Ok(true)
        };
        // One pass for all calls; of a subquery one for each range of times, since what it gives depends on the range.
        let passes: Vec<(i64, i64)> = match &table.reader {
            Reader::Tables(_) => vec![time],
            Reader::Subquery(_) => running.iter().map(|running| running.time).collect::<BTreeSet<_>>().into_iter().collect(),
        };
        for pass in passes {
            let wanted = Wanted { time: pass, descending: false, selected_only: false, most: None };
            let pass = matches!(table.reader, Reader::Subquery(_)).then_some(pass);
            rows::scan(select, table, &source.name, wanted, budget, &mut |rows| feed(rows, &mut running, pass))?;
        }
    }
    for group in groups.sorted(!select.ascending) {
        budget.check()?;
        let before = budget.used();
        let results: Result<Vec<Vec<Point>>, Error> =
            running.iter_mut().map(|running| points(running, group, select, source, budget)).collect();
        join(select, source, &groups.keys[group], results?, &aux, output)?;
        budget.give_back(budget.used().saturating_sub(before));
    }
    Ok(())
}

/// The part of the runs that lies in `rows`.
fn trim(runs: &[Run], rows: &std::ops::Range<usize>) -> Vec<Run> {
    runs.iter()
        .map(|run| Run { start: run.start, rows: run.rows.start.max(rows.start)..run.rows.end.min(rows.end) })
        .filter(|run| run.rows.start < run.rows.end)
        .collect()
}

fn leaf(call: &Call) -> &Call {
    match &call.arg {
        Arg::Ref(_) => call,
        Arg::Call(inner) => leaf(inner),
    }
}

/// Transformations of windows need those before the first. Those of points that only another query cuts into windows don't.
fn extended(call: &Call, select: &Select) -> (i64, i64) {
    let mut time = select.time;
    let Some(windows) = &select.windows else { return time };
    if leaf(call).function == Function::Points {
        return time;
    }
    let mut call = call;
    while let Arg::Call(inner) = &call.arg {
        let more = match &call.function {
            Function::Derivative { .. }
            | Function::Difference { .. }
            | Function::Elapsed { .. }
            | Function::MovingAverage(_)
            | Function::Technical(_) => 1,
            _ => 0,
        };
        let more = windows.width.saturating_mul(more);
        if select.ascending {
            if time.0 > MIN_TIME {
                time.0 = time.0.saturating_sub(more).max(MIN_TIME);
            }
        } else {
            time.1 = time.1.saturating_add(more);
        }
        call = inner;
    }
    time
}

/// What a leaf gave for a group: its windows, or points, in the order of the result.
enum Leaves {
    Windows(Vec<(i64, Vec<Point>)>),
    Points(Vec<Point>),
}

/// The points of a group, in the order of the result.
fn points(
    running: &mut Running<'_>,
    group: usize,
    select: &Select,
    source: &Source,
    budget: &Budget<'_>,
) -> Result<Vec<Point>, Error> {
    let leaves = match &mut running.leaf {
        Leaf::Nothing => return Ok(Vec::new()),
        Leaf::Points(points) => Leaves::Points(points.finish(group, source, select.ascending, budget)?),
        Leaf::Edges(edges) => Leaves::Windows(vec![(select.time.0, edges.finish(group, source).into_iter().collect())]),
        Leaf::Fold(fold) => {
            let mut windows = fold.finish(group);
            if !select.ascending {
                windows.reverse();
            }
            Leaves::Windows(windows)
        }
    };
    // A row takes one point of a call at most, so no call needs more points than rows are asked for.
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let most = select.limits.limit.filter(|limit| *limit > 0).map_or(usize::MAX, size);
    let most = most.saturating_add(size(select.limits.offset.unwrap_or(0)));
    let mut points = apply(running.call, leaves, running.time, select, most, budget)?;
    // Each call is limited on its own: rows are put together of what is left.
    points.drain(..points.len().min(size(select.limits.offset.unwrap_or(0))));
    points.truncate(select.limits.limit.filter(|limit| *limit > 0).map_or(usize::MAX, size));
    Ok(points)
}

fn apply(
    call: &Call,
    leaves: Leaves,
    time: (i64, i64),
    select: &Select,
    most: usize,
    budget: &Budget<'_>,
) -> Result<Vec<Point>, Error> {
    let points = match &call.arg {
        Arg::Ref(_) => match (leaves, &call.function) {
            (Leaves::Points(points), Function::Integral { unit }) => {
                // Without windows it is at no time in particular, of integers where the range begins.
                let start = match call.input {
                    Type::Float => MIN_TIME,
                    _ if select.ascending => select.time.0,
                    _ => select.time.1.saturating_add(1),
                };
                transform::integral(&points, *unit, select.windows.as_ref(), start, select.ascending)
            }
            (Leaves::Points(points), _) => return Ok(points),
            (Leaves::Windows(windows), function) if function.keeps_times() => {
                return Ok(windows.into_iter().flat_map(|(_, points)| points).collect());
            }
            // A selector that stands alone keeps its point's time where there are no windows.
            (Leaves::Windows(windows), _) if select.windows.is_none() && select.is_selector() => {
                return Ok(windows.into_iter().flat_map(|(_, points)| points).collect());
            }
            (Leaves::Windows(windows), _) => {
                let start = |start: i64| if start == MIN_TIME { 0 } else { start };
                windows
                    .into_iter()
                    .flat_map(|(window, points)| points.into_iter().map(move |point| Point { time: start(window), ..point }))
                    .collect()
            }
        },
        Arg::Call(inner) if call.function == Function::Count => {
            // Counts what the inner call gives for each window.
            let mut counts: Vec<Point> = Vec::new();
            for point in apply(inner, leaves, time, select, usize::MAX, budget)? {
                match counts.last_mut() {
                    Some(Point { time, value: Scalar::Integer(count), .. }) if *time == point.time => *count += 1,
                    _ => counts.push(Point { time: point.time, value: Scalar::Integer(1), aux: None }),
                }
            }
            counts
        }
        Arg::Call(inner) => {
            let inner = apply(inner, leaves, time, select, usize::MAX, budget)?;
            return transform::apply(&call.function, &inner, select.ascending, budget);
        }
    };
    // What gives several points a window, or cuts its own windows, isn't filled.
    if matches!(call.function, Function::Distinct | Function::Integral { .. }) {
        return Ok(points);
    }
    match &select.windows {
        Some(windows) => {
            fill::fill(points, &call.function, call.output, &select.fill, windows, time, select.ascending, most, budget)
        }
        None => Ok(points),
    }
}

/// Joins the calls' points by time and hands them on.
fn join(
    select: &Select,
    source: &Source,
    key: &rows::Key,
    results: Vec<Vec<Point>>,
    aux: &[usize],
    output: &mut Output<'_>,
) -> Result<(), Error> {
    let mut times = Vec::new();
    let mut values: Vec<Vec<Scalar>> = vec![Vec::new(); select.calls.len()];
    let mut others: Vec<Vec<Scalar>> = vec![Vec::new(); aux.len()];
    let mut heads: Vec<_> = results.into_iter().map(|points| points.into_iter().peekable()).collect();
    let mut last: Vec<Scalar> = vec![Scalar::Null; select.calls.len() + aux.len()];
    loop {
        let pending = heads.iter_mut().filter_map(|head| head.peek().map(|point| point.time));
        let Some(time) = (if select.ascending { pending.min() } else { pending.max() }) else { break };
        for (i, head) in heads.iter_mut().enumerate() {
            let point = head.next_if(|point| point.time == time);
            if aux.len() == others.len()
                && let Some(point) = &point
            {
                for (j, slot) in aux.iter().enumerate() {
                    let value = point.aux.as_ref().map_or(Scalar::Null, |aux| aux[j].clone());
                    let value = default(select, value, select.refs[*slot].kind, &mut last[select.calls.len() + j]);
                    others[j].push(value);
                }
            }
            let value = point.map_or(Scalar::Null, |point| point.value);
            if matches!(value, Scalar::Float(value) if value.is_nan()) {
                // What is no number is there: it isn't filled, and is reckoned with.
                last[i] = value.clone();
                values[i].push(value);
                continue;
            }
            let value = default(select, value, select.calls[i].output, &mut last[i]);
            values[i].push(value);
        }
        times.push(time);
    }
    let len = times.len();
    let mut slots: Vec<ArrayRef> = Vec::with_capacity(select.refs.len() + select.calls.len());
    for (slot, reference) in select.refs.iter().enumerate() {
        slots.push(match aux.iter().position(|aux| *aux == slot) {
            Some(place) => column(reference.kind, others[place].iter()),
            None => super::value::nulls(reference.kind, len),
        });
    }
    for (call, values) in select.calls.iter().zip(&values) {
        slots.push(column(call.output, values.iter()));
    }
    output.push(&source.name, &Arc::clone(key), Int64Array::from(times), slots)
}

/// A value, or what `fill` says where there is none.
fn default(select: &Select, value: Scalar, kind: Type, last: &mut Scalar) -> Scalar {
    if value != Scalar::Null {
        if select.fill == Fill::Previous {
            *last = value.clone();
        }
        return value;
    }
    match &select.fill {
        Fill::Previous => last.clone(),
        Fill::Number(number) if kind.is_number() => number.cast(kind),
        _ => Scalar::Null,
    }
}
