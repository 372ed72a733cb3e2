use super::*;
use crate::influxql::{self, Limits, Params, StatementKind};

fn run(catalog: &Catalog, text: &str) -> String {
    let statement = influxql::parse(text, &Params::default(), Limits::default()).unwrap().remove(0);
    let nanos = |nanos: i64| Duration::from_nanos(nanos.unsigned_abs());
    let change = |options: &influxql::ast::RetentionOptions, default| PolicyChange {
        retention: options.duration.map(nanos),
        shard: options.shard_duration.map(nanos),
        replicas: options.replication,
        default,
    };
    let result = match &statement.kind {
        StatementKind::CreateDatabase(create) => {
            let name = create.retention_policy.as_ref().map(|name| &*name.name);
            catalog.create_database(&create.name.name, create.with.as_ref().map(|with| (name, change(with, false))))
        }
        StatementKind::CreateRetentionPolicy(spec) => {
            catalog.create_policy(&spec.database.name, &spec.name.name, &change(&spec.options, spec.default))
        }
        StatementKind::AlterRetentionPolicy(spec) => {
            catalog.alter_policy(&spec.database.name, &spec.name.name, &change(&spec.options, spec.default))
        }
        StatementKind::DropDatabase(name) => catalog.drop_database(&name.name).map(drop),
        StatementKind::DropRetentionPolicy(drop) => catalog.drop_policy(&drop.database.name, &drop.name.name).map(|_| ()),
        StatementKind::Show(show) => {
            let db = show.database.as_ref().unwrap();
            let rows = catalog.mappings().into_iter().filter(|(.., row)| row.database == db.name);
            return rows
                .map(|(.., row)| {
                    let hours = |duration: Option<Duration>| duration.unwrap_or_default().as_secs() / 3600;
                    let (retention, shard) = (hours(row.retention), hours(row.shard));
                    format!(
                        "{} {retention} {shard} {}{}",
                        row.retention_policy,
                        row.replicas.unwrap(),
                        if row.default { " *" } else { "" }
                    )
                })
                .collect::<Vec<_>>()
                .join(", ");
        }
        other => panic!("{other:?}"),
    };
    result.map_or_else(|error| error.to_string(), |()| String::new())
}

