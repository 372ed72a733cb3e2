use std::time::Duration;

use super::*;

fn open(dir: &tempfile::TempDir) -> (Catalog, Loaded) {
    Catalog::open(&dir.path().join("catalog.redb")).unwrap()
}

fn file(seq: u64, bucket: u64) -> FileRecord {
    FileRecord {
        seq,
        bucket,
        table: "m".into(),
        start: 0,
        end: 10,
        path: format!("files/{seq}").into(),
        bytes: 1,
        rows: 1,
        min_time: 0,
        max_time: 9,
        tags: vec!["host".into()],
        fields: vec![record::FieldRecord { name: "v".into(), field_type: crate::lineprotocol::FieldType::Unsigned }],
    }
}

#[test]
fn everything_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, loaded) = open(&dir);
    assert_eq!((loaded.first_segment, loaded.files.len()), (1, 0));
    let a = catalog.create_bucket("a", Some(Duration::from_secs(7200))).unwrap();
    let b = catalog.create_bucket("b/autogen", None).unwrap();
    catalog.update_bucket(a.id, Some("a2"), None).unwrap();
    catalog.create_mapping("db", "rp", b.id, None).unwrap();
    let seq = catalog.next_file(2).unwrap();
    assert_eq!(catalog.add_files(&[file(seq, b.id), file(seq + 1, 99)], Some(5)).unwrap(), [file(seq + 1, 99)], "no such bucket");
    drop(catalog);

    let (catalog, loaded) = open(&dir);
    assert_eq!(loaded.first_segment, 5);
    assert_eq!(loaded.files, [file(seq, b.id)]);
    assert_eq!(catalog.bucket("a2").unwrap().retention, Some(Duration::from_secs(7200)));
    assert!(catalog.bucket("a").is_none());
    assert_eq!(catalog.resolve("db", Some("rp")).unwrap().id, b.id);
    assert_eq!(catalog.next_file(1).unwrap(), seq + 2, "numbers are never used again");
    assert_eq!(catalog.delete_bucket(b.id).unwrap(), [file(seq, b.id)]);
    assert!(catalog.resolve("db", Some("rp")).is_none(), "a mapping goes with its bucket");
    assert_ne!(catalog.create_bucket("b/autogen", None).unwrap().id, b.id);
}

#[test]
fn names_are_resolved_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = open(&dir);
    let plain = catalog.create_bucket("db", None).unwrap();
    let name = |rp| catalog.resolve("db", rp).map(|bucket| bucket.name.to_string());
    for rp in [None, Some(""), Some("autogen"), Some("default")] {
        assert_eq!(name(rp).as_deref(), Some("db"), "{rp:?}");
    }
    assert_eq!(name(Some("x")), None);
    catalog.create_bucket("db/autogen", None).unwrap();
    assert_eq!(name(None).as_deref(), Some("db/autogen"));
    catalog.create_bucket("db/x", None).unwrap();
    assert_eq!(name(Some("x")).as_deref(), Some("db/x"));
    catalog.create_mapping("db", "one", plain.id, None).unwrap();
    assert_eq!(name(None).as_deref(), Some("db/autogen"), "another policy doesn't become the default by itself");
    catalog.create_mapping("db", "two", plain.id, Some(true)).unwrap();
    assert_eq!(name(None).as_deref(), Some("db"));
}

#[test]
fn defaults_are_one_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = open(&dir);
    let bucket = catalog.create_bucket("b", None).unwrap().id;
    let one = catalog.create_mapping("db", "one", bucket, Some(false)).unwrap();
    let two = catalog.create_mapping("db", "two", bucket, Some(true)).unwrap();
    let default = |id| catalog.index().mappings.get(&id).unwrap().default;
    assert!(!default(one) && default(two));
    assert_eq!(catalog.create_mapping("db", "two", bucket, None).unwrap_err().kind(), Kind::Unprocessable);
    catalog.update_mapping(one, &MappingChange { default: Some(true), retention_policy: Some("uno".into()) }).unwrap();
    assert!(default(one) && !default(two));
    catalog.delete_mapping(one).unwrap();
    assert!(!default(two) && &*catalog.resolve("db", None).unwrap().name == "db/autogen", "the oldest one inherits");
}

