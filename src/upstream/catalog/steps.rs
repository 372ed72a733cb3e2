//! What has to be done for a write or a statement, by what is there: pure functions and their tables. Texts are 1.x's where it has any.

use std::time::Duration;

use super::names::{AUTOGEN, made};
use crate::{
    dbrp::{Change, Mapping, Settings, check_name, is_default},
    error::{Error, Kind},
    native::Api,
    types::Profile,
};

/// 1.x and 2.x keep nothing for less.
const SHORTEST: Duration = Duration::from_secs(3600);

/// One thing to do. Done again, it does nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Makes a bucket.
    Bucket { name: Box<str>, settings: Settings },
    /// Makes a mapping, on a server that has any. A write that made its bucket needs none: it is found by its name.
    Mapping { database: Box<str>, policy: Box<str>, bucket: Box<str>, default: bool, needed: bool },
    /// Changes what a bucket keeps.
    Settings { bucket: Box<str>, settings: Settings },
    /// Makes a mapping, or an existing one the default.
    Default { database: Box<str>, policy: Box<str>, bucket: Box<str> },
    /// Drops a bucket, with its mappings and all that is in it.
    DropBucket { name: Box<str> },
    /// Drops a mapping.
    DropMapping { database: Box<str>, policy: Box<str> },
}

/// For a write to (`db`, `rp`): the bucket's name and what makes it.
pub(super) fn provide(api: Api, db: &str, rp: Option<&str>, there: &[Mapping]) -> Result<(Box<str>, Vec<Step>), Error> {
    let mut policy = rp.filter(|rp| !is_default(rp));
    let mut db = db;
    if rp.is_none()
        && let Some(parts) = db.split_once('/')
    {
        // A bucket by its own name.
        (db, policy) = (parts.0, Some(parts.1).filter(|rp| !is_default(rp)));
    }
    let mut steps = Vec::new();
    let settings = Settings::default;
    // As in 1.x, a new database has `autogen` for its default policy, whichever one is written to first.
    if policy.is_none() || !of(there, db).any(|_| true) {
        steps.extend(policy_steps(api, db, AUTOGEN, settings(), true, false)?);
    }
    if let Some(policy) = policy {
        steps.extend(policy_steps(api, db, policy, settings(), false, false)?);
    }
    Ok((bucket_of(api, db, policy.unwrap_or(AUTOGEN)), steps))
}

/// For a statement.
pub(super) fn change(api: Api, change: &Change, there: &[Mapping]) -> Result<Vec<Step>, Error> {
    let is_there = |db: &str| of(there, db).any(|_| true);
    let require = |db: &str| {
        if is_there(db) { Ok(()) } else { Err(Error::new(Kind::NotFound, format!("database not found: {db}"))) }
    };
    match change {
        Change::CreateDatabase { database, with: None } if is_there(database) => Ok(Vec::new()),
        Change::CreateDatabase { database, with } => {
            let (name, settings) = with.clone().unwrap_or_default();
            let name = name.unwrap_or_else(|| AUTOGEN.into());
            let settings = checked(settings)?;
            if !is_there(database) {
                return policy_steps(api, database, &name, settings, true, true);
            }
            match find(there, database, &name) {
                Some(policy) if policy.default && same(api, policy, &settings) => Ok(Vec::new()),
                _ => Err(Error::invalid("retention policy conflicts with an existing policy")),
            }
        }
        Change::CreatePolicy { database, policy, settings, default } => {
            let settings = checked(settings.clone())?;
            require(database)?;
            match find(there, database, policy) {
                None => policy_steps(api, database, policy, settings, *default, true),
                Some(old) if !same(api, old, &settings) => Err(Error::invalid("retention policy already exists")),
                Some(old) if *default && !old.default => {
                    Err(Error::invalid("retention policy conflicts with an existing policy"))
                }
                Some(_) => Ok(Vec::new()),
            }
        }
        Change::AlterPolicy { database, policy, settings, default } => {
            let settings = checked(settings.clone())?;
            require(database)?;
            let Some(old) = find(there, database, policy) else {
                return Err(Error::new(Kind::NotFound, format!("retention policy not found: {policy}")));
            };
            let mut steps = Vec::new();
            if settings != Settings::default() {
                if api == Api::V3 {
                    return Err(not_on_v3("ALTER RETENTION POLICY with a duration"));
                }
                steps.push(Step::Settings { bucket: old.bucket.clone(), settings });
            }
            if *default && !old.default {
                if api == Api::V3 {
                    return Err(not_on_v3(&format!("{policy:?} as the default retention policy")));
                }
                let (database, policy, bucket) = (database.clone(), policy.clone(), old.bucket.clone());
                steps.push(Step::Default { database, policy, bucket });
            }
            Ok(steps)
        }
        Change::DropDatabase { database } => Ok(drop_steps(of(there, database))),
        Change::DropPolicy { database, policy } => {
            require(database)?;
            Ok(drop_steps(of(there, database).filter(|row| row.retention_policy == *policy)))
        }
    }
}

