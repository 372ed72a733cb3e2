use std::sync::Arc;

use super::{approve::approve, native::permit};
use crate::{
    access::{Access, Grant, Identity},
    call::{Action, Native},
    config::{Config, Policy},
    error::Kind,
    influxql::{Params, Verb},
    types::Profile,
};

fn config(profile: Profile) -> Config {
    let mut config = Config::default();
    config.compat.profile = profile;
    config
}

fn reader() -> Identity {
    let grant = |bucket: &str, read, write| Grant { bucket: bucket.into(), read, write };
    let access = Access::Grants(vec![grant("a", true, false), grant("a/week", true, false), grant("w", false, true)]);
    Identity { name: Some("tele".into()), access: Arc::new(access), forward: None }
}

/// One statement of each kind that the seed document lists.
const REFUSED: [(&str, &str); 19] = [
    ("SELECT mean(x) INTO y FROM z GROUP BY time(1m)", "SELECT INTO"),
    ("SELECT x FROM (SELECT x INTO y FROM z)", "SELECT INTO"),
    ("CREATE DATABASE x", "CREATE"),
    ("CREATE RETENTION POLICY r ON d DURATION 1h REPLICATION 1", "CREATE"),
    ("CREATE USER u WITH PASSWORD 'secret'", "CREATE"),
    ("DELETE FROM x", "DELETE"),
    ("DELETE WHERE time < now()", "DELETE"),
    ("DROP DATABASE x", "DROP"),
    ("DROP MEASUREMENT x", "DROP"),
    ("DROP SERIES FROM x", "DROP"),
    ("GRANT ALL TO u", "GRANT"),
    ("EXPLAIN SELECT x FROM y", "EXPLAIN"),
    ("EXPLAIN ANALYZE SELECT x FROM y", "EXPLAIN"),
    ("REVOKE READ ON d FROM u", "REVOKE"),
    ("ALTER RETENTION POLICY r ON d DURATION 2h", "ALTER"),
    ("SET PASSWORD FOR u = 'secret'", "SET"),
    ("KILL QUERY 1", "KILL"),
    ("DROP USER u", "DROP"),
    ("CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(x) INTO y FROM z GROUP BY time(1m) END", "CREATE"),
];

#[test]
fn refused_statements_stop_the_whole_query() {
    let config = config(Profile::Serverless);
    let all = Identity::unrestricted(None);
    for (statement, verb) in REFUSED {
        for (q, index) in [
            (statement.to_owned(), 0),
            (swap_case(statement), 0),
            (format!("-- SHOW DATABASES\n{statement}"), 0),
            (format!("/* SELECT 1 */ {statement} -- end"), 0),
            // Directly behind SELECT, 1.x reads `/**/` as a regular expression.
            (statement.replacen(' ', " -- c\n\t", 1), 0),
            (statement.replace("DATABASE x", "DATABASE/* c */x").replace(" INTO ", "/* c */INTO\n"), 0),
            (format!(";;{statement};"), 0),
            (format!("SHOW DATABASES; SELECT x FROM y; {statement}; SHOW MEASUREMENTS"), 2),
        ] {
            let error = approve(&q, &Params::default(), &all, &config).expect_err(&q);
            assert_eq!((error.kind(), error.statement()), (Kind::Invalid, Some(index)), "{q}");
            let message = error.message();
            assert!(message.starts_with(&format!("statement {}: {verb} is not supported here", index + 1)), "{message}");
            assert!(!message.contains("secret"));
        }
    }
}

/// Keywords in the other case; strings and names are all in lower case anyway.
fn swap_case(text: &str) -> String {
    text.chars().map(|c| if c.is_uppercase() { c.to_ascii_lowercase() } else { c }).collect()
}

#[test]
fn what_only_looks_like_it_runs() {
    for profile in [Profile::Serverless, Profile::V1] {
        for (q, count) in [
            ("SELECT \"drop\" FROM \"create\"", 1),
            ("SELECT x FROM y WHERE z = 'DROP DATABASE x; DELETE FROM y'", 1),
            ("SELECT x FROM y -- DROP DATABASE x", 1),
            ("SELECT \"into\" FROM \"select x into y from z\"; SHOW DATABASES", 2),
            ("SELECT x FROM /drop/", 1),
            ("SHOW TAG VALUES WITH KEY = \"delete\";", 1),
        ] {
            let approved =
                approve(q, &Params::default(), &reader(), &config(profile)).unwrap_or_else(|error| panic!("{q}: {error}"));
            assert_eq!(approved.0.len(), count, "{q}");
            assert!(approved.0.iter().all(|statement| statement.action == Action::Forward));
        }
    }
}

