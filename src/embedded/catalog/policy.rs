//! Databases and retention policies as 1.x makes, changes and drops them. Texts are those of 1.6.7.

use std::{sync::Arc, time::Duration};

use super::{
    Bucket, Catalog, MappingRecord,
    mapping::{AUTOGEN, NewPolicy, is_policy_of},
    names, not_found,
    record::BucketRecord,
};
use crate::{embedded::shard_duration, error::Error};

/// 1.x keeps nothing for less, and has no shorter shards.
const SHORTEST: Duration = Duration::from_secs(3600);

const CONFLICT: &str = "retention policy conflicts with an existing policy";

/// Settings of a retention policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::embedded) struct Settings {
    /// `None`: for ever.
    pub(in crate::embedded) retention: Option<Duration>,
    pub(in crate::embedded) shard: Duration,
    pub(in crate::embedded) replicas: u64,
}

/// What a statement says of them, each where it does; a zero duration is `INF`, a zero shard duration the usual one.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::embedded) struct PolicyChange {
    pub(in crate::embedded) retention: Option<Duration>,
    pub(in crate::embedded) shard: Option<Duration>,
    pub(in crate::embedded) replicas: Option<u64>,
    pub(in crate::embedded) default: bool,
}

impl PolicyChange {
    /// The settings of a new policy, or those that `old` ones become.
    fn settings(&self, old: Option<Settings>) -> Result<Settings, Error> {
        let retention = match (self.retention, old) {
            (Some(retention), _) => Some(retention).filter(|retention| !retention.is_zero()),
            (None, Some(old)) => old.retention,
            (None, None) => None,
        };
        if retention.is_some_and(|retention| retention < SHORTEST) {
            return Err(Error::invalid("retention policy duration must be at least 1h0m0s"));
        }
        let shard = match (self.shard, old) {
            (Some(shard), _) if shard.is_zero() => shard_duration(retention),
            (Some(shard), _) => shard,
            (None, Some(old)) => old.shard,
            (None, None) => shard_duration(retention),
        };
        if retention.is_some_and(|retention| retention < shard) {
            return Err(Error::invalid("retention policy duration must be greater than the shard duration"));
        }
        let replicas = self.replicas.or_else(|| old.map(|old| old.replicas)).unwrap_or(1);
        Ok(Settings { retention, shard: shard.max(SHORTEST), replicas })
    }
}

/// A policy that is there.
struct There {
    mapping: Option<u64>,
    bucket: Arc<Bucket>,
    default: bool,
}

impl There {
    fn settings(&self) -> Settings {
        Settings { retention: self.bucket.retention, shard: self.bucket.shard(), replicas: self.bucket.replicas }
    }
}

impl Catalog {
    /// `CREATE DATABASE`: with `autogen`, or the policy that `WITH` describes, as its default. Blocks.
    pub(in crate::embedded) fn create_database(&self, db: &str, with: Option<(Option<&str>, PolicyChange)>) -> Result<(), Error> {
        check_name(db)?;
        let _changing = self.changing();
        let there = self.index().has_database(db);
        let (name, settings) = match with {
            None if there => return Ok(()),
            None => (AUTOGEN, None),
            Some((name, change)) => (name.unwrap_or(AUTOGEN), Some(change.settings(None)?)),
        };
        check_name(name)?;
        if there {
            let same = self.policy(db, name).is_some_and(|there| there.default && Some(there.settings()) == settings);
            return if same { Ok(()) } else { Err(Error::invalid(CONFLICT)) };
        }
        names::check(&format!("{db}/{name}"))?;
        self.add_policies(db, &[NewPolicy { name, default: true, settings }])
    }

    /// `CREATE RETENTION POLICY`. Blocks.
    pub(in crate::embedded) fn create_policy(&self, db: &str, name: &str, change: &PolicyChange) -> Result<(), Error> {
        check_name(name)?;
        let settings = change.settings(None)?;
        let _changing = self.changing();
        if !self.index().has_database(db) {
            return Err(not_found(format!("database not found: {db}")));
        }
        if let Some(there) = self.policy(db, name) {
            return match (there.settings() == settings, change.default && !there.default) {
                (false, _) => Err(Error::invalid("retention policy already exists")),
                (true, true) => Err(Error::invalid(CONFLICT)),
                (true, false) => Ok(()),
            };
        }
        let bucket = format!("{db}/{name}");
        names::check(&bucket)?;
        if self.bucket(&bucket).is_some() {
            return Err(Error::invalid(format!("bucket {bucket:?} is there already, for another retention policy")));
        }
        self.add_policies(db, &[NewPolicy { name, default: false, settings: Some(settings) }])?;
        self.default_policy(db, name, change.default)
    }

