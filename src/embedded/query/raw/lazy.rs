//! Series of a stored measurement, merged by time without holding them as a whole: partition after partition, and of a large partition one
//! span of time after the other.
//!
//! 1.x's heap of series decides between points at the same time by what it did before, so it has to be the same heap from the beginning of a
//! partition to its end. It needs to know of every series when its next row is, also of those that have none in the span that is held: that
//! row is held too.
//!
//! How long a span is, is estimated first. If it holds more than its share of the memory, its end is moved while it is read, and rows behind
//! the end are dropped again.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, Int64Array, UInt32Array};

use super::{
    super::{
        context::Budget,
        ir::{Reader, Select, Source, Table},
        merge::{Heap, decided, series_key, sorts_otherwise},
        rows::{self, Column, Key, Limited, Rows, Wanted, chosen},
        value::{Type, down},
    },
    emit::{CHUNK, Emitter},
    most, ties, wanted,
};
use crate::{
    embedded::{SeriesFilter, TagSet},
    error::{Error, Kind},
};

/// How many pieces of one span are looked at, to find the time that halves it.
const SAMPLES: usize = 8;

/// A partition, or what is wanted of it.
pub(super) struct Part {
    /// Both ends included.
    time: (i64, i64),
    /// About how much its rows take.
    pub(super) bytes: usize,
}

/// The partitions of a stored table, in the order in which they are read.
pub(super) fn partitions(select: &Select, source: &Source, number: usize) -> impl Iterator<Item = Part> {
    let table = &source.tables[number];
    let mut parts = Vec::new();
    if let Reader::Tables(tables) = &table.reader {
        let width = 16
            + select
                .refs
                .iter()
                .map(|reference| match reference.kind {
                    Type::String => 24,
                    Type::Boolean => 1,
                    Type::Tag | Type::Unknown => 0,
                    _ => 8,
                })
                .sum::<usize>();
        let (from, to) = select.time;
        for partition in tables.partitions(&source.name) {
            if partition.start <= to && partition.end > from {
                let rows = usize::try_from(partition.rows).unwrap_or(usize::MAX).saturating_add(partition.cached);
                // The end of time belongs to the last one.
                let last = if partition.end == i64::MAX { i64::MAX } else { partition.end - 1 };
                parts.push(Part { time: (from.max(partition.start), to.min(last)), bytes: rows.saturating_mul(width) });
            }
        }
    }
    if !select.ascending {
        parts.reverse();
    }
    parts.into_iter()
}

/// Reads a table, or the wanted series of it, which are all of one group of the outermost query.
pub(super) fn run(
    select: &Select,
    source: &Source,
    number: usize,
    series: Option<&SeriesFilter>,
    budget: &Budget<'_>,
    emitter: &mut Emitter<'_, '_, '_>,
) -> Result<(), Error> {
    let limited = rows::limited(select, source)?;
    for part in partitions(select, source, number) {
        let mut merge = Merge {
            select,
            source,
            table: &source.tables[number],
            limited: limited.as_ref(),
            wanted: wanted(select, series.cloned()),
            most: most(select).unwrap_or(usize::MAX),
            budget,
            ties: ties(select),
            series: Vec::new(),
            known: HashMap::new(),
            range: part.time,
            held: 0,
            width: None,
            heap: Heap::new(Vec::new(), &|_, _| false),
        };
        if !merge.emit(part.bytes, emitter)? {
            break;
        }
    }
    Ok(())
}

/// One series of a partition.
struct Series {
    tags: TagSet,
    key: Key,
    /// Rows within the span, in time's order.
    pieces: VecDeque<Rows>,
    /// The next row of the first piece, counted from where the direction begins.
    at: usize,
    /// The first row behind the span.
    next: Option<Next>,
    /// Whether there is none.
    finished: bool,
    /// The chunk that rows of the first piece were picked for, their place there, and the first of them.
    picked: Option<(usize, usize, usize)>,
    /// Rows that came out.
    given: usize,
}

/// What the heap has to know of a row that isn't held.
struct Next {
    time: i64,
    /// What decides between equal times.
    texts: Box<[Box<str>]>,
}

