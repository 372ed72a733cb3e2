//! One resolver for everything that names a database.

use std::{
    fmt,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use super::{Catalog, Mapping, Table, check_name};
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

    fn into_bucket(self) -> Option<Box<str>> {
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
    /// What (`db`, `rp`) stands for. Configured names and templates are there at once and cost one allocation.
    pub fn resolve(&self, caller: &'a Identity, db: &'a str, rp: Option<&'a str>) -> Resolving<'a, Resolved> {
        let rp = named(rp);
        match self.known(db, rp) {
            Known::Here(result) => Resolving::ready(result),
            Known::Ask(catalog) => {
                let resolver = *self;
                Resolving::waiting(async move { resolver.ask(catalog, caller, db, rp).await })
            }
        }
    }

    /// The bucket that a write goes to: it exists (or is made) and `identity` may write to it.
    ///
    /// Its errors: 404 `database not found: "x"`, 403, 400 for a name that is too long, 503 when the catalog can't be asked.
    pub fn for_write(&self, identity: &'a Identity, db: &'a str, rp: Option<&'a str>) -> Resolving<'a, Box<str>> {
        let rp = named(rp);
        let catalog = match self.known(db, rp) {
            Known::Here(found) => {
                return Resolving::ready(found.and_then(|found| permit(found, identity, db, Permission::Write)));
            }
            Known::Ask(catalog) => catalog,
        };
        let resolver = *self;
        Resolving::waiting(async move {
            let mut found = resolver.ask(catalog, identity, db, rp).await?;
            if found == Resolved::Missing && resolver.auto_create && *identity.access == Access::All {
                resolver.check_new(db, rp)?;
                match catalog.create(identity, db, rp).await {
                    Err(error) if error.kind() == Kind::NotImplemented => found = resolver.by_template(db, rp)?,
                    made => return made,
                }
            }
            permit(resolver.or_template(catalog, identity, db, rp, found)?, identity, db, Permission::Write)
        })
    }

    /// The bucket that a query reads: it exists and `identity` may read it.
    ///
    /// Its errors: 404 `database not found: "x"`, 403, 400 for a name that is too long, 503 when the catalog can't be asked.
    pub fn for_read(&self, identity: &'a Identity, db: &'a str, rp: Option<&'a str>) -> Resolving<'a, Box<str>> {
        let rp = named(rp);
        match self.known(db, rp) {
            Known::Here(found) => Resolving::ready(found.and_then(|found| permit(found, identity, db, Permission::Read))),
            Known::Ask(catalog) => {
                let resolver = *self;
                Resolving::waiting(async move {
                    let found = resolver.ask(catalog, identity, db, rp).await?;
                    permit(resolver.or_template(catalog, identity, db, rp, found)?, identity, db, Permission::Read)
                })
            }
        }
    }

    /// What `identity` may read, for `SHOW DATABASES` and `SHOW RETENTION POLICIES`: sorted by database and retention policy, one default a
    /// database at most, the configuration's rows before the catalog's.
    pub fn list(&self, identity: &'a Identity) -> Resolving<'a, Vec<Mapping>> {
        self.list_as(identity, &identity.access)
    }

    /// The same with what `identity` may not read, for those who look for something else.
    pub fn list_all(&self, identity: &'a Identity) -> Resolving<'a, Vec<Mapping>> {
        self.list_as(identity, &Access::All)
    }

    fn list_as(&self, caller: &'a Identity, access: &'a Access) -> Resolving<'a, Vec<Mapping>> {
        let table = self.table;
        match self.catalog {
            None => Resolving::ready(Ok(merge(table, Vec::new(), access))),
            Some(catalog) => Resolving::waiting(async move {
                let kept = match catalog.list(caller).await {
                    Err(error) if error.kind() == Kind::NotImplemented => Vec::new(),
                    kept => kept?,
                };
                Ok(merge(table, kept, access))
            }),
        }
    }

    /// Everything that is known without waiting.
    fn known(&self, db: &str, rp: Option<&str>) -> Known<'a> {
        if let Err(error) = check_name(db, self.profile) {
            return Known::Here(Err(error));
        }
        if let Some(mapping) = self.table.get(db, rp) {
            return Known::Here(Ok(Resolved::Mapped(mapping.bucket.clone())));
        }
        match self.catalog {
            Some(catalog) => Known::Ask(catalog),
            None => Known::Here(self.by_template(db, rp)),
        }
    }

    /// What the catalog has; a name by template where it never tells.
    async fn ask(&self, catalog: &dyn Catalog, caller: &Identity, db: &str, rp: Option<&str>) -> Result<Resolved, Error> {
        match catalog.resolve(caller, db, rp).await {
            Ok(found) => Ok(found.map_or(Resolved::Missing, Resolved::Found)),
            Err(error) if error.kind() == Kind::NotImplemented => self.by_template(db, rp),
            Err(error) => Err(error),
        }
    }

    /// What isn't found for somebody who isn't shown everything may be there all the same: the service below is to say so.
    fn or_template(
        &self,
        catalog: &dyn Catalog,
        caller: &Identity,
        db: &str,
        rp: Option<&str>,
        found: Resolved,
    ) -> Result<Resolved, Error> {
        if found == Resolved::Missing && !catalog.is_complete(caller) { self.by_template(db, rp) } else { Ok(found) }
    }

    fn by_template(&self, db: &str, rp: Option<&str>) -> Result<Resolved, Error> {
        let bucket = match rp.filter(|rp| !is_default(rp)) {
            Some(rp) => fill(self.template_rp, db, rp),
            None => fill(self.template, db, ""),
        };
        check_name(&bucket, self.profile)?;
        Ok(Resolved::Template(bucket.into()))
    }

    /// The name of a bucket that is about to be made, `db/rp`.
    fn check_new(&self, db: &str, rp: Option<&str>) -> Result<(), Error> {
        check_name(&format!("{db}/{}", rp.unwrap_or("autogen")), self.profile)
    }
}

/// Whether this is 1.x's name of the retention policy that every database starts with, or Grafana's of the default one: without a mapping
/// both mean "none named".
#[must_use]
pub fn is_default(rp: &str) -> bool {
    matches!(rp, "autogen" | "default")
}

enum Known<'a> {
    Here(Result<Resolved, Error>),
    Ask(&'a dyn Catalog),
}

/// An empty retention policy is none.
fn named(rp: Option<&str>) -> Option<&str> {
    rp.filter(|rp| !rp.is_empty())
}

fn permit(found: Resolved, identity: &Identity, db: &str, permission: Permission) -> Result<Box<str>, Error> {
    let bucket = found.into_bucket().ok_or_else(|| Error::new(Kind::NotFound, format!("database not found: {db:?}")))?;
    require(identity, &bucket, db, permission)?;
    Ok(bucket)
}

/// Puts names into a template, in one pass: a database named `{rp}` stays one.
fn fill(template: &str, db: &str, rp: &str) -> String {
    let mut name = String::with_capacity(template.len() + db.len() + rp.len());
    let mut rest = template;
    while let Some(brace) = rest.find('{') {
        let (text, tail) = rest.split_at(brace);
        name.push_str(text);
        rest = if let Some(tail) = tail.strip_prefix("{db}") {
            name.push_str(db);
            tail
        } else if let Some(tail) = tail.strip_prefix("{rp}") {
            name.push_str(rp);
            tail
        } else {
            name.push('{');
            tail.get(1..).unwrap_or_default()
        };
    }
    name.push_str(rest);
    name
}

fn merge(table: &Table, kept: Vec<Mapping>, access: &Access) -> Vec<Mapping> {
    let mut rows = table.to_vec();
    for mut mapping in kept {
        let configured = table.database(&mapping.database);
        if configured.iter().any(|row| row.retention_policy == mapping.retention_policy) {
            continue;
        }
        mapping.default &= !configured.iter().any(|row| row.default);
        rows.push(mapping);
    }
    rows.retain(|row| access.allows(&row.bucket, Permission::Read));
    rows.sort_by(|a, b| (&a.database, &a.retention_policy).cmp(&(&b.database, &b.retention_policy)));
    rows
}

/// A future that is often there at once.
#[must_use = "futures do nothing unless polled"]
pub struct Resolving<'a, T>(Inner<'a, T>);

enum Inner<'a, T> {
    Ready(Ready<Result<T, Error>>),
    Waiting(BoxFuture<'a, Result<T, Error>>),
}

// === impl Resolving ===

impl<'a, T> Resolving<'a, T> {
    fn ready(result: Result<T, Error>) -> Self {
        Self(Inner::Ready(ready(result)))
    }

    fn waiting(future: impl Future<Output = Result<T, Error>> + Send + 'a) -> Self {
        Self(Inner::Waiting(Box::pin(future)))
    }
}

impl<T: Unpin> Future for Resolving<'_, T> {
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
