//! Text meant to break a parser.

use std::time::{Duration, Instant};

use v1shim::influxql::ast::{Expr, StatementKind};
use v1shim::influxql::visit::{Visitor, walk};
use v1shim::influxql::{Error, Limits, Params, Statement, parse, validate, verbs};

const MIB: usize = 1 << 20;

/// Runs everything that recurses, on a thread with the stack that threads have by default.
fn everything(text: String) -> Result<usize, Error> {
    struct Count(usize);
    impl Visitor for Count {
        fn expr(&mut self, _: &Expr) {
            self.0 += 1;
        }
    }
    let run = move || {
        let statements = parse(&text, &Params::default(), Limits { max_len: 2 * MIB, ..Limits::default() })?;
        let copy = statements.clone();
        assert_eq!(copy, statements);
        let mut count = Count(0);
        for statement in &statements {
            let _ = validate(statement);
            assert!(verbs(statement).count() < 3);
            let printed = statement.to_string();
            let again = parse(&printed, &Params::default(), Limits { max_len: 4 * MIB, ..Limits::default() })?;
            assert_eq!(again.len(), 1);
            assert!(!format!("{statement:?}").is_empty());
            walk(statement, &mut count);
        }
        drop(copy);
        Ok(count.0)
    };
    std::thread::Builder::new().stack_size(2 * MIB).spawn(run).unwrap().join().unwrap()
}

fn repeated(head: &str, part: &str, tail: &str) -> String {
    filled(MIB, head, part, tail)
}

fn filled(size: usize, head: &str, part: &str, tail: &str) -> String {
    let count = (size - head.len() - tail.len()) / part.len();
    format!("{head}{}{tail}", part.repeat(count))
}

#[test]
fn a_megabyte_of_conditions_is_parsed_printed_walked_and_dropped() {
    for op in ["AND", "OR"] {
        let text = repeated("SELECT v FROM m WHERE a = 1", &format!(" {op} a = 1"), "");
        assert!(everything(text).unwrap() > 250_000);
    }
    let text = filled(MIB / 4, "SELECT v FROM m WHERE a = 1", " OR a = 1 AND b = 2", "");
    assert!(everything(text).unwrap() > 40_000);
    let text = filled(MIB / 4, "SELECT v FROM m WHERE (a = 1", " OR (a = 1 AND b = 2)", ")");
    assert!(everything(text).unwrap() > 40_000);
}

#[test]
fn long_lists_are_no_problem() {
    let repeated = |head, part, tail| filled(MIB / 8, head, part, tail);
    assert!(everything(repeated("SELECT v", ",v", " FROM m")).is_ok());
    assert!(everything(repeated("SELECT v FROM m", ",m", "")).is_ok());
    assert!(everything(repeated("SELECT v FROM m GROUP BY t", ",t", "")).is_ok());
    assert!(everything(repeated("SELECT f(v", ",v", ") FROM m")).is_ok());
    assert!(everything(repeated("SHOW TAG VALUES WITH KEY IN (k", ",k", ")")).is_ok());
    assert!(everything(repeated("SHOW DATABASES", ";", "")).is_ok());
    assert!(everything(repeated("", "SHOW USERS;", "")).is_ok());
    assert!(everything(repeated("SELECT v FROM m WHERE s = '", "\\'", "'")).is_ok());
    assert!(everything(repeated("SELECT v FROM m WHERE s =~ /", "\\/", "/")).is_ok());
    assert!(everything(repeated("SELECT v FROM m;", " /**/", "")).is_ok());
    assert!(everything(repeated("SELECT v FROM m", "\n--", "")).is_ok());
    assert!(everything(repeated("SELECT ", "v", " FROM m")).is_ok());
}