impl Next {
    fn of(rows: &Rows, row: usize, ties: &[usize]) -> Self {
        let texts = ties.iter().map_while(|column| rows.columns[*column].text(row)).map(Box::from);
        Self { time: rows.time.value(row), texts: texts.collect() }
    }
}

struct Merge<'a, 'b> {
    select: &'a Select,
    source: &'a Source,
    table: &'a Table,
    limited: Option<&'a Limited<'a>>,
    wanted: Wanted,
    /// So many rows of a series suffice.
    most: usize,
    budget: &'a Budget<'b>,
    ties: Vec<usize>,
    series: Vec<Series>,
    known: HashMap<TagSet, usize>,
    /// What is left of the partition, both ends included.
    range: (i64, i64),
    /// Bytes of all pieces.
    held: usize,
    /// How long a span is; all that is left, without.
    width: Option<i64>,
    /// Times of the series' next rows, and the series.
    heap: Heap<(i64, usize)>,
}

impl Series {
    /// The row that comes next, if it is held.
    fn row(&self, descending: bool) -> Option<(&Rows, usize)> {
        let rows = self.pieces.front()?;
        Some((rows, if descending { rows.time.len() - 1 - self.at } else { self.at }))
    }

    /// When the next row is.
    fn time(&self, descending: bool) -> Option<i64> {
        match self.row(descending) {
            Some((rows, row)) => Some(rows.time.value(row)),
            None => self.next.as_ref().map(|next| next.time),
        }
    }

    /// The text that the next row has in one of the columns that decide.
    fn text(&self, ties: &[usize], tie: usize, descending: bool) -> Option<&str> {
        match self.row(descending) {
            Some((rows, row)) => rows.columns[ties[tie]].text(row),
            None => self.next.as_ref()?.texts.get(tie).map(|text| &**text),
        }
    }
}

impl Merge<'_, '_> {
    fn descending(&self) -> bool {
        !self.select.ascending
    }

    /// Hands on all rows of the partition; `false` when no more are needed.
    fn emit(&mut self, bytes: usize, emitter: &mut Emitter<'_, '_, '_>) -> Result<bool, Error> {
        let share = self.budget.share();
        // Where few rows of each series are wanted, they are read at once.
        if bytes > share && self.wanted.most.is_none() {
            let whole = i128::from(self.range.1) - i128::from(self.range.0);
            let width = whole * i128::try_from(share / 2).unwrap_or(1) / i128::try_from(bytes).unwrap_or(i128::MAX);
            self.width = Some(i64::try_from(width.max(1)).unwrap_or(i64::MAX));
        }
        self.load(true)?;
        self.sort();
        let (mut pieces, mut keys, mut indices) = (Vec::<Rows>::new(), Vec::<Key>::new(), Vec::new());
        let size = if self.select.mixes_groups() { CHUNK } else { CHUNK.min(self.most).max(1) };
        let mut chunk = 0;
        let mut done = false;
        while let Some((_, number)) = self.heap.peek().copied() {
            if self.series[number].pieces.is_empty() {
                // Everybody's next row is behind the span.
                self.load(false)?;
                if self.series[number].pieces.is_empty() {
                    return Err(Error::new(Kind::Internal, "a row that was there isn't there any more"));
                }
            }
            if self.heap.len() == 1 && !self.descending() && indices.is_empty() {
                done = self.rest_of_piece(number, emitter)?;
            } else {
                let descending = self.descending();
                let series = &mut self.series[number];
                let Some((rows, row)) = series.row(descending) else { continue };
                let (place, base) = match series.picked {
                    Some((picked_for, place, base)) if picked_for == chunk => (place, base),
                    _ => {
                        // No more than the chunk can have of it.
                        let base = if descending { (row + 1).saturating_sub(size) } else { row };
                        let len = if descending { row + 1 - base } else { size.min(rows.time.len() - row) };
                        pieces.push(rows.slice(base, len));
                        keys.push(Arc::clone(&series.key));
                        series.picked = Some((chunk, pieces.len() - 1, base));
                        (pieces.len() - 1, base)
                    }
                };
                indices.push((place, row - base));
                self.step(number, 1);
            }
            if indices.len() >= size || !indices.is_empty() && self.heap.len() <= 1 {
                let last = keys.last().cloned();
                emitter.picked(&pieces, &keys, std::mem::take(&mut indices))?;
                (pieces, keys) = (Vec::new(), Vec::new());
                chunk += 1;
                done = !self.select.mixes_groups() && last.is_some_and(|key| emitter.is_full(&key));
            }
            if done {
                break;
            }
        }
        if !indices.is_empty() {
            let last = keys.last().cloned();
            emitter.picked(&pieces, &keys, indices)?;
            done = !self.select.mixes_groups() && last.is_some_and(|key| emitter.is_full(&key));
        }
        self.budget.give_back(std::mem::take(&mut self.held));
        Ok(!done)
    }

