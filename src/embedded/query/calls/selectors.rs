//! Selectors that show their points' rows: whose row it is, of several points with the same value at the same time, is up to the order in
//! which 1.x's heaps hand them on.
//!
//! This takes something for each window of each series, or each point. Where that is more than a share of the memory, the plain folds pick
//! a row in their own order.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array};

use super::{
    super::{
        aggregate::{self, Fold, Point},
        context::Budget,
        ir::{Call, Function, Reader, Select, Source, Table},
        merge::{Merge, series_key, sort_series, sorts_otherwise},
        points::by_window,
        rows::{Column, Key, Rows},
        value::{Scalar, down},
        window::Run,
    },
    grouping::Grouping,
    sequence::{Sequence, Windows},
};
use crate::error::{Error, Kind as ErrorKind};

/// A source and its partition.
type Place = (usize, usize);

/// A selector with rows on its way.
pub(super) struct Selector<'a> {
    call: &'a Call,
    /// The columns beside the value.
    aux: &'a [usize],
    kind: Kind,
    /// What it holds, and what it may.
    bytes: usize,
    most: usize,
}

enum Kind {
    /// The best of each window of each series.
    Best {
        function: Function,
        fold: Box<dyn Fold>,
        series: HashMap<usize, BTreeMap<Place, Vec<Series>>>,
        /// Numbers of what stands for series in a subquery.
        by_texts: HashMap<(usize, Key), usize>,
        count: usize,
    },
    /// All points: which are kept of equal ones depends on what was kept before.
    All(HashMap<usize, BTreeMap<Place, Vec<Rows>>>),
}

struct Series {
    tags: Key,
    group: usize,
    /// The values of the tags that tell points apart.
    by: Key,
    /// Its number among all.
    number: usize,
}

impl<'a> Selector<'a> {
    /// `None` for functions that don't depend on it, or aren't the same in 1.x from one build to the next.
    pub(super) fn new(call: &'a Call, select: &Select, aux: &'a [usize], most: usize) -> Option<Self> {
        if aux.is_empty() {
            return None;
        }
        let best = |function: Function| -> Option<Kind> {
            let fold = aggregate::fold(&function, call.input, aux, select.ascending)?;
            Some(Kind::Best { function, fold, series: HashMap::new(), by_texts: HashMap::new(), count: 0 })
        };
        let kind = match &call.function {
            Function::Extremes { by: None, .. } => Kind::All(HashMap::new()),
            Function::Extremes { largest, by: Some(_), .. } => best(if *largest { Function::Max } else { Function::Min })?,
            Function::Max | Function::Min => best(call.function.clone())?,
            Function::First | Function::Last if select.windows.is_some() => best(call.function.clone())?,
            _ => return None,
        };
        Some(Self { call, aux, kind, bytes: 0, most })
    }

    /// Takes points of a series; `false` when it would hold too much.
    pub(super) fn add(
        &mut self,
        at: (usize, usize, Place),
        table: &Table,
        batch: &Rows,
        column: &ArrayRef,
        runs: &[Run],
        budget: &Budget<'_>,
    ) -> Result<bool, Error> {
        let before = budget.used();
        let taken = self.take_in(at, table, batch, column, runs, budget);
        self.bytes += budget.used().saturating_sub(before);
        match taken {
            // There isn't so much: the plain folds need less.
            Err(error) if error.kind() == ErrorKind::Unprocessable => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(self.bytes <= self.most),
        }
    }