#[test]
fn v1_answers_every_statement_and_runs_none() {
    let q = "SHOW DATABASES; DROP DATABASE x; SELECT x FROM y; CREATE DATABASE y";
    let approved = approve(q, &Params::default(), &Identity::unrestricted(None), &config(Profile::V1)).unwrap();
    let texts: Vec<_> = approved
        .0
        .iter()
        .map(|statement| match &statement.action {
            Action::Refuse(text) => &**text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((texts[0], texts[2]), ("not executed", "not executed"));
    assert!(texts[1].starts_with("statement 2: DROP is not supported here: manage buckets"));
    assert!(texts[3].starts_with("statement 4: CREATE is not supported here"));
    // EXPLAIN is forwarded there, but not what it hides.
    let all = Identity::unrestricted(None);
    let action = |q| approve(q, &Params::default(), &all, &config(Profile::V1)).unwrap().0[0].action.clone();
    assert_eq!(action("EXPLAIN SELECT x FROM y"), Action::Forward);
    assert!(matches!(action("EXPLAIN SELECT x INTO z FROM y"), Action::Refuse(text) if text.contains("SELECT INTO")));
}

#[test]
fn mistakes_of_meaning_are_their_statements() {
    let twice = "SELECT mean(x) FROM y GROUP BY time(1m), time(5m)";
    let q = format!("SELECT x FROM y; {twice}; SELECT x FROM y; SELECT mean(x) FROM y GROUP BY time; EXPLAIN {twice}");
    let fails = |text: &str| Action::Fail(text.into());
    let approved = approve(&q, &Params::default(), &reader(), &config(Profile::V1)).unwrap();
    let actions: Vec<_> = approved.0.iter().map(|statement| statement.action.clone()).collect();
    let multiple = "multiple time dimensions not allowed";
    let time = "time() is a function and expects at least one argument";
    assert_eq!(actions, [Action::Forward, fails(multiple), Action::Forward, fails(time), fails(multiple)]);
    // What is refused is refused all the same, and mistakes of grammar come first.
    for profile in [Profile::Serverless, Profile::V1] {
        let all = Identity::unrestricted(None);
        let judge = |q: &str| approve(q, &Params::default(), &all, &config(profile));
        assert_eq!(judge(twice).unwrap().0[0].action, fails(multiple));
        let error = judge(&format!("{twice}; SELECT mean(x FROM y")).unwrap_err();
        assert!(error.message().starts_with("error parsing query: found FROM"), "{error}");
        match judge(&format!("{twice}; DROP DATABASE x")) {
            Err(error) => assert_eq!(error.statement(), Some(1)),
            Ok(approved) => assert_eq!(approved.0[0].action, Action::Refuse("not executed".into())),
        }
    }
}

#[test]
fn policies_per_verb() {
    for profile in [Profile::Serverless, Profile::V1] {
        for verb in Verb::ALL {
            for (statement, _) in REFUSED.iter().filter(|(_, name)| *name == verb.as_str()) {
                let mut config = config(profile);
                for (policy, action) in [(Policy::Ack, Action::Ack), (Policy::Forward, Action::Forward)] {
                    let guard = &mut config.guard;
                    let slot = match verb {
                        Verb::SelectInto => &mut guard.select_into,
                        Verb::Create => &mut guard.create,
                        Verb::Delete => &mut guard.delete,
                        Verb::Drop => &mut guard.drop,
                        Verb::Grant => &mut guard.grant,
                        Verb::Explain => &mut guard.explain,
                        Verb::Revoke => &mut guard.revoke,
                        Verb::Alter => &mut guard.alter,
                        Verb::Set => &mut guard.set,
                        Verb::Kill => &mut guard.kill,
                    };
                    *slot = Some(policy);
                    let all = Identity::unrestricted(None);
                    let approved = approve(statement, &Params::default(), &all, &config).unwrap();
                    assert_eq!(approved.0[0].action, action, "{statement}");
                    // What changes more than what is in buckets is for all-access; the others are judged where buckets are known.
                    let some = approve(statement, &Params::default(), &reader(), &config);
                    let in_buckets = ["SELECT", "EXPLAIN", "DELETE", "DROP MEASUREMENT", "DROP SERIES"];
                    let in_buckets = in_buckets.iter().any(|start| statement.starts_with(start));
                    assert_eq!(some.is_ok(), policy == Policy::Ack || in_buckets, "{statement}");
                }
            }
        }
    }
}

#[test]
fn mistakes() {
    for profile in [Profile::Serverless, Profile::V1] {
        let mut config = config(profile);
        config.limits.query = 200;
        config.limits.query_depth = 10;
        let deep = format!("SELECT {}x{} FROM y", "(".repeat(50), ")".repeat(50));
        let long = format!("SELECT x FROM y -- {}", "x".repeat(200));
        for (q, message) in [
            (";", "missing required parameter \"q\""),
            ("-- nothing", "missing required parameter \"q\""),
            ("SELECT x", "error parsing query: found EOF, expected FROM at line 1, char 10"),
            ("SHOW DATABASES; SELEC", "error parsing query: found SELEC, expected SELECT"),
            (&deep, "error parsing query: "),
            (&long, "error parsing query: query is too long"),
        ] {
            let error = approve(q, &Params::default(), &reader(), &config).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(error.message().starts_with(message), "{q}: {error}");
        }
    }
}

#[test]
fn what_is_no_buckets_needs_all_access() {
    let config = config(Profile::V1);
    for q in
        ["SHOW USERS", "SHOW GRANTS FOR u", "SHOW STATS", "SHOW DIAGNOSTICS", "SHOW SHARDS", "SHOW QUERIES", "SHOW SUBSCRIPTIONS"]
    {
        let error = approve(&format!("SHOW DATABASES;{q}"), &Params::default(), &reader(), &config).unwrap_err();
        assert_eq!((error.kind(), error.statement()), (Kind::Forbidden, Some(1)), "{q}");
        assert!(error.message().starts_with("error authorizing query: tele not authorized to execute statement 'SHOW "));
        assert!(approve(q, &Params::default(), &Identity::unrestricted(None), &config).is_ok());
    }
}

#[test]
fn native_paths() {
    let query = |bucket: Option<&str>, q: &str| Native::Query {
        bucket: bucket.map(Into::into),
        q: Some(q.into()),
        params: Params::default(),
    };
    let write = |bucket: Option<&str>| Native::Write { bucket: bucket.map(Into::into) };
    let config = config(Profile::V1);
    for (native, all, some) in [
        (Native::Open, None, None),
        (Native::Other, None, Some(Kind::Forbidden)),
        (write(Some("w")), None, None),
        (write(Some("a")), None, Some(Kind::Forbidden)),
        (write(None), None, Some(Kind::Forbidden)),
        (query(Some("a"), "SELECT x FROM y"), None, None),
        (query(Some("a"), "SHOW TAG KEYS FROM y"), None, None),
        (query(Some("w"), "SELECT x FROM y"), None, Some(Kind::Forbidden)),
        (query(None, "SELECT x FROM a..y"), None, None),
        (query(None, "SELECT x FROM a.week.y"), None, None),
        (query(Some("a"), "SELECT x FROM week.y"), None, None),
        (query(Some("a"), "SELECT x FROM a.day.y"), None, Some(Kind::Forbidden)),
        (query(Some("a"), "SELECT x FROM y, w..y"), None, Some(Kind::Forbidden)),
        (query(Some("a"), "SELECT x FROM (SELECT x FROM w..y)"), None, Some(Kind::Forbidden)),
        (query(Some("a"), "SHOW MEASUREMENTS ON w"), None, Some(Kind::Forbidden)),
        (query(Some("a"), "SHOW MEASUREMENTS ON a"), None, None),
        (query(None, "SHOW DATABASES"), None, Some(Kind::Forbidden)),
        (query(Some("a"), "SHOW DATABASES"), None, Some(Kind::Forbidden)),
        (query(Some("a"), "SHOW TAG KEYS FROM w..y"), None, Some(Kind::Forbidden)),
        (query(Some("w"), "SHOW TAG KEYS FROM a..y"), None, Some(Kind::Forbidden)),
        (query(Some("a"), "DROP MEASUREMENT y"), Some(Kind::Invalid), Some(Kind::Invalid)),
        (query(Some("a"), "SELECT x INTO z FROM y"), Some(Kind::Invalid), Some(Kind::Invalid)),
        (query(Some("a"), "garbage"), Some(Kind::Invalid), Some(Kind::Invalid)),
        (Native::Query { bucket: None, q: None, params: Params::default() }, None, None),
    ] {
        let kind = |identity: &Identity| permit(&native, "/x", identity, &config).err().map(|error| error.kind());
        assert_eq!((kind(&Identity::unrestricted(None)), kind(&reader())), (all, some), "{native:?}");
    }
    // Where it is forwarded, changing what is in a bucket needs write there.
    let mut forward = config.clone();
    (forward.guard.drop, forward.guard.delete, forward.guard.select_into) =
        (Some(Policy::Forward), Some(Policy::Forward), Some(Policy::Forward));
    for (bucket, q, allowed) in [
        (Some("w"), "DROP MEASUREMENT y", true),
        (Some("a"), "DROP MEASUREMENT y", false),
        (None, "DROP MEASUREMENT y", false),
        (Some("w"), "DELETE WHERE time < 1", true),
        (Some("a"), "DROP SERIES FROM y", false),
        (Some("w"), "DROP DATABASE w", false),
        (Some("a"), "SELECT x INTO w..z FROM y", true),
        (Some("a"), "SELECT x INTO z FROM y", false),
        (Some("w"), "SELECT x INTO z FROM y", false),
        (Some("w"), "SELECT x INTO z FROM a..y", true),
    ] {
        let native = query(bucket, q);
        assert_eq!(permit(&native, "/x", &reader(), &forward).is_ok(), allowed, "{native:?}");
        assert!(permit(&native, "/x", &Identity::unrestricted(None), &forward).is_ok());
    }
    // There is no v1 answer to give: success that was none would be a lie.
    let mut config = config;
    config.guard.create = Some(Policy::Ack);
    let error = permit(&query(Some("a"), "CREATE DATABASE x"), "/x", &Identity::unrestricted(None), &config).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}
