//! Databases and retention policies: mappings that somebody made, and those that follow from the buckets' names.

use std::sync::Arc;

use super::{Bucket, Catalog, Index, MappingRecord, not_found};
use crate::{
    dbrp::Mapping,
    error::{Error, Kind},
};

const AUTOGEN: &str = "autogen";

/// What `PATCH` changes.
#[derive(Clone, Debug, Default)]
pub(in crate::embedded) struct MappingChange {
    pub(in crate::embedded) default: Option<bool>,
    pub(in crate::embedded) retention_policy: Option<Box<str>>,
}

impl Catalog {
    /// The bucket for (`db`, `rp`): the mapping, else the bucket of that name.
    pub(in crate::embedded) fn resolve(&self, db: &str, rp: Option<&str>) -> Option<Arc<Bucket>> {
        let index = self.index();
        let rp = rp.filter(|rp| !rp.is_empty());
        let mapped = index
            .mappings
            .values()
            .find(|mapping| &*mapping.database == db && rp.map_or(mapping.default, |rp| &*mapping.retention_policy == rp));
        if let Some(mapping) = mapped {
            return index.buckets.get(&mapping.bucket).map(Arc::clone);
        }
        let named = |name: &str| index.by_name.get(name).and_then(|id| index.buckets.get(id)).map(Arc::clone);
        match rp {
            None | Some(AUTOGEN | "default") => named(&format!("{db}/{AUTOGEN}")).or_else(|| named(db)),
            Some(rp) => named(&format!("{db}/{rp}")),
        }
    }

    /// Makes the bucket `db/rp` and its mapping, unless they are there. Blocks.
    pub(in crate::embedded) fn provide(&self, db: &str, rp: Option<&str>) -> Result<Arc<Bucket>, Error> {
        if let Some(bucket) = self.resolve(db, rp) {
            return Ok(bucket);
        }
        let rp = rp.filter(|rp| !rp.is_empty() && *rp != "default").unwrap_or(AUTOGEN);
        let name = format!("{db}/{rp}");
        let bucket = match self.create_bucket(&name, None) {
            Ok(bucket) => bucket,
            // Somebody else was faster.
            Err(error) => self.bucket(&name).ok_or(error)?,
        };
        match self.create_mapping(db, rp, bucket.id, None) {
            Ok(_) => Ok(bucket),
            Err(error) if error.kind() == Kind::Unprocessable => Ok(bucket),
            Err(error) => Err(error),
        }
    }

    /// Makes a mapping; the first one of a database is its default. Blocks.
    pub(in crate::embedded) fn create_mapping(
        &self,
        database: &str,
        retention_policy: &str,
        bucket: u64,
        default: Option<bool>,
    ) -> Result<u64, Error> {
        super::names::check(database)?;
        super::names::check(retention_policy)?;
        let _changing = self.changing();
        let (first, taken) = {
            let index = self.index();
            if !index.buckets.contains_key(&bucket) {
                return Err(not_found("bucket not found"));
            }
            (
                !index.mappings.values().any(|mapping| &*mapping.database == database),
                index
                    .mappings
                    .values()
                    .any(|mapping| &*mapping.database == database && &*mapping.retention_policy == retention_policy),
            )
        };
        if taken {
            let message = format!("a mapping for \"{database}\" and \"{retention_policy}\" is there already");
            return Err(Error::new(Kind::Unprocessable, message));
        }
        let default = first || default == Some(true);
        let record = MappingRecord { database: database.into(), retention_policy: retention_policy.into(), bucket, default };
        let id = self.store.add_mapping(&record)?;
        self.change(|index| drop(index.mappings.insert(id, record)));
        if default && !first {
            self.make_default(id)?;
        }
        Ok(id)
    }

