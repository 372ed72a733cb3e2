use super::*;
use crate::influxql::{self, Limits, Params, StatementKind, ast::Expr};

fn condition(text: &str) -> Expr {
    let statement = influxql::parse(&format!("DELETE WHERE {text}"), &Params::default(), Limits::default()).unwrap().remove(0);
    let StatementKind::Delete(selection) = statement.kind else { panic!() };
    selection.condition.unwrap()
}

fn predicate(text: &str) -> Result<Predicate, String> {
    Predicate::new(&condition(text), &|name| name == "f").map_err(|error| error.to_string())
}

#[test]
fn conditions_hold_for_series() {
    let keys: Vec<Box<str>> = ["host", "rack", "region"].map(Into::into).to_vec();
    let values: Vec<Box<str>> = ["a", "", "eu"].map(Into::into).to_vec();
    for (text, holds) in [
        ("host = 'a'", true),
        ("'a' = host", true),
        ("host = 'b'", false),
        ("host != 'b'", true),
        ("host = 'a' AND region = 'us'", false),
        ("host = 'b' OR region = 'eu'", true),
        ("host = 'b' OR region = 'us' OR rack = ''", true),
        ("(host = 'a' OR host = 'b') AND (region = 'eu')", true),
        ("rack = ''", true),
        ("nosuch = ''", true),
        ("nosuch = 'a'", false),
        ("host =~ /^[ab]$/", true),
        ("host !~ /^[ab]$/", false),
        ("rack !~ /./", true),
        ("host = region", false),
        ("host != region", true),
        ("host::tag = 'a'", true),
        ("host > 'A'", false),
        ("true", true),
        ("false", false),
    ] {
        let predicate = predicate(text).unwrap();
        assert_eq!(predicate.holds(&keys, &values), holds, "{text}");
        let mut bytes = Vec::new();
        predicate.encode(&mut bytes);
        let again = Predicate::decode(&mut crate::embedded::batch::Input(&bytes)).unwrap();
        assert_eq!((format!("{again:?}"), again.holds(&keys, &values)), (format!("{predicate:?}"), holds), "{text}");
    }
    for text in ["f = 1", "host = 1", "f = 'a'", "host = 'a' AND f > 2", "host + 1 = 2", "host::field = 'a'", "1 = 1"] {
        assert_eq!(predicate(text).unwrap_err(), "fields not supported in WHERE clause during deletion", "{text}");
    }
}

#[test]
fn entries_survive_the_log_and_everything_that_was_cut_or_flipped() {
    let pattern = crate::embedded::query::compile_pattern("^c.*").unwrap();
    let delete = Delete {
        bucket: 300,
        tables: vec![TableName::Name("m".into()), TableName::Pattern("^c.*".into(), pattern)],
        tombstone: std::sync::Arc::new(Tombstone {
            time: i64::MIN..=-5,
            series: Some(predicate("host =~ /^[ab]/ AND (rack != 'é' OR host = region)").unwrap()),
        }),
    };
    for entry in [Entry::Delete(delete), Entry::Forget(Forget { bucket: 7, table: "odd name".into() })] {
        let mut bytes = Vec::new();
        let kind = entry.encode(&mut bytes);
        assert_eq!(format!("{:?}", Entry::decode(kind, &bytes).unwrap()), format!("{entry:?}"));
        for end in 0..bytes.len() {
            assert!(Entry::decode(kind, &bytes[..end]).is_err());
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let _ = Entry::decode(kind, &bytes);
            }
        }
        assert!(Entry::decode(99, &bytes).is_err());
    }
}
