//! Points of a table as the operators want them: filtered by `WHERE`, each wanted column with its type.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;

use super::{
    context::Budget,
    expr::Expr,
    ir::{Place, Reader, Select, Table},
    subquery,
    value::{Scalar, Type, cast, down, nulls},
};
use crate::{
    embedded::{Scan, SeriesBatch, SeriesFilter},
    error::Error,
};

/// Points of one series in one partition; or rows of a subquery, of one group of the query that reads them.
#[derive(Clone)]
pub(super) struct Rows {
    /// The series' tags. Of a subquery's rows, tags that the query around it doesn't group by are those of the first row only.
    pub(super) tags: Arc<[Box<str>]>,
    pub(super) time: Int64Array,
    /// One for each of [`Select::refs`].
    pub(super) columns: Vec<Column>,
}

/// Values of one column.
#[derive(Clone)]
pub(super) enum Column {
    Field(ArrayRef),
    /// The series' own value; `None` where it hasn't the tag.
    Tag(Option<Arc<str>>),
    Null,
}

impl Column {
    /// The values as an array.
    pub(super) fn array(&self, kind: super::value::Type, len: usize) -> ArrayRef {
        match self {
            Self::Field(array) => Arc::clone(array),
            Self::Tag(Some(value)) => Scalar::String(Arc::clone(value)).repeat(len),
            Self::Tag(None) | Self::Null => nulls(kind, len),
        }
    }

    /// The value of one row.
    pub(super) fn value(&self, row: usize) -> Scalar {
        match self {
            Self::Field(array) => Scalar::of(array, row),
            Self::Tag(Some(value)) => Scalar::String(Arc::clone(value)),
            Self::Tag(None) | Self::Null => Scalar::Null,
        }
    }

    /// The text of one row, if it has one.
    pub(super) fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Field(array) if *array.data_type() == DataType::Utf8 && array.is_valid(row) => {
                Some(down::<StringArray>(array).value(row))
            }
            Self::Tag(Some(value)) => Some(value),
            _ => None,
        }
    }

    pub(super) fn slice(&self, offset: usize, len: usize) -> Self {
        match self {
            Self::Field(array) => Self::Field(array.slice(offset, len)),
            other => other.clone(),
        }
    }

    /// Bytes of its values.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Field(array) => bytes(array),
            _ => 0,
        }
    }
}

