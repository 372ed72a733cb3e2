//! Names of buckets and what v1 calls them. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dbrp::Mapping;

/// v1's name for the retention policy that every database has.
const AUTOGEN: &str = "autogen";

/// Mappings, explicit ones and those that follow from the buckets' names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Names {
    /// Sorted by database and retention policy, one of each pair; at most one default for a database.
    mappings: Vec<Mapping>,
}

/// A bucket as the upstream lists it.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) name: Box<str>,
    pub(super) retention: Option<Duration>,
}

impl Names {
    /// `explicit` mappings win over those that names stand for: `db/rp` is (`db`, `rp`), `db` is (`db`, `autogen`).
    pub(super) fn new(explicit: Vec<Mapping>, buckets: impl IntoIterator<Item = Bucket>) -> Self {
        let mut mappings = explicit;
        // A bucket `db/autogen` comes before `db` where both would be (`db`, `autogen`).
        let (mut plain, mut split) = (Vec::new(), Vec::new());
        for Bucket { name, retention } in buckets {
            let parts = name.split_once('/').filter(|(db, rp)| !db.is_empty() && !rp.is_empty());
            let (database, retention_policy): (Box<str>, Box<str>) = match parts {
                Some((db, rp)) => (db.into(), rp.into()),
                None => (name.clone(), AUTOGEN.into()),
            };
            let list = if parts.is_some() { &mut split } else { &mut plain };
            list.push(Mapping {
                database,
                retention_policy,
                bucket: name.clone(),
                default: false,
                retention,
                ..Mapping::default()
            });
        }
        mappings.extend(split);
        mappings.extend(plain);

        // A stable sort: of equal pairs the first one, that is the stronger one, stays.
        mappings.sort_by(|a, b| key(a).cmp(&key(b)));
        mappings.dedup_by(|later, first| key(later) == key(first));
        let mut rest = mappings.as_mut_slice();
        while let Some(first) = rest.first() {
            let database = first.database.clone();
            let len = rest.partition_point(|mapping| mapping.database <= database);
            let (group, others) = rest.split_at_mut(len);
            settle_default(group);
            rest = others;
        }
        Self { mappings }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.mappings.is_empty()
    }

    pub(super) fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The bucket for (`db`, `rp`); `autogen` and `default` mean the default where no mapping is called so.
    pub(super) fn find(&self, db: &str, rp: Option<&str>) -> Option<&str> {
        let start = self.mappings.partition_point(|mapping| &*mapping.database < db);
        let group = || self.mappings.iter().skip(start).take_while(|mapping| &*mapping.database == db);
        let named = rp.and_then(|rp| group().find(|mapping| &*mapping.retention_policy == rp));
        let default = || match rp {
            None | Some(AUTOGEN | "default") => group().find(|mapping| mapping.default),
            Some(_) => None,
        };
        named.or_else(default).map(|mapping| &*mapping.bucket)
    }
}

/// A mapping in the file that outlives the process.
#[derive(Deserialize, Serialize)]
struct Row {
    database: Box<str>,
    retention_policy: Box<str>,
    bucket: Box<str>,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    retention_seconds: Option<u64>,
}

/// For a file.
pub(super) fn write(names: &Names) -> Vec<u8> {
    let row = |mapping: &Mapping| Row {
        database: mapping.database.clone(),
        retention_policy: mapping.retention_policy.clone(),
        bucket: mapping.bucket.clone(),
        default: mapping.default,
        retention_seconds: mapping.retention.map(|retention| retention.as_secs()),
    };
    let rows: Vec<Row> = names.mappings.iter().map(row).collect();
    serde_json::to_vec_pretty(&rows).unwrap_or_default()
}

/// From a file; nothing when it makes no sense.
pub(super) fn read(text: &[u8]) -> Option<Names> {
    let rows: Vec<Row> = serde_json::from_slice(text).ok()?;
    let mapping = |row: Row| Mapping {
        database: row.database,
        retention_policy: row.retention_policy,
        bucket: row.bucket,
        default: row.default,
        retention: row.retention_seconds.map(Duration::from_secs),
        ..Mapping::default()
    };
    Some(Names::new(rows.into_iter().map(mapping).collect(), []))
}

