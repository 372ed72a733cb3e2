//! Trees that are printed and parsed again are the same, spans aside.

use proptest::prelude::*;
use v1shim::influxql::ast::*;
use v1shim::influxql::{Limits, Params, Span, Statement, StatementKind, parse};

const NOWHERE: Span = Span { start: 0, end: 0 };

/// The tree without its spans.
fn bare(statement: &Statement) -> String {
    let spans = regex::Regex::new(r"Span \{ start: \d+, end: \d+ \}").unwrap();
    spans.replace_all(&format!("{statement:?}"), "_").into_owned()
}

fn ident(name: impl Into<Box<str>>) -> Ident {
    Ident { name: name.into(), span: NOWHERE }
}

fn name() -> BoxedStrategy<Ident> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,6}",
        // Whatever can be quoted; a carriage return can't.
        "[^\r\u{0}]{1,6}",
        prop::sample::select(vec!["select", "FROM", "time", "fill", "tz", "past", "a.b", "a\"b", "a\\", "'", "\n"])
            .prop_map(str::to_owned),
    ]
    .prop_map(ident)
    .boxed()
}

fn pattern() -> BoxedStrategy<RegexLit> {
    "([a-z/.]|\\\\[./\\\\d]|[\\[]a/-z\\]|\\(a\\|b\\)){0,6}"
        .prop_map(|pattern| RegexLit { pattern: pattern.into(), span: NOWHERE })
        .prop_filter("ends with an escaped backslash, which has another spelling", |regex| !regex.pattern.ends_with('\\'))
        .boxed()
}

fn literal() -> BoxedStrategy<Expr> {
    prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Duration),
        (-1_000i64..1_000).prop_map(|n| Value::Duration(n * 60_000_000_000)),
        (-1e20..1e20).prop_map(Value::Float),
        any::<i64>().prop_map(Value::Integer),
        "[^\r\u{0}]{0,8}".prop_map(|text| Value::String(text.into())),
        (i64::MAX as u64 + 1..).prop_map(Value::Unsigned),
    ]
    // The least duration has no positive counterpart, so it can't be written.
    .prop_filter("too small", |value| *value != Value::Duration(i64::MIN))
    .prop_map(|value| Expr::Literal(Literal { value, span: NOWHERE }))
    .boxed()
}

fn var_ref() -> BoxedStrategy<Expr> {
    let casts = vec![Cast::Boolean, Cast::Field, Cast::Float, Cast::Integer, Cast::String, Cast::Tag, Cast::Unsigned];
    (name(), prop::option::of(prop::sample::select(casts))).prop_map(|(name, cast)| Expr::VarRef(VarRef { name, cast })).boxed()
}

const ARITHMETIC: [BinaryOp; 8] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::Mod,
    BinaryOp::BitAnd,
    BinaryOp::BitOr,
    BinaryOp::BitXor,
];
const LOGIC: [BinaryOp; 8] =
    [BinaryOp::And, BinaryOp::Or, BinaryOp::Eq, BinaryOp::NotEq, BinaryOp::Lt, BinaryOp::LtEq, BinaryOp::Gt, BinaryOp::GtEq];

/// An operand as the parser would have it: in parentheses where it needs them.
fn operand(expr: Expr, min: u8) -> Expr {
    match &expr {
        Expr::Binary(binary) if binary.op.precedence() < min => Expr::Paren(Box::new(expr), NOWHERE),
        _ => expr,
    }
}

fn expr(ops: &'static [BinaryOp]) -> BoxedStrategy<Expr> {
    let leaf =
        prop_oneof![literal(), var_ref(), name().prop_map(Expr::Distinct), Just(Expr::Wildcard(WildcardKind::Tags, NOWHERE))];
    leaf.prop_recursive(5, 24, 3, move |inner| {
        prop_oneof![
            (prop::sample::select(ops), inner.clone(), inner.clone()).prop_map(|(op, left, right)| {
                let (left, right) = (operand(left, op.precedence()), operand(right, op.precedence() + 1));
                Expr::Binary(Box::new(Binary { op, left, right }))
            }),
            ("[a-z_][a-z_]{0,5}x", prop::collection::vec(prop_oneof![inner.clone(), pattern().prop_map(Expr::Regex)], 0..3))
                .prop_map(|(name, args)| Expr::Call(Call { name: ident(name), args, span: NOWHERE })),
            inner.prop_map(|inner| Expr::Paren(Box::new(inner), NOWHERE)),
            var_ref().prop_map(|right| {
                let left = Expr::Literal(Literal { value: Value::Integer(-1), span: NOWHERE });
                Expr::Binary(Box::new(Binary { op: BinaryOp::Mul, left, right }))
            }),
        ]
    })
    .boxed()
}

