//! Databases and retention policies: mappings that somebody made, and those that follow from the buckets' names.

use std::sync::Arc;

use super::{Bucket, Catalog, Index, MappingRecord, Settings, not_found, record::BucketRecord};
use crate::{
    dbrp::Mapping,
    error::{Error, Kind},
};

pub(super) const AUTOGEN: &str = "autogen";

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

    /// The bucket for (`db`, `rp`), which is made with its mapping unless it is there. A new database starts with `autogen`, its default
    /// policy, as 1.x's does, whichever one is named. Blocks.
    pub(in crate::embedded) fn provide(&self, db: &str, rp: Option<&str>) -> Result<Arc<Bucket>, Error> {
        if let Some(bucket) = self.resolve(db, rp) {
            return Ok(bucket);
        }
        super::names::check(db)?;
        let rp = rp.filter(|rp| !rp.is_empty() && *rp != "default").unwrap_or(AUTOGEN);
        super::names::check(rp)?;
        super::names::check(&format!("{db}/{rp}"))?;
        let _changing = self.changing();
        // Somebody else may have been faster.
        if let Some(bucket) = self.resolve(db, Some(rp)) {
            return Ok(bucket);
        }
        let mut policies = self.first_policies(db, rp);
        let default = rp == AUTOGEN && !self.index().has_default(db);
        policies.push(NewPolicy { name: rp, default, settings: None });
        self.add_policies(db, &policies)?;
        self.resolve(db, Some(rp)).ok_or_else(|| not_found("bucket not found"))
    }

    /// The bucket of this name, which is made unless it is there; if it is the first one of a database, `db/autogen` with it. Blocks.
    pub(in crate::embedded) fn provide_bucket(&self, name: &str) -> Result<Arc<Bucket>, Error> {
        if let Some(bucket) = self.bucket(name) {
            return Ok(bucket);
        }
        if let Some((db, rp)) = name.split_once('/').filter(|(db, rp)| !db.is_empty() && !rp.is_empty()) {
            super::names::check(name)?;
            super::names::check(&format!("{db}/{AUTOGEN}"))?;
            let _changing = self.changing();
            self.add_policies(db, &self.first_policies(db, rp))?;
        }
        match self.create_bucket(name, None) {
            Ok(bucket) => Ok(bucket),
            // Somebody else was faster.
            Err(error) => self.bucket(name).ok_or(error),
        }
    }

    /// What a database starts with besides its first policy: 1.x's default one, unless it is that.
    fn first_policies(&self, db: &str, rp: &str) -> Vec<NewPolicy<'static>> {
        let new = rp != AUTOGEN && !self.index().has_database(db);
        new.then_some(NewPolicy { name: AUTOGEN, default: true, settings: None }).into_iter().collect()
    }

    /// Makes buckets and their mappings in one step. The caller holds the lock on changes.
    pub(super) fn add_policies(&self, db: &str, policies: &[NewPolicy<'_>]) -> Result<(), Error> {
        if policies.is_empty() {
            return Ok(());
        }
        let made = self.store.change(|change| {
            let mut made = Vec::with_capacity(policies.len());
            for policy in policies {
                let name = format!("{db}/{}", policy.name);
                let record = match &policy.settings {
                    Some(settings) => BucketRecord::of(&name, settings),
                    None => BucketRecord::new(&name, None),
                };
                let bucket = change.add_bucket(&record)?;
                let mapping =
                    MappingRecord { database: db.into(), retention_policy: policy.name.into(), bucket, default: policy.default };
                made.push((change.add_mapping(&mapping)?, mapping, record.into_bucket(bucket)));
            }
            Ok(made)
        })?;
        self.change(|index| {
            for (id, mapping, bucket) in made {
                index.insert(Arc::new(bucket));
                index.mappings.insert(id, mapping);
            }
        });
        Ok(())
    }

    /// Makes a mapping. It is its database's default one when it says so, and `autogen` when no other is; the first mapping of a new
    /// database that says nothing gets `db/autogen` beside it, as in 1.x. Blocks.
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
        let has_default = {
            let index = self.index();
            if !index.buckets.contains_key(&bucket) {
                return Err(not_found("bucket not found"));
            }
            if index.has(database, retention_policy) {
                let message = format!("a mapping for \"{database}\" and \"{retention_policy}\" is there already");
                return Err(Error::new(Kind::Unprocessable, message));
            }
            index.has_default(database)
        };
        let default = default == Some(true) || retention_policy == AUTOGEN && !has_default;
        let first = if default { Vec::new() } else { self.first_policies(database, retention_policy) };
        super::names::check(&format!("{database}/{AUTOGEN}"))?;
        self.add_policies(database, &first)?;
        let record = MappingRecord { database: database.into(), retention_policy: retention_policy.into(), bucket, default };
        let id = self.store.change(|change| change.add_mapping(&record))?;
        self.change(|index| drop(index.mappings.insert(id, record)));
        if default {
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
        self.store.change(|change| change.put_mapping(id, &record))?;
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
        self.store.change(|change| {
            if let Some((heir, mapping)) = &heir {
                change.put_mapping(*heir, mapping)?;
            }
            change.remove_mapping(id)
        })?;
        self.change(|index| {
            index.mappings.remove(&id);
            index.mappings.extend(heir);
        });
        Ok(())
    }

    /// Makes a mapping its database's only default.
    pub(super) fn make_default(&self, id: u64) -> Result<(), Error> {
        let changed: Vec<(u64, MappingRecord)> = {
            let index = self.index();
            let Some(database) = index.mappings.get(&id).map(|mapping| mapping.database.clone()) else { return Ok(()) };
            let same = index.mappings.iter().filter(|(_, mapping)| mapping.database == database);
            same.map(|(other, mapping)| (*other, MappingRecord { default: *other == id, ..mapping.clone() })).collect()
        };
        self.store.change(|change| changed.iter().try_for_each(|(id, mapping)| change.put_mapping(*id, mapping)))?;
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

/// A policy that is about to be made.
pub(super) struct NewPolicy<'a> {
    pub(super) name: &'a str,
    pub(super) default: bool,
    pub(super) settings: Option<Settings>,
}

impl Index {
    /// Whether anything is called so or mapped to it.
    pub(super) fn has_database(&self, database: &str) -> bool {
        self.mappings.values().any(|mapping| &*mapping.database == database)
            || self.by_name.contains_key(database)
            || self.by_name.keys().any(|name| is_policy_of(name, database))
    }

    /// Whether something is taken where no policy is named.
    fn has_default(&self, database: &str) -> bool {
        self.mappings.values().any(|mapping| &*mapping.database == database && mapping.default)
            || self.by_name.contains_key(database)
            || self.by_name.contains_key(format!("{database}/{AUTOGEN}").as_str())
    }

    fn has(&self, database: &str, retention_policy: &str) -> bool {
        self.mappings.values().any(|mapping| &*mapping.database == database && &*mapping.retention_policy == retention_policy)
    }
}

/// Whether a bucket of this name is some `database/rp`.
pub(super) fn is_policy_of(name: &str, database: &str) -> bool {
    name.strip_prefix(database).and_then(|rest| rest.strip_prefix('/')).is_some_and(|policy| !policy.is_empty())
}

fn mapping(bucket: &Bucket, database: &str, retention_policy: &str, default: bool) -> Mapping {
    Mapping {
        database: database.into(),
        retention_policy: retention_policy.into(),
        bucket: (&*bucket.name).into(),
        default,
        retention: bucket.retention,
        shard: Some(bucket.shard()),
        replicas: Some(bucket.replicas),
    }
}