    /// `ALTER RETENTION POLICY`. Blocks.
    pub(in crate::embedded) fn alter_policy(&self, db: &str, name: &str, change: &PolicyChange) -> Result<(), Error> {
        let _changing = self.changing();
        if !self.index().has_database(db) {
            return Err(not_found(format!("database not found: {db}")));
        }
        let there = self.policy(db, name).ok_or_else(|| not_found(format!("retention policy not found: {name}")))?;
        let settings = change.settings(Some(there.settings()))?;
        if settings != there.settings() {
            let record = BucketRecord::of(&there.bucket.name, &settings);
            self.store.change(|change| change.put_bucket(there.bucket.id, &record))?;
            self.change(|index| index.insert(Arc::new(record.into_bucket(there.bucket.id))));
        }
        self.default_policy(db, name, change.default)
    }

    /// `DROP RETENTION POLICY`: says which buckets are gone. Blocks.
    pub(in crate::embedded) fn drop_policy(&self, db: &str, name: &str) -> Result<Vec<u64>, Error> {
        self.drop_policies(db, &|policy| policy == name)
    }

    /// `DROP DATABASE`: says which buckets are gone. Blocks.
    pub(in crate::embedded) fn drop_database(&self, db: &str) -> Result<Vec<u64>, Error> {
        self.drop_policies(db, &|_| true)
    }

    /// A bucket goes with its policy when it is named so. One with another name is somebody else's too, and only its mapping goes.
    fn drop_policies(&self, db: &str, which: &dyn Fn(&str) -> bool) -> Result<Vec<u64>, Error> {
        let _changing = self.changing();
        let (mut mappings, mut buckets) = (Vec::new(), Vec::new());
        for (mapping, bucket, row) in self.mappings() {
            if &*row.database == db && which(&row.retention_policy) {
                mappings.extend(mapping);
                if *row.bucket == *db || is_policy_of(&row.bucket, db) {
                    buckets.push(bucket);
                }
            }
        }
        buckets.sort_unstable();
        buckets.dedup();
        self.store.change(|change| {
            mappings.iter().try_for_each(|mapping| change.remove_mapping(*mapping))?;
            buckets.iter().try_for_each(|bucket| change.remove_bucket(*bucket).map(drop))
        })?;
        self.change(|index| {
            index.mappings.retain(|id, mapping| !mappings.contains(id) && !buckets.contains(&mapping.bucket));
            index.by_name.retain(|_, bucket| !buckets.contains(bucket));
            index.buckets.retain(|bucket, _| !buckets.contains(bucket));
        });
        Ok(buckets)
    }

    fn policy(&self, db: &str, name: &str) -> Option<There> {
        let row = self.mappings().into_iter().find(|(.., row)| &*row.database == db && &*row.retention_policy == name)?;
        let (mapping, bucket, row) = row;
        Some(There { mapping, bucket: self.bucket_by_id(bucket)?, default: row.default })
    }

    /// Makes a policy the default one, which takes a mapping.
    fn default_policy(&self, db: &str, name: &str, wanted: bool) -> Result<(), Error> {
        let Some(there) = self.policy(db, name).filter(|there| wanted && !there.default) else { return Ok(()) };
        let id = match there.mapping {
            Some(id) => id,
            None => {
                let (database, retention_policy) = (db.into(), name.into());
                let record = MappingRecord { database, retention_policy, bucket: there.bucket.id, default: false };
                let id = self.store.change(|change| change.add_mapping(&record))?;
                self.change(|index| drop(index.mappings.insert(id, record)));
                id
            }
        };
        self.make_default(id)
    }
}

/// 1.x's names are printable and no paths.
fn check_name(name: &str) -> Result<(), Error> {
    let bad = name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\\']) || name.chars().any(char::is_control);
    if bad { Err(Error::invalid("invalid name")) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
