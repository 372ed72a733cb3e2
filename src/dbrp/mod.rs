//! Databases and retention policies of v1, buckets of v2 and v3: who is what.
//!
//! One resolver serves writes, queries, `FROM "db"."rp"."m"` and `ON db`, so that what was written is what is read.
//! In this order:
//!
//! 1. the configured mapping for (`db`, `rp`), or the database's default mapping when `rp` is empty;
//! 2. what the service below has, where it can be asked: its own mapping, or a bucket named `db/rp` (without an `rp`, or for `autogen` and
//!    `default`: `db/autogen`, then `db`);
//! 3. where it can't be asked, or isn't to be (`dbrp_defaults.source = "config"`): a name by template, `{db}` or `{db}/{rp}`;
//! 4. for a write by an all-access token: a new bucket, `db/autogen` or `db/rp`; as in 1.x, a new database has `autogen` for its default
//!    policy whichever one is named first;
//! 5. else 404 `database not found: "x"`.

mod change;
mod name;
mod resolve;
mod table;
#[cfg(test)]
mod tests;

pub use change::{Address, Change, Settings};
pub use name::check_name;
pub use resolve::{Resolved, Resolver, Resolving, is_default};
pub use table::Table;

use crate::{
    access::Identity,
    error::{Error, Kind},
    types::BoxFuture,
};

/// One row of the mapping.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mapping {
    /// v1's database.
    pub database: Box<str>,
    /// v1's retention policy.
    pub retention_policy: Box<str>,
    /// The bucket (v2) or database (v3) it stands for.
    pub bucket: Box<str>,
    /// Taken when a request names no retention policy.
    pub default: bool,
    /// How long the bucket keeps its points, when known; `None` is "unknown or for ever".
    pub retention: Option<std::time::Duration>,
    /// 1.x's shard group duration, when known.
    pub shard: Option<std::time::Duration>,
    /// 1.x's replication factor, when known.
    pub replicas: Option<u64>,
}

/// Buckets and mappings that the service below keeps. Answers that need no waiting should come back at once.
///
/// `caller` is who wants to know. Where the service below decides about credentials (`auth.mode = "passthrough"`), it is asked with the
/// caller's.
pub trait Catalog: Send + Sync + std::fmt::Debug + 'static {
    /// What the service below has for (`db`, `rp`): its own mapping, else a bucket of that name (`db/rp`; without `rp`, or for
    /// `autogen` and `default`: `db/autogen`, then `db`).
    ///
    /// # Errors
    /// When it can't be asked right now. [`Kind::NotImplemented`]: it never tells, so that names come from templates.
    fn resolve<'a>(
        &'a self,
        caller: &'a Identity,
        db: &'a str,
        rp: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<Box<str>>, Error>>;

    /// Whether what it doesn't find for this caller isn't there. A token that only the service below knows may be shown less than it may
    /// write to.
    fn is_complete(&self, caller: &Identity) -> bool {
        let _ = caller;
        true
    }

    /// Makes the bucket `db/rp` (`db/autogen`) and its mapping, and returns the bucket's name; fine when it is there already. A database that
    /// isn't there yet gets `db/autogen` as its default in any case.
    ///
    /// # Errors
    /// When the service below refuses or can't be asked. [`Kind::NotImplemented`]: that isn't to be had from it, so that a write goes where
    /// the template says, and hears the rest there.
    fn create<'a>(&'a self, caller: &'a Identity, db: &'a str, rp: Option<&'a str>) -> BoxFuture<'a, Result<Box<str>, Error>>;

    /// Carries out a statement about databases and retention policies.
    ///
    /// # Errors
    /// In 1.x's words where it has any. [`Kind::NotImplemented`]: that isn't to be had from the service below.
    fn change<'a>(&'a self, caller: &'a Identity, change: &'a Change) -> BoxFuture<'a, Result<(), Error>> {
        let _ = (caller, change);
        let error = Error::new(Kind::NotImplemented, "databases and retention policies can't be made from here");
        Box::pin(std::future::ready(Err(error)))
    }

    /// How a v2 server is asked for a bucket by InfluxQL; nothing when none of its mappings leads there. From memory.
    fn address(&self, caller: &Identity, bucket: &str) -> Option<Address> {
        let _ = caller;
        Some(Address::of(bucket))
    }

    /// A statement has made, changed or dropped databases or retention policies below, or something that was known isn't there: what is
    /// remembered may be wrong.
    fn changed(&self) {}

    /// Everything it keeps, for `SHOW DATABASES` and `SHOW RETENTION POLICIES`, virtual mappings of buckets by their name included.
    ///
    /// # Errors
    /// When it can't be asked right now. [`Kind::NotImplemented`]: it never tells.
    fn list<'a>(&'a self, caller: &'a Identity) -> BoxFuture<'a, Result<Vec<Mapping>, Error>>;
}