#[test]
fn providing_is_idempotent_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = open(&dir);
    assert_eq!(&*catalog.provide("telegraf", None).unwrap().name, "telegraf/autogen");
    assert_eq!(&*catalog.provide("telegraf", None).unwrap().name, "telegraf/autogen");
    assert_eq!(&*catalog.provide("telegraf", Some("one-week")).unwrap().name, "telegraf/one-week");
    catalog.create_bucket("plain", None).unwrap();
    catalog.create_bucket("x/y", None).unwrap();
    let rows: Vec<String> = catalog
        .mappings()
        .into_iter()
        .map(|(id, _, m)| format!("{} {} {} {} {}", id.is_some(), m.database, m.retention_policy, m.bucket, m.default))
        .collect();
    assert_eq!(
        rows,
        [
            "true telegraf autogen telegraf/autogen true",
            "true telegraf one-week telegraf/one-week false",
            "false plain autogen plain true",
            "false x y x/y false",
        ]
    );
}

#[test]
fn a_new_database_starts_with_autogen_as_its_default() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = open(&dir);
    let name = |db, rp| catalog.resolve(db, rp).map(|bucket| bucket.name.to_string());
    // By a v1 write, a native one, and a mapping.
    catalog.provide("a", Some("week")).unwrap();
    catalog.provide_bucket("b/week").unwrap();
    let elsewhere = catalog.create_bucket("elsewhere", None).unwrap().id;
    catalog.create_mapping("c", "week", elsewhere, None).unwrap();
    for (db, week) in [("a", "a/week"), ("b", "b/week"), ("c", "elsewhere")] {
        assert_eq!(name(db, None), Some(format!("{db}/autogen")));
        assert_eq!(name(db, Some("week")).as_deref(), Some(week));
    }
    // One that says that it is the default needs nothing beside it.
    catalog.create_mapping("d", "week", elsewhere, Some(true)).unwrap();
    assert_eq!((name("d", None).as_deref(), name("d", Some("autogen"))), (Some("elsewhere"), None));
    // Nothing is added to a database that is there, in whatever way.
    catalog.provide_bucket("plain").unwrap();
    catalog.provide_bucket("plain/week").unwrap();
    catalog.provide("plain", Some("day")).unwrap();
    assert_eq!((name("plain", None).as_deref(), catalog.bucket("plain/autogen")), (Some("plain"), None));
    catalog.create_bucket("odd/week", None).unwrap();
    catalog.provide("odd", Some("day")).unwrap();
    assert_eq!(name("odd", None), None);
    assert_eq!(&*catalog.provide("odd", None).unwrap().name, "odd/autogen", "by the first write that needs it");
    assert_eq!(name("odd", None).as_deref(), Some("odd/autogen"));
    drop(catalog);
    let (catalog, _) = open(&dir);
    let defaults = catalog.mappings().into_iter().filter(|(.., mapping)| mapping.default);
    let mut defaults: Vec<String> = defaults.map(|(.., m)| format!("{}.{}", m.database, m.retention_policy)).collect();
    defaults.sort();
    assert_eq!(defaults, ["a.autogen", "b.autogen", "c.autogen", "d.week", "elsewhere.autogen", "odd.autogen", "plain.autogen"]);
}

#[test]
fn bad_names_and_retentions_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = open(&dir);
    for name in ["", "a\nb", &"x".repeat(512)] {
        assert_eq!(catalog.create_bucket(name, None).unwrap_err().kind(), Kind::Invalid, "{name:?}");
    }
    assert!(catalog.create_bucket("a", Some(Duration::from_secs(3599))).is_err());
    assert!(catalog.create_bucket("a", Some(Duration::from_secs(u64::MAX))).is_err());
    catalog.create_bucket("a", None).unwrap();
    assert_eq!(catalog.create_bucket("a", None).unwrap_err().kind(), Kind::Unprocessable);
}