    fn take_in(
        &mut self,
        (outer, group, place): (usize, usize, Place),
        table: &Table,
        batch: &Rows,
        column: &ArrayRef,
        runs: &[Run],
        budget: &Budget<'_>,
    ) -> Result<(), Error> {
        match &mut self.kind {
            Kind::Best { fold, series, by_texts, count, .. } => {
                let by = || table.by.iter().map(|place| place.map_or_else(Box::default, |place| batch.tags[place].clone()));
                // Rows of a subquery are put together as they come: whatever they are told apart by is a series.
                let known = match table.reader {
                    Reader::Subquery(_) => by_texts.get(&(group, by().collect::<Key>())).copied(),
                    Reader::Tables(_) => None,
                };
                let series = series.entry(outer).or_default().entry(place).or_default();
                let number = match (known, series.last()) {
                    (Some(number), _) => number,
                    (None, Some(last)) if last.tags == batch.tags => last.number,
                    _ => {
                        let by: Key = by().collect();
                        if matches!(table.reader, Reader::Subquery(_)) {
                            by_texts.insert((group, Arc::clone(&by)), *count);
                        }
                        series.push(Series { tags: Arc::clone(&batch.tags), group, by, number: *count });
                        *count += 1;
                        budget.take(2 * size_of::<Series>() + size_of::<Point>())?;
                        *count - 1
                    }
                };
                super::update(&mut **fold, number, batch, column, runs, self.aux, budget)?;
            }
            Kind::All(pieces) => {
                let columns = std::iter::once(Column::Field(Arc::clone(column)));
                let columns = columns.chain(self.aux.iter().map(|slot| batch.columns[*slot].clone())).collect();
                let rows = Rows { tags: Arc::clone(&batch.tags), time: batch.time.clone(), columns };
                if let (Some(first), Some(last)) = (runs.first(), runs.last())
                    && let Some(rows) = with_value(rows.slice(first.rows.start, last.rows.end - first.rows.start))?
                {
                    budget.take(rows.bytes() + 32 * rows.time.len())?;
                    pieces.entry(outer).or_default().entry(place).or_default().push(rows);
                }
            }
        }
        Ok(())
    }

    /// What it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The windows of an outer group.
    pub(super) fn finish(
        &mut self,
        outer: usize,
        members: &[usize],
        select: &Select,
        source: &Source,
        grouping: &mut Grouping<'_>,
    ) -> Windows {
        let ranks: HashMap<usize, usize> = members.iter().enumerate().map(|(rank, group)| (*group, rank)).collect();
        let rank = |group: usize| ranks.get(&group).copied().unwrap_or_default();
        let window = |time: i64| select.windows.as_ref().map_or(select.time.0, |windows| windows.of(time).0);
        match &mut self.kind {
            Kind::Best { function, fold, series, .. } => {
                // By group, window, and the values of the tags that tell points apart.
                let mut best: BTreeMap<(usize, i64), BTreeMap<Key, Point>> = BTreeMap::new();
                for ((number, _), mut series) in series.remove(&outer).unwrap_or_default() {
                    sort(&mut series, &source.tables[number]);
                    if !select.ascending {
                        series.reverse();
                    }
                    let sequences = series.iter().enumerate().map(|(place, series)| {
                        let mut points: Vec<Point> =
                            fold.finish(series.number).into_iter().flat_map(|(_, points)| points).collect();
                        if !select.ascending {
                            points.reverse();
                        }
                        // Instead of a group, its place.
                        let places = vec![place as u32; points.len()];
                        Sequence { points, ranks: places }
                    });
                    let merged = by_window(sequences.collect(), select);
                    for (point, place) in merged.points.into_iter().zip(merged.ranks) {
                        let Series { group, by, .. } = &series[place as usize];
                        let known = best.entry((rank(*group), window(point.time))).or_default();
                        if known.get(by).is_none_or(|known| is_better(function, &point, known)) {
                            known.insert(Arc::clone(by), point);
                        }
                    }
                }
                let chosen = |points: BTreeMap<Key, Point>| match &self.call.function {
                    Function::Extremes { largest, count, .. } => extremes(points.into_values(), *largest, *count),
                    _ => points.into_values().collect(),
                };
                in_windows(best.into_iter().map(|(at, points)| (at, chosen(points))), members.len())
            }
            Kind::All(pieces) => {
                let Function::Extremes { largest, count, .. } = self.call.function else { return Windows::new() };
                let ties = ties(self.aux, select);
                let mut partitions: Vec<_> = pieces.remove(&outer).unwrap_or_default().into_iter().collect();
                if !select.ascending {
                    partitions.reverse();
                }
                let mut all: BTreeMap<(usize, i64), Vec<Point>> = BTreeMap::new();
                for ((number, _), mut pieces) in partitions {
                    let table = &source.tables[number];
                    sort_series(&mut pieces, table);
                    let of: Vec<usize> = pieces.iter().map(|rows| rank(grouping.of(&rows.tags, table).0)).collect();
                    for (piece, row) in Merge::new(&pieces, &ties, !select.ascending) {
                        let rows = &pieces[piece];
                        let mut point = Point { time: rows.time.value(row), value: rows.columns[0].value(row), aux: None };
                        let heap = all.entry((of[piece], window(point.time))).or_default();
                        // Its row is looked at only if it stays.
                        if heap.len() < count || heap.first().is_some_and(|last| order(last, &point, largest).is_gt()) {
                            point.aux = Some(rows.columns[1..].iter().map(|column| column.value(row)).collect());
                            insert(heap, point, largest, count);
                        }
                    }
                }
                in_windows(all.into_iter().map(|(at, heap)| (at, by_time(heap, largest))), members.len())
            }
        }
    }
}