fn condition() -> BoxedStrategy<Expr> {
    let regex = (var_ref(), any::<bool>(), pattern()).prop_map(|(left, eq, regex)| {
        let op = if eq { BinaryOp::EqRegex } else { BinaryOp::NotEqRegex };
        Expr::Binary(Box::new(Binary { op, left, right: Expr::Regex(regex) }))
    });
    prop_oneof![3 => expr(&LOGIC), 1 => regex].boxed()
}

fn measurement() -> BoxedStrategy<Measurement> {
    let name = prop_oneof![3 => name().prop_map(MeasurementName::Name), 1 => pattern().prop_map(MeasurementName::Regex)];
    (prop::option::of(name_of_db()), prop::option::of(name_of_db()), name)
        .prop_map(|(database, retention_policy, name)| Measurement { database, retention_policy, name, span: NOWHERE })
        .boxed()
}

fn name_of_db() -> BoxedStrategy<Ident> {
    name().boxed()
}

fn dimension() -> BoxedStrategy<Dimension> {
    prop_oneof![
        name().prop_filter("a function", |name| !name.name.eq_ignore_ascii_case("time")).prop_map(Dimension::Tag),
        Just(Dimension::Wildcard(NOWHERE)),
        pattern().prop_map(Dimension::Regex),
    ]
    .boxed()
}

fn windows() -> BoxedStrategy<Vec<Dimension>> {
    let offset = prop_oneof![
        (-90i64..90).prop_map(|n| Expr::Literal(Literal { value: Value::Duration(n * 1_000_000_000), span: NOWHERE })),
        Just(Expr::Call(Call { name: ident("now"), args: Vec::new(), span: NOWHERE })),
        Just(Expr::Literal(Literal { value: Value::String("2018-01-01".into()), span: NOWHERE })),
    ];
    let time = (1i64..10_000, prop::option::of(offset)).prop_map(|(n, offset)| Dimension::Time {
        interval: n * 1_000_000,
        offset,
        span: NOWHERE,
    });
    (prop::option::of(time), prop::collection::vec(dimension(), 0..3))
        .prop_map(|(time, others)| time.into_iter().chain(others).collect())
        .boxed()
}

fn fill() -> BoxedStrategy<Fill> {
    prop_oneof![
        Just(Fill::Default),
        Just(Fill::Null),
        Just(Fill::None),
        Just(Fill::Previous),
        Just(Fill::Linear),
        any::<i64>().prop_map(|n| Fill::Number(Number::Integer(n))),
        (-1e9..1e9).prop_map(|n| Fill::Number(Number::Float(n))),
    ]
    .boxed()
}

fn flat_select() -> BoxedStrategy<Select> {
    let field = (prop_oneof![4 => expr(&ARITHMETIC), 1 => pattern().prop_map(Expr::Regex)], prop::option::of(name()))
        .prop_map(|(expr, alias)| Field { expr, alias, span: NOWHERE });
    let target = (prop::option::of(name()), name(), prop::option::of(name())).prop_map(|(database, policy, name)| Target {
        database,
        retention_policy: Some(policy),
        name,
        span: NOWHERE,
    });
    let number = || prop::option::of(0..=i64::MAX as u64);
    let limits = (number(), number(), number(), number()).prop_map(|(limit, offset, slimit, soffset)| Limits4 {
        limit,
        offset,
        slimit,
        soffset,
    });
    let order = prop::option::of(any::<bool>().prop_map(|descending| OrderBy { descending, span: NOWHERE }));
    let zone = prop::option::of(prop::sample::select(vec!["UTC", "Europe/Berlin", ""]).prop_map(ident));
    let clauses = (prop::option::of(condition()), windows(), fill(), order, limits, zone);
    let flat =
        (prop::collection::vec(field, 1..4), prop::option::of(target), prop::collection::vec(measurement(), 1..3), clauses);
    flat.prop_map(|(fields, into, from, (condition, group_by, fill, order_by, limits, timezone))| Select {
        fields,
        into,
        from: from.into_iter().map(Source::Measurement).collect(),
        condition,
        group_by,
        fill,
        order_by,
        limits,
        timezone,
        span: NOWHERE,
    })
    .boxed()
}

fn select() -> BoxedStrategy<Select> {
    (flat_select(), prop::option::of(flat_select()))
        .prop_map(|(mut outer, inner)| {
            outer.from.extend(inner.map(|inner| Source::Subquery(Box::new(inner))));
            outer
        })
        .boxed()
}

