//! Reading a file, series by series, without what isn't wanted.

use std::{ops::RangeInclusive, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray,
    cast::AsArray,
    types::{Int32Type, TimestampNanosecondType},
};
use arrow_schema::ArrowError;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
            RowFilter,
        },
    },
    errors::ParquetError,
    file::{
        metadata::{PageIndexPolicy, RowGroupMetaData},
        statistics::Statistics,
    },
};

use super::{DataFile, Files, object::Object, unreadable};
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
    tags: usize,
    /// For each wanted field its place among the columns that are read.
    fields: Vec<Option<usize>>,
    reader: ParquetRecordBatchReader,
    /// What is left of the last batch, and where its next series begins.
    batch: Option<(RecordBatch, usize)>,
}

/// What is wanted of a file.
pub(in crate::embedded) struct Wanted<'a> {
    pub(in crate::embedded) time: &'a RangeInclusive<i64>,
    /// Names of fields; those that the file doesn't have are left out.
    pub(in crate::embedded) fields: &'a [Box<str>],
    /// Over the file's own tags.
    pub(in crate::embedded) series: Option<SeriesFilter>,
}

impl FileChunks {
    /// Begins to read; `None` when the statistics say that there is nothing.
    pub(in crate::embedded) fn open(files: &Files, file: &DataFile, wanted: &Wanted<'_>) -> Result<Option<Self>, Error> {
        let record = &file.record;
        if record.max_time < *wanted.time.start() || record.min_time > *wanted.time.end() {
            return Ok(None);
        }
        let (object, metadata) = files.open(file)?;
        let tags = record.tags.len();
        let groups: Vec<usize> = metadata
            .metadata()
            .row_groups()
            .iter()
            .enumerate()
            .filter(|(_, group)| may_have(group, tags, wanted))
            .map(|(number, _)| number)
            .collect();
        if groups.is_empty() {
            return Ok(None);
        }
        // Columns are read in the file's order, whatever the order in which they are wanted.
        let columns: Vec<Option<usize>> = wanted
            .fields
            .iter()
            .map(|name| record.fields.binary_search_by(|field| field.name.cmp(name)).ok().map(|place| 1 + tags + place))
            .collect();
        let mut read: Vec<usize> = columns.iter().flatten().copied().collect();
        read.sort_unstable();
        read.dedup();
        let fields = columns
            .iter()
            .map(|column| column.and_then(|column| read.binary_search(&column).ok()).map(|place| 1 + tags + place))
            .collect();
        let schema = metadata.parquet_schema();
        let projection = ProjectionMask::roots(schema, (0..=tags).chain(read));
        let mut filters: Vec<Box<dyn parquet::arrow::arrow_reader::ArrowPredicate>> = Vec::new();
        if let Some(series) = wanted.series.clone() {
            let mask = ProjectionMask::roots(schema, 1..=tags);
            if tags > 0 {
                filters.push(Box::new(ArrowPredicateFn::new(mask, move |batch| by_series(&batch, &series))));
            } else if !series(&[]) {
                return Ok(None);
            }
        }
        if record.min_time < *wanted.time.start() || record.max_time > *wanted.time.end() {
            let range = wanted.time.clone();
            filters.push(Box::new(ArrowPredicateFn::new(ProjectionMask::roots(schema, [0]), move |batch| {
                let times = batch.column(0).as_primitive::<TimestampNanosecondType>();
                Ok(times.values().iter().map(|time| Some(range.contains(time))).collect())
            })));
        }
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(object, metadata.clone())
            .with_projection(projection)
            .with_row_groups(groups)
            .with_batch_size(BATCH);
        if !filters.is_empty() {
            builder = builder.with_row_filter(RowFilter::new(filters));
        }
        let reader = builder.build().map_err(|error| unreadable(&record.path, error))?;
        Ok(Some(Self { path: record.path.clone(), tags, fields, reader, batch: None }))
    }

    /// The next part of a series, with the values of the file's own tags.
    pub(in crate::embedded) fn next(&mut self) -> Result<Option<SeriesBatch>, Error> {
        loop {
            if let Some((batch, start)) = self.batch.take() {
                let end = series_end(&batch, self.tags, start).map_err(|error| unreadable(&self.path, error))?;
                let chunk = self.chunk(&batch, start, end).map_err(|error| unreadable(&self.path, error))?;
                if end < batch.num_rows() {
                    self.batch = Some((batch, end));
                }
                return Ok(Some(chunk));
            }
            match self.reader.next() {
                None => return Ok(None),
                Some(Err(error)) => return Err(unreadable(&self.path, error)),
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => self.batch = Some((batch, 0)),
            }
        }
    }

