use super::*;

fn row(database: &str, policy: &str, bucket: &str, default: bool) -> Mapping {
    Mapping { database: database.into(), retention_policy: policy.into(), bucket: bucket.into(), default, ..Mapping::default() }
}

fn shown(steps: &[Step]) -> String {
    let settings = |settings: &Settings| match settings.retention {
        Some(retention) => format!(" for {}s", retention.as_secs()),
        None => String::new(),
    };
    let steps = steps.iter().map(|step| match step {
        Step::Bucket { name, settings: of } => format!("make {name}{}", settings(of)),
        Step::Mapping { database, policy, bucket, default, needed } => {
            let (star, must) = (if *default { "*" } else { "" }, if *needed { "!" } else { "" });
            format!("map{must} {database}.{policy}{star}={bucket}")
        }
        Step::Settings { bucket, settings: of } => format!("keep {bucket}{}", settings(of)),
        Step::Default { database, policy, bucket } => format!("default {database}.{policy}={bucket}"),
        Step::DropBucket { name } => format!("drop {name}"),
        Step::DropMapping { database, policy } => format!("unmap {database}.{policy}"),
    });
    steps.collect::<Vec<_>>().join("; ")
}

#[test]
fn what_a_write_needs() {
    let there = [row("d", "week", "d/week", false)];
    for (db, rp, v2, v3) in [
        ("x", None, "x/autogen: make x/autogen; map x.autogen*=x/autogen", "x: make x"),
        ("x", Some("autogen"), "x/autogen: make x/autogen; map x.autogen*=x/autogen", "x: make x"),
        ("x", Some("default"), "x/autogen: make x/autogen; map x.autogen*=x/autogen", "x: make x"),
        (
            "x",
            Some("week"),
            "x/week: make x/autogen; map x.autogen*=x/autogen; make x/week; map x.week=x/week",
            "x/week: make x; make x/week",
        ),
        // The database is there: whether it has a default is its own business.
        ("d", Some("day"), "d/day: make d/day; map d.day=d/day", "d/day: make d/day"),
        ("d", None, "d/autogen: make d/autogen; map d.autogen*=d/autogen", "d: make d"),
        // A bucket by its own name.
        (
            "x/week",
            None,
            "x/week: make x/autogen; map x.autogen*=x/autogen; make x/week; map x.week=x/week",
            "x/week: make x; make x/week",
        ),
        ("d/autogen", None, "d/autogen: make d/autogen; map d.autogen*=d/autogen", "d: make d"),
    ] {
        for (api, expected) in [(Api::V2, v2), (Api::V3, v3)] {
            let (bucket, steps) = provide(api, db, rp, &there).unwrap();
            assert_eq!(format!("{bucket}: {}", shown(&steps)), expected, "{db} {rp:?} {api:?}");
        }
    }
    for (db, rp) in [("a/b/c", None), ("x", Some("a/b")), ("..", None), ("x", Some(".")), ("", None), ("a/", None)] {
        assert_eq!(provide(Api::V2, db, rp, &there).unwrap_err().kind(), Kind::Invalid, "{db} {rp:?}");
    }
}

fn week() -> Settings {
    Settings { retention: Some(Duration::from_secs(604_800)), shard: None }
}

#[test]
fn what_statements_need() {
    let there = [
        row("d", "autogen", "d/autogen", true),
        Mapping { retention: week().retention, ..row("d", "week", "d/week", false) },
        row("d", "shared", "metrics", false),
        row("plain", "autogen", "plain", true),
    ];
    let create = |database: &str, with| Change::CreateDatabase { database: database.into(), with };
    let policy = |database: &str, policy: &str, settings, default| Change::CreatePolicy {
        database: database.into(),
        policy: policy.into(),
        settings,
        default,
    };
    let alter =
        |policy: &str, settings, default| Change::AlterPolicy { database: "d".into(), policy: policy.into(), settings, default };
    let drop_db = |database: &str| Change::DropDatabase { database: database.into() };
    let drop = |database: &str, policy: &str| Change::DropPolicy { database: database.into(), policy: policy.into() };
    let short = Settings { retention: Some(Duration::from_secs(60)), shard: None };
    let thin = Settings { shard: Some(Duration::from_secs(700_000)), ..week() };
    let conflict = "retention policy conflicts with an existing policy";
    for (change, v2, v3) in [
        (create("x", None), "make x/autogen; map! x.autogen*=x/autogen", "make x"),
        (create("d", None), "", ""),
        (create("x", Some((None, week()))), "make x/autogen for 604800s; map! x.autogen*=x/autogen", "make x for 604800s"),
        (create("x", Some((Some("week".into()), week()))), "make x/week for 604800s; map! x.week*=x/week", "not implemented"),
        (create("d", Some((None, Settings::default()))), "", ""),
        (create("d", Some((Some("week".into()), week()))), conflict, conflict),
        (
            create("x", Some((None, short.clone()))),
            "retention policy duration must be at least",
            "retention policy duration must be",
        ),
        (
            create("x", Some((None, thin))),
            "retention policy duration must be greater",
            "retention policy duration must be greater",
        ),
        (create("a/b", None), "invalid name", "invalid name"),
        (policy("d", "day", week(), false), "make d/day for 604800s; map! d.day=d/day", "make d/day for 604800s"),
        (policy("d", "day", week(), true), "make d/day for 604800s; map! d.day*=d/day", "not implemented"),
        (policy("d", "week", week(), false), "", ""),
        (policy("d", "week", week(), true), conflict, conflict),
        // What v3 keeps isn't told.
        (policy("d", "week", Settings::default(), false), "retention policy already exists", ""),
        (policy("nosuch", "week", week(), false), "database not found: nosuch", "database not found: nosuch"),
        (alter("week", short, false), "retention policy duration must be at least", "retention policy duration must be at least"),
        (alter("autogen", week(), true), "keep d/autogen for 604800s", "not implemented"),
        (alter("week", Settings::default(), true), "default d.week=d/week", "not implemented"),
        (alter("nosuch", week(), true), "retention policy not found: nosuch", "retention policy not found: nosuch"),
        (drop_db("d"), "drop d/autogen; drop d/week; unmap d.shared", "drop d/autogen; drop d/week; unmap d.shared"),
        (drop_db("plain"), "drop plain", "drop plain"),
        (drop_db("nosuch"), "", ""),
        (drop("d", "week"), "drop d/week", "drop d/week"),
        (drop("d", "nosuch"), "", ""),
        (drop("nosuch", "week"), "database not found: nosuch", "database not found: nosuch"),
    ] {
        for (api, expected) in [(Api::V2, v2), (Api::V3, v3)] {
            match super::change(api, &change, &there) {
                Ok(steps) => assert_eq!(shown(&steps), expected, "{change:?} {api:?}"),
                Err(error) => {
                    assert!(!expected.is_empty() && error.message().starts_with(expected), "{change:?} {api:?}: {error}");
                }
            }
        }
    }
}
