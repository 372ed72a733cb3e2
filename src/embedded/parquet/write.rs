//! A sorted run as the bytes of a Parquet file.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, TimestampNanosecondArray, types::Int32Type,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding},
    errors::ParquetError,
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use super::layout;
use crate::{
    embedded::buffer::{Run, data_type},
    native,
};

/// Rows of a row group: small enough to leave much out, large enough to pack well.
const ROW_GROUP: usize = 1 << 17;
/// Rows of a page, the unit that is left out within a row group.
const PAGE: usize = 1 << 11;

/// The file.
pub(super) fn encode(run: &Run) -> Result<Vec<u8>, ParquetError> {
    let batch = batch(run)?;
    let time = ColumnPath::from("time");
    let sorting = (1..=run.tags.len()).chain([0]).map(|column| SortingColumn {
        column_idx: column as i32,
        descending: false,
        nulls_first: true,
    });
    let properties = WriterProperties::builder()
        .set_created_by(concat!("v1shim ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_data_page_row_count_limit(PAGE)
        // The writer looks at the limit of a page after each of its own batches only.
        .set_write_batch_size(PAGE)
        .set_sorting_columns(Some(sorting.collect()))
        // Times are all different, and mostly equally far from each other.
        .set_column_dictionary_enabled(time.clone(), false)
        .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.into_inner()
}

fn batch(run: &Run) -> Result<RecordBatch, ParquetError> {
    let names: Vec<&str> = run.fields.iter().map(|field| &*field.name).collect();
    let mut names = layout::columns(&run.tags, &names).into_iter();
    let mut name = || names.next().unwrap_or_default();
    // The same marks as InfluxDB 3 puts into its files.
    let marked = |name, data_type, nullable, mark: String| {
        let metadata = HashMap::from([(native::COLUMN_TYPE_METADATA.to_owned(), mark)]);
        Field::new(name, data_type, nullable).with_metadata(metadata)
    };
    let mut fields =
        vec![marked(name(), DataType::Timestamp(TimeUnit::Nanosecond, None), false, "iox::column_type::timestamp".to_owned())];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(TimestampNanosecondArray::new(run.time.values().clone(), None))];
    for place in 0..run.tags.len() {
        let tag = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        fields.push(marked(name(), tag, true, native::COLUMN_TYPE_TAG.to_owned()));
        columns.push(Arc::new(tag_column(run, place)?));
    }
    for field in &run.fields {
        let mark = format!("iox::column_type::field::{}", field.field_type.name());
        fields.push(marked(name(), data_type(field.field_type), true, mark));
        columns.push(Arc::clone(&field.values));
    }
    debug_assert!(columns.iter().all(|column| column.len() == run.rows()));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// One tag's values, each told once.
fn tag_column(run: &Run, place: usize) -> Result<DictionaryArray<Int32Type>, ParquetError> {
    let mut values: Vec<&str> = Vec::new();
    let mut known: HashMap<&str, i32> = HashMap::new();
    let mut keys: Vec<Option<i32>> = Vec::with_capacity(run.rows());
    for (series, bounds) in run.series.iter().zip(run.starts.windows(2)) {
        let value = &*series[place];
        let key = (!value.is_empty()).then(|| {
            *known.entry(value).or_insert_with(|| {
                values.push(value);
                values.len() as i32 - 1
            })
        });
        keys.resize(bounds[1], key);
    }
    Ok(DictionaryArray::try_new(Int32Array::from(keys), Arc::new(StringArray::from(values)))?)
}
