//! Which databases a statement names, and the same statement with buckets instead: pure functions of the tree.

use std::collections::BTreeSet;

use crate::{
    access::Permission,
    influxql::{
        Span, StatementKind,
        ast::{
            Binary, BinaryOp, Expr, Ident, Limits4, Literal, Measurement, MeasurementName, Select, Show, ShowKind, Source, Value,
            VarRef,
        },
    },
};

/// What stands for `db` and `rp` where a statement names none: the request's parameters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults<'a> {
    pub(super) db: Option<&'a str>,
    pub(super) rp: Option<&'a str>,
}

/// A place that a statement reads or writes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) db: Box<str>,
    pub(super) rp: Option<Box<str>>,
    pub(super) permission: Permission,
}

/// How a statement is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Need {
    /// From the mapping: `SHOW DATABASES`.
    Databases,
    /// From the mapping: `SHOW RETENTION POLICIES` of a database.
    RetentionPolicies(Box<str>),
    /// By the service below, from these places; the first one is where it is asked.
    Places(Vec<Place>),
    /// From the configuration, for somebody who may do everything: `SHOW USERS`.
    Users,
    /// The same: `SHOW GRANTS` for this user.
    Grants(Box<str>),
    /// Empty series for all databases: there are no continuous queries.
    ContinuousQueries,
    /// There are no subscriptions; for somebody who may do everything.
    Subscriptions,
    /// By the service below, from all buckets of a database, to which the caller has to be allowed to write: 1.x deletes in all retention
    /// policies.
    Database(Box<str>),
    /// By the service below, for somebody who may do everything; nothing is read that has a name.
    Everything,
    /// Nothing: it can't be done, for this reason.
    Nothing(&'static str),
}

/// What a statement needs.
pub(super) fn need(kind: &StatementKind, defaults: Defaults<'_>) -> Need {
    match kind {
        StatementKind::Select(select) => of_select(select, defaults),
        StatementKind::Explain(explain) => of_select(&explain.select, defaults),
        StatementKind::Show(show) => of_show(show, defaults),
        StatementKind::Delete(_) | StatementKind::DropSeries(_) | StatementKind::DropMeasurement(_) => match defaults.db {
            Some(db) => Need::Database(db.into()),
            None => Need::Nothing("database not found: "),
        },
        _ => Need::Everything,
    }
}

/// 1.x's texts.
const NO_DATABASE: &str = "database name required";
const NO_NAME: &str = "invalid measurement";

fn of_select(select: &Select, defaults: Defaults<'_>) -> Need {
    let mut places = Vec::new();
    let (mut complete, mut nameless) = (true, false);
    each_select(select, &mut |select| {
        for source in &select.from {
            if let Source::Measurement(measurement) = source {
                nameless |= is_nameless(measurement);
                complete &= add(&mut places, measurement, defaults);
            }
        }
        if let Some(target) = &select.into {
            match target.database.as_ref().map(|db| &*db.name).or(defaults.db) {
                Some(db) => {
                    let rp = target.retention_policy.as_ref().map(|rp| &*rp.name).or(defaults.rp);
                    insert(&mut places, place(db, rp, Permission::Write));
                }
                None => complete = false,
            }
        }
    });
    if nameless {
        return Need::Nothing(NO_NAME);
    }
    if complete { Need::Places(places) } else { Need::Nothing(NO_DATABASE) }
}

/// `FROM ""`
fn is_nameless(measurement: &Measurement) -> bool {
    matches!(&measurement.name, MeasurementName::Name(name) if name.name.is_empty())
}