    /// Hands on what is left of the first piece of the only series; whether its group is full.
    fn rest_of_piece(&mut self, number: usize, emitter: &mut Emitter<'_, '_, '_>) -> Result<bool, Error> {
        let series = &self.series[number];
        let Some(rows) = series.pieces.front() else { return Ok(true) };
        let len = rows.time.len() - series.at;
        let (rows, key) = (rows.slice(series.at, len), Arc::clone(&series.key));
        self.step(number, len);
        emitter.rows(&key, &rows)?;
        Ok(!self.select.mixes_groups() && emitter.is_full(&key))
    }

    /// Steps over rows of the first piece of the series that is on top of the heap.
    fn step(&mut self, number: usize, rows: usize) {
        let (descending, most) = (self.descending(), self.most);
        let series = &mut self.series[number];
        series.at += rows;
        series.given += rows;
        if series.pieces.front().is_some_and(|piece| series.at >= piece.time.len()) {
            let bytes = series.pieces.pop_front().map_or(0, |piece| piece.bytes());
            (series.at, series.picked) = (0, None);
            self.held -= bytes.min(self.held);
            self.budget.give_back(bytes);
        }
        let time = self.series[number].time(descending).filter(|_| self.series[number].given < most);
        let mut heap = std::mem::replace(&mut self.heap, Heap::new(Vec::new(), &|_, _| false));
        let less = |a: &(i64, usize), b: &(i64, usize)| self.less(a, b);
        // The one that is taken out is not looked at any more.
        heap.pop(&less);
        if let Some(time) = time {
            heap.push((time, number), &less);
        }
        self.heap = heap;
    }

    fn less(&self, a: &(i64, usize), b: &(i64, usize)) -> bool {
        match a.0.cmp(&b.0) {
            Ordering::Less => self.select.ascending,
            Ordering::Greater => !self.select.ascending,
            Ordering::Equal => {
                let text = |number: usize, tie| self.series[number].text(&self.ties, tie, self.descending());
                decided(self.ties.len(), self.descending(), |tie| (text(a.1, tie), text(b.1, tie)))
            }
        }
    }

    /// Makes the heap of all series.
    fn sort(&mut self) {
        let descending = self.descending();
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        if self.series.iter().any(|series| sorts_otherwise(&series.tags)) {
            order.sort_by_cached_key(|number| series_key(&self.series[*number].tags, self.table));
        } else {
            order.sort_by(|a, b| self.series[*a].tags.cmp(&self.series[*b].tags));
        }
        if descending {
            order.reverse();
        }
        let items = order.into_iter().filter_map(|number| Some((self.series[number].time(descending)?, number))).collect();
        self.heap = Heap::new(items, &|a, b| self.less(a, b));
    }

