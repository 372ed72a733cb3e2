//! All buckets: parts in memory, files, and views of both.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{active::Active, piece::Piece};
use crate::{
    embedded::{
        Schema,
        batch::{Batch, Point},
        catalog::FileRecord,
        delete::Tombstone,
        parquet::DataFile,
    },
    lineprotocol::FieldType,
};

/// An active part with this many rows is sealed.
const SEAL_ROWS: usize = 1 << 16;
/// Pieces with this many rows are not merged with others any more: merging them again and again would cost more than it saves.
const MERGE_ROWS: usize = 1 << 17;

/// Points of all buckets.
#[derive(Debug, Default)]
pub(in crate::embedded) struct Memory {
    pub(super) buckets: HashMap<u64, Bucket>,
    /// About how many bytes are held.
    pub(super) bytes: usize,
    /// Numbers of partitions given out.
    numbers: u64,
    /// Files of dropped measurements that the catalog still knows.
    pub(super) dead: Vec<Arc<DataFile>>,
}

#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) tables: BTreeMap<Arc<str>, Table>,
    /// What queries see, but for the tables in `dirty`.
    pub(super) view: Arc<BucketView>,
    pub(super) dirty: HashSet<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) schema: Arc<Schema>,
    pub(super) partitions: BTreeMap<i64, Partition>,
}

#[derive(Debug)]
pub(super) struct Partition {
    /// Of this partition and no later one in its place.
    pub(super) number: u64,
    pub(super) end: i64,
    pub(super) active: Active,
    /// Older first.
    pub(super) pieces: Vec<Arc<Piece>>,
    /// How many of them are being written to a file: these are not merged with others.
    pub(super) flushing: usize,
    /// What was deleted since the flush began, which writes these points all the same.
    pub(super) deleted: Vec<Arc<Tombstone>>,
    /// By sequence.
    pub(super) files: Vec<StoredFile>,
}

/// A file, and what is deleted of it.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct StoredFile {
    pub(in crate::embedded) file: Arc<DataFile>,
    pub(in crate::embedded) deletes: Vec<Arc<Tombstone>>,
}

/// What a statement sees of a bucket.
#[derive(Clone, Debug, Default)]
pub(in crate::embedded) struct BucketView {
    pub(in crate::embedded) tables: BTreeMap<Arc<str>, Arc<TableView>>,
}

/// What a statement sees of a measurement.
#[derive(Debug)]
pub(in crate::embedded) struct TableView {
    pub(in crate::embedded) schema: Arc<Schema>,
    /// By time, disjoint.
    pub(in crate::embedded) partitions: Vec<PartitionView>,
}

/// What a statement sees of a partition. What stands in a later file, or a later piece, replaces what stands in an earlier one; pieces are
/// later than files.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct PartitionView {
    pub(in crate::embedded) start: i64,
    pub(in crate::embedded) end: i64,
    pub(in crate::embedded) files: Vec<StoredFile>,
    pub(in crate::embedded) pieces: Vec<Arc<Piece>>,
}

/// A partition's pieces that are to become a file.
#[derive(Debug)]
pub(in crate::embedded) struct Flush {
    pub(in crate::embedded) bucket: u64,
    pub(in crate::embedded) table: Arc<str>,
    pub(in crate::embedded) start: i64,
    pub(in crate::embedded) end: i64,
    pub(super) number: u64,
    pieces: Vec<Arc<Piece>>,
}

impl Flush {
    /// All its points, sorted.
    pub(in crate::embedded) fn run(&self) -> Arc<super::Run> {
        match &*self.pieces {
            [piece] => piece.run(),
            pieces => Arc::new(super::piece::merge(pieces)),
        }
    }
}