fn of_show(show: &Show, defaults: Defaults<'_>) -> Need {
    let db = show.database.as_ref().map(|db| &*db.name).or(defaults.db);
    match show.kind {
        ShowKind::Databases => return Need::Databases,
        ShowKind::RetentionPolicies => return db.map_or(Need::Nothing(NO_DATABASE), |db| Need::RetentionPolicies(db.into())),
        ShowKind::ContinuousQueries => return Need::ContinuousQueries,
        ShowKind::Grants(ref user) => return Need::Grants(user.name.clone()),
        ShowKind::Subscriptions => return Need::Subscriptions,
        ShowKind::Users => return Need::Users,
        ShowKind::Diagnostics(_) | ShowKind::Queries | ShowKind::ShardGroups | ShowKind::Shards | ShowKind::Stats(_) => {
            return Need::Everything;
        }
        _ => {}
    }
    if show.on_all.databases {
        return Need::Everything;
    }
    if matches!(show.kind, ShowKind::Measurements | ShowKind::TagKeys | ShowKind::TagValues) && !show.on_all.retention_policies {
        // 1.x asks the whole database, whatever policies and databases their `FROM` names.
        let rp = show.retention_policy.as_ref().map(|rp| &*rp.name);
        return db.map_or(Need::Nothing(NO_DATABASE), |db| Need::Places(vec![place(db, rp, Permission::Read)]));
    }
    let here = Defaults { db, rp: show.retention_policy.as_ref().map(|rp| &*rp.name).or(defaults.rp) };
    let mut places = Vec::new();
    let mut complete = true;
    for source in &show.from {
        match source {
            Source::Measurement(measurement) => complete &= add(&mut places, measurement, here),
            Source::Subquery(_) => {}
        }
    }
    if places.is_empty() {
        match db {
            Some(db) => places.push(place(db, here.rp, Permission::Read)),
            None => complete = false,
        }
    }
    if complete { Need::Places(places) } else { Need::Nothing(NO_DATABASE) }
}

fn add(places: &mut Vec<Place>, measurement: &Measurement, defaults: Defaults<'_>) -> bool {
    let Some((db, rp)) = names(measurement, defaults) else { return false };
    insert(places, place(db, rp, Permission::Read));
    true
}

fn insert(places: &mut Vec<Place>, place: Place) {
    if !places.contains(&place) {
        places.push(place);
    }
}

fn place(db: &str, rp: Option<&str>, permission: Permission) -> Place {
    Place { db: db.into(), rp: rp.map(Into::into), permission }
}

/// Database and retention policy of a measurement; `rp` of the request counts for every database, as in 1.x.
fn names<'a>(measurement: &'a Measurement, defaults: Defaults<'a>) -> Option<(&'a str, Option<&'a str>)> {
    let db = measurement.database.as_ref().map(|db| &*db.name).or(defaults.db)?;
    let rp = measurement.retention_policy.as_ref().map(|rp| &*rp.name).or(defaults.rp);
    Some((db, rp))
}

fn each_select<'a>(select: &'a Select, visit: &mut impl FnMut(&'a Select)) {
    visit(select);
    for source in &select.from {
        if let Source::Subquery(inner) = source {
            each_select(inner, visit);
        }
    }
}

/// The bucket that a database and retention policy stand for.
pub(super) type BucketOf<'a> = dyn Fn(&str, Option<&str>) -> Option<Box<str>> + 'a;

/// Rewrites a statement's names: `bucket` says where a place is. When there is one bucket it is named with the request and nowhere else;
/// several are written `"bucket".."measurement"`.
pub(super) fn rename(kind: &mut StatementKind, defaults: Defaults<'_>, several: bool, bucket: &BucketOf<'_>) {
    let rename = Rename { several, bucket };
    match kind {
        StatementKind::Select(select) => rename.select(select, defaults),
        StatementKind::Explain(explain) => rename.select(&mut explain.select, defaults),
        StatementKind::Show(show) => {
            let (db, rp) = (show.database.take(), show.retention_policy.take());
            let here = Defaults {
                db: db.as_ref().map(|db| &*db.name).or(defaults.db),
                rp: rp.as_ref().map(|rp| &*rp.name).or(defaults.rp),
            };
            for source in &mut show.from {
                rename.source(source, here);
            }
            if let Some(measurement) = &mut show.with_measurement {
                (measurement.database, measurement.retention_policy) = (None, None);
            }
        }
        _ => {}
    }
}

struct Rename<'a> {
    several: bool,
    bucket: &'a BucketOf<'a>,
}

impl Rename<'_> {
    fn select(&self, select: &mut Select, defaults: Defaults<'_>) {
        for source in &mut select.from {
            self.source(source, defaults);
        }
        if let Some(target) = &mut select.into {
            let db = target.database.take();
            let rp = target.retention_policy.take();
            let db = db.as_ref().map(|db| &*db.name).or(defaults.db);
            let rp = rp.as_ref().map(|rp| &*rp.name).or(defaults.rp);
            target.database = db.and_then(|db| self.name(db, rp));
        }
    }

    fn source(&self, source: &mut Source, defaults: Defaults<'_>) {
        match source {
            Source::Measurement(measurement) => {
                let database = names(measurement, defaults).and_then(|(db, rp)| self.name(db, rp));
                measurement.database = database;
                measurement.retention_policy = None;
            }
            Source::Subquery(inner) => self.select(inner, defaults),
        }
    }

    fn name(&self, db: &str, rp: Option<&str>) -> Option<Ident> {
        let bucket = self.several.then(|| (self.bucket)(db, rp)).flatten()?;
        Some(Ident { name: bucket, span: Span::default() })
    }
}