/// Which of two comes first: the better value, then the earlier time.
fn order(a: &Point, b: &Point, largest: bool) -> Ordering {
    let order = a.value.order(&b.value);
    (if largest { order.reverse() } else { order }).then(a.time.cmp(&b.time))
}

/// Adds one to the best so far, which are a heap with the worst on top.
fn insert(heap: &mut Vec<Point>, point: Point, largest: bool, count: usize) {
    aggregate::insert(heap, point, count, |a, b| order(a, b, largest).is_gt());
}

/// By time; of those at one time the best is first.
fn by_time(mut heap: Vec<Point>, largest: bool) -> Vec<Point> {
    heap.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| order(a, b, largest)));
    heap
}

/// The best of these.
fn extremes(points: impl Iterator<Item = Point>, largest: bool, count: usize) -> Vec<Point> {
    let mut heap = Vec::new();
    points.for_each(|point| insert(&mut heap, point, largest, count));
    by_time(heap, largest)
}

/// Whether a point takes the place of one that came before.
fn is_better(function: &Function, point: &Point, known: &Point) -> bool {
    let (value, time) = (point.value.order(&known.value), point.time.cmp(&known.time));
    match function {
        Function::Max => value.is_gt() || value.is_eq() && time.is_lt(),
        Function::Min => value.is_lt() || value.is_eq() && time.is_lt(),
        Function::First => {
            let value = if matches!(point.value, Scalar::Boolean(_)) { value.reverse() } else { value };
            time.is_lt() || time.is_eq() && value.is_gt()
        }
        _ => time.is_gt() || time.is_eq() && value.is_gt(),
    }
}

/// By group.
fn in_windows(windows: impl Iterator<Item = ((usize, i64), Vec<Point>)>, groups: usize) -> Windows {
    let mut all: Windows = (0..groups).map(|rank| (rank, Vec::new())).collect();
    for ((rank, start), points) in windows {
        all[rank].1.push((start, points));
    }
    all
}

/// Columns beside the value, which stands first, by name: while they hold texts, they decide between equal times.
fn ties(aux: &[usize], select: &Select) -> Vec<usize> {
    let mut ties: Vec<usize> = (0..aux.len()).collect();
    ties.sort_by(|a, b| select.refs[aux[*a]].name.cmp(&select.refs[aux[*b]].name));
    ties.into_iter().map(|tie| tie + 1).collect()
}

/// Sorts series as 1.x does.
fn sort(series: &mut [Series], table: &Table) {
    if matches!(table.reader, Reader::Tables(_)) && series.iter().any(|series| sorts_otherwise(&series.tags)) {
        series.sort_by_cached_key(|series| series_key(&series.tags, table));
    }
}

/// The rows that have a value in the first column.
fn with_value(rows: Rows) -> Result<Option<Rows>, Error> {
    let Some(Column::Field(values)) = rows.columns.first() else { return Ok(None) };
    if rows.time.is_empty() || values.null_count() == values.len() {
        return Ok(None);
    }
    let Some(valid) = values.nulls().filter(|nulls| nulls.null_count() > 0) else { return Ok(Some(rows)) };
    let valid = BooleanArray::new(valid.inner().clone(), None);
    let keep = |array: &dyn Array| arrow_select::filter::filter(array, &valid).map_err(Error::internal);
    let column = |column: &Column| -> Result<Column, Error> {
        Ok(match column {
            Column::Field(array) => Column::Field(keep(array)?),
            other => other.clone(),
        })
    };
    let time = keep(&rows.time)?;
    let columns = rows.columns.iter().map(column).collect::<Result<_, Error>>()?;
    Ok(Some(Rows { time: down::<Int64Array>(&time).clone(), columns, tags: rows.tags }))
}
