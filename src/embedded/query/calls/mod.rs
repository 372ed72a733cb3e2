//! `SELECT` with functions: one pass over the points folds all calls, then each group's results are filled, joined by time and handed on.
//!
//! 1.x sorts by the groups of the outermost query only. Where a subquery groups by more, the results of its groups come mixed: window by
//! window, points in the order of their times. What works on them, `fill` and what reads the subquery, sees this order ([`sequence`]).

mod end;
mod grouping;
mod join;
mod selectors;
mod sequence;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arrow_array::Array;

pub(super) use self::{end::End, sequence::Sequence};
use self::{grouping::Grouping, selectors::Selector, sequence::Windows};
use super::{
    aggregate::{self, Fold, Input},
    context::Budget,
    fill,
    ir::{Arg, Call, Fill, Function, Place, Reader, Select, Source, Table},
    output::Output,
    points::{Edges, Points},
    rows::{self, Column, Rows, Wanted},
    transform,
    value::{Scalar, Type},
    window::{MIN_TIME, Run},
};
use crate::error::Error;

/// A call on its way: what its innermost function works with, and the times that it wants.
struct Running<'a> {
    call: &'a Call,
    leaf: Leaf<'a>,
    time: (i64, i64),
    /// Windows that were complete before earlier ones came again, by outer group.
    complete: Vec<(usize, Windows)>,
    end: End,
}

/// What points are collected in.
enum Leaf<'a> {
    /// Nowhere: 1.x has no such function for the type.
    Nothing,
    Fold(Box<dyn Fold>),
    /// All of them as they are, not by window.
    Points(Points),
    /// The first or last of each series.
    Edges(Edges),
    /// A selector that shows rows.
    Selector(Selector<'a>),
}

/// Runs it over one measurement; `ends` says of each call how far it has come.
pub(super) fn run(
    select: &Select,
    source: &Source,
    ends: &mut [End],
    budget: &Budget<'_>,
    output: &mut Output<'_>,
) -> Result<(), Error> {
    if !run_as(select, source, ends, true, budget, output)? {
        run_as(select, source, ends, false, budget, output)?;
    }
    Ok(())
}

/// Runs it; `false` when `exact`, of rows with equal values the one that 1.x shows, takes too much memory.
fn run_as(
    select: &Select,
    source: &Source,
    ends: &mut [End],
    exact: bool,
    budget: &Budget<'_>,
    output: &mut Output<'_>,
) -> Result<bool, Error> {
    let aux = if select.is_selector() { select.aux() } else { Vec::new() };
    let stored = source.tables.iter().all(|table| matches!(table.reader, Reader::Tables(_)));
    let mut running: Vec<Running<'_>> = select
        .calls
        .iter()
        .zip(&*ends)
        .map(|(call, end)| {
            let innermost = leaf(call);
            let told_apart = matches!(innermost.function, Function::Extremes { by: Some(_), .. });
            let leaf = match innermost.function {
                Function::Points | Function::Integral { .. } => Leaf::Points(Points::default()),
                Function::First | Function::Last if select.windows.is_none() && stored && !select.mixes_groups() => {
                    Leaf::Edges(Edges::new(innermost.function == Function::First, &aux, select))
                }
                _ => match Selector::new(innermost, select, &aux, budget.share()).filter(|_| exact && (stored || told_apart)) {
                    Some(selector) => Leaf::Selector(selector),
                    None => aggregate::fold(&innermost.function, innermost.input, &aux, select.ascending)
                        .map_or(Leaf::Nothing, Leaf::Fold),
                },
            };
            Running { call, leaf, time: extended(call, select), complete: Vec::new(), end: end.next() }
        })
        .collect();
    let time = (
        running.iter().map(|running| running.time.0).min().unwrap_or(select.time.0),
        running.iter().map(|running| running.time.1).max().unwrap_or(select.time.1),
    );
    let limited = rows::limited(select, source)?;
    let mut grouping = Grouping::new(select);
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
        grouping.next_table();
        let mut reading = Reading { select, table, aux: &aux, budget, time, number, last: None, windows: HashMap::new() };
        // One pass for all calls; of a subquery one for each range of times, since what it gives depends on the range.
        let passes: Vec<(i64, i64)> = match &table.reader {
            Reader::Tables(_) => vec![time],
            Reader::Subquery(_) => running.iter().map(|running| running.time).collect::<BTreeSet<_>>().into_iter().collect(),
        };
        for pass in passes {
            reading.windows.clear();
            let wanted = Wanted { time: pass, descending: false, selected_only: false, most: None, series: None };
            let whole = rows::scan(select, table, &source.name, &wanted, budget, &mut |rows| {
                if limited.as_ref().is_some_and(|limited| !limited.has(table, &rows.tags)) {
                    return Ok(true);
                }
                if subquery {
                    reading.feed_rows(&rows, &mut running, pass, &mut grouping)
                } else {
                    reading.feed(&rows, &mut running, &mut partition, &mut grouping)
                }
            })?;
            if !whole {
                for running in &running {
                    if let Leaf::Selector(selector) = &running.leaf {
                        budget.give_back(selector.bytes());
                    }
                }
                return Ok(false);
            }
        }
        partition += 1;
    }
    for (outer, members) in grouping.sorted(!select.ascending) {
        budget.check()?;
        let before = budget.used();
        let results: Result<Vec<Sequence>, Error> =
            running.iter_mut().map(|running| points(running, outer, &members, select, source, &mut grouping, budget)).collect();
        let keys: Vec<_> = members.iter().map(|member| grouping.key(*member)).collect();
        join::join(select, source, &keys, results?, &aux, output)?;
        budget.give_back(budget.used().saturating_sub(before));
    }
    for (end, running) in ends.iter_mut().zip(&running) {
        *end = running.end;
    }
    Ok(true)
}

