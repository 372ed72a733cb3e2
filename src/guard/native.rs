//! Native paths: the same policies, and the permissions that v1's calls need too.

use super::{
    approve::{authorize, statements},
    policy::{policy, refusal},
};
use crate::{
    access::{Access, Identity, Permission, require, require_all},
    call::Native,
    config::{Config, Policy},
    dbrp::is_default,
    error::Error,
    influxql::{
        Statement, StatementKind,
        ast::{Ident, Measurement, ShowKind, Target},
        visit::{Visitor, walk},
    },
};

/// Whether somebody may call a native path.
///
/// # Errors
/// 403 without the permission, 400 for a refused or unreadable statement.
pub(super) fn permit(native: &Native, path: &str, identity: &Identity, config: &Config) -> Result<(), Error> {
    match native {
        Native::Open => Ok(()),
        Native::Other => require_all(identity, &format!("use {path:?}")),
        Native::Write { bucket: Some(bucket) } => require(identity, bucket, bucket, Permission::Write),
        Native::Write { bucket: None } => require_all(identity, "write without naming a bucket"),
        // Nothing that could run: the service below says what is missing.
        Native::Query { q: None, .. } => Ok(()),
        Native::Query { bucket, q: Some(q), params } => {
            for (index, statement) in statements(q, params, config)?.iter().enumerate() {
                if let Some((verb, Policy::Reject | Policy::Ack)) = policy(statement, config) {
                    return Err(Error::invalid(refusal(index, verb)).in_statement(index));
                }
                authorize(index, statement, identity)?;
                buckets(bucket.as_deref(), statement, identity)?;
            }
            Ok(())
        }
    }
}

/// Every bucket that a statement may reach has to be readable, or writable where it deletes or writes. In the native API names of databases
/// are names of buckets.
fn buckets(bucket: Option<&str>, statement: &Statement, identity: &Identity) -> Result<(), Error> {
    if matches!(*identity.access, Access::All) {
        return Ok(());
    }
    if let StatementKind::Delete(_) | StatementKind::DropMeasurement(_) | StatementKind::DropSeries(_) = &statement.kind {
        return match bucket {
            Some(bucket) => require(identity, bucket, bucket, Permission::Write),
            None => require_all(identity, "delete without naming a database"),
        };
    }
    let mut named = Named { bucket, found: Vec::new(), written: Vec::new() };
    walk(statement, &mut named);
    named.written.iter().try_for_each(|bucket| require(identity, bucket, bucket, Permission::Write))?;
    if let StatementKind::Show(show) = &statement.kind {
        if show.kind == ShowKind::Databases {
            return require_all(identity, "list all databases");
        }
        if show.on_all.databases || show.on_all.retention_policies {
            return require_all(identity, "list measurements of all databases");
        }
        named.add(show.database.as_ref(), show.retention_policy.as_ref());
    }
    match (named.found.as_slice(), bucket) {
        ([], Some(bucket)) => require(identity, bucket, bucket, Permission::Read),
        ([], None) => require_all(identity, "query without naming a database"),
        (found, _) => found.iter().try_for_each(|bucket| require(identity, bucket, bucket, Permission::Read)),
    }
}

/// Collects buckets.
struct Named<'a> {
    bucket: Option<&'a str>,
    found: Vec<String>,
    written: Vec<String>,
}

impl Named<'_> {
    /// All that (`database`, `policy`) may stand for below: `db/rp`, and for the default policy `db` too.
    fn add(&mut self, database: Option<&Ident>, policy: Option<&Ident>) {
        let database = database.map(|ident| &*ident.name).or(self.bucket).unwrap_or_default();
        let policy = policy.map(|ident| &*ident.name);
        if let Some(policy) = policy {
            self.found.push(format!("{database}/{policy}"));
        }
        if policy.is_none_or(is_default) {
            self.found.push(database.to_owned());
        }
    }
}

impl Visitor for Named<'_> {
    fn target(&mut self, target: &Target) {
        // Among what is read, to be found by the same names; then to what is written.
        let read = self.found.len();
        self.add(target.database.as_ref(), target.retention_policy.as_ref());
        self.written.extend(self.found.drain(read..));
    }

    fn measurement(&mut self, measurement: &Measurement) {
        self.add(measurement.database.as_ref(), measurement.retention_policy.as_ref());
    }
}
