//! Reading: memory and files of a bucket as one, by partition, series and time.

mod merge;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::RangeInclusive,
    sync::Arc,
};

use self::merge::Merge;
use super::{
    Partition, Scan, Schema, SeriesBatch, Tables,
    buffer::{BucketView, PartitionView, StoredFile, widen},
    parquet::Files,
};
use crate::{error::Error, lineprotocol::FieldType};

/// One bucket at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    view: Arc<BucketView>,
    files: Files,
}

impl Snapshot {
    pub(super) fn new(view: Arc<BucketView>, files: Files) -> Self {
        Self { view, files }
    }

    /// Partitions that reach into `time`, by time.
    fn touched(&self, measurement: &str, time: &RangeInclusive<i64>) -> Vec<PartitionView> {
        let Some(table) = self.view.tables.get(measurement) else { return Vec::new() };
        let touched = |partition: &&PartitionView| partition.start <= *time.end() && partition.end > *time.start();
        table.partitions.iter().filter(touched).cloned().collect()
    }
}

impl Tables for Snapshot {
    fn measurements(&self) -> Vec<Arc<str>> {
        self.view.tables.keys().map(Arc::clone).collect()
    }

    fn schema(&self, measurement: &str) -> Option<Arc<Schema>> {
        self.view.tables.get(measurement).map(|table| Arc::clone(&table.schema))
    }

    fn schema_within(&self, measurement: &str, time: RangeInclusive<i64>) -> Option<Arc<Schema>> {
        let table = self.view.tables.get(measurement)?;
        let partitions = self.touched(measurement, &time);
        if partitions.len() == table.partitions.len() {
            return Some(Arc::clone(&table.schema));
        }
        let mut fields: BTreeMap<Box<str>, BTreeSet<FieldType>> = BTreeMap::new();
        for partition in &partitions {
            for stored in &partition.files {
                for field in &stored.file.record.fields {
                    fields.entry(field.name.clone()).or_default().insert(field.field_type);
                }
            }
            for piece in &partition.pieces {
                for field in &piece.run().fields {
                    fields.entry(field.name.clone()).or_default().insert(field.field_type);
                }
            }
        }
        let fields = fields.into_iter().map(|(name, types)| (name, types.into_iter().collect())).collect();
        Some(Arc::new(Schema { tags: table.schema.tags.clone(), fields }))
    }

    fn scan(&self, scan: Scan) -> Result<Box<dyn Iterator<Item = Result<SeriesBatch, Error>> + Send>, Error> {
        let mut partitions = VecDeque::from(self.touched(&scan.measurement, &scan.time));
        if scan.time.is_empty() || scan.fields.is_empty() {
            partitions.clear();
        }
        if scan.descending {
            partitions.make_contiguous().reverse();
        }
        let tags = self.schema(&scan.measurement).map(|schema| schema.tags.clone().into()).unwrap_or_default();
        Ok(Box::new(Batches { files: self.files.clone(), tags, scan, partitions, current: None }))
    }

    fn series(&self, measurement: &str, time: RangeInclusive<i64>) -> Result<Vec<Arc<[Box<str>]>>, Error> {
        let Some(schema) = self.schema(measurement) else { return Ok(Vec::new()) };
        let mut all: BTreeSet<Arc<[Box<str>]>> = BTreeSet::new();
        for partition in self.touched(measurement, &time) {
            for StoredFile { file, deletes } in &partition.files {
                let record = &file.record;
                let widener = widen(&record.tags, &schema.tags);
                // Until the file is written anew, a series may be listed of which several deletes took a part each.
                let gone: Vec<_> = deletes.iter().filter(|delete| delete.covers(record.min_time, record.max_time)).collect();
                let directory = self.files.directory(file)?;
                let left = directory.sets.iter().filter(|set| !gone.iter().any(|delete| delete.hits(&record.tags, set)));
                all.extend(left.map(|set| widener.widen(set)));
            }
            for piece in &partition.pieces {
                let run = piece.run();
                let widener = widen(&run.tags, &schema.tags);
                all.extend(run.series.iter().map(|set| widener.widen(set)));
            }
        }
        Ok(all.into_iter().collect())
    }

    fn partitions(&self, measurement: &str) -> Vec<Partition> {
        let Some(table) = self.view.tables.get(measurement) else { return Vec::new() };
        let describe = |view: &PartitionView| {
            let mut fields = BTreeSet::new();
            fields.extend(view.files.iter().flat_map(|stored| stored.file.record.fields.iter().map(|field| field.name.clone())));
            fields.extend(
                view.pieces
                    .iter()
                    .flat_map(|piece| piece.run().fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>()),
            );
            Partition {
                start: view.start,
                end: view.end,
                fields: fields.into_iter().collect(),
                files: view.files.len(),
                rows: view.files.iter().map(|stored| stored.file.record.rows).sum(),
                bytes: view.files.iter().map(|stored| stored.file.record.bytes).sum(),
                cached: view.pieces.iter().map(|piece| piece.rows()).sum(),
            }
        };
        table.partitions.iter().map(describe).collect()
    }
}

/// Batches of a scan; partitions are opened one after the other.
struct Batches {
    files: Files,
    /// Tags of the measurement's schema.
    tags: Arc<[Box<str>]>,
    scan: Scan,
    partitions: VecDeque<PartitionView>,
    current: Option<Merge>,
}

impl Batches {
    fn step(&mut self) -> Result<Option<SeriesBatch>, Error> {
        loop {
            if let Some(merge) = &mut self.current {
                if let Some(batch) = merge.next()? {
                    return Ok(Some(batch));
                }
                self.current = None;
            }
            let Some(partition) = self.partitions.pop_front() else { return Ok(None) };
            let sources = source::open(&self.files, &partition, &self.tags, &self.scan)?;
            self.current = Some(Merge::new(sources));
        }
    }
}

impl Iterator for Batches {
    type Item = Result<SeriesBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if matches!(step, Some(Err(_))) {
            self.partitions.clear();
            self.current = None;
        }
        step
    }
}