impl Rows {
    pub(super) fn slice(&self, offset: usize, len: usize) -> Self {
        Self {
            tags: Arc::clone(&self.tags),
            time: self.time.slice(offset, len),
            columns: self.columns.iter().map(|column| column.slice(offset, len)).collect(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.time.len() * 8 + self.columns.iter().map(Column::bytes).sum::<usize>() + size_of::<Self>()
    }
}

/// Bytes of the values of an array, shared ones not counted twice as [`Array::get_array_memory_size`] does with slices.
pub(super) fn bytes(array: &dyn Array) -> usize {
    let len = array.len();
    match array.data_type() {
        DataType::Utf8 => {
            let offsets = down::<StringArray>(array).value_offsets();
            let text = match (offsets.first(), offsets.last()) {
                (Some(first), Some(last)) => (last - first) as usize,
                _ => 0,
            };
            text + 4 * len
        }
        DataType::Boolean => len.div_ceil(8),
        _ => 8 * len,
    }
}

/// What a scan reads.
#[derive(Clone)]
pub(super) struct Wanted {
    /// Both ends included.
    pub(super) time: (i64, i64),
    pub(super) descending: bool,
    /// Leave out points that have none of the selected fields.
    pub(super) selected_only: bool,
    /// So many points of a series in a partition suffice.
    pub(super) most: Option<usize>,
    /// Of a stored measurement, series that are wanted.
    pub(super) series: Option<SeriesFilter>,
}

/// Reads a table; `each` says whether to go on.
pub(super) fn scan(
    select: &Select,
    table: &Table,
    measurement: &Arc<str>,
    wanted: &Wanted,
    budget: &Budget<'_>,
    each: &mut dyn FnMut(Rows) -> Result<bool, Error>,
) -> Result<bool, Error> {
    // Without a field there are no points; a subquery's rows are there all the same, whatever is in them.
    let subquery = matches!(table.reader, Reader::Subquery(_));
    if table.fields.is_empty() && !subquery || wanted.time.0 > wanted.time.1 {
        return Ok(true);
    }
    let fields = table.fields.len();
    let known = move |tags: &[Box<str>], slot: usize| (slot >= fields).then(|| Scalar::String((*tags[slot - fields]).into()));
    let condition = table.condition.clone().map(|condition| -> SeriesFilter {
        Arc::new(move |tags: &[Box<str>]| {
            condition.truth_with(&|slot| (slot >= fields).then(|| &*tags[slot - fields])) != Some(false)
        })
    });
    let series = match (condition, wanted.series.clone()) {
        (Some(condition), Some(series)) => {
            Some(Arc::new(move |tags: &[Box<str>]| series(tags) && condition(tags)) as SeriesFilter)
        }
        (condition, series) => condition.or(series),
    };
    let selected: Vec<usize> = (0..select.refs.len())
        .filter(|slot| select.refs[*slot].selected && matches!(table.places[*slot], Place::Field(_)))
        .collect();
    // Points come with at least one of the scanned fields: more needs to be looked at only where others are scanned too.
    let others = (0..fields).any(|field| !selected.iter().any(|slot| table.places[*slot] == Place::Field(field)));
    // Only where each point that is read is also given.
    let most =
        wanted.most.filter(|_| !others && !table.condition.as_ref().is_some_and(|condition| condition.reads_below(fields)));
    let scan = Scan {
        measurement: Arc::clone(measurement),
        time: wanted.time.0..=wanted.time.1,
        fields: table.fields.clone(),
        series,
        descending: wanted.descending,
        most,
    };
    let tables = match &table.reader {
        Reader::Tables(tables) => tables,
        Reader::Subquery(inner) => {
            let apart: Vec<Option<usize>> = table.dimensions.iter().chain(&table.by).copied().collect();
            for piece in subquery::run(&inner.within(wanted.time), &table.fields, &apart, budget)? {
                budget.check()?;
                if let Some(rows) = rows_of_subquery(piece, select, table)
                    && !each(rows)?
                {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
    };
    let mut series: Option<Series> = None;
    let batches = tables.scan(scan)?;
    for batch in batches {
        budget.check()?;
        let batch = batch?;
        if batch.time.is_empty() {
            continue;
        }
        if !series.as_ref().is_some_and(|series| Arc::ptr_eq(&series.tags, &batch.tags) || series.tags == batch.tags) {
            series = Some(Series::new(&batch.tags, table, &known));
        }
        let Some(series) = &series else { continue };
        let Some(rows) = rows(batch, series, select, table) else { continue };
        let rows = if wanted.selected_only { with_any(rows, &selected, others) } else { Some(rows) };
        if let Some(rows) = rows
            && !each(rows)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is the same for all points of a series.
struct Series {
    tags: Arc<[Box<str>]>,
    condition: Option<Expr>,
    columns: Vec<Option<Arc<str>>>,
}

impl Series {
    fn new(tags: &Arc<[Box<str>]>, table: &Table, known: &impl Fn(&[Box<str>], usize) -> Option<Scalar>) -> Self {
        let columns = table.places.iter().map(|place| match place {
            Place::Tag(tag) if !tags[*tag].is_empty() => Some((*tags[*tag]).into()),
            _ => None,
        });
        Self {
            condition: table.condition.as_ref().map(|condition| condition.bind(&|slot| known(tags, slot))),
            columns: columns.collect(),
            tags: Arc::clone(tags),
        }
    }
}

/// Filters a batch and gives its columns their types; `None` when nothing is left.
fn rows(batch: SeriesBatch, series: &Series, select: &Select, table: &Table) -> Option<Rows> {
    let len = batch.time.len();
    let mut mask: Option<BooleanArray> = None;
    if let Some(condition) = &series.condition {
        match condition.truth() {
            Some(true) => {}
            Some(false) => return None,
            None => {
                let slots: Vec<ArrayRef> =
                    batch.fields.iter().map(|field| field.clone().unwrap_or_else(|| Scalar::Null.repeat(len))).collect();
                mask = Some(condition.holds(&slots, len));
            }
        }
    }
    let (time, fields) = filtered(batch.time, batch.fields, mask.as_ref())?;
    let columns = table
        .places
        .iter()
        .zip(&select.refs)
        .zip(&series.columns)
        .map(|((place, reference), tag)| match place {
            Place::Field(field) => typed(fields[*field].as_ref(), reference.kind, select),
            Place::Tag(_) => Column::Tag(tag.clone()),
            Place::Nowhere => Column::Null,
        })
        .collect();
    Some(Rows { tags: batch.tags, time, columns })
}

/// The same for rows of a subquery. What it groups by is a value, even where it is empty.
fn rows_of_subquery(piece: subquery::Piece, select: &Select, table: &Table) -> Option<Rows> {
    let len = piece.time.len();
    let mask = table.condition.as_ref().map(|condition| {
        let fields = piece.fields.iter().map(|field| field.clone().unwrap_or_else(|| Scalar::Null.repeat(len)));
        let slots: Vec<ArrayRef> = fields.chain(piece.tags.iter().map(|tag| tag.array(Type::Tag, len))).collect();
        condition.holds(&slots, len)
    });
    let mut tags = piece.tags;
    if let Some(mask) = &mask {
        for tag in &mut tags {
            if let Column::Field(array) = tag {
                *array = arrow_select::filter::filter(array, mask).ok()?;
            }
        }
    }
    let (time, fields) = filtered(piece.time, piece.fields, mask.as_ref())?;
    let column = |(place, reference): (&Place, &super::ir::Ref)| match place {
        Place::Field(field) => typed(fields[*field].as_ref(), reference.kind, select),
        Place::Tag(tag) => tags[*tag].clone(),
        Place::Nowhere => Column::Null,
    };
    let columns = table.places.iter().zip(&select.refs).map(column).collect();
    Some(Rows { tags: piece.first, time, columns })
}

/// The rows that a mask leaves; `None` when it leaves none.
fn filtered(
    time: Int64Array,
    fields: Vec<Option<ArrayRef>>,
    mask: Option<&BooleanArray>,
) -> Option<(Int64Array, Vec<Option<ArrayRef>>)> {
    let Some(mask) = mask.filter(|mask| mask.true_count() < time.len()) else { return Some((time, fields)) };
    if mask.true_count() == 0 {
        return None;
    }
    let keep = |array: &dyn Array| arrow_select::filter::filter(array, mask).ok();
    let kept = keep(&time)?;
    let fields = fields.into_iter().map(|field| field.and_then(|field| keep(&field))).collect();
    Some((down::<Int64Array>(&kept).clone(), fields))
}

/// A field's values with the type that the query gives them.
fn typed(array: Option<&ArrayRef>, kind: Type, select: &Select) -> Column {
    let array = array.map(|array| match kind {
        // Functions get the smallest integer for what is no number; it isn't shown as one.
        Type::Integer if select.calls.is_empty() => without_nan(array),
        _ => Arc::clone(array),
    });
    array.and_then(|array| cast(&array, kind)).map_or(Column::Null, Column::Field)
}

/// Floats with null for what is no number.
fn without_nan(array: &ArrayRef) -> ArrayRef {
    match array.as_any().downcast_ref::<Float64Array>() {
        Some(floats) => Arc::new(floats.iter().map(|value| value.filter(|value| !value.is_nan())).collect::<Float64Array>()),
        None => Arc::clone(array),
    }
}

/// The points that have one of the selected fields. One that has another type in this partition is missing there.
fn with_any(rows: Rows, selected: &[usize], others: bool) -> Option<Rows> {
    let len = rows.time.len();
    let arrays: Vec<&ArrayRef> = selected
        .iter()
        .filter_map(|slot| if let Column::Field(array) = &rows.columns[*slot] { Some(array) } else { None })
        .collect();
    if arrays.iter().any(|array| array.null_count() == 0) || !others && arrays.len() == selected.len() {
        return Some(rows);
    }
    let mut any = BooleanBuffer::new_unset(len);
    for nulls in arrays.iter().filter_map(|array| array.nulls()) {
        any = &any | nulls.inner();
    }
    let any = BooleanArray::new(any, None);
    match any.true_count() {
        0 => None,
        count if count == len => Some(rows),
        _ => {
            let keep = |array: &dyn Array| arrow_select::filter::filter(array, &any).ok();
            let columns = rows.columns.iter().map(|column| match column {
                Column::Field(array) => keep(array).map_or(Column::Null, Column::Field),
                other => other.clone(),
            });
            Some(Rows { time: down::<Int64Array>(&keep(&rows.time)?).clone(), columns: columns.collect(), tags: rows.tags })
        }
    }
}

/// Values of the tags of `GROUP BY`.
pub(super) type Key = Arc<[Box<str>]>;

/// The key of a series.
pub(super) fn key(tags: &[Box<str>], table: &Table) -> Key {
    table.dimensions.iter().map(|place| place.map_or_else(Box::default, |place| tags[place].clone())).collect()
}

/// Numbers the groups in the order in which they turn up.
#[derive(Default)]
pub(super) struct Groups {
    pub(super) keys: Vec<Key>,
    numbers: HashMap<Key, usize>,
    last: Option<(Arc<[Box<str>]>, usize)>,
}

impl Groups {
    /// The number of the group of a series.
    pub(super) fn of(&mut self, tags: &Arc<[Box<str>]>, table: &Table) -> usize {
        if let Some((last, number)) = &self.last
            && Arc::ptr_eq(last, tags)
        {
            return *number;
        }
        let key = key(tags, table);
        let number = *self.numbers.entry(Arc::clone(&key)).or_insert_with(|| {
            self.keys.push(key);
            self.keys.len() - 1
        });
        self.last = Some((Arc::clone(tags), number));
        number
    }

    /// Forgets which series came last: another table's tags mean something else.
    pub(super) fn next_table(&mut self) {
        self.last = None;
    }
}

/// Whether the condition leaves a series, be it without points.
pub(super) fn chosen(table: &Table, tags: &[Box<str>]) -> bool {
    let fields = table.fields.len();
    let known = |slot: usize| (slot >= fields).then(|| &*tags[slot - fields]);
    table.series.as_ref().is_none_or(|series| series.truth_with(&known) != Some(false))
}

/// What `SLIMIT` and `SOFFSET` leave.
pub(super) struct Limited<'a> {
    by: &'a [Box<str>],
    groups: HashSet<Key>,
}

impl Limited<'_> {
    /// Whether a series is among them.
    pub(super) fn has(&self, table: &Table, tags: &[Box<str>]) -> bool {
        self.groups.contains(&group_of(self.by, table, tags))
    }
}

fn group_of(by: &[Box<str>], table: &Table, tags: &[Box<str>]) -> Key {
    let value =
        |tag| table.schema.tags.iter().position(|known| known == tag).map_or_else(Box::default, |place| tags[place].clone());
    by.iter().map(value).collect()
}

/// What 1.x sorts groups by before it limits them: the names of the tags that they have, then the values.
fn group_text(names: &[Box<str>], key: &[Box<str>]) -> String {
    let present = || names.iter().zip(key).filter(|(_, value)| !value.is_empty());
    present().map(|(name, _)| &**name).chain(present().map(|(_, value)| &**value)).collect::<Vec<_>>().join("|")
}

/// Which groups `SLIMIT` and `SOFFSET` leave, told before anything is read; `None` for all of them.
pub(super) fn limited<'a>(select: &'a Select, source: &super::ir::Source) -> Result<Option<Limited<'a>>, Error> {
    let limit = select.limits.slimit.filter(|limit| *limit > 0);
    let offset = select.limits.soffset.unwrap_or(0);
    if limit.is_none() && offset == 0 {
        return Ok(None);
    }
    let mut keys = std::collections::BTreeSet::new();
    for table in &source.tables {
        // A subquery's own groups are limited.
        let Reader::Tables(tables) = &table.reader else { return Ok(None) };
        for tags in tables.series(&source.name, select.time.0..=select.time.1)? {
            if chosen(table, &tags) {
                let key = group_of(&select.limited_by, table, &tags);
                keys.insert((group_text(&select.limited_by, &key), key));
            }
        }
    }
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Some(Limited { by: &select.limited_by, groups: keys.into_iter().skip(offset).take(limit).map(|(_, key)| key).collect() }))
}