/// What makes a policy.
fn policy_steps(api: Api, db: &str, policy: &str, settings: Settings, default: bool, needed: bool) -> Result<Vec<Step>, Error> {
    // 1.x's names are printable and no paths, and a slash would make another bucket of the name.
    for name in [db, policy] {
        if matches!(name, "." | "..") || name.contains(['/', '\\']) || check_name(name, Profile::V1).is_err() {
            return Err(Error::invalid(format!("invalid name {name:?}: it would be no bucket's")));
        }
    }
    let bucket = bucket_of(api, db, policy);
    let make = Step::Bucket { name: bucket.clone(), settings };
    match api {
        Api::V2 => Ok(vec![make, Step::Mapping { database: db.into(), policy: policy.into(), bucket, default, needed }]),
        Api::V3 if default && !is_default(policy) => Err(not_on_v3(&format!("{policy:?} as the default retention policy"))),
        Api::V3 => Ok(vec![make]),
    }
}

/// A bucket goes with its policy when it is named so. One with another name is somebody else's too, and only its mapping goes.
fn drop_steps<'a>(rows: impl Iterator<Item = &'a Mapping>) -> Vec<Step> {
    rows.map(|row| {
        let own = row.bucket.strip_prefix(&*row.database).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if own {
            Step::DropBucket { name: row.bucket.clone() }
        } else {
            Step::DropMapping { database: row.database.clone(), policy: row.retention_policy.clone() }
        }
    })
    .collect()
}

fn bucket_of(api: Api, db: &str, policy: &str) -> Box<str> {
    match api {
        Api::V2 => format!("{db}/{policy}").into(),
        Api::V3 => made(db, Some(policy)),
    }
}

fn of<'a>(there: &'a [Mapping], db: &'a str) -> impl Iterator<Item = &'a Mapping> {
    there.iter().filter(move |row| &*row.database == db)
}

fn find<'a>(there: &'a [Mapping], db: &str, policy: &str) -> Option<&'a Mapping> {
    there.iter().find(|row| &*row.database == db && &*row.retention_policy == policy)
}

fn checked(settings: Settings) -> Result<Settings, Error> {
    let retention = settings.retention.filter(|retention| !retention.is_zero());
    if retention.is_some_and(|retention| retention < SHORTEST) {
        return Err(Error::invalid("retention policy duration must be at least 1h0m0s"));
    }
    if retention.zip(settings.shard).is_some_and(|(retention, shard)| retention < shard) {
        return Err(Error::invalid("retention policy duration must be greater than the shard duration"));
    }
    Ok(settings)
}

/// Of what can be compared: v3 tells no durations, and the servers choose shards' themselves.
fn same(api: Api, there: &Mapping, wanted: &Settings) -> bool {
    api == Api::V3 || there.retention == wanted.retention.filter(|retention| !retention.is_zero())
}

fn not_on_v3(what: &str) -> Error {
    let message =
        format!("not implemented: a v3 server keeps no {what}: say it in the configuration ([[dbrp]]), or to the server itself");
    Error::new(Kind::NotImplemented, message)
}

#[cfg(test)]
mod tests;
