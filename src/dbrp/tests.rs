use std::{sync::Arc, sync::Mutex};

use futures_util::FutureExt as _;

use super::*;
use crate::{
    access::{Access, Grant, Identity},
    error::Kind,
    types::Profile,
};

fn mapping(database: &str, retention_policy: &str, bucket: &str, default: bool) -> Mapping {
    Mapping {
        database: database.into(),
        retention_policy: retention_policy.into(),
        bucket: bucket.into(),
        default,
        ..Mapping::default()
    }
}

/// Buckets by name only; remembers what it was asked to make.
#[derive(Debug, Default)]
struct Buckets {
    names: Vec<&'static str>,
    made: Mutex<Vec<String>>,
}

impl Catalog for Buckets {
    fn resolve<'a>(
        &'a self,
        _: &'a Identity,
        db: &'a str,
        rp: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<Box<str>>, Error>> {
        let names: Vec<String> = match rp.filter(|rp| !is_default(rp)) {
            Some(rp) => vec![format!("{db}/{rp}")],
            None => vec![format!("{db}/autogen"), db.to_owned()],
        };
        let found = names.into_iter().find(|name| self.names.contains(&name.as_str())).map(Into::into);
        Box::pin(async move { Ok(found) })
    }

    fn create<'a>(&'a self, _: &'a Identity, db: &'a str, rp: Option<&'a str>) -> BoxFuture<'a, Result<Box<str>, Error>> {
        let name = format!("{db}/{}", rp.unwrap_or("autogen"));
        self.made.lock().unwrap().push(name.clone());
        Box::pin(async move { Ok(name.into()) })
    }

    fn list<'a>(&'a self, _: &'a Identity) -> BoxFuture<'a, Result<Vec<Mapping>, Error>> {
        let rows = self.names.iter().map(|name| {
            let (db, rp) = name.split_once('/').unwrap_or((name, "autogen"));
            mapping(db, rp, name, rp == "autogen")
        });
        let rows = rows.collect();
        Box::pin(async move { Ok(rows) })
    }
}

fn resolver<'a>(table: &'a Table, catalog: Option<&'a dyn Catalog>) -> Resolver<'a> {
    Resolver { table, template: "{db}", template_rp: "{db}/{rp}", auto_create: true, profile: Profile::Serverless, catalog }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing to wait for")
}

#[test]
fn mappings_win_then_the_catalog_then_templates() {
    let all = Identity::unrestricted(None);
    let table = Table::from(vec![
        mapping("tele", "week", "w", false),
        mapping("tele", "autogen", "telegraf/autogen", true),
        mapping("other", "x", "y", false),
    ]);
    let buckets = Buckets { names: vec!["a/autogen", "a", "a/week", "b", "tele/day"], ..Buckets::default() };
    let (mapped, found, template) = (Resolved::Mapped, Resolved::Found, Resolved::Template);
    for (db, rp, with, without) in [
        ("tele", None, mapped("telegraf/autogen".into()), mapped("telegraf/autogen".into())),
        ("tele", Some(""), mapped("telegraf/autogen".into()), mapped("telegraf/autogen".into())),
        ("tele", Some("week"), mapped("w".into()), mapped("w".into())),
        ("tele", Some("day"), found("tele/day".into()), template("tele/day".into())),
        // A database without a default mapping goes on to the next step.
        ("other", None, Resolved::Missing, template("other".into())),
        ("a", None, found("a/autogen".into()), template("a".into())),
        ("a", Some("autogen"), found("a/autogen".into()), template("a".into())),
        ("a", Some("default"), found("a/autogen".into()), template("a".into())),
        ("a", Some("week"), found("a/week".into()), template("a/week".into())),
        ("a", Some("Week"), Resolved::Missing, template("a/Week".into())),
        ("b", None, found("b".into()), template("b".into())),
        ("c", None, Resolved::Missing, template("c".into())),
        ("{rp}", Some("r"), Resolved::Missing, template("{rp}/r".into())),
    ] {
        assert_eq!(now(resolver(&table, Some(&buckets)).resolve(&all, db, rp)).unwrap(), with, "{db} {rp:?}");
        assert_eq!(now(resolver(&table, None).resolve(&all, db, rp)).unwrap(), without, "{db} {rp:?}");
    }
    let mut own = resolver(&table, None);
    (own.template, own.template_rp) = ("org-{db}{", "{rp}@{db}-{x}");
    assert_eq!(now(own.resolve(&all, "c", None)).unwrap().bucket(), Some("org-c{"));
    assert_eq!(now(own.resolve(&all, "c", Some("r"))).unwrap().bucket(), Some("r@c-{x}"));
}

#[test]
fn names_have_a_limit_and_so_have_those_made_of_them() {
    let (table, buckets) = (Table::default(), Buckets::default());
    let long = "x".repeat(60);
    let all = Identity::unrestricted(None);
    for catalog in [None, Some(&buckets as &dyn Catalog)] {
        let mut resolver = resolver(&table, catalog);
        for (db, rp) in [(&*"x".repeat(65), None), ("", None), (&long, Some("abcd"))] {
            let error = now(resolver.for_write(&all, db, rp)).unwrap_err();
            assert_eq!(error.message(), "namespace name length must be between 1 and 64 characters");
            assert_eq!(error.kind(), Kind::Invalid);
        }
        assert!(now(resolver.for_write(&all, &long, Some("abc"))).is_ok());
        resolver.profile = Profile::V1;
        assert!(now(resolver.for_write(&all, &long, Some("abcd"))).is_ok());
    }
}