/// Takes `SLIMIT` and `SOFFSET` out of a statement, for a service that doesn't know them: (`SOFFSET`, `SLIMIT`).
pub(super) fn take_series_limits(kind: &mut StatementKind) -> (u64, u64) {
    let take = |limits: &mut Limits4| (limits.soffset.take().unwrap_or(0), limits.slimit.take().unwrap_or(0));
    match kind {
        StatementKind::Select(select) => take(&mut select.limits),
        StatementKind::Show(show) => take(&mut show.limits),
        _ => (0, 0),
    }
}

/// Makes 3 Core look at all times: without a time in `WHERE` it answers these from the last day alone, and 1.x from everything.
pub(super) fn without_look_back(kind: &mut StatementKind) {
    let StatementKind::Show(show) = kind else { return };
    let looks_back = match show.kind {
        ShowKind::TagValues => true,
        ShowKind::Measurements | ShowKind::TagKeys => show.condition.is_some(),
        _ => false,
    };
    if !looks_back || show.condition.as_ref().is_some_and(mentions_time) {
        return;
    }
    let time = Expr::VarRef(VarRef { name: Ident { name: "time".into(), span: Span::default() }, cast: None });
    let zero = Expr::Literal(Literal { value: Value::Integer(0), span: Span::default() });
    let always = Expr::Binary(Box::new(Binary { op: BinaryOp::Gt, left: time, right: zero }));
    show.condition = Some(match show.condition.take() {
        None => always,
        Some(condition) => {
            let condition = Expr::Paren(Box::new(condition), Span::default());
            Expr::Binary(Box::new(Binary { op: BinaryOp::And, left: condition, right: always }))
        }
    });
}

/// Whether a condition says something about time.
pub(super) fn mentions_time(expr: &Expr) -> bool {
    match expr {
        Expr::VarRef(field) => field.name.name.eq_ignore_ascii_case("time"),
        Expr::Binary(binary) => mentions_time(&binary.left) || mentions_time(&binary.right),
        Expr::Paren(inner, _) => mentions_time(inner),
        Expr::Call(call) => call.args.iter().any(mentions_time),
        Expr::Distinct(_) | Expr::Literal(_) | Expr::Regex(_) | Expr::Wildcard(..) => false,
    }
}

