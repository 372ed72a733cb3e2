//! Deletes, laid over what memory and files have.

use std::sync::Arc;

use super::{
    Memory, StoredFile,
    memory::{learn_field, learn_file, learn_tag},
    piece::Piece,
};
use crate::embedded::{
    Schema,
    delete::{Delete, Forget},
    parquet::DataFile,
};

/// A file that has something deleted in it.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct Unsettled {
    pub(in crate::embedded) bucket: u64,
    pub(in crate::embedded) table: Arc<str>,
    start: i64,
    pub(in crate::embedded) stored: StoredFile,
}

impl Memory {
    /// Lays a delete over everything that is there.
    pub(in crate::embedded) fn delete(&mut self, delete: &Delete) {
        let tombstone = &delete.tombstone;
        let Some(bucket) = self.buckets.get_mut(&delete.bucket) else { return };
        for (name, table) in bucket.tables.iter_mut().filter(|(name, _)| delete.names(name)) {
            for (start, partition) in &mut table.partitions {
                if start > tombstone.time.end() || partition.end <= *tombstone.time.start() {
                    continue;
                }
                partition.seal();
                for piece in &mut partition.pieces {
                    *piece = Arc::new(Piece::masked(piece, tombstone));
                }
                if partition.flushing > 0 {
                    partition.deleted.push(Arc::clone(tombstone));
                }
                for stored in &mut partition.files {
                    stored.deletes.push(Arc::clone(tombstone));
                }
                bucket.dirty.insert(Arc::clone(name));
            }
        }
    }

    /// Drops a measurement.
    pub(in crate::embedded) fn forget_table(&mut self, forget: &Forget) {
        let Some(bucket) = self.buckets.get_mut(&forget.bucket) else { return };
        let Some((name, table)) = bucket.tables.remove_entry(&*forget.table) else { return };
        bucket.dirty.insert(name);
        for partition in table.partitions.into_values() {
            let files = self.let_go(partition);
            self.dead.extend(files);
        }
    }

    /// Whether some file still has something in it that is deleted.
    pub(in crate::embedded) fn is_unsettled(&self) -> bool {
        !self.dead.is_empty() || self.unsettled().is_some()
    }

    /// The next file that has something deleted in it.
    pub(in crate::embedded) fn unsettled(&self) -> Option<Unsettled> {
        self.buckets.iter().find_map(|(bucket, contents)| {
            contents.tables.iter().find_map(|(table, contents)| {
                contents.partitions.iter().find_map(|(start, partition)| {
                    let stored = partition.files.iter().find(|stored| !stored.deletes.is_empty())?;
                    Some(Unsettled { bucket: *bucket, table: Arc::clone(table), start: *start, stored: stored.clone() })
                })
            })
        })
    }

    /// Puts `file`, which may be the same one, into the place of one whose deletes were carried out; what was deleted since is still to
    /// do. False when it isn't wanted any more.
    pub(in crate::embedded) fn settled(&mut self, done: &Unsettled, file: Option<Arc<DataFile>>) -> bool {
        let found = self.buckets.get_mut(&done.bucket).and_then(|bucket| {
            bucket.dirty.insert(Arc::clone(&done.table));
            let partition = bucket.tables.get_mut(&done.table)?.partitions.get_mut(&done.start)?;
            let place = partition.files.iter().position(|there| Arc::ptr_eq(&there.file, &done.stored.file))?;
            Some((partition, place))
        });
        let Some((partition, place)) = found else { return false };
        match file {
            Some(file) => {
                let stored = &mut partition.files[place];
                stored.deletes.drain(..done.stored.deletes.len());
                stored.file = file;
            }
            None => drop(partition.files.remove(place)),
        }
        true
    }

    /// Takes the files of dropped measurements.
    pub(in crate::embedded) fn take_dead(&mut self) -> Vec<Arc<DataFile>> {
        std::mem::take(&mut self.dead)
    }

    /// Gives them back.
    pub(in crate::embedded) fn keep_dead(&mut self, files: Vec<Arc<DataFile>>) {
        self.dead.extend(files);
    }

    /// Lets go of views that nobody has asked for since: they keep files.
    pub(in crate::embedded) fn let_views_go(&mut self) {
        for bucket in self.buckets.values_mut().filter(|bucket| !bucket.dirty.is_empty()) {
            let view = Arc::make_mut(&mut bucket.view);
            bucket.dirty.iter().for_each(|name| drop(view.tables.remove(name)));
        }
    }

    /// Names of all measurements of a bucket.
    pub(in crate::embedded) fn tables(&self, bucket: u64) -> Vec<Arc<str>> {
        self.buckets.get(&bucket).map(|bucket| bucket.tables.keys().map(Arc::clone).collect()).unwrap_or_default()
    }

    /// Forgets partitions without points, columns that no partition has, and a measurement without partitions.
    pub(in crate::embedded) fn prune(&mut self, bucket: u64, table: &str) {
        let Some(bucket) = self.buckets.get_mut(&bucket) else { return };
        let Some((name, contents)) = bucket.tables.get_key_value(table) else { return };
        let name = Arc::clone(name);
        let empty = contents.partitions.iter().filter(|(_, partition)| {
            partition.files.is_empty()
                && partition.flushing == 0
                && partition.active.rows() == 0
                && partition.pieces.iter().all(|piece| piece.is_empty())
        });
        let empty: Vec<i64> = empty.map(|(start, _)| *start).collect();
        let mut gone = Vec::new();
        if let Some(contents) = bucket.tables.get_mut(&name) {
            gone.extend(empty.iter().filter_map(|start| contents.partitions.remove(start)));
            contents.schema = Arc::new(contents.columns());
            if contents.partitions.is_empty() {
                bucket.tables.remove(&name);
            }
        }
        bucket.dirty.insert(name);
        for partition in gone {
            self.let_go(partition);
        }
    }
}

impl super::memory::Table {
    /// The columns that its partitions have.
    fn columns(&self) -> Schema {
        let mut schema = Arc::new(Schema::default());
        for partition in self.partitions.values() {
            partition.files.iter().for_each(|stored| learn_file(&mut schema, &stored.file.record));
            let mut tags = std::collections::BTreeSet::<Box<str>>::new();
            let mut tag = |key: &str| {
                if !tags.contains(key) {
                    tags.insert(key.into());
                }
            };
            let mut fields = Vec::new();
            let mut field = |name: &str, field_type| fields.push((Box::<str>::from(name), field_type));
            partition.active.columns(&mut tag, &mut field);
            partition.pieces.iter().for_each(|piece| piece.columns(&mut tag, &mut field));
            tags.iter().for_each(|key| learn_tag(&mut schema, key));
            fields.iter().for_each(|(name, field_type)| learn_field(&mut schema, name, *field_type));
        }
        Arc::unwrap_or_clone(schema)
    }
}
