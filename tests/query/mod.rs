//! The query engine against answers recorded from InfluxDB 1.6.7 (`tests/cases/query/record` makes them).
//!
//! A case file is line protocol up to the first `>`; then statements, each `> statement` with 1.6.7's result behind it as one line of
//! JSON. Before a statement, `# differs: why` says that we answer differently on purpose, `# refused` that it isn't implemented: both are
//! held to it.

mod memory;
mod render;

use std::{path::Path, sync::Arc, sync::atomic::AtomicBool};

use memory::Memory;
use serde_json::{Value, json};
use v1shim::{
    Error,
    embedded::{
        Tables,
        query::{self, Context, Limits, MemoryPool},
    },
    error::Kind,
    influxql::{self, Params},
};

/// The result of the statements of `text`: the last one's.
fn answer(text: &str, tables: &Arc<dyn Tables>) -> Result<Value, (Kind, String)> {
    answer_within(text, tables, Limits::default())
}

fn answer_within(text: &str, tables: &Arc<dyn Tables>, limits: Limits) -> Result<Value, (Kind, String)> {
    let statements = influxql::parse(text, &Params::default(), influxql::Limits::default())
        .map_err(|error| (Kind::Invalid, error.to_string()))?;
    let cancelled = AtomicBool::new(false);
    let pool = MemoryPool::new(1 << 30);
    let find = |bucket: &str| match bucket {
        "db" => Ok(Arc::clone(tables)),
        other => Err(Error::new(Kind::NotFound, format!("database not found: {other}"))),
    };
    let context = Context {
        tables: &find,
        bucket: "db",
        siblings: &query::Siblings::new(),
        now: 1_600_000_000_000_000_000,
        cancelled: &cancelled,
        limits,
        pool: &pool,
    };
    let plan = query::plan(&statements[0], &context).map_err(|error| (error.kind(), error.to_string()))?;
    let mut series = render::Series::new(&plan.schema());
    let result = plan.run(&mut |batch| {
        assert_eq!(batch.schema(), plan.schema(), "{text}");
        series.add(&batch);
        Ok(())
    });
    assert_eq!(pool.used(), 0, "memory isn't given back: {text}");
    result.map_err(|error| (error.kind(), error.to_string()))?;
    Ok(series.finish())
}

/// Whether two results are the same; floats may differ in the last digits, since 1.6.7 adds in another order.
pub(crate) fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => {
            if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
                return a == b;
            }
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-10 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[derive(Default)]
struct Count {
    agree: usize,
    differ_on_purpose: usize,
    refused: usize,
    wrong: Vec<String>,
}

fn run(path: &Path, count: &mut Count) {
    let text = std::fs::read_to_string(path).unwrap();
    let start = text.find("\n>").map_or(0, |at| at + 1);
    let data = &text[..start];
    let statements_from = data.rfind("\n\n").map_or(start, |at| at + 1);
    let tables: Arc<dyn Tables> = Arc::new(Memory::parse(&data[..statements_from]));
    let mut note = None;
    let mut lines = text[statements_from..].lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("# ") {
            note = Some(text);
        }
        let Some(statement) = line.strip_prefix("> ") else { continue };
        let theirs: Value =
            serde_json::from_str(lines.next().unwrap_or_default()).unwrap_or_else(|error| panic!("{statement}: {error}"));
        let (ours, refused) = match answer(statement, &tables) {
            Ok(ours) => (ours, false),
            Err((kind, message)) => (serde_json::json!({ "error": message }), kind == Kind::NotImplemented),
        };
        let ok = match note.take() {
            Some(note) if note.starts_with("differs: ") => {
                count.differ_on_purpose += 1;
                !same(&ours, &theirs) && !refused
            }
            Some("refused") => {
                count.refused += 1;
                refused
            }
            _ => {
                let ok = same(&ours, &theirs);
                count.agree += usize::from(ok);
                ok
            }
        };
        if !ok {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            count.wrong.push(format!("{name}: {statement}\n  ours:   {ours}\n  theirs: {theirs}"));
        }
    }
}