impl Memory {
    /// About how many bytes of points are held.
    pub(in crate::embedded) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the points of a batch.
    pub(in crate::embedded) fn apply(&mut self, batch: &Batch) {
        let numbers = &mut self.numbers;
        let bucket = self.buckets.entry(batch.bucket).or_default();
        let mut rest = &*batch.points;
        while let Some(first) = rest.first() {
            // A body's points mostly go on with the same measurement and partition.
            let same = rest.iter().take_while(|point| point.table == first.table && point.partition == first.partition).count();
            let (points, others) = rest.split_at(same);
            rest = others;
            let (name, table) = bucket.table(batch.text(first.table));
            let Table { schema, partitions } = table;
            let (start, end) = batch.partitions[first.partition as usize];
            let partition = partitions.entry(start).or_insert_with(|| Partition::new(end, numbers));
            for point in points {
                let before = partition.active.bytes();
                if partition.active.push(batch, point) {
                    learn(schema, batch, point);
                }
                self.bytes += partition.active.bytes() - before;
                if partition.active.rows() >= SEAL_ROWS {
                    partition.seal();
                }
            }
            bucket.dirty.insert(name);
        }
    }

    /// Adds a file, at the start.
    pub(in crate::embedded) fn add_file(&mut self, file: &Arc<DataFile>) {
        let record = &file.record;
        let numbers = &mut self.numbers;
        let bucket = self.buckets.entry(record.bucket).or_default();
        let (name, table) = bucket.table(&record.table);
        learn_file(&mut table.schema, record);
        let file = StoredFile { file: Arc::clone(file), deletes: Vec::new() };
        table.partitions.entry(record.start).or_insert_with(|| Partition::new(record.end, numbers)).add(file);
        bucket.dirty.insert(name);
    }

    /// What is in a bucket now.
    pub(in crate::embedded) fn view(&mut self, bucket: u64) -> Arc<BucketView> {
        let Some(bucket) = self.buckets.get_mut(&bucket) else { return Arc::default() };
        if !bucket.dirty.is_empty() {
            let view = Arc::make_mut(&mut bucket.view);
            for name in bucket.dirty.drain() {
                match bucket.tables.get_mut(&name) {
                    Some(table) => drop(view.tables.insert(name, Arc::new(table.view()))),
                    None => drop(view.tables.remove(&name)),
                }
            }
        }
        Arc::clone(&bucket.view)
    }

    /// Everything that is in memory only; it stays visible until [`flushed`](Self::flushed).
    pub(in crate::embedded) fn begin_flush(&mut self) -> Vec<Flush> {
        let mut all = Vec::new();
        for (id, bucket) in &mut self.buckets {
            for (name, table) in &mut bucket.tables {
                for (start, partition) in &mut table.partitions {
                    partition.seal();
                    if partition.pieces.is_empty() {
                        continue;
                    }
                    partition.flushing = partition.pieces.len();
                    bucket.dirty.insert(Arc::clone(name));
                    let pieces = partition.pieces.clone();
                    let (end, number) = (partition.end, partition.number);
                    all.push(Flush { bucket: *id, table: Arc::clone(name), start: *start, end, number, pieces });
                }
            }
        }
        all
    }

    /// Replaces what was flushed by its file, if it has any points, in one step: a view has either the one or the other. The file of a
    /// measurement that was dropped meanwhile isn't wanted any more.
    pub(in crate::embedded) fn flushed(&mut self, flush: &Flush, file: Option<Arc<DataFile>>) {
        let partition = self.buckets.get_mut(&flush.bucket).and_then(|bucket| {
            bucket.dirty.insert(Arc::clone(&flush.table));
            bucket.tables.get_mut(&flush.table)?.partitions.get_mut(&flush.start)
        });
        let Some(partition) = partition.filter(|partition| partition.number == flush.number) else {
            self.dead.extend(file);
            return;
        };
        let gone: usize = partition.pieces.drain(..partition.flushing).map(|piece| piece.bytes).sum();
        partition.flushing = 0;
        self.bytes = self.bytes.saturating_sub(gone);
        let deletes = std::mem::take(&mut partition.deleted);
        match file {
            Some(file) => partition.add(StoredFile { file, deletes }),
            None => self.prune(flush.bucket, &flush.table),
        }
    }

    /// Gives a flush up: everything is as before.
    pub(in crate::embedded) fn abort_flush(&mut self) {
        for bucket in self.buckets.values_mut() {
            for table in bucket.tables.values_mut() {
                for partition in table.partitions.values_mut() {
                    partition.flushing = 0;
                    partition.deleted.clear();
                }
            }
        }
    }

