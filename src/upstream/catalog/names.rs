//! Names of buckets and what v1 calls them. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::dbrp::{Address, Mapping};

/// v1's name for the retention policy that every database has.
pub(super) const AUTOGEN: &str = "autogen";

/// Mappings, explicit ones and those that follow from the buckets' names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Names {
    /// Sorted by database and retention policy, one of each pair; at most one default for a database.
    mappings: Vec<Mapping>,
    /// How v2's `/query` finds buckets, by their names.
    addresses: BTreeMap<Box<str>, Address>,
    /// v2's id of the organization that all buckets belong to.
    org: Option<Box<str>>,
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
        let buckets: Vec<Bucket> = buckets.into_iter().collect();
        let addresses = addresses(&explicit, &buckets);
        let mut mappings = explicit;
        // A bucket `db/autogen` comes before `db` where both would be (`db`, `autogen`).
        let (mut plain, mut split) = (Vec::new(), Vec::new());
        for Bucket { name, retention } in buckets {
            let parts = split_name(&name);
            let list = if parts.is_some() { &mut split } else { &mut plain };
            let (database, retention_policy) = parts.unwrap_or((&*name, AUTOGEN));
            list.push(Mapping {
                database: database.into(),
                retention_policy: retention_policy.into(),
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
        Self { mappings, addresses, org: None }
    }

    /// The same, and whose buckets they are.
    pub(super) fn of_org(self, org: Option<Box<str>>) -> Self {
        Self { org, ..self }
    }

    pub(super) fn org(&self) -> Option<&str> {
        self.org.as_deref()
    }

    /// How v2's `/query` is asked for a bucket; nothing when no mapping leads there.
    pub(super) fn address(&self, bucket: &str) -> Option<Address> {
        // From a file, which has none.
        if self.addresses.is_empty() { Some(Address::of(bucket)) } else { self.addresses.get(bucket).cloned() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.mappings.is_empty()
    }

    pub(super) fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The bucket for (`db`, `rp`); `autogen` and `default` mean the default where no mapping is called so. A bucket's own name does too, as a
    /// database without an `rp`.
    pub(super) fn find(&self, db: &str, rp: Option<&str>) -> Option<&str> {
        let start = self.mappings.partition_point(|mapping| &*mapping.database < db);
        let group = || self.mappings.iter().skip(start).take_while(|mapping| &*mapping.database == db);
        let named = rp.and_then(|rp| group().find(|mapping| &*mapping.retention_policy == rp));
        let default = || match rp {
            None | Some(AUTOGEN | "default") => group().find(|mapping| mapping.default),
            Some(_) => None,
        };
        let itself = || self.mappings.iter().find(|mapping| rp.is_none() && db.contains('/') && &*mapping.bucket == db);
        named.or_else(default).or_else(itself).map(|mapping| &*mapping.bucket)
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
    let names = Names::new(rows.into_iter().map(mapping).collect(), []);
    // It doesn't say which rows follow from names.
    Some(Names { addresses: BTreeMap::new(), ..names })
}

/// `db/rp`
fn split_name(bucket: &str) -> Option<(&str, &str)> {
    bucket.split_once('/').filter(|(db, rp)| !db.is_empty() && !rp.is_empty())
}

/// A v2 server finds a bucket by an explicit mapping, else by one that follows from the name: `db/rp` is (`db`, `rp`), `db` is (`db`,
/// `autogen`) and the default of `db`, unless an explicit one is. Two that follow from names and are the same are an error to it.
fn addresses(explicit: &[Mapping], buckets: &[Bucket]) -> BTreeMap<Box<str>, Address> {
    let mut addresses: BTreeMap<Box<str>, Address> = BTreeMap::new();
    let mut add = |bucket: &str, address: Address| {
        if addresses.get(bucket).is_none_or(|old| address.default && !old.default) {
            addresses.insert(bucket.into(), address);
        }
    };
    let mut taken = BTreeSet::new();
    let mut defaults = BTreeSet::new();
    for row in explicit {
        taken.insert((&*row.database, &*row.retention_policy));
        if row.default {
            defaults.insert(&*row.database);
        }
        let (database, retention_policy) = (row.database.clone(), row.retention_policy.clone());
        add(&row.bucket, Address { database, retention_policy, default: row.default });
    }
    let pair = |bucket: &'_ Bucket| -> (Box<str>, Box<str>) {
        let (db, rp) = bucket.name.split_once('/').unwrap_or((&*bucket.name, AUTOGEN));
        (db.into(), rp.into())
    };
    let mut times: BTreeMap<(Box<str>, Box<str>), usize> = BTreeMap::new();
    for bucket in buckets {
        *times.entry(pair(bucket)).or_default() += 1;
    }
    for bucket in buckets {
        let names = pair(bucket);
        let (database, retention_policy) = &names;
        let unique = times.get(&names).is_some_and(|times| *times == 1) && !taken.contains(&(&**database, &**retention_policy));
        if !unique || database.is_empty() || retention_policy.is_empty() {
            continue;
        }
        let default = *bucket.name == **database && !defaults.contains(&**database);
        add(&bucket.name, Address { database: database.clone(), retention_policy: retention_policy.clone(), default });
    }
    addresses
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
        assert_eq!(read(&write(&names)).unwrap().mappings, names.mappings);
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
            ("fx/one-week", None, Some("fx/one-week")),
            ("fx/one-week", Some("autogen"), None),
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
    fn v2_is_asked_for_buckets_by_mappings_that_lead_there() {
        let explicit = vec![
            mapping("tg", "week", "metrics", true),
            mapping("tg", "day", "metrics", false),
            mapping("tg", "old", "archive/x", false),
            mapping("made", "autogen", "made/autogen", true),
            mapping("hidden", "autogen", "elsewhere", true),
        ];
        let buckets =
            ["metrics", "archive/x", "tg", "tg/year", "made/autogen", "hidden", "both", "both/autogen", "plain", "/odd"];
        let names = Names::new(explicit, buckets.map(bucket));
        for (bucket, expected) in [
            ("metrics", Some("tg.week*")),
            // Its own name does as well, but is not better.
            ("archive/x", Some("tg.old")),
            ("tg", Some("tg.autogen")),
            ("tg/year", Some("tg.year")),
            ("made/autogen", Some("made.autogen*")),
            // What its name stands for is another one's.
            ("hidden", None),
            ("both", None),
            ("both/autogen", None),
            ("plain", Some("plain.autogen*")),
            ("/odd", None),
            ("nosuch", None),
        ] {
            let found = names.address(bucket).map(|address| {
                let star = if address.default { "*" } else { "" };
                format!("{}.{}{star}", address.database, address.retention_policy)
            });
            assert_eq!(found.as_deref(), expected, "{bucket}");
        }
        // Of what was read from a file nothing is known but the names.
        let names = read(&write(&names)).unwrap();
        assert_eq!(names.address("tg/year"), Some(Address::of("tg/year")));
    }

    #[test]
    fn two_defaults_become_one() {
        let names = Names::new(vec![mapping("db", "a", "1", true), mapping("db", "b", "2", true)], []);
        assert_eq!(names.find("db", None), Some("1"));
        assert_eq!(names.mappings().iter().filter(|m| m.default).count(), 1);
    }
}