/// ` FROM …` with the measurements of all `FROM`s of a statement, as they stand in the text that is sent; empty when there is a pattern
/// among them, which can be any measurement.
pub(super) fn measurements(select: &Select) -> String {
    let mut names = BTreeSet::new();
    let mut pattern = false;
    each_select(select, &mut |select| {
        for source in &select.from {
            if let Source::Measurement(measurement) = source {
                pattern |= matches!(measurement.name, MeasurementName::Regex(_));
                names.insert(measurement.to_string());
            }
        }
    });
    if pattern || names.is_empty() {
        return String::new();
    }
    format!(" FROM {}", names.into_iter().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influxql::{Limits, Params, parse};

    fn kind(text: &str) -> StatementKind {
        parse(text, &Params::default(), Limits::default()).unwrap().remove(0).kind
    }

    fn places(text: &str, db: Option<&str>, rp: Option<&str>) -> String {
        match need(&kind(text), Defaults { db, rp }) {
            Need::Places(places) => places
                .iter()
                .map(|place| {
                    let sign = if place.permission == Permission::Write { "!" } else { "" };
                    format!("{}/{}{sign}", place.db, place.rp.as_deref().unwrap_or("-"))
                })
                .collect::<Vec<_>>()
                .join(" "),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn places_of_statements() {
        for (text, db, rp, want) in [
            ("SELECT a FROM m", Some("d"), None, "d/-"),
            ("SELECT a FROM m", Some("d"), Some("r"), "d/r"),
            ("SELECT a FROM m", None, None, "Nothing(\"database name required\")"),
            ("SELECT a FROM d..m, r.m, e.s.m, m", Some("x"), None, "d/- x/r e/s x/-"),
            ("SELECT a FROM (SELECT b FROM e..m), m", Some("x"), None, "x/- e/-"),
            ("SELECT a FROM (SELECT b FROM m)", None, None, "Nothing(\"database name required\")"),
            ("SELECT a INTO t.r.n FROM m", Some("x"), None, "x/- t/r!"),
            ("SELECT a INTO n FROM m", Some("x"), None, "x/- x/-!"),
            ("EXPLAIN SELECT a FROM d..m", None, None, "d/-"),
            ("SHOW DATABASES", None, None, "Databases"),
            ("SHOW RETENTION POLICIES", None, None, "Nothing(\"database name required\")"),
            ("SHOW RETENTION POLICIES ON d", Some("x"), None, "RetentionPolicies(\"d\")"),
            ("SHOW MEASUREMENTS ON d", None, None, "d/-"),
            ("SHOW TAG KEYS FROM r.m", Some("d"), None, "d/-"),
            ("SHOW FIELD KEYS FROM r.m", Some("d"), None, "d/r"),
            ("SHOW TAG KEYS", None, None, "Nothing(\"database name required\")"),
            ("SELECT a FROM \"\"", Some("d"), None, "Nothing(\"invalid measurement\")"),
            ("SELECT a FROM (SELECT b FROM \"\")", Some("d"), None, "Nothing(\"invalid measurement\")"),
            ("SHOW USERS", None, None, "Users"),
            ("SHOW GRANTS FOR u", None, None, "Grants(\"u\")"),
            ("SHOW SHARDS", None, None, "Everything"),
            ("DROP SERIES FROM m", Some("d"), Some("r"), "Database(\"d\")"),
            ("DELETE FROM m", None, None, "Nothing(\"database not found: \")"),
            ("CREATE DATABASE x", Some("d"), None, "Everything"),
        ] {
            assert_eq!(places(text, db, rp), want, "{text}");
        }
    }

    #[test]
    fn names_become_buckets() {
        let bucket = |db: &str, rp: Option<&str>| Some(format!("{db}/{}", rp.unwrap_or("autogen")).into());
        for (text, several, want) in [
            ("SELECT a FROM x.r.m, \"x\"..n", false, "SELECT a FROM m, n"),
            ("SELECT a FROM x.r.m, n", true, "SELECT a FROM \"x/r\"..m, \"d/autogen\"..n"),
            ("SELECT a FROM (SELECT b FROM x..m WHERE \"x\" = 'x')", false, "SELECT a FROM (SELECT b FROM m WHERE x = 'x')"),
            ("SELECT a FROM x./re/", true, "SELECT a FROM \"d/x\"../re/"),
            ("SHOW TAG KEYS ON x FROM r.m", false, "SHOW TAG KEYS FROM m"),
            ("SHOW MEASUREMENTS ON x", false, "SHOW MEASUREMENTS"),
        ] {
            let mut kind = kind(text);
            rename(&mut kind, Defaults { db: Some("d"), rp: None }, several, &bucket);
            let statement = crate::influxql::Statement { kind, span: Span::default() };
            assert_eq!(statement.to_string(), want, "{text}");
        }
    }

    #[test]
    fn series_limits_are_taken_out() {
        let mut kind = kind("SELECT a FROM m GROUP BY * LIMIT 3 SLIMIT 5 SOFFSET 2");
        assert_eq!(take_series_limits(&mut kind), (2, 5));
        let statement = crate::influxql::Statement { kind, span: Span::default() };
        assert_eq!(statement.to_string(), "SELECT a FROM m GROUP BY * LIMIT 3");
    }

    #[test]
    fn lists_are_of_all_times() {
        for (text, want) in [
            ("SHOW TAG VALUES WITH KEY = host", "SHOW TAG VALUES WITH KEY = host WHERE time > 0"),
            ("SHOW TAG KEYS WHERE a = 'b' OR c = 'd'", "SHOW TAG KEYS WHERE (a = 'b' OR c = 'd') AND time > 0"),
            ("SHOW TAG KEYS", "SHOW TAG KEYS"),
            (
                "SHOW TAG VALUES WITH KEY = host WHERE time > now() - 1h",
                "SHOW TAG VALUES WITH KEY = host WHERE time > now() - 1h",
            ),
        ] {
            let mut kind = kind(text);
            without_look_back(&mut kind);
            let statement = crate::influxql::Statement { kind, span: Span::default() };
            assert_eq!(statement.to_string(), want);
        }
    }
}