#[test]
fn answers_as_influxdb_1_6_7() {
    // Another folder of cases can be tried: `QUERY_CASES=folder cargo test --test all query::answers`.
    let folder = std::env::var_os("QUERY_CASES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/query"), std::path::PathBuf::from);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "case"));
    paths.sort();
    let mut count = Count::default();
    for path in &paths {
        run(path, &mut count);
    }
    println!(
        "{} files: {} agree, {} differ on purpose, {} refused, {} wrong",
        paths.len(),
        count.agree,
        count.differ_on_purpose,
        count.refused,
        count.wrong.len()
    );
    assert!(count.wrong.is_empty(), "{} wrong answers:\n{}", count.wrong.len(), count.wrong.join("\n"));
    assert!(count.agree > 0, "the cases weren't found");
}

/// 1.6.7 stores no unsigned integers; 1.8's documentation says that they are numbers like others, and 1.x's sums overflow.
#[test]
fn functions_take_unsigned_integers() {
    let tables: Arc<dyn Tables> =
        Arc::new(Memory::parse(&format!("m u=5u 0\nm u=3u 1000000000\nm u={}u 2000000000\n", u64::MAX)));
    let (first, second, third) = (0, 1_000_000_000, 2_000_000_000);
    let rise = (u64::MAX - 3) as f64;
    for (call, expected) in [
        ("derivative(u)", json!([[second, -2.0], [third, rise]])),
        ("non_negative_derivative(u)", json!([[third, rise]])),
        ("difference(u)", json!([[second, u64::MAX - 1], [third, u64::MAX - 3]])),
        ("non_negative_difference(u)", json!([[third, u64::MAX - 3]])),
        ("cumulative_sum(u)", json!([[first, 5], [second, 8], [third, 7]])),
        ("moving_average(u, 2)", json!([[second, 4.0], [third, 1.0]])),
        ("exponential_moving_average(u, 1)", json!([[first, 5.0], [second, 3.0], [third, u64::MAX as f64]])),
        ("top(u, 1)", json!([[third, u64::MAX]])),
        ("bottom(u, 2)", json!([[first, 5], [second, 3]])),
        ("sample(u, 3)", json!([[first, 5], [second, 3], [third, u64::MAX]])),
        ("max(u)", json!([[third, u64::MAX]])),
        ("sum(u)", json!([[first, 7]])),
        ("spread(u)", json!([[first, u64::MAX - 3]])),
        ("integral(u)", json!([[first, 4.0 + 0.5 * (u64::MAX as f64 + 3.0)]])),
    ] {
        let answer = answer(&format!("SELECT {call} FROM m"), &tables).unwrap();
        assert_eq!(answer["series"][0]["values"], expected, "{call}");
    }
}

