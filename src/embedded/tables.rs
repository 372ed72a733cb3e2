//! The seam between the store, which has points, and the query engine, which makes answers of them.

use std::{ops::RangeInclusive, sync::Arc};

use arrow_array::{ArrayRef, Int64Array};

use crate::{error::Error, lineprotocol::FieldType};

/// One bucket at one moment: what a statement sees doesn't change while it runs.
pub trait Tables: Send + Sync {
    /// Names of all measurements, sorted.
    fn measurements(&self) -> Vec<Arc<str>>;

    /// Columns of a measurement, all partitions taken together.
    fn schema(&self, measurement: &str) -> Option<Arc<Schema>>;

    /// The same as far as its fields go, of the partitions that `time` (both ends included) reaches into: there and nowhere else 1.x looks
    /// for fields and their types. Tags are those of all partitions.
    fn schema_within(&self, measurement: &str, time: RangeInclusive<i64>) -> Option<Arc<Schema>>;

    /// Points of a measurement. The iterator blocks on files: it is for a thread that may. Dropping it ends the work.
    ///
    /// Batches come in this order: partitions (disjoint in time, as 1.x's shard groups) by time, backwards if
    /// [`Scan::descending`]; in each, series by their tag sets (tags compared in the order of the schema's sorted tag keys); in each,
    /// points by ascending time, one row a timestamp. Points without any of the wanted fields are left out. A long series comes in
    /// several consecutive batches, each later than the one before.
    ///
    /// # Errors
    /// When files can't be read; also per item.
    fn scan(&self, scan: Scan) -> Result<Box<dyn Iterator<Item = Result<SeriesBatch, Error>> + Send>, Error>;

    /// Tag sets of all series of a measurement, each tag of the schema in order (empty: missing), sorted; `time` bounds are by partition.
    ///
    /// # Errors
    /// When files can't be read.
    fn series(&self, measurement: &str, time: RangeInclusive<i64>) -> Result<Vec<Arc<[Box<str>]>>, Error>;

    /// Partitions of a measurement, by time.
    fn partitions(&self, measurement: &str) -> Vec<Partition>;
}

/// What is in a partition of a measurement.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Partition {
    /// Its first nanosecond since 1970.
    pub start: i64,
    /// The first nanosecond after it.
    pub end: i64,
    /// Fields that its points have, sorted.
    pub fields: Vec<Box<str>>,
    /// Files that it is read from.
    pub files: usize,
    /// Rows of the files; those that stand in several are counted more than once.
    pub rows: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Rows that are in memory only, about.
    pub cached: usize,
}

/// Columns of a measurement.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Schema {
    /// Tag keys, sorted.
    pub tags: Vec<Box<str>>,
    /// Field keys, sorted, each with every type it has in some partition (nearly always one).
    pub fields: Vec<(Box<str>, Vec<FieldType>)>,
}

/// What is wanted of a measurement.
#[derive(Clone)]
pub struct Scan {
    /// The measurement.
    pub measurement: Arc<str>,
    /// Nanoseconds since 1970, both ends included.
    pub time: RangeInclusive<i64>,
    /// The wanted fields, in the order in which batches have them.
    pub fields: Vec<Box<str>>,
    /// Series that are wanted, told by the values of all tags of the schema in order (empty: missing). Asked once a series and file.
    pub series: Option<SeriesFilter>,
    /// Partitions backwards.
    pub descending: bool,
    /// So many points of a series in a partition suffice: the first ones, the last ones if [`descending`](Self::descending). More may come.
    pub most: Option<usize>,
}

/// Whether a series is wanted.
pub type SeriesFilter = Arc<dyn Fn(&[Box<str>]) -> bool + Send + Sync>;

/// Points of one series in one partition: all of them, or the next part.
#[derive(Clone, Debug)]
pub struct SeriesBatch {
    /// Values of all tags of the schema, in its order; empty: missing.
    pub tags: Arc<[Box<str>]>,
    /// Nanoseconds since 1970, strictly ascending, never null.
    pub time: Int64Array,
    /// Values of the wanted fields, in the order of [`Scan::fields`]: Float64, Int64, UInt64, Utf8 or Boolean arrays as stored in this
    /// partition; `None` where the partition's series has no such field.
    pub fields: Vec<Option<ArrayRef>>,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("measurement", &self.measurement)
            .field("time", &self.time)
            .field("fields", &self.fields)
            .field("filtered", &self.series.is_some())
            .field("descending", &self.descending)
            .field("most", &self.most)
            .finish()
    }
}