    fn chunk(&self, batch: &RecordBatch, start: usize, end: usize) -> Result<SeriesBatch, ArrowError> {
        let tags = tag_set(batch, 1, self.tags, start)?;
        let times = batch.column(0).as_primitive_opt::<TimestampNanosecondType>().ok_or_else(|| wrong("time"))?;
        let time = Int64Array::new(times.values().slice(start, end - start), None);
        let field = |place: Option<usize>| place.map(|place| batch.column(place).slice(start, end - start));
        Ok(SeriesBatch { tags, time, fields: self.fields.iter().map(|place| field(*place)).collect() })
    }
}

/// Tag sets of all series of a file, sorted, without duplicates.
pub(super) fn series(files: &Files, file: &DataFile) -> Result<Arc<[TagSet]>, Error> {
    let record = &file.record;
    let failed = |error| unreadable(&record.path, error);
    let (object, metadata) = files.open(file)?;
    let tags = record.tags.len();
    if tags == 0 {
        return Ok(Arc::from([Arc::from([])]));
    }
    let projection = ProjectionMask::roots(metadata.parquet_schema(), 1..=tags);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(object, metadata)
        .with_projection(projection)
        .with_batch_size(BATCH)
        .build()
        .map_err(|error| unreadable(&record.path, error))?;
    let mut all: Vec<Arc<[Box<str>]>> = Vec::new();
    for batch in reader {
        let batch = batch.map_err(failed)?;
        let mut start = 0;
        while start < batch.num_rows() {
            let set = tag_set(&batch, 0, tags, start).map_err(failed)?;
            if all.last() != Some(&set) {
                all.push(set);
            }
            start = end_of_set(&batch, 0, tags, start).map_err(failed)?;
        }
    }
    Ok(all.into())
}

/// Whether a row group may have something that is wanted.
fn may_have(group: &RowGroupMetaData, tags: usize, wanted: &Wanted<'_>) -> bool {
    if let Some(Statistics::Int64(times)) = group.column(0).statistics()
        && let (Some(min), Some(max)) = (times.min_opt(), times.max_opt())
        && (max < wanted.time.start() || min > wanted.time.end())
    {
        return false;
    }
    // A long series fills whole row groups: then the statistics name it.
    match (&wanted.series, only_series(group, tags)) {
        (Some(series), Some(set)) => series(&set),
        _ => true,
    }
}

/// The tag set of all rows of a group, when the statistics show that it is one.
fn only_series(group: &RowGroupMetaData, tags: usize) -> Option<Vec<Box<str>>> {
    (1..=tags)
        .map(|column| {
            let Statistics::ByteArray(values) = group.column(column).statistics()? else { return None };
            match (values.min_opt(), values.max_opt()) {
                (Some(min), Some(max))
                    if min == max && values.min_is_exact() && values.max_is_exact() && values.null_count_opt() == Some(0) =>
                {
                    std::str::from_utf8(min.data()).ok().map(Into::into)
                }
                (None, None) if values.null_count_opt() == u64::try_from(group.num_rows()).ok() => Some(Box::default()),
                _ => None,
            }
        })
        .collect()
}

/// Which rows belong to wanted series; asked once for rows that follow each other.
fn by_series(batch: &RecordBatch, series: &SeriesFilter) -> Result<BooleanArray, ArrowError> {
    let tags = batch.num_columns();
    let mut wanted = Vec::with_capacity(batch.num_rows());
    while wanted.len() < batch.num_rows() {
        let set = tag_set(batch, 0, tags, wanted.len())?;
        let end = end_of_set(batch, 0, tags, wanted.len())?;
        wanted.resize(end, series(&set));
    }
    Ok(BooleanArray::from(wanted))
}

fn series_end(batch: &RecordBatch, tags: usize, start: usize) -> Result<usize, ArrowError> {
    end_of_set(batch, 1, tags, start)
}

/// The first row after `start` with another tag set.
fn end_of_set(batch: &RecordBatch, first: usize, tags: usize, start: usize) -> Result<usize, ArrowError> {
    let columns = (first..first + tags).map(|column| tag(batch, column)).collect::<Result<Vec<_>, _>>()?;
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

fn tag_set(batch: &RecordBatch, first: usize, tags: usize, row: usize) -> Result<Arc<[Box<str>]>, ArrowError> {
    (first..first + tags)
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