/// Recorded from 1.6.7, in this order.
#[test]
fn statements_have_the_effects_and_the_errors_of_1x() {
    const CONFLICT: &str = "retention policy conflicts with an existing policy";
    const EXISTS: &str = "retention policy already exists";
    const SHORT: &str = "retention policy duration must be at least 1h0m0s";
    const SHARD: &str = "retention policy duration must be greater than the shard duration";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    let mut catalog = Catalog::open(&path).unwrap().0;
    for (text, expected) in [
        ("CREATE DATABASE a", ""),
        ("CREATE DATABASE a", ""),
        ("SHOW RETENTION POLICIES ON a", "autogen 0 168 1 *"),
        ("CREATE DATABASE b WITH NAME x", ""),
        ("SHOW RETENTION POLICIES ON b", "x 0 168 1 *"),
        ("CREATE DATABASE b", ""),
        ("CREATE DATABASE b WITH NAME x", ""),
        ("CREATE DATABASE b WITH NAME y", CONFLICT),
        ("CREATE DATABASE a WITH DURATION 1d", CONFLICT),
        ("CREATE DATABASE a WITH DURATION INF", ""),
        ("CREATE DATABASE c WITH DURATION 3d REPLICATION 2 SHARD DURATION 2h NAME z", ""),
        ("SHOW RETENTION POLICIES ON c", "z 72 2 2 *"),
        ("CREATE DATABASE c2 WITH DURATION 1h SHARD DURATION 2h", SHARD),
        ("CREATE DATABASE c3 WITH DURATION 30m", SHORT),
        ("CREATE DATABASE c4 WITH SHARD DURATION 30m", ""),
        ("SHOW RETENTION POLICIES ON c4", "autogen 0 1 1 *"),
        ("CREATE DATABASE c5 WITH DURATION 1d SHARD DURATION 0s", ""),
        ("SHOW RETENTION POLICIES ON c5", "autogen 24 1 1 *"),
        ("CREATE DATABASE c6 WITH REPLICATION 3", ""),
        ("SHOW RETENTION POLICIES ON c6", "autogen 0 168 3 *"),
        ("CREATE DATABASE c7 WITH DURATION 59m59s NAME q", SHORT),
        ("SHOW RETENTION POLICIES ON c7", ""),
        ("CREATE DATABASE \"\"", "invalid name"),
        ("CREATE DATABASE \"x/y\"", "invalid name"),
        ("CREATE DATABASE \".\"", "invalid name"),
        ("CREATE DATABASE \"a\\nb\"", "invalid name"),
        ("CREATE RETENTION POLICY r1 ON a DURATION 2d REPLICATION 1", ""),
        ("CREATE RETENTION POLICY r1 ON a DURATION 2d REPLICATION 1", ""),
        ("CREATE RETENTION POLICY r1 ON a DURATION 3d REPLICATION 1", EXISTS),
        ("CREATE RETENTION POLICY r1 ON a DURATION 2d REPLICATION 1 DEFAULT", CONFLICT),
        ("CREATE RETENTION POLICY r1 ON a DURATION 2d REPLICATION 2", EXISTS),
        ("CREATE RETENTION POLICY r1 ON a DURATION 2d REPLICATION 1 SHARD DURATION 1h", EXISTS),
        ("CREATE RETENTION POLICY r2 ON a DURATION 200d REPLICATION 1 DEFAULT", ""),
        ("CREATE RETENTION POLICY r2 ON a DURATION 200d REPLICATION 1", ""),
        ("CREATE RETENTION POLICY r3 ON a DURATION INF REPLICATION 4 SHARD DURATION 1w", ""),
        ("CREATE RETENTION POLICY r4 ON nosuch DURATION 1d REPLICATION 1", "database not found: nosuch"),
        ("CREATE RETENTION POLICY r4 ON a DURATION 1m REPLICATION 1", SHORT),
        ("CREATE RETENTION POLICY r4 ON a DURATION 1h REPLICATION 1 SHARD DURATION 1d", SHARD),
        ("CREATE RETENTION POLICY r5 ON a DURATION 1h REPLICATION 1 SHARD DURATION 1m", ""),
        ("CREATE RETENTION POLICY \"\" ON a DURATION 1h REPLICATION 1", "invalid name"),
        ("CREATE RETENTION POLICY r6 ON a DURATION 0s REPLICATION 1", ""),
        ("SHOW RETENTION POLICIES ON a", "autogen 0 168 1, r1 48 24 1, r2 4800 168 1 *, r3 0 168 4, r5 1 1 1, r6 0 168 1"),
        ("ALTER RETENTION POLICY r1 ON a DURATION 5d", ""),
        ("ALTER RETENTION POLICY r1 ON a SHARD DURATION 3h", ""),
        ("ALTER RETENTION POLICY r1 ON a DURATION 2h", SHARD),
        ("ALTER RETENTION POLICY r1 ON a DURATION 3h", ""),
        ("ALTER RETENTION POLICY r1 ON a DURATION 10m", SHORT),
        ("ALTER RETENTION POLICY r1 ON a DURATION INF", ""),
        ("ALTER RETENTION POLICY r1 ON a SHARD DURATION 0s", ""),
        ("ALTER RETENTION POLICY r1 ON a SHARD DURATION 1s", ""),
        ("ALTER RETENTION POLICY r1 ON a REPLICATION 7", ""),
        ("ALTER RETENTION POLICY r1 ON a DEFAULT", ""),
        ("SHOW RETENTION POLICIES ON a", "autogen 0 168 1, r1 0 1 7 *, r2 4800 168 1, r3 0 168 4, r5 1 1 1, r6 0 168 1"),
        ("ALTER RETENTION POLICY nosuch ON a DEFAULT", "retention policy not found: nosuch"),
        ("ALTER RETENTION POLICY r1 ON nosuch DURATION 1d", "database not found: nosuch"),
        ("DROP RETENTION POLICY nosuch ON a", ""),
        ("DROP RETENTION POLICY r1 ON nosuch", ""),
        ("DROP RETENTION POLICY r2 ON a", ""),
        ("SHOW RETENTION POLICIES ON a", "autogen 0 168 1, r1 0 1 7 *, r3 0 168 4, r5 1 1 1, r6 0 168 1"),
        ("DROP DATABASE nosuch", ""),
        ("DROP DATABASE a", ""),
        ("SHOW RETENTION POLICIES ON a", ""),
        ("CREATE DATABASE e", ""),
        ("CREATE RETENTION POLICY r1 ON e DURATION 2d REPLICATION 1", ""),
        ("CREATE DATABASE e WITH DURATION 2d NAME r1", CONFLICT),
        ("ALTER RETENTION POLICY r1 ON e DURATION 300d", ""),
        ("SHOW RETENTION POLICIES ON e", "autogen 0 168 1 *, r1 7200 24 1"),
        ("CREATE DATABASE g WITH DURATION 1d", ""),
        ("CREATE DATABASE g WITH DURATION 1d SHARD DURATION 1h", ""),
        ("CREATE DATABASE g WITH DURATION 1d SHARD DURATION 2h", CONFLICT),
        ("CREATE DATABASE h WITH DURATION 1h SHARD DURATION 1h", ""),
        ("ALTER RETENTION POLICY autogen ON h DURATION 2h SHARD DURATION 2h", ""),
        ("ALTER RETENTION POLICY autogen ON h SHARD DURATION 3h", SHARD),
        ("ALTER RETENTION POLICY autogen ON h SHARD DURATION 10s", ""),
        ("SHOW RETENTION POLICIES ON h", "autogen 2 1 1 *"),
    ] {
        assert_eq!(run(&catalog, text), expected, "{text}");
        if text.starts_with("SHOW") {
            // It is on disk.
            drop(catalog);
            catalog = Catalog::open(&path).unwrap().0;
            assert_eq!(run(&catalog, text), expected, "{text}");
        }
    }
}

#[test]
fn buckets_without_mappings_are_policies_too() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("catalog.redb")).unwrap().0;
    let elsewhere = catalog.create_bucket("elsewhere", None).unwrap().id;
    for name in ["plain", "plain/week", "plainer/week"] {
        catalog.create_bucket(name, None).unwrap();
    }
    catalog.create_mapping("plain", "mapped", elsewhere, None).unwrap();
    assert_eq!(run(&catalog, "CREATE DATABASE plain"), "");
    assert_eq!(run(&catalog, "SHOW RETENTION POLICIES ON plain"), "mapped 0 168 1, autogen 0 168 1 *, week 0 168 1");
    assert_eq!(run(&catalog, "ALTER RETENTION POLICY week ON plain DURATION 1d SHARD DURATION 2h DEFAULT"), "");
    assert_eq!(run(&catalog, "SHOW RETENTION POLICIES ON plain"), "mapped 0 168 1, week 24 2 1 *, autogen 0 168 1");
    assert_eq!(run(&catalog, "DROP DATABASE plain"), "");
    let left: Vec<_> = catalog.buckets().iter().map(|bucket| bucket.name.to_string()).collect();
    assert_eq!(left, ["elsewhere", "plainer/week"], "a bucket with another name is somebody else's too");
    assert_eq!(run(&catalog, "SHOW RETENTION POLICIES ON plain"), "");
}
