//! One resolver for everything that names a database.

use std::{
    fmt,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use super::{Catalog, Mapping, Table};
use crate::{
    access::{Access, Identity, Permission, require},
    error::{Error, Kind},
    types::{BoxFuture, Profile},
};

/// What a (database, retention policy) stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resolved {
    /// The configuration maps it to this bucket.
    Mapped(Box<str>),
    /// The service below has this bucket for it.
    Found(Box<str>),
    /// The service below can't be asked: this is the bucket's name by template.
    Template(Box<str>),
    /// Nothing: a write by an all-access token may make it.
    Missing,
}

impl Resolved {
    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Self::Mapped(name) | Self::Found(name) | Self::Template(name) => Some(name),
            Self::Missing => None,
        }
    }
}

/// Finds buckets. Made per request from its configuration and the catalog of the service below, if that keeps one.
#[derive(Clone, Copy, Debug)]
pub struct Resolver<'a> {
    /// The configured mappings.
    pub table: &'a Table,
    /// Name without a retention policy where the service below can't be asked: `{db}`.
    pub template: &'a str,
    /// The same with one: `{db}/{rp}`.
    pub template_rp: &'a str,
    /// Whether a write by an all-access token makes what is missing.
    pub auto_create: bool,
    /// `serverless` limits names to 64 characters.
    pub profile: Profile,
    /// The service below, where it can be asked.
    pub catalog: Option<&'a dyn Catalog>,
}

impl<'a> Resolver<'a> {
    /// What (`db`, `rp`) stands for. Configured names are there at once and cost one allocation.
    pub fn resolve(&self, db: &'a str, rp: Option<&'a str>) -> Resolving<'a, Resolved> {
        let _ = (db, rp);
        todo!()
    }

    /// The bucket that a write goes to: it exists (or is made) and `identity` may write to it.
    ///
    /// Errors: 404 `database not found: "x"`, 403, 400 for a name that is too long.
    pub fn for_write(&self, identity: &'a Identity, db: &'a str, rp: Option<&'a str>) -> Resolving<'a, Box<str>> {
        let _ = (identity, db, rp);
        todo!()
    }

    /// The bucket that a query reads: it exists and `identity` may read it.
    ///
    /// Errors: 404 `database not found: "x"`, 403.
    pub fn for_read(&self, identity: &'a Identity, db: &'a str, rp: Option<&'a str>) -> Resolving<'a, Box<str>> {
        let _ = (identity, db, rp);
        todo!()
    }

    /// What `access` may read, for `SHOW DATABASES` and `SHOW RETENTION POLICIES`: sorted by database and retention policy, one default a
    /// database at most, the configuration's rows before the catalog's.
    pub fn list(&self, access: &'a Access) -> Resolving<'a, Vec<Mapping>> {
        let _ = access;
        todo!()
    }
}

/// A future that is often there at once.
#[must_use = "futures do nothing unless polled"]
pub struct Resolving<'a, T>(Inner<'a, T>);

enum Inner<'a, T> {
    Ready(Ready<Result<T, Error>>),
    Waiting(BoxFuture<'a, Result<T, Error>>),
}

impl<'a, T> Resolving<'a, T> {
    pub(super) fn ready(result: Result<T, Error>) -> Self {
        Self(Inner::Ready(ready(result)))
    }

    pub(super) fn waiting(future: impl Future<Output = Result<T, Error>> + Send + 'a) -> Self {
        Self(Inner::Waiting(Box::pin(future)))
    }
}

impl<T> Future for Resolving<'_, T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Ready(ready) => Pin::new(ready).poll(cx),
            Inner::Waiting(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for Resolving<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Inner::Ready(_) => "Resolving(ready)",
            Inner::Waiting(_) => "Resolving(waiting)",
        })
    }
}