#[test]
fn what_would_make_a_deep_tree_is_refused() {
    let cases = [
        (repeated("SELECT ", "(", ""), "query is nested too deeply: at most 64 levels are allowed at line 1, char 72"),
        (repeated("SELECT ", "f(", ""), "query is nested too deeply: at most 64 levels are allowed at line 1, char 136"),
        (
            repeated("SELECT v", " FROM (SELECT v", ""),
            "query is nested too deeply: at most 64 levels are allowed at line 1, char 975",
        ),
        (repeated("SELECT v", "+v", " FROM m"), "expression has too many operators in a row at line 1, char 807"),
        (repeated("SELECT v FROM m WHERE v", "=v", ""), "expression has too many operators in a row at line 1, char 822"),
        (repeated("SELECT ", "-(", ""), "query is nested too deeply: at most 64 levels are allowed at line 1, char 137"),
        (repeated("SELECT ", "-", ""), "found EOF, expected identifier, string, number, bool at line 1, char 1048578"),
        (repeated("SELECT a", ".a", " FROM m"), "too many segments in "),
    ];
    for (text, message) in cases {
        let start: String = text.chars().take(30).collect();
        let error = everything(text).unwrap_err();
        assert!(error.message().starts_with(message), "{start}: {}", error.message().chars().take(200).collect::<String>());
    }
}

#[test]
fn the_deepest_that_is_accepted_is_no_problem_either() {
    let text = format!("SELECT {}v{} FROM m", "(".repeat(64), ")".repeat(64));
    assert!(everything(text).is_ok());
    let text = format!("SELECT {}v{} FROM m", "-abs(1*2+v|".repeat(60), ")".repeat(60));
    assert!(everything(text).is_ok());
    let text = format!("SELECT v FROM m WHERE {}v = 1{}", "(a = 1 OR b = 2 AND c = 3 + 4 * ".repeat(63), ")".repeat(63));
    assert!(everything(text).is_ok());
    let text = format!("{}SELECT v FROM m{}", "SELECT v FROM (".repeat(64), ")".repeat(64));
    assert!(everything(text).is_ok());
    let text = format!("SELECT v{} FROM m", "+v".repeat(399));
    assert!(everything(text).is_ok());
    let text = format!("SELECT {}v{}{} FROM m", "(v+".repeat(63), "*v".repeat(270), ")".repeat(63));
    assert!(everything(text).is_ok());
}

#[test]
fn the_length_is_bounded() {
    let limits = Limits { max_len: 20, ..Limits::default() };
    let error = parse("SELECT value FROM cpu", &Params::default(), limits).unwrap_err();
    assert_eq!(error.message(), "query is too long: 21 bytes, at most 20 are allowed");
    assert!(parse("SELECT value FROM cp", &Params::default(), limits).is_ok());
}

#[test]
fn time_grows_with_the_length_and_not_faster() {
    let parts = [
        " AND a = 1",
        " OR x =~ /a\\/b/",
        "-- c\n",
        "/* c */",
        " ",
        "\u{e9}",
        "'",
        "\"",
        "$",
        "$p",
        "/",
        "a.",
        "1.",
        "\\",
        "(",
        "=",
        ";",
    ];
    for part in parts {
        let time = |bytes: usize| {
            let text = format!("SELECT v FROM m WHERE a = 1{}", part.repeat(bytes / part.len()));
            let params: Params =
                (0..10_000).map(|n| (format!("p{n}").into(), v1shim::influxql::Param::Identifier("x".into()))).collect();
            let start = Instant::now();
            let _ = parse(&text, &params, Limits::default());
            start.elapsed()
        };
        // Debug builds on busy machines: what must not happen is minutes.
        assert!(time(MIB / 4) < Duration::from_secs(5), "{part:?}");
    }
}

#[test]
fn chains_keep_their_order_and_short_ones_lean_left_as_in_1x() {
    fn operands(expr: &Expr, into: &mut Vec<String>) -> usize {
        match expr {
            Expr::Binary(binary) if binary.op.precedence() < 3 => {
                let left = operands(&binary.left, into);
                1 + left.max(operands(&binary.right, into))
            }
            other => {
                into.push(other.to_string());
                0
            }
        }
    }
    for (count, depth) in [(2, 1), (32, 31), (33, 6), (1000, 10)] {
        let conditions: Vec<String> = (0..count).map(|n| format!("a = {n}")).collect();
        let text = format!("SELECT v FROM m WHERE {}", conditions.join(" OR "));
        let statements = parse(&text, &Params::default(), Limits::default()).unwrap();
        let [Statement { kind: StatementKind::Select(select), .. }] = statements.as_slice() else { panic!("{text}") };
        let mut found = Vec::new();
        assert_eq!(operands(select.condition.as_ref().unwrap(), &mut found), depth, "{count}");
        assert_eq!(found, conditions);
        assert_eq!(statements[0].to_string(), text);
    }
}