/// What `top`, `sample`, forecasts and transformations hold counts too.
#[test]
fn functions_count_as_memory() {
    let lines: String = (0..10_000).map(|i| format!("m,host=h{} v={i} {}\n", i % 3, i * 1_000)).collect();
    let tables: Arc<dyn Tables> = Arc::new(Memory::parse(&lines));
    let small = Limits { memory: 20_000, ..Limits::default() };
    for call in ["top(v, 5000)", "sample(v, 5000)", "difference(v)", "relative_strength_index(v, 3)"] {
        let (kind, message) = answer_within(&format!("SELECT {call} FROM m"), &tables, small).unwrap_err();
        assert_eq!(kind, Kind::Unprocessable, "{call}: {message}");
    }
    let forecast =
        "SELECT holt_winters(max(v), 1000000000, 0) FROM m WHERE time >= 0 AND time < 10ms GROUP BY time(1ms) fill(none)";
    assert_eq!(answer_within(forecast, &tables, small).unwrap_err().0, Kind::Unprocessable);
    // A few points of many are kept, not all.
    let answer = answer_within("SELECT top(v, 3), host FROM m", &tables, small).unwrap();
    let expected = json!([[9_997_000, 9997.0, "h1"], [9_998_000, 9998.0, "h2"], [9_999_000, 9999.0, "h0"]]);
    assert_eq!(answer["series"][0]["values"], expected);
    let answer = answer_within("SELECT sample(v, 3) FROM m", &tables, small).unwrap();
    assert_eq!(answer["series"][0]["values"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_query_over_its_memory_fails_clearly() {
    let lines: String = (0..10_000).map(|i| format!("m,host=h{} v={i} {i}\n", i % 3)).collect();
    let tables: Arc<dyn Tables> = Arc::new(Memory::parse(&lines));
    let small = Limits { memory: 20_000, ..Limits::default() };
    for statement in ["SELECT distinct(v) FROM m", "SELECT median(v) FROM m", "SELECT median(a) FROM (SELECT v AS a FROM m)"] {
        let (kind, message) = answer_within(statement, &tables, small).unwrap_err();
        assert_eq!(
            (kind, &*message),
            (Kind::Unprocessable, "query needs more than its memory budget of 20000 bytes (limits.query_memory)"),
            "{statement}"
        );
    }
    // What is handed on as it comes needs little, and what is folded next to nothing.
    let answer = answer_within("SELECT v FROM m", &tables, small).unwrap();
    assert_eq!(answer["series"][0]["values"].as_array().map(Vec::len), Some(10_000));
    let answer = answer_within("SELECT mean(v), count(v) FROM m", &tables, small).unwrap();
    assert_eq!(answer["series"][0]["values"], serde_json::json!([[0, 4999.5, 10_000]]));
}

/// A few bytes of query can name more windows than any memory holds.
#[test]
fn windows_count_as_memory() {
    let tables: Arc<dyn Tables> = Arc::new(Memory::parse("m v=1 0\n"));
    let limits = Limits { memory: 10 << 20, ..Limits::default() };
    let query =
        |call: &str, rest: &str| format!("SELECT {call} FROM m WHERE time >= 0 AND time < 100000d GROUP BY time(1ns) {rest}");
    for statement in [
        query("max(v)", ""),
        query("max(v)", "fill(0)"),
        query("max(v), count(v)", "ORDER BY time DESC"),
        query("derivative(max(v))", "LIMIT 1"),
        query("count(distinct(v))", "fill(previous)"),
    ] {
        let (kind, message) = answer_within(&statement, &tables, limits).unwrap_err();
        assert_eq!(kind, Kind::Unprocessable, "{statement}: {message}");
    }
    assert!(answer_within(&query("max(v)", "fill(none)"), &tables, limits).is_ok());
}

#[test]
fn too_many_windows_are_refused() {
    let tables: Arc<dyn Tables> = Arc::new(Memory::parse("m v=1 0\n"));
    let limits = Limits { max_buckets: 10, ..Limits::default() };
    let statement = |end: u32| format!("SELECT count(v) FROM m WHERE time >= 0 AND time < {end}s GROUP BY time(1s)");
    assert!(answer_within(&statement(10), &tables, limits).is_ok());
    let (_, message) = answer_within(&statement(11), &tables, limits).unwrap_err();
    assert_eq!(message, "max-select-buckets limit exceeded: (11/10)");
}

#[test]
fn filled_windows_count_against_the_memory() {
    let tables: Arc<dyn Tables> = Arc::new(Memory::parse("m v=1 0\nm v=2 100000000000\n"));
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    for (interval, fill, fits) in
        [("1s", "null", true), ("1ns", "none", true), ("1ns", "null", false), ("1us", "previous", false), ("1us", "0", false)]
    {
        for (order, end) in [("ASC", "100s"), ("DESC", "100s"), ("ASC", "9223372036854775806")] {
            let statement = format!(
                "SELECT mean(v) FROM m WHERE time >= 0 AND time <= {end} GROUP BY time({interval}) fill({fill}) ORDER BY time {order}"
            );
            let fits = fits && (end == "100s" || fill == "none");
            assert_eq!(answer_within(&statement, &tables, limits).is_ok(), fits, "{statement}");
        }
    }
    // Only those that are asked for.
    let statement = "SELECT mean(v) FROM m WHERE time >= 0 AND time <= 100s GROUP BY time(1ns) LIMIT 2 OFFSET 1";
    let answer = answer_within(statement, &tables, limits).unwrap();
    assert_eq!(answer["series"][0]["values"], serde_json::json!([[1, null], [2, null]]));
}
