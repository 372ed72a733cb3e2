//! The catalog's file.

use std::{collections::BTreeMap, path::Path};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};

use super::record::{BucketRecord, FileRecord, MappingRecord};
use crate::error::{Error, Kind};

/// Version of everything below `data_dir`.
const FORMAT: u64 = 1;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const BUCKETS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("buckets");
const MAPPINGS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("mappings");
const FILES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("files");

const META_FORMAT: &str = "format";
const META_NEXT_BUCKET: &str = "next_bucket";
const META_NEXT_MAPPING: &str = "next_mapping";
const META_NEXT_FILE: &str = "next_file";
const META_FIRST_SEGMENT: &str = "first_segment";

#[derive(Debug)]
pub(super) struct Store {
    db: Database,
}

/// Everything that was in it.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) buckets: BTreeMap<u64, BucketRecord>,
    pub(super) mappings: BTreeMap<u64, MappingRecord>,
    pub(super) files: Vec<FileRecord>,
    pub(super) first_segment: u64,
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<(Self, Contents), Error> {
        let broken = |error: redb::Error| {
            Error::new(
                Kind::Internal,
                format!(
                    "can't open the catalog \"{}\": {error}; if it is corrupt, restore \"data_dir\" from a backup",
                    path.display()
                ),
            )
            .with_source(error)
        };
        let db = Database::create(path).map_err(|error| broken(error.into()))?;
        let store = Self { db };
        let contents = store.load().map_err(broken)?;
        match contents {
            Ok(contents) => Ok((store, contents)),
            Err(reason) => Err(Error::new(Kind::Internal, format!("can't read the catalog \"{}\": {reason}", path.display()))),
        }
    }

    /// Makes what isn't there and reads everything. The inner error is about contents.
    fn load(&self) -> Result<Result<Contents, String>, redb::Error> {
        let txn = self.db.begin_write()?;
        {
            let mut meta = txn.open_table(META)?;
            let format = meta.get(META_FORMAT)?.map(|format| format.value());
            match format {
                None => drop(meta.insert(META_FORMAT, FORMAT)?),
                Some(FORMAT) => {}
                Some(other) => {
                    return Ok(Err(format!(
                        "it has format {other}, and this program knows {FORMAT} only: use the program that wrote it"
                    )));
                }
            }
            txn.open_table(BUCKETS)?;
            txn.open_table(MAPPINGS)?;
            txn.open_table(FILES)?;
        }
        txn.commit()?;

        let txn = self.db.begin_read()?;
        let meta = txn.open_table(META)?;
        let first_segment = meta.get(META_FIRST_SEGMENT)?.map_or(1, |segment| segment.value());
        let buckets = match rows(&txn.open_table(BUCKETS)?)? {
            Ok(buckets) => buckets,
            Err(reason) => return Ok(Err(reason)),
        };
        let mappings = match rows(&txn.open_table(MAPPINGS)?)? {
            Ok(mappings) => mappings,
            Err(reason) => return Ok(Err(reason)),
        };
        let files: BTreeMap<u64, FileRecord> = match rows(&txn.open_table(FILES)?)? {
            Ok(files) => files,
            Err(reason) => return Ok(Err(reason)),
        };
        Ok(Ok(Contents { buckets, mappings, files: files.into_values().collect(), first_segment }))
    }

    /// Changes buckets and mappings in one go.
    pub(super) fn change<T>(&self, work: impl FnOnce(&Change<'_>) -> Result<T, redb::Error>) -> Result<T, Error> {
        self.write(|txn| work(&Change(txn)))
    }

    pub(super) fn reserve_files(&self, count: u64) -> Result<u64, Error> {
        self.write(|txn| next(txn, META_NEXT_FILE, count))
    }

    pub(super) fn add_files(&self, files: &[&FileRecord], first_segment: Option<u64>) -> Result<(), Error> {
        self.write(|txn| {
            for file in files {
                put(txn, FILES, file.seq, *file)?;
            }
            if let Some(first_segment) = first_segment {
                txn.open_table(META)?.insert(META_FIRST_SEGMENT, first_segment)?;
            }
            Ok(())
        })
    }

    pub(super) fn replace_files(&self, remove: &[u64], add: &[FileRecord]) -> Result<(), Error> {
        self.write(|txn| {
            for seq in remove {
                txn.open_table(FILES)?.remove(seq)?;
            }
            add.iter().try_for_each(|file| put(txn, FILES, file.seq, file))
        })
    }

    /// One transaction; it is on disk when this returns, or nothing of it is there.
    fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>) -> Result<T, Error> {
        let result = (|| {
            let txn = self.db.begin_write()?;
            let result = work(&txn)?;
            txn.commit()?;
            Ok::<_, redb::Error>(result)
        })();
        result.map_err(|error| {
            tracing::error!(%error, "the catalog can't be written");
            Error::new(Kind::Unavailable, "the store's catalog can't be written right now")
                .blaming(crate::error::Blame::Shim)
                .with_source(error)
        })
    }
}