fn statement() -> BoxedStrategy<Statement> {
    let kind = prop_oneof![
        4 => select().prop_map(|select| StatementKind::Select(Box::new(select))),
        1 => (any::<bool>(), select()).prop_map(|(analyze, select)| StatementKind::Explain(Box::new(Explain { analyze, select }))),
        1 => (prop::collection::vec(measurement(), 1..3), prop::option::of(condition())).prop_map(|(mut from, condition)| {
            for measurement in &mut from {
                (measurement.database, measurement.retention_policy) = (None, None);
            }
            StatementKind::Delete(SeriesSelection { from, condition })
        }),
        1 => name().prop_map(StatementKind::DropMeasurement),
        1 => (name(), name()).prop_map(|(name, database)| StatementKind::DropRetentionPolicy(NamedOn { name, database })),
    ];
    kind.prop_map(|kind| Statement { kind, span: NOWHERE }).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn printed_trees_parse_to_themselves(statement in statement()) {
        let text = statement.to_string();
        let parsed = parse(&text, &Params::default(), Limits::default());
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return Err(TestCaseError::fail(format!("{text}\n{error}"))),
        };
        prop_assert_eq!(parsed.len(), 1, "{}", text);
        prop_assert_eq!(bare(&parsed[0]), bare(&statement), "{}", text);
        prop_assert_eq!(parsed[0].span, Span::new(0, u32::try_from(text.len()).unwrap()));
    }

    #[test]
    fn soups_of_tokens_never_panic_and_what_is_accepted_prints_to_itself(
        soup in prop::collection::vec(prop::sample::select(TOKENS), 0..40),
        spaced in any::<bool>(),
    ) {
        let text = format!("SELECT {}", soup.join(if spaced { " " } else { "" }));
        for text in [text.as_str(), &text[7..]] {
            check(text)?;
        }
    }

    #[test]
    fn any_text_at_all_never_panics(text in "\\PC{0,60}", from in 0usize..60) {
        check(&text)?;
        check(&format!("SELECT v FROM m WHERE {text}"))?;
        let head: String = text.chars().take(from).collect();
        check(&format!("{head}\0\r\n{text}'"))?;
    }
}

/// Accepted text prints to text that is the same tree; refused text has a message and a span within the text.
fn check(text: &str) -> Result<(), TestCaseError> {
    match parse(text, &Params::default(), Limits::default()) {
        Ok(statements) => {
            for statement in &statements {
                let printed = statement.to_string();
                if printed.contains("[REDACTED]") {
                    continue;
                }
                let again = parse(&printed, &Params::default(), Limits::default());
                let again = again.map_err(|error| TestCaseError::fail(format!("{text}\n{printed}\n{error}")))?;
                prop_assert_eq!(again.len(), 1);
                prop_assert_eq!(bare(&again[0]), bare(statement), "{}\n{}", text, printed);
                prop_assert!(!statement.span.slice(text).is_empty());
            }
        }
        Err(error) => {
            prop_assert!(!error.message().is_empty());
            prop_assert!(error.span().start <= error.span().end && error.span().end as usize <= text.len());
        }
    }
    Ok(())
}

const TOKENS: &[&str] = &[
    "v",
    "w",
    "\"x y\"",
    "m",
    "time",
    "mean",
    "now()",
    "(",
    ")",
    ",",
    ".",
    "::",
    ":",
    ";",
    "*",
    "/",
    "+",
    "-",
    "%",
    "&",
    "|",
    "^",
    "=",
    "!=",
    "=~",
    "!~",
    "<",
    "<=",
    ">",
    ">=",
    "<>",
    "AND",
    "OR",
    "IN",
    "1",
    "2.5",
    ".5",
    "1h",
    "5m30s",
    "'s'",
    "'2018-01-01'",
    "/re/",
    "/a\\/b/",
    "true",
    "false",
    "$p",
    "FROM",
    "FROM m",
    "WHERE",
    "WHERE v = 1",
    "GROUP",
    "BY",
    "GROUP BY host",
    "GROUP BY time(1m)",
    "fill(0)",
    "fill",
    "tz('UTC')",
    "ORDER BY time",
    "DESC",
    "LIMIT",
    "LIMIT 1",
    "OFFSET 2",
    "SLIMIT 3",
    "SOFFSET 4",
    "INTO",
    "INTO n",
    "SELECT",
    "SELECT v",
    "DISTINCT",
    "AS",
    "AS x",
    "float",
    "field",
    "tag",
    "--",
    "/*",
    "*/",
    "\n",
    "\r\n",
    "\t",
    "'",
    "\"",
    "\\",
    "\u{e9}",
    "\u{b5}",
    "\0",
    "@",
    "SHOW",
    "TAG",
    "KEYS",
    "VALUES",
    "WITH",
    "KEY",
    "MEASUREMENTS",
    "SERIES",
    "CARDINALITY",
    "ON",
    "db",
    "DROP",
    "CREATE",
    "DATABASE",
    "DELETE",
    "EXPLAIN",
    "ANALYZE",
    "KILL",
    "QUERY",
    "9223372036854775808",
    "CONTINUOUS",
    "BEGIN",
    "END",
];
