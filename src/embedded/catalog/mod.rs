//! The catalog: buckets, mappings and files, in one transactional file (`catalog.redb`), and a copy in memory that everybody reads.
//!
//! A change is on disk before anybody sees it. Types of fields aren't kept apart: within a partition they are those of its files and of
//! the log.

mod mapping;
mod names;
mod policy;
mod record;
mod service;
mod store;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

pub(super) use mapping::MappingChange;
pub(super) use policy::{PolicyChange, Settings};
pub(super) use record::{FieldRecord, FileRecord, MappingRecord};

use self::{record::BucketRecord, store::Store};
use super::shard_duration;
use crate::error::{Error, Kind};

/// A bucket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Bucket {
    /// Its number, never used again after it.
    pub(super) id: u64,
    pub(super) name: Arc<str>,
    /// How long it keeps points; `None`: for ever.
    pub(super) retention: Option<Duration>,
    /// How long its partitions are, when somebody said it.
    shard: Option<Duration>,
    /// 1.x's replication factor, which is remembered and means nothing.
    replicas: u64,
}

impl Bucket {
    /// How long its new partitions are.
    pub(super) fn shard(&self) -> Duration {
        self.shard.unwrap_or_else(|| shard_duration(self.retention))
    }
}

/// The catalog, open.
#[derive(Debug)]
pub(super) struct Catalog {
    store: Arc<Store>,
    index: RwLock<Index>,
    /// Held while something changes: looking and changing are one step.
    changing: Mutex<()>,
}

/// The copy in memory.
#[derive(Debug, Default)]
struct Index {
    buckets: BTreeMap<u64, Arc<Bucket>>,
    by_name: BTreeMap<Arc<str>, u64>,
    mappings: BTreeMap<u64, MappingRecord>,
}

/// What the start needs besides.
#[derive(Debug)]
pub(super) struct Loaded {
    /// All files, by sequence.
    pub(super) files: Vec<FileRecord>,
    /// The first log segment whose points are not all in files.
    pub(super) first_segment: u64,
}

impl Catalog {
    /// Opens it, or makes an empty one.
    pub(super) fn open(path: &Path) -> Result<(Self, Loaded), Error> {
        let (store, contents) = Store::open(path)?;
        let mut index = Index { mappings: contents.mappings, ..Index::default() };
        for (id, record) in contents.buckets {
            index.insert(Arc::new(record.into_bucket(id)));
        }
        let loaded = Loaded { files: contents.files, first_segment: contents.first_segment };
        Ok((Self { store: Arc::new(store), index: RwLock::new(index), changing: Mutex::new(()) }, loaded))
    }

    /// The bucket of this name.
    pub(super) fn bucket(&self, name: &str) -> Option<Arc<Bucket>> {
        let index = self.index();
        index.by_name.get(name).and_then(|id| index.buckets.get(id)).map(Arc::clone)
    }

    /// The bucket with this number.
    pub(super) fn bucket_by_id(&self, id: u64) -> Option<Arc<Bucket>> {
        self.index().buckets.get(&id).map(Arc::clone)
    }

    /// All buckets, by name.
    pub(super) fn buckets(&self) -> Vec<Arc<Bucket>> {
        let index = self.index();
        index.by_name.values().filter_map(|id| index.buckets.get(id)).map(Arc::clone).collect()
    }

    /// Makes a bucket. Blocks.
    pub(super) fn create_bucket(&self, name: &str, retention: Option<Duration>) -> Result<Arc<Bucket>, Error> {
        names::check(name)?;
        names::check_retention(retention)?;
        let _changing = self.changing();
        if self.bucket(name).is_some() {
            return Err(Error::new(Kind::Unprocessable, format!("bucket with name {name} already exists")));
        }
        let record = BucketRecord::new(name, retention);
        let id = self.store.change(|change| change.add_bucket(&record))?;
        let bucket = Arc::new(record.into_bucket(id));
        self.change(|index| index.insert(Arc::clone(&bucket)));
        Ok(bucket)
    }

    /// Changes a bucket's name or retention. Blocks.
    pub(super) fn update_bucket(
        &self,
        id: u64,
        name: Option<&str>,
        retention: Option<Option<Duration>>,
    ) -> Result<Arc<Bucket>, Error> {
        let _changing = self.changing();
        let old = self.bucket_by_id(id).ok_or_else(|| not_found("bucket not found"))?;
        let name = name.unwrap_or(&old.name);
        names::check(name)?;
        let retention = retention.unwrap_or(old.retention);
        names::check_retention(retention)?;
        if *name != *old.name && self.bucket(name).is_some() {
            return Err(Error::new(Kind::Unprocessable, format!("bucket with name {name} already exists")));
        }
        // Partitions that are longer than points are kept make no sense.
        let shard = old.shard.filter(|shard| retention.is_none_or(|retention| *shard <= retention));
        let record = match shard {
            Some(shard) => BucketRecord::of(name, &Settings { retention, shard, replicas: old.replicas }),
            None => BucketRecord::new(name, retention),
        };
        self.store.change(|change| change.put_bucket(id, &record))?;
        let bucket = Arc::new(record.into_bucket(id));
        self.change(|index| {
            index.by_name.remove(&old.name);
            index.insert(Arc::clone(&bucket));
        });
        Ok(bucket)
    }

    /// Removes a bucket, its mappings and its files' entries, which it returns. Blocks.
    pub(super) fn delete_bucket(&self, id: u64) -> Result<Vec<FileRecord>, Error> {
        let _changing = self.changing();
        let old = self.bucket_by_id(id).ok_or_else(|| not_found("bucket not found"))?;
        let files = self.store.change(|change| change.remove_bucket(id))?;
        self.change(|index| {
            index.by_name.remove(&old.name);
            index.buckets.remove(&id);
            index.mappings.retain(|_, mapping| mapping.bucket != id);
        });
        Ok(files)
    }

    /// A number for a file that is going to be written: larger than that of every file before, also across restarts. Blocks.
    pub(super) fn next_file(&self, count: u64) -> Result<u64, Error> {
        self.store.reserve_files(count)
    }

    /// Adds files; the log is needed from `first_segment` on only, when that is known. Files of buckets that are gone are left out, and returned. Blocks.
    pub(super) fn add_files(&self, files: &[FileRecord], first_segment: Option<u64>) -> Result<Vec<FileRecord>, Error> {
        // Against a bucket that is removed at this moment.
        let _changing = self.changing();
        let (there, gone): (Vec<_>, Vec<_>) = files.iter().partition(|file| self.bucket_by_id(file.bucket).is_some());
        self.store.add_files(&there, first_segment)?;
        Ok(gone.into_iter().cloned().collect())
    }

    /// Removes files and adds what takes their place; false when their bucket is gone, and nothing was done. Blocks.
    pub(super) fn replace_files(&self, remove: &[u64], add: &[FileRecord]) -> Result<bool, Error> {
        let _changing = self.changing();
        if add.iter().any(|file| self.bucket_by_id(file.bucket).is_none()) {
            return Ok(false);
        }
        self.store.replace_files(remove, add)?;
        Ok(true)
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Index)) {
        change(&mut self.index.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn changing(&self) -> std::sync::MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn insert(&mut self, bucket: Arc<Bucket>) {
        self.by_name.insert(Arc::clone(&bucket.name), bucket.id);
        self.buckets.insert(bucket.id, bucket);
    }
}

fn not_found(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::NotFound, message)
}