/// A table that is read.
struct Reading<'a, 'b> {
    select: &'a Select,
    table: &'a Table,
    /// Columns beside a selector.
    aux: &'a [usize],
    budget: &'a Budget<'b>,
    /// What all calls want.
    time: (i64, i64),
    number: usize,
    /// The last series.
    last: Option<rows::Key>,
    /// The last window of each call and outer group of a subquery.
    windows: HashMap<(usize, usize), i64>,
}

impl Reading<'_, '_> {
    /// Takes points of a series; `false` when that takes too much memory.
    fn feed(
        &mut self,
        rows: &Rows,
        running: &mut [Running<'_>],
        partition: &mut usize,
        grouping: &mut Grouping<'_>,
    ) -> Result<bool, Error> {
        // Series come sorted: one that isn't behind the last one begins the next partition.
        if self.last.as_ref().is_some_and(|last| rows.tags < *last) {
            *partition += 1;
        }
        self.last = Some(Arc::clone(&rows.tags));
        let (group, outer) = grouping.of(&rows.tags, self.table);
        let place = (outer, (self.number, *partition));
        let times = rows.time.values();
        let whole = [Run { start: self.select.time.0, rows: 0..times.len() }];
        let runs = self.select.windows.as_ref().map(|windows| windows.runs(times));
        for running in running {
            let Column::Field(array) = &rows.columns[running.call.slot()] else { continue };
            let inside = || {
                let before = |end: i64| times.partition_point(|time| *time < end);
                before(running.time.0)..times.partition_point(|time| *time <= running.time.1)
            };
            match &mut running.leaf {
                Leaf::Nothing => continue,
                Leaf::Points(points) => {
                    points.add(place, rows, array, inside(), self.budget)?;
                    continue;
                }
                Leaf::Edges(edges) => {
                    edges.add(place, rows, array, inside(), self.budget)?;
                    continue;
                }
                Leaf::Fold(_) | Leaf::Selector(_) => {}
            }
            let runs = runs.as_deref().unwrap_or(&whole);
            let trimmed;
            let runs = if running.time == self.time {
                runs
            } else {
                trimmed = trim(runs, &inside());
                &trimmed
            };
            let fits = match &mut running.leaf {
                Leaf::Fold(fold) => update(&mut **fold, group, rows, array, runs, self.aux, self.budget).map(|()| true),
                Leaf::Selector(selector) => selector.add((outer, group, place.1), self.table, rows, array, runs, self.budget),
                _ => Ok(true),
            };
            if !fits? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes rows of a subquery, whose windows may come again; `false` when that takes too much memory.
    fn feed_rows(
        &mut self,
        rows: &Rows,
        running: &mut [Running<'_>],
        pass: (i64, i64),
        grouping: &mut Grouping<'_>,
    ) -> Result<bool, Error> {
        let (group, outer) = grouping.of(&rows.tags, self.table);
        let times = rows.time.values();
        let runs = match &self.select.windows {
            Some(windows) => windows.runs_unsorted(times),
            None => vec![Run { start: self.select.time.0, rows: 0..times.len() }],
        };
        let Some(first) = runs.first() else { return Ok(true) };
        for (call, running) in running.iter_mut().enumerate().filter(|(_, running)| running.time == pass) {
            let array = match &rows.columns[running.call.slot()] {
                Column::Field(array) => Arc::clone(array),
                tag @ Column::Tag(Some(_)) => tag.array(Type::Tag, times.len()),
                _ => continue,
            };
            let count = match (&self.select.windows, &running.leaf) {
                (None, Leaf::Fold(_) | Leaf::Selector(_)) => running.end.taken(outer, times, &array, self.select.time),
                _ => times.len(),
            };
            let taken;
            let runs = if count < times.len() {
                taken = trim(&runs, &(0..count));
                &taken
            } else {
                &runs
            };
            match &mut running.leaf {
                Leaf::Nothing | Leaf::Edges(_) => {}
                Leaf::Selector(selector) => {
                    if !selector.add((outer, group, (self.number, 0)), self.table, rows, &array, runs, self.budget)? {
                        return Ok(false);
                    }
                }
                Leaf::Points(points) => points.add((outer, (self.number, 0)), rows, &array, 0..times.len(), self.budget)?,
                Leaf::Fold(fold) => {
                    let last = self.windows.entry((call, outer)).or_insert(first.start);
                    let parts = parts(runs, &array, joins_windows(&leaf(running.call).function), last, self.select.ascending);
                    for (i, part) in parts.iter().enumerate() {
                        if i > 0 {
                            let windows = grouping.members(outer).iter().map(|member| (*member, fold.finish(*member)));
                            running.complete.push((outer, windows.collect()));
                        }
                        update(&mut **fold, group, rows, &array, &runs[part.clone()], self.aux, self.budget)?;
                    }
                }
            }
        }
        Ok(true)
    }
}

/// Whether 1.x puts together what a function gives for windows of the same time that come one after the other: it then doesn't matter
/// whether a row without a value stands between them.
const fn joins_windows(function: &Function) -> bool {
    matches!(
        function,
        Function::Count | Function::Sum | Function::Mean | Function::First | Function::Last | Function::Max | Function::Min
    ) || matches!(function, Function::Extremes { by: Some(_), .. })
}

/// Cuts runs into parts that have windows in order. `last` is the window before.
fn parts(runs: &[Run], array: &dyn Array, joins: bool, last: &mut i64, ascending: bool) -> Vec<std::ops::Range<usize>> {
    let mut parts: Vec<std::ops::Range<usize>> = std::iter::once(0..0).collect();
    for (i, run) in runs.iter().enumerate() {
        if !joins || run.rows.clone().any(|row| array.is_valid(row)) {
            if if ascending { run.start < *last } else { run.start > *last } {
                parts.push(i..i);
            }
            *last = run.start;
        }
        if let Some(part) = parts.last_mut() {
            part.end = i + 1;
        }
    }
    parts
}

fn update(
    fold: &mut dyn Fold,
    group: usize,
    rows: &Rows,
    column: &arrow_array::ArrayRef,
    runs: &[Run],
    aux: &[usize],
    budget: &Budget<'_>,
) -> Result<(), Error> {
    let row = |row: usize| aux.iter().map(|slot| rows.columns[*slot].value(row)).collect();
    let aux: Option<&dyn Fn(usize) -> Box<[Scalar]>> = if aux.is_empty() { None } else { Some(&row) };
    fold.update(&Input { group, times: rows.time.values(), runs, column, aux }, budget)
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

/// Transformations need the window before the first, as far as the outermost query reaches.
fn extended(call: &Call, select: &Select) -> (i64, i64) {
    let mut time = select.time;
    let Some(windows) = &select.windows else { return time };
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
    (time.0.max(select.reach.0.min(select.time.0)), time.1.min(select.reach.1.max(select.time.1)))
}

/// What a leaf gave for an outer group.
enum Leaves {
    /// Its windows.
    Windows(Vec<Windows>),
    /// Points, in the order of the result.
    Points(Sequence),
}

impl Leaves {
    /// Whether there is any value.
    fn any(&self) -> bool {
        let is_value = |point: &aggregate::Point| point.value != Scalar::Null;
        match self {
            Self::Windows(parts) => {
                parts.iter().flatten().flat_map(|(_, windows)| windows).any(|(_, points)| points.iter().any(is_value))
            }
            Self::Points(sequence) => sequence.points.iter().any(is_value),
        }
    }
}

/// The points of an outer group, in the order of the result.
fn points(
    running: &mut Running<'_>,
    outer: usize,
    members: &[usize],
    select: &Select,
    source: &Source,
    grouping: &mut Grouping<'_>,
    budget: &Budget<'_>,
) -> Result<Sequence, Error> {
    let rank = |group: usize| members.iter().position(|member| *member == group).unwrap_or(0) as u32;
    if running.end.is_given() {
        return Ok(Sequence::default());
    }
    // With several calls, the others go on asking.
    let alone = select.calls.len() == 1;
    let leaves = match &mut running.leaf {
        Leaf::Nothing => return Ok(Sequence::default()),
        Leaf::Points(points) => {
            let ranks: HashMap<usize, u32> = members.iter().enumerate().map(|(rank, group)| (*group, rank as u32)).collect();
            let mut rank = |rows: &Rows, table: &Table| ranks.get(&grouping.of(&rows.tags, table).0).copied().unwrap_or_default();
            Leaves::Points(points.finish(outer, source, select, &mut rank, budget)?)
        }
        Leaf::Edges(edges) => {
            let points: Vec<_> = edges.finish(outer, source).into_iter().collect();
            Leaves::Windows(vec![vec![(0, vec![(select.time.0, points)])]])
        }
        Leaf::Selector(selector) => Leaves::Windows(vec![selector.finish(outer, members, select, source, grouping)]),
        Leaf::Fold(fold) => {
            let mut all: Vec<Windows> = Vec::new();
            let mut kept = Vec::new();
            for (of, windows) in std::mem::take(&mut running.complete) {
                if of == outer {
                    all.push(windows.into_iter().map(|(group, windows)| (rank(group) as usize, windows)).collect());
                } else {
                    kept.push((of, windows));
                }
            }
            running.complete = kept;
            all.push(members.iter().enumerate().map(|(rank, group)| (rank, fold.finish(*group))).collect());
            if alone && matches!(leaf(running.call).function, Function::Percentile(_)) {
                running.end.cut(&mut all, select.ascending, select.windows.is_some() && select.fill != Fill::None);
            }
            Leaves::Windows(all)
        }
    };
    // A row takes one point of a call at most, so no call needs more points than rows are asked for.
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let limit = select.limits.limit.filter(|limit| *limit > 0).map_or(usize::MAX, size);
    let offset = size(select.limits.offset.unwrap_or(0));
    let any = alone && matches!(running.call.function, Function::HoltWinters { .. }) && leaves.any();
    let points = apply(running.call, leaves, running.time, select, limit.saturating_add(offset), budget)?;
    if any {
        running.end.goes_on(!points.points.is_empty());
    }
    // Each call is limited on its own: rows are put together of what is left.
    Ok(points.limited(offset, limit, members.len()))
}

fn apply(
    call: &Call,
    leaves: Leaves,
    time: (i64, i64),
    select: &Select,
    most: usize,
    budget: &Budget<'_>,
) -> Result<Sequence, Error> {
    let points = match &call.arg {
        Arg::Ref(_) => match (leaves, &call.function) {
            (Leaves::Points(points), Function::Integral { unit }) => {
                // Without windows it is at no time in particular, of integers where the range begins.
                let start = match call.input {
                    Type::Float => MIN_TIME,
                    _ if select.ascending => select.time.0,
                    _ => select.time.1.saturating_add(1),
                };
                return points
                    .by_group(|points| Ok(transform::integral(points, *unit, select.windows.as_ref(), start, select.ascending)));
            }
            (Leaves::Points(points), _) => return Ok(points),
            (Leaves::Windows(windows), function) if function.keeps_times() => {
                return Ok(Sequence::of_windows(windows, select.ascending, None));
            }
            // A selector that stands alone keeps its point's time where there are no windows.
            (Leaves::Windows(windows), _) if select.windows.is_none() && select.is_selector() => {
                return Ok(Sequence::of_windows(windows, select.ascending, None));
            }
            (Leaves::Windows(windows), _) => {
                let start = |start: i64| if start == MIN_TIME { 0 } else { start };
                Sequence::of_windows(windows, select.ascending, Some(&start))
            }
        },
        Arg::Call(inner) if call.function == Function::Count => {
            // Counts what the inner call gives for each window.
            apply(inner, leaves, time, select, usize::MAX, budget)?.counted()
        }
        Arg::Call(inner) => {
            let inner = apply(inner, leaves, time, select, usize::MAX, budget)?;
            let transformed = |points: &[_]| transform::apply(&call.function, points, select.ascending, budget);
            // What comes after the points is no point's.
            return if matches!(call.function, Function::HoltWinters { .. }) {
                inner.by_group(transformed)
            } else {
                inner.in_place(transformed)
            };
        }
    };
    // What gives several points a window, or cuts its own windows, isn't filled.
    if call.function == Function::Distinct {
        return Ok(points);
    }
    match &select.windows {
        Some(windows) => points.filled(|points| {
            fill::fill(points, &call.function, call.output, &select.fill, windows, time, select.ascending, most, budget)
        }),
        _ => Ok(points),
    }
}
