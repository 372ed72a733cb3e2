//! `CREATE | DROP DATABASE`, `CREATE | ALTER | DROP RETENTION POLICY`: of the databases and policies that the catalog keeps.

use std::{sync::Arc, time::Duration};

use super::manager;
use crate::{
    embedded::{
        Engine, Query,
        catalog::{Catalog, PolicyChange},
        engine::blocking,
    },
    error::Error,
    influxql::{StatementKind, ast::RetentionOptions},
};

impl Engine {
    /// Carries such a statement out, durably and in one step; false when it is none.
    pub(super) async fn manage(&self, statement: &StatementKind, query: &Query) -> Result<bool, Error> {
        if !is_about_policies(statement) {
            return Ok(false);
        }
        manager(query)?;
        let (engine, statement) = (self.clone(), statement.clone());
        blocking(move || {
            let gone = manage(&engine.0.catalog, &statement)?;
            gone.into_iter().for_each(|bucket| engine.forget_bucket(bucket));
            Ok(true)
        })
        .await?
    }
}

const fn is_about_policies(statement: &StatementKind) -> bool {
    matches!(
        statement,
        StatementKind::AlterRetentionPolicy(_)
            | StatementKind::CreateDatabase(_)
            | StatementKind::CreateRetentionPolicy(_)
            | StatementKind::DropDatabase(_)
            | StatementKind::DropRetentionPolicy(_)
    )
}

/// Changes the catalog; the buckets that are gone.
fn manage(catalog: &Arc<Catalog>, statement: &StatementKind) -> Result<Vec<u64>, Error> {
    let done = |result: Result<(), Error>| result.map(|()| Vec::new());
    match statement {
        StatementKind::CreateDatabase(create) => {
            let name = create.retention_policy.as_ref().map(|name| &*name.name);
            let with = create.with.as_ref().map(|options| Ok::<_, Error>((name, change(options, false)?))).transpose()?;
            done(catalog.create_database(&create.name.name, with))
        }
        StatementKind::CreateRetentionPolicy(spec) => {
            done(catalog.create_policy(&spec.database.name, &spec.name.name, &change(&spec.options, spec.default)?))
        }
        StatementKind::AlterRetentionPolicy(spec) => {
            done(catalog.alter_policy(&spec.database.name, &spec.name.name, &change(&spec.options, spec.default)?))
        }
        StatementKind::DropDatabase(name) => catalog.drop_database(&name.name),
        StatementKind::DropRetentionPolicy(drop) => catalog.drop_policy(&drop.database.name, &drop.name.name),
        _ => Ok(Vec::new()),
    }
}

fn change(options: &RetentionOptions, default: bool) -> Result<PolicyChange, Error> {
    if options.future_limit.is_some() || options.past_limit.is_some() {
        return Err(Error::new(crate::error::Kind::NotImplemented, "not implemented: FUTURE LIMIT and PAST LIMIT"));
    }
    // The parser takes no negative ones.
    let duration = |nanos: i64| Duration::from_nanos(nanos.unsigned_abs());
    Ok(PolicyChange {
        retention: options.duration.map(duration),
        shard: options.shard_duration.map(duration),
        replicas: options.replication,
        default,
    })
}