    /// Reads the next span, which begins where the first row that is left is; at the `first` time nothing is known of it.
    fn load(&mut self, first: bool) -> Result<(), Error> {
        let descending = self.descending();
        if let Some((time, _)) = self.heap.peek() {
            if descending { self.range.1 = *time } else { self.range.0 = *time }
        }
        let mut span = Span { descending, time: self.range, stuck: false };
        if let Some(width) = self.width {
            if descending {
                span.time.0 = span.time.0.max(span.time.1.saturating_sub(width));
            } else {
                span.time.1 = span.time.1.min(span.time.0.saturating_add(width));
            }
        }
        let read = span.time;
        // What comes after all that is read now stays known, all else comes again.
        for series in &mut self.series {
            series.next.take_if(|next| read.0 <= next.time && next.time <= read.1);
        }
        self.scan(read, None, &mut |merge, number, rows| merge.keep(number, rows, &mut span))?;
        let rest = if descending { (self.range.0, read.0.saturating_sub(1)) } else { (read.1.saturating_add(1), self.range.1) };
        if read != self.range && rest.0 <= rest.1 {
            self.look_ahead(rest, first)?;
        }
        for series in &mut self.series {
            series.finished = series.next.is_none();
        }
        if let Some(width) = &mut self.width {
            let share = self.budget.share();
            if span.time != read {
                *width = span.time.1.saturating_sub(span.time.0).saturating_add(1).max(1);
            } else if self.held < share / 4 {
                *width = width.saturating_mul(4);
            }
        } else if span.time != read {
            self.width = Some(span.time.1.saturating_sub(span.time.0).saturating_add(1).max(1));
        }
        Ok(())
    }