#[test]
fn only_writes_by_all_access_make_buckets() {
    let (table, buckets) = (Table::default(), Buckets { names: vec!["a"], ..Buckets::default() });
    let mut resolver = resolver(&table, Some(&buckets));
    let all = Identity::unrestricted(None);
    let grant = Grant { bucket: "new/autogen".into(), read: true, write: true };
    let some = Identity { name: Some("some".into()), access: Arc::new(Access::Grants(vec![grant])), forward: None };

    let missing = "database not found: \"new\"";
    assert_eq!(now(resolver.for_read(&all, "new", None)).unwrap_err().message(), missing);
    assert_eq!(now(resolver.for_write(&some, "new", None)).unwrap_err().message(), missing);
    assert_eq!(now(resolver.for_write(&some, "new", None)).unwrap_err().kind(), Kind::NotFound);
    resolver.auto_create = false;
    assert_eq!(now(resolver.for_write(&all, "new", None)).unwrap_err().message(), missing);
    assert!(buckets.made.lock().unwrap().is_empty());

    resolver.auto_create = true;
    assert_eq!(&*now(resolver.for_write(&all, "new", Some(""))).unwrap(), "new/autogen");
    assert_eq!(&*now(resolver.for_write(&all, "new", Some("r"))).unwrap(), "new/r");
    assert_eq!(&*now(resolver.for_write(&all, "a", None)).unwrap(), "a");
    assert_eq!(*buckets.made.lock().unwrap(), ["new/autogen", "new/r"]);
}

#[test]
fn permissions_are_those_of_the_bucket() {
    let table = Table::from(vec![mapping("tele", "autogen", "b", true)]);
    let grant = Grant { bucket: "b".into(), read: true, write: false };
    let some = Identity { name: Some("some".into()), access: Arc::new(Access::Grants(vec![grant])), forward: None };
    let resolver = resolver(&table, None);
    assert_eq!(&*now(resolver.for_read(&some, "tele", None)).unwrap(), "b");
    let error = now(resolver.for_write(&some, "tele", None)).unwrap_err();
    assert_eq!(error.message(), r#""some" user is not authorized to write to database "tele""#);
    assert_eq!(error.kind(), Kind::Forbidden);
    // The token may read a bucket `b`, which isn't the same as a database `tele` with another policy.
    assert_eq!(now(resolver.for_read(&some, "tele", Some("x"))).unwrap_err().kind(), Kind::Forbidden);
}

#[test]
fn lists_are_merged_and_filtered() {
    let all = Identity::unrestricted(None);
    let table = Table::from(vec![mapping("a", "week", "w", true), mapping("z", "autogen", "z", true)]);
    let buckets = Buckets { names: vec!["a/autogen", "a/week", "m"], ..Buckets::default() };
    let resolver = resolver(&table, Some(&buckets));
    let rows = |access: Access| {
        let identity = Identity { name: None, access: Arc::new(access), forward: None };
        let rows = now(resolver.list(&identity)).unwrap();
        rows.iter()
            .map(|row| format!("{}.{}={} {}", row.database, row.retention_policy, row.bucket, row.default))
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(Access::All), ["a.autogen=a/autogen false", "a.week=w true", "m.autogen=m true", "z.autogen=z true"]);
    let read = |bucket: &str, read| Grant { bucket: bucket.into(), read, write: true };
    assert_eq!(rows(Access::Grants(vec![read("m", true), read("w", false)])), ["m.autogen=m true"]);
    assert_eq!(now(Resolver { catalog: None, ..resolver }.list(&all)).unwrap().len(), 2);
}

#[test]
fn mapped_names_need_no_box() {
    let all = Identity::unrestricted(None);
    let table = Table::from(vec![mapping("tele", "autogen", "b", true)]);
    let buckets = Buckets::default();
    let resolver = resolver(&table, Some(&buckets));
    assert_eq!(format!("{:?}", resolver.resolve(&all, "tele", None)), "Resolving(ready)");
    assert_eq!(format!("{:?}", resolver.resolve(&all, "x", None)), "Resolving(waiting)");
}

/// A service that can't be asked, now or ever.
#[derive(Debug)]
struct Silent(Kind);

impl Catalog for Silent {
    fn resolve<'a>(&'a self, _: &'a Identity, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<Option<Box<str>>, Error>> {
        Box::pin(async { Err(Error::new(self.0, "no")) })
    }

    fn create<'a>(&'a self, _: &'a Identity, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<Box<str>, Error>> {
        Box::pin(async { Err(Error::new(self.0, "no")) })
    }

    fn list<'a>(&'a self, _: &'a Identity) -> BoxFuture<'a, Result<Vec<Mapping>, Error>> {
        Box::pin(async { Err(Error::new(self.0, "no")) })
    }
}

#[test]
fn a_service_that_never_tells_gets_names_by_template_and_one_that_is_away_an_error() {
    let table = Table::from(vec![mapping("tele", "autogen", "b", true)]);
    let all = Identity { name: None, access: Arc::new(Access::All), forward: None };
    let never = Silent(Kind::NotImplemented);
    let resolver = resolver(&table, Some(&never));
    assert_eq!(now(resolver.resolve(&all, "x", Some("week"))).unwrap(), Resolved::Template("x/week".into()));
    assert_eq!(&*now(resolver.for_write(&all, "x", None)).unwrap(), "x");
    assert_eq!(&*now(resolver.for_read(&all, "x", Some("week"))).unwrap(), "x/week");
    assert_eq!(now(resolver.list(&all)).unwrap().len(), 1);

    let away = Silent(Kind::Unavailable);
    let resolver = Resolver { catalog: Some(&away), ..resolver };
    assert_eq!(now(resolver.for_write(&all, "x", None)).unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(now(resolver.list(&all)).unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(&*now(resolver.for_write(&all, "tele", None)).unwrap(), "b");
}
