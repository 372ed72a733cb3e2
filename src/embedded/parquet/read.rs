//! Reading a file, series by series, without what isn't wanted.

use std::{
    collections::VecDeque,
    ops::{Range, RangeInclusive},
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, Int64Array, RecordBatch, StringArray,
    cast::AsArray,
    types::{Int32Type, TimestampNanosecondType},
};
use arrow_schema::ArrowError;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
        },
    },
    errors::ParquetError,
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData},
        page_index::column_index::ColumnIndexMetaData,
        statistics::Statistics,
    },
};

use super::{DataFile, Directory, Ends, Files, object::Object, unreadable};
use crate::{
    embedded::{SeriesBatch, SeriesFilter, TagSet},
    error::Error,
};

/// Rows that are decoded at a time.
const BATCH: usize = 1 << 13;

/// The footer, indexes of pages included.
pub(super) fn metadata(object: &Object) -> Result<ArrowReaderMetadata, ParquetError> {
    ArrowReaderMetadata::load(object, ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional))
}

/// Points of a file by series and time.
pub(in crate::embedded) struct FileChunks {
    path: Box<str>,
    directory: Arc<Directory>,
    /// Which series the rows that come next belong to, and how many of them.
    coming: VecDeque<(usize, usize)>,
    time: RangeInclusive<i64>,
    /// For each wanted field its place among the columns that are read.
    fields: Vec<Option<usize>>,
    reader: ParquetRecordBatchReader,
    /// The last batch, and the first row of it that was not taken yet.
    batch: Option<(RecordBatch, usize)>,
}

/// What is wanted of a file.
pub(in crate::embedded) struct Wanted<'a> {
    pub(in crate::embedded) time: &'a RangeInclusive<i64>,
    /// Names of fields; those that the file doesn't have are left out.
    pub(in crate::embedded) fields: &'a [Box<str>],
    /// Over the file's own tags.
    pub(in crate::embedded) series: Option<SeriesFilter>,
    /// Which rows of a series suffice; more may come.
    pub(in crate::embedded) ends: Option<Ends>,
}

impl FileChunks {
    /// Begins to read; `None` when the statistics say that there is nothing.
    pub(in crate::embedded) fn open(files: &Files, file: &DataFile, wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
        let record = &file.record;
        if record.max_time < *wanted.time.start() || record.min_time > *wanted.time.end() {
            return Ok(None);
        }
        let directory = files.directory(file)?;
        let (object, metadata) = files.open(file)?;
        let pages = pages(metadata.metadata(), wanted.time);
        let rows = directory.rows(|set| wanted.series.as_ref().is_none_or(|series| series(set)), &pages);
        if rows.is_empty() {
            return Ok(None);
        }
        let place = |name: &str| record.fields.binary_search_by(|field| (*field.name).cmp(name)).ok();
        // Columns are read in the file's order, whatever the order in which they are wanted.
        let first = 1 + record.tags.len();
        let columns: Vec<Option<usize>> = wanted.fields.iter().map(|name| place(name).map(|place| first + place)).collect();
        let mut read: Vec<usize> = columns.iter().flatten().copied().collect();
        read.sort_unstable();
        read.dedup();
        let rows = match wanted.ends {
            // Rows at the end are the last ones that are wanted only if none of them is left out for its time or for want of a value.
            Some(ends)
                if ends.within(record, wanted.time) && read.iter().all(|column| has_no_nulls(metadata.metadata(), *column)) =>
            {
                ends.of_each(&rows)
            }
            _ => rows,
        };
        let (groups, selection) = select(metadata.metadata(), &rows);
        let coming = rows.into_iter().map(|(series, rows)| (series, rows.len())).collect();
        let place = |column: usize| read.binary_search(&column).ok().map(|place| 1 + place);
        let fields = columns.iter().map(|column| column.and_then(place)).collect();
        let projection = ProjectionMask::roots(metadata.parquet_schema(), std::iter::once(0).chain(read.iter().copied()));
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(object, metadata)
            .with_projection(projection)
            .with_row_groups(groups)
            .with_row_selection(selection)
            .with_batch_size(BATCH)
            .build()
            .map_err(|error| unreadable(&record.path, error))?;
        Ok(Some(Self { path: record.path.clone(), directory, coming, time: wanted.time.clone(), fields, reader, batch: None }))
    }

