//! What statements do to databases and retention policies, apart from InfluxQL and from any server's API.

use std::time::Duration;

/// A retention policy's settings, as far as a statement gives them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// `DURATION`; zero is `INF`.
    pub retention: Option<Duration>,
    /// `SHARD DURATION`; zero leaves it to the server.
    pub shard: Option<Duration>,
}

/// One statement's wish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// `CREATE DATABASE db [WITH …]`
    CreateDatabase {
        /// The database.
        database: Box<str>,
        /// Its default policy, as `WITH` describes it: a name (`autogen` without one) and settings.
        with: Option<(Option<Box<str>>, Settings)>,
    },
    /// `CREATE RETENTION POLICY rp ON db …`
    CreatePolicy {
        /// The database.
        database: Box<str>,
        /// The policy.
        policy: Box<str>,
        /// Its settings.
        settings: Settings,
        /// `DEFAULT`
        default: bool,
    },
    /// `ALTER RETENTION POLICY rp ON db …`
    AlterPolicy {
        /// The database.
        database: Box<str>,
        /// The policy.
        policy: Box<str>,
        /// Those that change.
        settings: Settings,
        /// `DEFAULT`
        default: bool,
    },
    /// `DROP DATABASE db`
    DropDatabase {
        /// The database.
        database: Box<str>,
    },
    /// `DROP RETENTION POLICY rp ON db`
    DropPolicy {
        /// The database.
        database: Box<str>,
        /// The policy.
        policy: Box<str>,
    },
}

/// How a v2 server's `/query`, which knows no buckets, is asked for one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// `db`
    pub database: Box<str>,
    /// `rp`; empty: the default one.
    pub retention_policy: Box<str>,
    /// Whether that is the database's default: v2 looks at no other for `SHOW MEASUREMENTS`, `SHOW TAG KEYS`, `SHOW TAG VALUES`, `DELETE`
    /// and `DROP MEASUREMENT`, whatever `rp` says.
    pub default: bool,
}

impl Address {
    /// That of a bucket of which nothing is known but its name, `db` or `db/rp`: v2 maps it to just these, and only the former is a default.
    #[must_use]
    pub fn of(bucket: &str) -> Self {
        let (database, retention_policy) = bucket.split_once('/').unwrap_or((bucket, ""));
        Self { database: database.into(), retention_policy: retention_policy.into(), default: retention_policy.is_empty() }
    }
}