    /// Finds the next row of the series that have none so far.
    fn look_ahead(&mut self, rest: (i64, i64), first: bool) -> Result<(), Error> {
        let mut missing: HashSet<TagSet> = self
            .series
            .iter()
            .filter(|series| series.next.is_none() && !series.finished)
            .map(|series| Arc::clone(&series.tags))
            .collect();
        if first && let Reader::Tables(tables) = &self.table.reader {
            for tags in tables.series(&self.source.name, rest.0..=rest.1)? {
                let wanted = self.wanted.series.as_ref().is_none_or(|wanted| wanted(&tags)) && chosen(self.table, &tags);
                if wanted && !self.known.contains_key(&tags) {
                    missing.insert(tags);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let missing = Arc::new(missing);
        let descending = self.descending();
        self.scan(rest, Some(missing), &mut |merge, number, rows| {
            // Batches ascend: backwards the last row of the last one is the next.
            let row = if descending { rows.time.len() - 1 } else { 0 };
            if descending || merge.series[number].next.is_none() {
                merge.series[number].next = Some(Next::of(&rows, row, &merge.ties));
            }
            Ok(())
        })
    }

    fn scan(
        &mut self,
        time: (i64, i64),
        only: Option<Arc<HashSet<TagSet>>>,
        each: &mut dyn FnMut(&mut Self, usize, Rows) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut wanted = Wanted { time, ..self.wanted.clone() };
        if let Some(only) = only {
            let outer = wanted.series.take();
            wanted.series =
                Some(Arc::new(move |tags: &[Box<str>]| only.contains(tags) && outer.as_ref().is_none_or(|outer| outer(tags))));
        }
        let (select, table, name, budget, limited) = (self.select, self.table, &self.source.name, self.budget, self.limited);
        let mut last: Option<usize> = None;
        rows::scan(select, table, name, &wanted, budget, &mut |rows| {
            if limited.is_some_and(|limited| !limited.has(table, &rows.tags)) {
                return Ok(true);
            }
            let number = match last {
                Some(number) if self.series[number].tags == rows.tags => number,
                _ => self.number(&rows.tags),
            };
            last = Some(number);
            each(self, number, rows)?;
            Ok(true)
        })?;
        Ok(())
    }

    fn number(&mut self, tags: &TagSet) -> usize {
        if let Some(number) = self.known.get(tags) {
            return *number;
        }
        let number = self.series.len();
        self.known.insert(Arc::clone(tags), number);
        self.series.push(Series {
            tags: Arc::clone(tags),
            key: rows::key(tags, self.table),
            pieces: VecDeque::new(),
            at: 0,
            next: None,
            finished: false,
            picked: None,
            given: 0,
        });
        number
    }

    /// Keeps rows of a series that lie in the span, and the first of those behind it.
    fn keep(&mut self, number: usize, rows: Rows, span: &mut Span) -> Result<(), Error> {
        let rows = if rows.time.len() > self.most {
            let from = if span.descending { rows.time.len() - self.most } else { 0 };
            rows.slice(from, self.most)
        } else {
            rows
        };
        // Not more at once than can be dropped again.
        let (len, parts) = (rows.time.len(), rows.bytes().div_ceil(self.budget.share() / 4 + 1).max(1));
        for from in (0..len).step_by(len.div_ceil(parts)) {
            let part = rows.slice(from, len.div_ceil(parts).min(len - from));
            if let Some(part) = self.cut(number, part, span)? {
                let bytes = part.bytes();
                self.budget.take(bytes)?;
                self.held += bytes;
                let pieces = &mut self.series[number].pieces;
                if span.descending { pieces.push_front(part) } else { pieces.push_back(part) }
            }
            if self.held > self.budget.share() && !span.stuck {
                self.shorten(span)?;
            }
        }
        Ok(())
    }

    /// What lies in the span; the first row behind it is remembered.
    fn cut(&mut self, number: usize, rows: Rows, span: &Span) -> Result<Option<Rows>, Error> {
        let (len, times) = (rows.time.len(), rows.time.values());
        let next = &mut self.series[number].next;
        let (within, behind) = if span.descending {
            // Batches ascend: the last row before the span comes last.
            let before = times.partition_point(|time| *time < span.time.0);
            (before..len, before.checked_sub(1))
        } else {
            let within = times.partition_point(|time| *time <= span.time.1);
            (0..within, (within < len).then_some(within))
        };
        if let Some(row) = behind {
            let time = rows.time.value(row);
            if next.as_ref().is_none_or(|next| (next.time > time) != span.descending) {
                *next = Some(Next::of(&rows, row, &self.ties));
            }
        }
        Ok(match within.len() {
            0 => None,
            whole if whole == len => Some(rows),
            part => Some(copy(&rows, within.start, part)?),
        })
    }

    /// Moves the end of the span so that about half of the rows stay.
    fn shorten(&mut self, span: &mut Span) -> Result<(), Error> {
        let mut times: Vec<(i64, usize)> = Vec::new();
        for rows in self.series.iter().flat_map(|series| &series.pieces) {
            let len = rows.time.len();
            let samples = SAMPLES.min(len);
            times.extend((0..samples).map(|i| (rows.time.value(i * len / samples), len / samples)));
        }
        times.sort_unstable();
        if span.descending {
            times.reverse();
        }
        let half = times.iter().map(|(_, weight)| weight).sum::<usize>() / 2;
        let mut sum = 0;
        let middle = times.iter().find(|(_, weight)| {
            sum += weight;
            sum >= half
        });
        let Some((middle, _)) = middle else { return Ok(()) };
        let before = self.held;
        if span.descending {
            span.time.0 = *middle
        } else {
            span.time.1 = *middle
        }
        for number in 0..self.series.len() {
            let pieces = std::mem::take(&mut self.series[number].pieces);
            for rows in pieces {
                let bytes = rows.bytes();
                let kept = self.cut(number, rows, span)?;
                let left = kept.as_ref().map_or(0, Rows::bytes);
                self.held = (self.held + left).saturating_sub(bytes);
                self.budget.give_back(bytes.saturating_sub(left));
                self.series[number].pieces.extend(kept);
            }
        }
        // Rows of one time can't be parted.
        span.stuck = self.held >= before - before / 8;
        Ok(())
    }
}

/// A part of a partition that is held, both ends included.
struct Span {
    descending: bool,
    time: (i64, i64),
    /// Whether it can't be made shorter.
    stuck: bool,
}

/// Rows of their own, which don't keep those beside them in memory.
fn copy(rows: &Rows, from: usize, len: usize) -> Result<Rows, Error> {
    let places = UInt32Array::from_iter_values((from..from + len).map(|row| row as u32));
    let taken = |array: &dyn Array| arrow_select::take::take(array, &places, None).map_err(Error::internal);
    let column = |column: &Column| -> Result<Column, Error> {
        Ok(match column {
            Column::Field(array) => Column::Field(taken(array)?),
            other => other.clone(),
        })
    };
    let time: ArrayRef = taken(&rows.time)?;
    Ok(Rows {
        tags: Arc::clone(&rows.tags),
        time: down::<Int64Array>(&time).clone(),
        columns: rows.columns.iter().map(column).collect::<Result<_, _>>()?,
    })
}
