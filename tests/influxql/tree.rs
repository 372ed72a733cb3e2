//! Exact trees, spans, policies, visitors and secrets.

use v1shim::influxql::ast::*;
use v1shim::influxql::visit::{SourceMut, Visitor, walk, walk_sources_mut};
use v1shim::influxql::{Limits, Params, Span, Statement, StatementKind, Verb, is_read_only, parse, verb, verbs};

fn one(text: &str) -> Statement {
    let mut statements = parse(text, &Params::default(), Limits::default()).unwrap();
    assert_eq!(statements.len(), 1, "{text}");
    statements.remove(0)
}

fn select(text: &str) -> Select {
    match one(text).kind {
        StatementKind::Select(select) => *select,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_node_knows_where_it_stands() {
    let text = " SELECT mean( \"a b\" ) AS x , (v+1) , a.b::tag INTO d..n FROM d.\"r p\".m , /re/ , ( SELECT *::tag FROM o )\n\
                WHERE host =~ /x\\/y/ AND time > now() - 1h GROUP BY time(5m , -1m) , \"ho st\" , * , /t/ \
                ORDER BY time DESC LIMIT 5 tz('UTC') ; SHOW DATABASES -- end";
    let statements = parse(text, &Params::default(), Limits::default()).unwrap();
    let at = |span: Span| span.slice(text);
    let [first, second] = statements.as_slice() else { panic!() };
    assert!(at(first.span).starts_with("SELECT mean") && at(first.span).ends_with("tz('UTC')"));
    assert_eq!(at(second.span), "SHOW DATABASES");
    let StatementKind::Select(select) = &first.kind else { panic!() };
    assert_eq!(select.span, first.span);
    assert_eq!(at(select.fields[0].span), "mean( \"a b\" ) AS x");
    let Expr::Call(mean) = &select.fields[0].expr else { panic!() };
    assert_eq!((at(mean.span), at(mean.name.span), at(mean.args[0].span())), ("mean( \"a b\" )", "mean", "\"a b\""));
    assert_eq!(at(select.fields[0].alias.as_ref().unwrap().span), "x");
    assert_eq!(at(select.fields[1].expr.span()), "(v+1)");
    let Expr::Paren(sum, _) = &select.fields[1].expr else { panic!() };
    assert_eq!(at(sum.span()), "v+1");
    assert_eq!((at(select.fields[2].expr.span()), at(select.fields[2].span)), ("a.b", "a.b::tag"));
    assert_eq!(at(select.into.as_ref().unwrap().span), "d..n");
    let Source::Measurement(m) = &select.from[0] else { panic!() };
    assert_eq!((at(m.span), at(m.retention_policy.as_ref().unwrap().span)), ("d.\"r p\".m", "\"r p\""));
    let Source::Measurement(re) = &select.from[1] else { panic!() };
    assert_eq!(at(re.span), "/re/");
    let Source::Subquery(inner) = &select.from[2] else { panic!() };
    assert_eq!((at(inner.span), at(inner.fields[0].span)), ("SELECT *::tag FROM o", "*::tag"));
    let condition = select.condition.as_ref().unwrap();
    assert_eq!(at(condition.span()), "host =~ /x\\/y/ AND time > now() - 1h");
    let Expr::Binary(and) = condition else { panic!() };
    let Expr::Binary(matches) = &and.left else { panic!() };
    assert_eq!(at(matches.right.span()), "/x\\/y/");
    let Dimension::Time { span, offset: Some(offset), .. } = &select.group_by[0] else { panic!() };
    assert_eq!((at(*span), at(offset.span())), ("time(5m , -1m)", "-1m"));
    let Dimension::Tag(tag) = &select.group_by[1] else { panic!() };
    assert_eq!((at(tag.span), &*tag.name), ("\"ho st\"", "ho st"));
    let Dimension::Wildcard(star) = select.group_by[2] else { panic!() };
    assert_eq!(at(star), "*");
    let Dimension::Regex(t) = &select.group_by[3] else { panic!() };
    assert_eq!(at(t.span), "/t/");
    assert_eq!(at(select.order_by.unwrap().span), "ORDER BY time DESC");
    assert_eq!(at(select.timezone.as_ref().unwrap().span), "'UTC'");
}

#[test]
fn errors_know_where_they_stand() {
    // Line ends of all kinds count once, and characters count, not bytes.
    let cases = [
        ("SELECT v\nFROM m\n  WHERE ;", ";", "found ;, expected identifier, string, number, bool at line 3, char 9"),
        ("SELECT v\r\nFROM m\r\n\r\nx", "x", "found x, expected ; at line 4, char 1"),
        ("SELECT v\rFROM m x", "x", "found x, expected ; at line 2, char 8"),
        ("SELECT \"\u{e9}\u{e9}\" FROM m x", "x", "found x, expected ; at line 1, char 20"),
        ("SELECT v FROM m WHERE \u{e9}", "\u{e9}", "found \u{e9}, expected identifier, string, number, bool at line 1, char 23"),
    ];
    for (text, part, message) in cases {
        let error = parse(text, &Params::default(), Limits::default()).unwrap_err();
        assert_eq!(error.message(), message, "{text:?}");
        assert_eq!(error.span().slice(text), part, "{text:?}");
        assert_eq!(error.to_string(), format!("error parsing query: {message}"));
    }
}

#[test]
fn operators_bind_as_in_1x() {
    fn show(expr: &Expr) -> String {
        match expr {
            Expr::Binary(binary) => format!("[{} {} {}]", show(&binary.left), binary.op, show(&binary.right)),
            Expr::Paren(inner, _) => format!("({})", show(inner)),
            other => other.to_string(),
        }
    }
    let cases = [
        ("a OR b AND c = d + e * f", "[a OR [b AND [c = [d + [e * f]]]]]"),
        ("a * b + c = d AND e OR f", "[[[[[a * b] + c] = d] AND e] OR f]"),
        ("a - b - c", "[[a - b] - c]"),
        ("a - (b - c)", "[a - ([b - c])]"),
        ("a | b & c ^ d % e", "[[a | [b & c]] ^ [d % e]]"),
        ("a < b = c", "[[a < b] = c]"),
        ("-a * b", "[[-1 * a] * b]"),
        ("a * -b", "[a * [-1 * b]]"),
        ("a AND b OR c AND d OR e", "[[[a AND b] OR [c AND d]] OR e]"),
        ("h =~ /x/ AND a = 1", "[[h =~ /x/] AND [a = 1]]"),
    ];
    for (text, tree) in cases {
        let select = select(&format!("SELECT v FROM m WHERE {text}"));
        assert_eq!(show(select.condition.as_ref().unwrap()), tree, "{text}");
    }
}

#[test]
fn the_ten_verbs_are_found_wherever_they_stand() {
    let cases = [
        ("SELECT v INTO n FROM m", Verb::SelectInto),
        ("CREATE DATABASE d", Verb::Create),
        ("DELETE FROM m", Verb::Delete),
        ("DROP DATABASE d", Verb::Drop),
        ("GRANT ALL TO u", Verb::Grant),
        ("EXPLAIN SELECT v FROM m", Verb::Explain),
        ("REVOKE ALL FROM u", Verb::Revoke),
        ("ALTER RETENTION POLICY rp ON d DEFAULT", Verb::Alter),
        ("SET PASSWORD FOR u = 'p'", Verb::Set),
        ("KILL QUERY 1", Verb::Kill),
        ("SELECT v FROM (SELECT v INTO n FROM m)", Verb::SelectInto),
        ("SELECT v FROM m, (SELECT v FROM (SELECT v INTO n FROM m))", Verb::SelectInto),
    ];
    for (text, expected) in cases {
        for text in [text.to_owned(), text.to_lowercase(), text.replacen(' ', " -- c\n/* ' */\t", 1)] {
            let query = format!("SHOW DATABASES; {text} ;SELECT v FROM m");
            let statements = parse(&query, &Params::default(), Limits::default()).unwrap();
            let found: Vec<Option<Verb>> = statements.iter().map(verb).collect();
            assert_eq!(found, [None, Some(expected), None], "{query}");
            assert_eq!(is_read_only(&statements[1]), expected == Verb::Explain, "{query}");
        }
    }
    let both: Vec<Verb> = verbs(&one("EXPLAIN SELECT v FROM (SELECT v INTO n FROM m)")).collect();
    assert_eq!(both, [Verb::Explain, Verb::SelectInto]);
    assert!(!is_read_only(&one("EXPLAIN ANALYZE SELECT v INTO n FROM m")));
    for text in [
        "SELECT \"drop\" FROM \"create\"",
        "SELECT 'DROP DATABASE d' + v FROM m",
        "SHOW GRANTS FOR \"delete\"",
        "SELECT v FROM \"INTO\"",
    ] {
        assert_eq!(verb(&one(text)), None, "{text}");
        assert!(is_read_only(&one(text)));
    }
    assert_eq!(Verb::ALL.map(Verb::as_str).concat().len(), "SELECT INTOCREATEDELETEDROPGRANTEXPLAINREVOKEALTERSETKILL".len());
}

#[test]
fn passwords_are_in_no_text() {
    for text in ["CREATE USER u WITH PASSWORD 'geheim' WITH ALL PRIVILEGES", "SET PASSWORD FOR u = 'geheim'"] {
        let statement = one(text);
        for shown in [format!("{statement:?}"), format!("{statement:#?}"), statement.to_string()] {
            assert!(!shown.contains("geheim"), "{shown}");
        }
        assert!(statement.to_string().contains("[REDACTED]"));
    }
}

#[test]
fn visitors_see_everything_and_may_change_sources() {
    #[derive(Default)]
    struct Seen(Vec<String>);
    impl Visitor for Seen {
        fn measurement(&mut self, measurement: &Measurement) {
            self.0.push(measurement.to_string());
        }
        fn target(&mut self, target: &Target) {
            self.0.push(format!("INTO {target}"));
        }
        fn call(&mut self, call: &Call) {
            self.0.push(call.name.name.to_string());
        }
        fn var_ref(&mut self, var_ref: &VarRef) {
            self.0.push(var_ref.to_string());
        }
    }
    let mut statement = one("SELECT max(a) INTO n FROM (SELECT b FROM m WHERE abs(c) > 1), o GROUP BY time(1m, now())");
    let mut seen = Seen::default();
    walk(&statement, &mut seen);
    assert_eq!(seen.0, ["max", "a", "INTO n", "b", "m", "abs", "c", "o", "now"]);

    struct InDatabase;
    impl SourceMut for InDatabase {
        type Error = String;
        fn measurement(&mut self, measurement: &mut Measurement) -> Result<(), String> {
            if measurement.to_string() == "bad" {
                return Err("bad".to_owned());
            }
            measurement.database = Some(Ident { name: "my db".into(), span: measurement.span });
            Ok(())
        }
        fn target(&mut self, target: &mut Target) -> Result<(), String> {
            target.retention_policy = Some(Ident { name: "rp".into(), span: target.span });
            Ok(())
        }
    }
    walk_sources_mut(&mut statement, &mut InDatabase).unwrap();
    assert_eq!(
        statement.to_string(),
        "SELECT max(a) INTO rp.n FROM (SELECT b FROM \"my db\"..m WHERE abs(c) > 1), \"my db\"..o GROUP BY time(1m, now())"
    );
    let cases = [
        ("SHOW TAG KEYS FROM m, /n/", "SHOW TAG KEYS FROM \"my db\"..m, \"my db\"../n/"),
        ("SHOW MEASUREMENTS WITH MEASUREMENT = m", "SHOW MEASUREMENTS WITH MEASUREMENT = \"my db\"..m"),
        ("EXPLAIN SELECT v FROM m", "EXPLAIN SELECT v FROM \"my db\"..m"),
    ];
    for (text, changed) in cases {
        let mut statement = one(text);
        walk_sources_mut(&mut statement, &mut InDatabase).unwrap();
        assert_eq!(statement.to_string(), changed);
    }
    assert_eq!(walk_sources_mut(&mut one("DELETE FROM bad"), &mut InDatabase), Err("bad".to_owned()));
}