    /// Changes a mapping. Blocks.
    pub(in crate::embedded) fn update_mapping(&self, id: u64, change: &MappingChange) -> Result<MappingRecord, Error> {
        let _changing = self.changing();
        let mut record = self.index().mappings.get(&id).cloned().ok_or_else(|| not_found("dbrp not found"))?;
        if let Some(retention_policy) = &change.retention_policy {
            super::names::check(retention_policy)?;
            let taken = self.index().mappings.iter().any(|(other, mapping)| {
                *other != id && mapping.database == record.database && mapping.retention_policy == *retention_policy
            });
            if taken {
                let message = format!("a mapping for \"{}\" and \"{retention_policy}\" is there already", record.database);
                return Err(Error::new(Kind::Unprocessable, message));
            }
            record.retention_policy = retention_policy.clone();
        }
        self.store.put_mappings(&[(id, record.clone())], None)?;
        self.change(|index| drop(index.mappings.insert(id, record)));
        if change.default == Some(true) {
            self.make_default(id)?;
        }
        self.index().mappings.get(&id).cloned().ok_or_else(|| not_found("dbrp not found"))
    }

    /// Removes a mapping; if it was the default, the database's oldest one becomes it. Blocks.
    pub(in crate::embedded) fn delete_mapping(&self, id: u64) -> Result<(), Error> {
        let _changing = self.changing();
        let old = self.index().mappings.get(&id).cloned().ok_or_else(|| not_found("dbrp not found"))?;
        let heir = self
            .index()
            .mappings
            .iter()
            .find(|(other, mapping)| old.default && **other != id && mapping.database == old.database)
            .map(|(id, mapping)| (*id, MappingRecord { default: true, ..mapping.clone() }));
        self.store.put_mappings(heir.as_slice(), Some(id))?;
        self.change(|index| {
            index.mappings.remove(&id);
            index.mappings.extend(heir);
        });
        Ok(())
    }

    /// Makes a mapping its database's only default.
    fn make_default(&self, id: u64) -> Result<(), Error> {
        let changed: Vec<(u64, MappingRecord)> = {
            let index = self.index();
            let Some(database) = index.mappings.get(&id).map(|mapping| mapping.database.clone()) else { return Ok(()) };
            let same = index.mappings.iter().filter(|(_, mapping)| mapping.database == database);
            same.map(|(other, mapping)| (*other, MappingRecord { default: *other == id, ..mapping.clone() })).collect()
        };
        self.store.put_mappings(&changed, None)?;
        self.change(|index| index.mappings.extend(changed));
        Ok(())
    }

    /// All mappings: those that somebody made, with their numbers, then those that follow from names.
    pub(in crate::embedded) fn mappings(&self) -> Vec<(Option<u64>, u64, Mapping)> {
        let index = self.index();
        let mut all: Vec<(Option<u64>, u64, Mapping)> = index
            .mappings
            .iter()
            .filter_map(|(id, record)| {
                let bucket = index.buckets.get(&record.bucket)?;
                Some((Some(*id), bucket.id, mapping(bucket, &record.database, &record.retention_policy, record.default)))
            })
            .collect();
        for bucket in index.by_name.values().filter_map(|id| index.buckets.get(id)) {
            let (database, retention_policy) = match bucket.name.split_once('/') {
                Some((database, retention_policy)) if !database.is_empty() && !retention_policy.is_empty() => {
                    (database, retention_policy)
                }
                // `db/autogen` comes before `db`.
                None if !index.by_name.contains_key(format!("{}/{AUTOGEN}", bucket.name).as_str()) => (&*bucket.name, AUTOGEN),
                _ => continue,
            };
            if index.has(database, retention_policy) {
                continue;
            }
            let default = retention_policy == AUTOGEN
                && !index.mappings.values().any(|mapping| &*mapping.database == database && mapping.default);
            all.push((None, bucket.id, mapping(bucket, database, retention_policy, default)));
        }
        all
    }
}

impl Index {
    fn has(&self, database: &str, retention_policy: &str) -> bool {
        self.mappings.values().any(|mapping| &*mapping.database == database && &*mapping.retention_policy == retention_policy)
    }
}

fn mapping(bucket: &Bucket, database: &str, retention_policy: &str, default: bool) -> Mapping {
    Mapping {
        database: database.into(),
        retention_policy: retention_policy.into(),
        bucket: (&*bucket.name).into(),
        default,
        retention: bucket.retention,
    }
}