/// The name under which a v3 server makes (`db`, `rp`) on the first write: there `autogen` is the database itself.
pub(super) fn made(db: &str, rp: Option<&str>) -> Box<str> {
    match rp {
        None | Some(AUTOGEN | "default") => db.into(),
        Some(rp) => format!("{db}/{rp}").into(),
    }
}

/// One default at most, and `autogen` where nobody has said otherwise.
fn settle_default(group: &mut [Mapping]) {
    let chosen = match group.iter().position(|mapping| mapping.default) {
        Some(first) => Some(first),
        None => group.iter().position(|mapping| &*mapping.retention_policy == AUTOGEN),
    };
    for (i, mapping) in group.iter_mut().enumerate() {
        mapping.default = Some(i) == chosen;
    }
}

fn key(mapping: &Mapping) -> (&str, &str) {
    (&mapping.database, &mapping.retention_policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(name: &str) -> Bucket {
        Bucket { name: name.into(), retention: None }
    }

    #[test]
    fn names_outlive_the_process() {
        let explicit = vec![
            Mapping { retention: Some(Duration::from_secs(60)), ..mapping("a", "week", "b/c", true) },
            mapping("a", "autogen", "a", false),
        ];
        let names = Names::new(explicit, [bucket("x"), bucket("y/z")]);
        assert_eq!(read(&write(&names)), Some(names));
        assert_eq!(read(b"[{}]"), None);
    }

    fn mapping(db: &str, rp: &str, bucket: &str, default: bool) -> Mapping {
        Mapping { database: db.into(), retention_policy: rp.into(), bucket: bucket.into(), default, ..Mapping::default() }
    }

    #[test]
    fn names_stand_for_mappings() {
        let names = Names::new(vec![], ["fx", "fx/one-week", "both", "both/autogen", "only/rp", "a/b/c", "/odd"].map(bucket));
        let table = [
            ("fx", None, Some("fx")),
            ("fx", Some("autogen"), Some("fx")),
            ("fx", Some("default"), Some("fx")),
            ("fx", Some("one-week"), Some("fx/one-week")),
            ("fx", Some("nosuch"), None),
            ("both", None, Some("both/autogen")),
            ("both", Some("autogen"), Some("both/autogen")),
            ("only", None, None),
            ("only", Some("autogen"), None),
            ("only", Some("rp"), Some("only/rp")),
            ("a", Some("b/c"), Some("a/b/c")),
            ("/odd", None, Some("/odd")),
            ("f", None, None),
            ("FX", None, None),
        ];
        for (db, rp, bucket) in table {
            assert_eq!(names.find(db, rp), bucket, "{db} {rp:?}");
        }
    }

    #[test]
    fn what_is_made_is_found_under_the_same_name() {
        for (db, rp) in [("a", None), ("a", Some("autogen")), ("a", Some("default")), ("a", Some("1w"))] {
            let name = made(db, rp);
            assert_eq!(Names::new(vec![], [bucket(&name)]).find(db, rp), Some(&*name), "{rp:?}");
        }
    }

    #[test]
    fn explicit_mappings_win_and_their_default_counts() {
        let explicit = vec![mapping("db", "autogen", "elsewhere", false), mapping("db", "week", "w", true)];
        let names = Names::new(explicit, ["db", "db/day", "w"].map(bucket));
        let table = [
            (None, Some("w")),
            (Some("autogen"), Some("elsewhere")),
            (Some("default"), Some("w")),
            (Some("day"), Some("db/day")),
            (Some("month"), None),
        ];
        for (rp, bucket) in table {
            assert_eq!(names.find("db", rp), bucket, "{rp:?}");
        }
        let defaults: Vec<_> = names.mappings().iter().filter(|m| m.default).map(key).collect();
        assert_eq!(defaults, [("db", "week"), ("w", "autogen")]);
    }

    #[test]
    fn two_defaults_become_one() {
        let names = Names::new(vec![mapping("db", "a", "1", true), mapping("db", "b", "2", true)], []);
        assert_eq!(names.find("db", None), Some("1"));
        assert_eq!(names.mappings().iter().filter(|m| m.default).count(), 1);
    }
}
