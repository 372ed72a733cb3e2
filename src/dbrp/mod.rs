//! Databases and retention policies of v1, buckets of v2 and v3: who is what.
//!
//! One resolver serves writes, queries, `FROM "db"."rp"."m"` and `ON db`, so that what was written is what is read.
//! In this order:
//!
//! 1. the configured mapping for (`db`, `rp`), or the database's default mapping when `rp` is empty;
//! 2. what the service below has, where it can be asked: its own mapping, or a bucket named `db/rp` (without an `rp`, or for `autogen` and
//!    `default`: `db/autogen`, then `db`);
//! 3. where it can't be asked: a name by template, `{db}` or `{db}/{rp}`;
//! 4. for a write by an all-access token: a new bucket, `db/autogen` or `db/rp`; as in 1.x, a new database has `autogen` for its default
//!    policy whichever one is named first;
//! 5. else 404 `database not found: "x"`.

mod name;
mod resolve;
mod table;
#[cfg(test)]
mod tests;

pub use name::check_name;
pub use resolve::{Resolved, Resolver, Resolving, is_default};
pub use table::Table;

use crate::{error::Error, types::BoxFuture};

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
pub trait Catalog: Send + Sync + std::fmt::Debug + 'static {
    /// What the service below has for (`db`, `rp`): its own mapping, else a bucket of that name (`db/rp`; without `rp`, or for
    /// `autogen` and `default`: `db/autogen`, then `db`).
    ///
    /// # Errors
    /// When it can't be asked right now. [`Kind::NotImplemented`](crate::error::Kind::NotImplemented): it never tells, so that names come
    /// from templates.
    fn resolve<'a>(&'a self, db: &'a str, rp: Option<&'a str>) -> BoxFuture<'a, Result<Option<Box<str>>, Error>>;

    /// Makes the bucket `db/rp` (`db/autogen`) and its mapping, and returns the bucket's name; fine when it is there already. A database that
    /// isn't there yet gets `db/autogen` as its default in any case.
    ///
    /// # Errors
    /// When the service below refuses or can't be asked.
    fn create<'a>(&'a self, db: &'a str, rp: Option<&'a str>) -> BoxFuture<'a, Result<Box<str>, Error>>;

    /// A statement has made, changed or dropped databases or retention policies below: what is remembered of them may be wrong.
    fn changed(&self) {}

    /// Everything it keeps, for `SHOW DATABASES` and `SHOW RETENTION POLICIES`, virtual mappings of buckets by their name included.
    ///
    /// # Errors
    /// When it can't be asked right now. [`Kind::NotImplemented`](crate::error::Kind::NotImplemented): it never tells.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Mapping>, Error>>;
}