    /// Forgets a bucket; its files are left to the caller.
    pub(in crate::embedded) fn forget(&mut self, bucket: u64) -> Vec<Arc<DataFile>> {
        let Some(bucket) = self.buckets.remove(&bucket) else { return Vec::new() };
        let partitions = bucket.tables.into_values().flat_map(|table| table.partitions.into_values());
        partitions.flat_map(|partition| self.let_go(partition)).collect()
    }

    /// Gives the memory of a partition back; its files are left to the caller.
    pub(super) fn let_go(&mut self, partition: Partition) -> Vec<Arc<DataFile>> {
        let gone = partition.active.bytes() + partition.pieces.iter().map(|piece| piece.bytes).sum::<usize>();
        self.bytes = self.bytes.saturating_sub(gone);
        partition.files.into_iter().map(|stored| stored.file).collect()
    }
}

impl Bucket {
    fn table(&mut self, name: &str) -> (Arc<str>, &mut Table) {
        if !self.tables.contains_key(name) {
            self.tables.insert(name.into(), Table::default());
        }
        let key = self.tables.get_key_value(name).map(|(key, _)| Arc::clone(key)).expect("inserted above");
        let table = self.tables.get_mut(name).expect("inserted above");
        (key, table)
    }
}

impl Table {
    fn view(&mut self) -> TableView {
        let partitions = self
            .partitions
            .iter_mut()
            .map(|(start, partition)| {
                partition.seal();
                PartitionView {
                    start: *start,
                    end: partition.end,
                    files: partition.files.clone(),
                    pieces: partition.pieces.clone(),
                }
            })
            .collect();
        TableView { schema: Arc::clone(&self.schema), partitions }
    }
}

impl Partition {
    fn new(end: i64, numbers: &mut u64) -> Self {
        *numbers += 1;
        Self {
            number: *numbers,
            end,
            active: Active::default(),
            pieces: Vec::new(),
            flushing: 0,
            deleted: Vec::new(),
            files: Vec::new(),
        }
    }

    fn add(&mut self, stored: StoredFile) {
        let place = self.files.partition_point(|there| there.file.record.seq < stored.file.record.seq);
        self.files.insert(place, stored);
    }

    /// Makes the active part a piece, and merges pieces such that their sizes at least double from one to the one before.
    pub(super) fn seal(&mut self) {
        if self.active.rows() == 0 {
            return;
        }
        self.pieces.push(Arc::new(Piece::seal(std::mem::take(&mut self.active))));
        while let [.., before, last] = &self.pieces[self.flushing..] {
            if before.rows >= MERGE_ROWS || before.rows >= 2 * last.rows {
                break;
            }
            let merged = Piece::merge(vec![Arc::clone(before), Arc::clone(last)]);
            self.pieces.truncate(self.pieces.len() - 2);
            self.pieces.push(Arc::new(merged));
        }
    }
}

/// Adds what is new in a point.
fn learn(schema: &mut Arc<Schema>, batch: &Batch, point: &Point) {
    for (key, _) in batch.tags(point) {
        learn_tag(schema, batch.text(*key));
    }
    for (name, value) in batch.fields(point) {
        learn_field(schema, batch.text(*name), value.field_type());
    }
}

pub(super) fn learn_file(schema: &mut Arc<Schema>, file: &FileRecord) {
    for key in &file.tags {
        learn_tag(schema, key);
    }
    for field in &file.fields {
        learn_field(schema, &field.name, field.field_type);
    }
}

pub(super) fn learn_tag(schema: &mut Arc<Schema>, key: &str) {
    if let Err(place) = schema.tags.binary_search_by(|there| (**there).cmp(key)) {
        Arc::make_mut(schema).tags.insert(place, key.into());
    }
}

pub(super) fn learn_field(schema: &mut Arc<Schema>, name: &str, field_type: FieldType) {
    match schema.fields.binary_search_by(|(there, _)| (**there).cmp(name)) {
        Ok(place) if schema.fields[place].1.contains(&field_type) => {}
        Ok(place) => {
            let types = &mut Arc::make_mut(schema).fields[place].1;
            types.push(field_type);
            types.sort_unstable();
        }
        Err(place) => Arc::make_mut(schema).fields.insert(place, (name.into(), vec![field_type])),
    }
}