    /// The next part of a series, with the values of the file's own tags.
    pub(in crate::embedded) fn next(&mut self) -> Result<Option<SeriesBatch>, Error> {
        loop {
            let Some((batch, start)) = self.batch.take() else {
                match self.reader.next() {
                    None if self.coming.is_empty() => return Ok(None),
                    None => return Err(unreadable(&self.path, "the file ends too early")),
                    Some(Err(error)) => return Err(unreadable(&self.path, error)),
                    Some(Ok(batch)) => self.batch = (batch.num_rows() > 0).then_some((batch, 0)),
                }
                continue;
            };
            let Some((series, left)) = self.coming.pop_front() else {
                return Err(unreadable(&self.path, "the file has more rows than its series"));
            };
            let len = left.min(batch.num_rows() - start);
            if len < left {
                self.coming.push_front((series, left - len));
            }
            let chunk = self.chunk(&batch, series, start..start + len).map_err(|error| unreadable(&self.path, error))?;
            if start + len < batch.num_rows() {
                self.batch = Some((batch, start + len));
            }
            if chunk.is_some() {
                return Ok(chunk);
            }
        }
    }

    /// Rows of one series, as far as their times are wanted.
    fn chunk(&self, batch: &RecordBatch, series: usize, rows: Range<usize>) -> Result<Option<SeriesBatch>, ArrowError> {
        let times = batch.column(0).as_primitive_opt::<TimestampNanosecondType>().ok_or_else(|| wrong("time"))?.values();
        let start = rows.start + times[rows.clone()].partition_point(|time| time < self.time.start());
        let len = times[start..rows.end].partition_point(|time| time <= self.time.end());
        if len == 0 {
            return Ok(None);
        }
        let field = |place: Option<usize>| place.map(|place| batch.column(place).slice(start, len));
        Ok(Some(SeriesBatch {
            tags: Arc::clone(&self.directory.sets[series]),
            time: Int64Array::new(times.slice(start, len), None),
            fields: self.fields.iter().map(|place| field(*place)).collect(),
        }))
    }
}

/// Rows of the pages that may have times within `time`, by the statistics; ranges that touch are one.
fn pages(metadata: &ParquetMetaData, time: &RangeInclusive<i64>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut keep = |rows: Range<usize>| match ranges.last_mut() {
        Some(last) if last.end == rows.start => last.end = rows.end,
        _ => ranges.push(rows),
    };
    let may_have = |min: Option<&i64>, max: Option<&i64>| {
        min.is_none_or(|min| min <= time.end()) && max.is_none_or(|max| max >= time.start())
    };
    let mut first = 0;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let end = first + group.num_rows() as usize;
        let (min, max) = match group.column(0).statistics() {
            Some(Statistics::Int64(times)) => (times.min_opt(), times.max_opt()),
            _ => (None, None),
        };
        if may_have(min, max) {
            let index = metadata.page_index_for_row_group(number);
            match (index.column_index(0), index.offset_index(0)) {
                (Some(ColumnIndexMetaData::INT64(times)), Some(offsets)) => {
                    let locations = offsets.page_locations();
                    for (page, location) in locations.iter().enumerate() {
                        if may_have(times.min_value(page), times.max_value(page)) {
                            let next = locations.get(page + 1).map_or(end, |next| first + next.first_row_index as usize);
                            keep(first + location.first_row_index as usize..next);
                        }
                    }
                }
                _ => keep(first..end),
            }
        }
        first = end;
    }
    ranges
}

/// Whether every row has a value of this column.
fn has_no_nulls(metadata: &ParquetMetaData, column: usize) -> bool {
    let nulls = |statistics: &Statistics| statistics.null_count_opt();
    metadata.row_groups().iter().all(|group| group.column(column).statistics().and_then(nulls) == Some(0))
}

