//! Statements about databases and retention policies as wishes to a management API; and which statements a v2 server can be asked about a
//! bucket. Pure.

use std::time::Duration;

use crate::{
    dbrp::{Address, Change, Settings},
    error::{Error, Kind},
    influxql::{
        StatementKind,
        ast::{RetentionOptions, ShowKind},
    },
};

/// What such a statement wants; nothing for others.
///
/// # Errors
/// For settings that no management API has.
pub(super) fn change(kind: &StatementKind) -> Result<Option<Change>, Error> {
    Ok(Some(match kind {
        StatementKind::CreateDatabase(create) => Change::CreateDatabase {
            database: create.name.name.clone(),
            with: match &create.with {
                Some(options) => Some((create.retention_policy.as_ref().map(|name| name.name.clone()), settings(options)?)),
                None => None,
            },
        },
        StatementKind::CreateRetentionPolicy(spec) => Change::CreatePolicy {
            database: spec.database.name.clone(),
            policy: spec.name.name.clone(),
            settings: settings(&spec.options)?,
            default: spec.default,
        },
        StatementKind::AlterRetentionPolicy(spec) => Change::AlterPolicy {
            database: spec.database.name.clone(),
            policy: spec.name.name.clone(),
            settings: settings(&spec.options)?,
            default: spec.default,
        },
        StatementKind::DropDatabase(name) => Change::DropDatabase { database: name.name.clone() },
        StatementKind::DropRetentionPolicy(drop) => {
            Change::DropPolicy { database: drop.database.name.clone(), policy: drop.name.name.clone() }
        }
        _ => return Ok(None),
    }))
}

/// A replication factor is one cluster's own business, and means nothing here.
fn settings(options: &RetentionOptions) -> Result<Settings, Error> {
    if options.future_limit.is_some() || options.past_limit.is_some() {
        return Err(Error::new(Kind::NotImplemented, "not implemented: FUTURE LIMIT and PAST LIMIT"));
    }
    // The parser takes no negative ones.
    let duration = |nanos: i64| Duration::from_nanos(nanos.unsigned_abs());
    Ok(Settings { retention: options.duration.map(duration), shard: options.shard_duration.map(duration) })
}

/// Lets a statement be asked of a bucket on a v2 server, at this address.
///
/// # Errors
/// When no mapping leads there, or when v2 would look elsewhere: it answers some statements from the default policy, whatever it is asked for.
pub(super) fn askable(kind: &StatementKind, bucket: &str, address: Option<Address>) -> Result<Address, Error> {
    let Some(address) = address else {
        let message = format!(
            "no database and retention policy of the upstream stands for bucket {bucket:?}, and its InfluxQL knows no buckets: give it a \
             mapping (POST /api/v2/dbrps)"
        );
        return Err(Error::invalid(message));
    };
    if address.default || !is_of_default(kind) {
        return Ok(address);
    }
    let Address { database, retention_policy, .. } = &address;
    Err(Error::invalid(format!(
        "a v2 server does this for a database's default retention policy alone, and bucket {bucket:?} is {retention_policy:?} of \
         {database:?}: give it a mapping of its own (POST /api/v2/dbrps with \"default\": true)"
    )))
}

/// Whether v2 looks at the default retention policy whatever it is asked for (as of 2.7).
fn is_of_default(kind: &StatementKind) -> bool {
    match kind {
        StatementKind::Delete(_) | StatementKind::DropMeasurement(_) => true,
        StatementKind::Show(show) => matches!(show.kind, ShowKind::Measurements | ShowKind::TagKeys | ShowKind::TagValues),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influxql::{Limits, Params, parse};

    fn kind(text: &str) -> StatementKind {
        parse(text, &Params::default(), Limits::default()).unwrap().remove(0).kind
    }

    #[test]
    fn statements_are_wishes() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let week = Settings { retention: seconds(604_800), shard: seconds(86_400) };
        for (text, expected) in [
            ("CREATE DATABASE d", Some(Change::CreateDatabase { database: "d".into(), with: None })),
            (
                "CREATE DATABASE d WITH DURATION 7d REPLICATION 3 SHARD DURATION 1d NAME w",
                Some(Change::CreateDatabase { database: "d".into(), with: Some((Some("w".into()), week.clone())) }),
            ),
            (
                "CREATE RETENTION POLICY w ON d DURATION 7d REPLICATION 1 SHARD DURATION 1d DEFAULT",
                Some(Change::CreatePolicy { database: "d".into(), policy: "w".into(), settings: week, default: true }),
            ),
            (
                "ALTER RETENTION POLICY w ON d DURATION INF",
                Some(Change::AlterPolicy {
                    database: "d".into(),
                    policy: "w".into(),
                    settings: Settings { retention: seconds(0), shard: None },
                    default: false,
                }),
            ),
            ("DROP DATABASE d", Some(Change::DropDatabase { database: "d".into() })),
            ("DROP RETENTION POLICY w ON d", Some(Change::DropPolicy { database: "d".into(), policy: "w".into() })),
            ("DROP MEASUREMENT m", None),
            ("CREATE USER u WITH PASSWORD 'p'", None),
            ("SHOW DATABASES", None),
        ] {
            assert_eq!(change(&kind(text)).unwrap(), expected, "{text}");
        }
        let limited = kind("CREATE RETENTION POLICY w ON d DURATION 7d REPLICATION 1 FUTURE LIMIT 1h");
        assert_eq!(change(&limited).unwrap_err().message(), "not implemented: FUTURE LIMIT and PAST LIMIT");
    }

    #[test]
    fn v2_is_not_asked_what_it_would_answer_from_elsewhere() {
        let address = |default| Address { database: "d".into(), retention_policy: "w".into(), default };
        for (text, default, fine) in [
            ("SELECT a FROM m", false, true),
            ("SHOW FIELD KEYS", false, true),
            ("SHOW TAG KEYS", false, false),
            ("SHOW TAG KEYS", true, true),
            ("SHOW MEASUREMENTS", false, false),
            ("DELETE FROM m", false, false),
            ("DROP MEASUREMENT m", true, true),
        ] {
            let answer = askable(&kind(text), "d/w", Some(address(default)));
            assert_eq!(answer.is_ok(), fine, "{text} {answer:?}");
            assert!(askable(&kind(text), "x", None).unwrap_err().message().contains("bucket \"x\""));
        }
    }
}