/// What may be changed together.
pub(super) struct Change<'a>(&'a WriteTransaction);

impl Change<'_> {
    /// Adds a bucket and says its number.
    pub(super) fn add_bucket(&self, bucket: &BucketRecord) -> Result<u64, redb::Error> {
        let id = next(self.0, META_NEXT_BUCKET, 1)?;
        put(self.0, BUCKETS, id, bucket)?;
        Ok(id)
    }

    pub(super) fn put_bucket(&self, id: u64, bucket: &BucketRecord) -> Result<(), redb::Error> {
        put(self.0, BUCKETS, id, bucket)
    }

    /// Removes a bucket with its mappings and the entries of its files, which it returns.
    pub(super) fn remove_bucket(&self, id: u64) -> Result<Vec<FileRecord>, redb::Error> {
        self.0.open_table(BUCKETS)?.remove(id)?;
        let mut removed = Vec::new();
        self.0.open_table(MAPPINGS)?.retain(|_, row| parse::<MappingRecord>(row).is_none_or(|mapping| mapping.bucket != id))?;
        self.0.open_table(FILES)?.retain(|_, row| match parse::<FileRecord>(row) {
            Some(file) if file.bucket == id => {
                removed.push(file);
                false
            }
            _ => true,
        })?;
        Ok(removed)
    }

    /// Adds a mapping and says its number.
    pub(super) fn add_mapping(&self, mapping: &MappingRecord) -> Result<u64, redb::Error> {
        let id = next(self.0, META_NEXT_MAPPING, 1)?;
        put(self.0, MAPPINGS, id, mapping)?;
        Ok(id)
    }

    pub(super) fn put_mapping(&self, id: u64, mapping: &MappingRecord) -> Result<(), redb::Error> {
        put(self.0, MAPPINGS, id, mapping)
    }

    pub(super) fn remove_mapping(&self, id: u64) -> Result<(), redb::Error> {
        self.0.open_table(MAPPINGS)?.remove(id)?;
        Ok(())
    }
}

/// Takes `count` numbers, from 1.
fn next(txn: &WriteTransaction, key: &str, count: u64) -> Result<u64, redb::Error> {
    let mut meta = txn.open_table(META)?;
    let next = meta.get(key)?.map_or(1, |next| next.value());
    meta.insert(key, next + count)?;
    Ok(next)
}

fn put(
    txn: &WriteTransaction,
    table: TableDefinition<'_, u64, &[u8]>,
    id: u64,
    record: &impl Serialize,
) -> Result<(), redb::Error> {
    let row = serde_json::to_vec(record).map_err(|error| redb::Error::Io(error.into()))?;
    txn.open_table(table)?.insert(id, row.as_slice())?;
    Ok(())
}

fn parse<T: DeserializeOwned>(row: &[u8]) -> Option<T> {
    serde_json::from_slice(row).ok()
}

/// The outer error is the file's, the inner one is about a row.
fn rows<T: DeserializeOwned>(
    table: &impl ReadableTable<u64, &'static [u8]>,
) -> Result<Result<BTreeMap<u64, T>, String>, redb::Error> {
    let mut all = BTreeMap::new();
    for row in table.iter()? {
        let (id, row) = row?;
        match serde_json::from_slice(row.value()) {
            Ok(record) => drop(all.insert(id.value(), record)),
            Err(error) => return Ok(Err(format!("row {} makes no sense: {error}", id.value()))),
        }
    }
    Ok(Ok(all))
}