/// The row groups that have some of these rows, and the rows counted within them.
fn select(metadata: &ParquetMetaData, rows: &[(usize, Range<usize>)]) -> (Vec<usize>, RowSelection) {
    let mut rows = rows.iter().map(|(_, rows)| rows.clone()).peekable();
    let (mut groups, mut ranges): (Vec<usize>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
    let (mut first, mut selected) = (0, 0);
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let len = group.num_rows() as usize;
        let before = ranges.len();
        while let Some(range) = rows.peek_mut()
            && range.start < first + len
        {
            let end = range.end.min(first + len);
            let (from, to) = (range.start - first + selected, end - first + selected);
            match ranges.last_mut() {
                Some(last) if last.end == from => last.end = to,
                _ => ranges.push(from..to),
            }
            range.start = end;
            if range.start == range.end {
                rows.next();
            }
        }
        // A range that went on from the group before is not a new one.
        if ranges.len() > before || ranges.last().is_some_and(|last| last.end > selected) {
            groups.push(number);
            selected += len;
        }
        first += len;
    }
    (groups, RowSelection::from_consecutive_ranges(ranges.into_iter(), selected))
}

/// The series of a file, by reading its tags.
pub(super) fn directory(files: &Files, file: &DataFile) -> Result<Directory, Error> {
    let record = &file.record;
    let failed = |error| unreadable(&record.path, error);
    let (object, metadata) = files.open(file)?;
    let tags = record.tags.len();
    let rows = usize::try_from(record.rows).unwrap_or(usize::MAX);
    if tags == 0 {
        return Ok(Directory::new(vec![(Arc::from([]), 0)], rows));
    }
    let projection = ProjectionMask::roots(metadata.parquet_schema(), 1..=tags);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(object, metadata)
        .with_projection(projection)
        .with_batch_size(BATCH)
        .build()
        .map_err(|error| unreadable(&record.path, error))?;
    let mut all: Vec<(TagSet, usize)> = Vec::new();
    let mut first = 0;
    for batch in reader {
        let batch = batch.map_err(failed)?;
        let mut start = 0;
        while start < batch.num_rows() {
            let set = tag_set(&batch, tags, start).map_err(failed)?;
            if all.last().is_none_or(|(last, _)| *last != set) {
                all.push((set, first + start));
            }
            start = end_of_set(&batch, tags, start).map_err(failed)?;
        }
        first += batch.num_rows();
    }
    Ok(Directory::new(all, first))
}

/// The first row after `start` with another tag set.
fn end_of_set(batch: &RecordBatch, tags: usize, start: usize) -> Result<usize, ArrowError> {
    let columns = (0..tags).map(|column| tag(batch, column)).collect::<Result<Vec<_>, _>>()?;
    let differs = |row: usize| {
        columns.iter().any(|(keys, values)| {
            let value = |row: usize| keys.is_valid(row).then(|| values.value(keys.value(row) as usize));
            // Equal keys mean equal values; different ones may.
            (keys.is_valid(row) != keys.is_valid(start) || keys.value(row) != keys.value(start)) && value(row) != value(start)
        })
    };
    let end = (start + 1..batch.num_rows()).find(|row| differs(*row)).unwrap_or_else(|| batch.num_rows());
    Ok(end)
}

fn tag_set(batch: &RecordBatch, tags: usize, row: usize) -> Result<Arc<[Box<str>]>, ArrowError> {
    (0..tags)
        .map(|column| {
            let (keys, values) = tag(batch, column)?;
            Ok(if keys.is_valid(row) { values.value(keys.value(row) as usize).into() } else { Box::default() })
        })
        .collect()
}

fn tag(batch: &RecordBatch, column: usize) -> Result<(&arrow_array::PrimitiveArray<Int32Type>, &StringArray), ArrowError> {
    let array: &ArrayRef = batch.column(column);
    let dictionary = array.as_dictionary_opt::<Int32Type>().ok_or_else(|| wrong("tag"))?;
    Ok((dictionary.keys(), dictionary.values().as_string_opt::<i32>().ok_or_else(|| wrong("tag"))?))
}

fn wrong(what: &str) -> ArrowError {
    ArrowError::SchemaError(format!("a {what} column doesn't have the type that it was written with"))
}
