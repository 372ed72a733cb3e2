//! The whole stack over the embedded store, in profile `v1`, against answers that InfluxDB 1.6.7 gave over HTTP
//! (`tests/cases/stack/record` makes them).
//!
//! A case file is data and requests. Data stand behind `@ database [policy]` as line protocol; a time `B-90s` is relative to the minute that
//! begins when the file is run. A request is `> statement`, which is `POST`ed with the first database and nanoseconds, or
//! `> GET db=x&epoch=ms | statement` with parameters of its own (`POST`: the statement in a form); 1.6.7's answer stands behind it as one line
//! of JSON, with times relative to `B` where they are near it. Before a request, `# differs: why` says that we answer differently on purpose,
//! and `# shape` that numbers are everybody's own: then names, tags and columns of the series are compared, `# columns` the columns of series that
//! both have. All are held to it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::Request;
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tower::{Layer, ServiceExt};
use v1shim::{
    Body, V1Shim, V1ShimLayer,
    access::{Access, Grant},
    config::{self, AuthMode, Config},
    embedded::{Embedded, Engine},
    types::Profile,
};

use crate::query::same;

const MINUTE: i64 = 60_000_000_000;

struct Case {
    /// Database, policy, lines.
    data: Vec<(String, String, Vec<String>)>,
    /// Note, request, answer.
    asked: Vec<(Option<String>, String, Value)>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let mut case = Self { data: Vec::new(), asked: Vec::new() };
        let (mut in_data, mut note) = (false, None);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(place) = line.strip_prefix("@ ") {
                let (db, rp) = place.split_once(' ').unwrap_or((place, "autogen"));
                case.data.push((db.to_owned(), rp.to_owned(), Vec::new()));
                in_data = true;
            } else if let Some(request) = line.strip_prefix("> ") {
                in_data = false;
                let answer = lines.next().unwrap_or_default();
                let answer = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{path:?}: {request}: {error}"));
                case.asked.push((note.take(), request.to_owned(), answer));
            } else if let Some(text) = line.strip_prefix("# ") {
                note = Some(text.to_owned());
            } else if in_data && !line.is_empty() {
                case.data.last_mut().unwrap().2.push(line.to_owned());
            }
        }
        case
    }

    /// The method, the parameters and the statement of a request.
    fn request<'a>(&'a self, text: &'a str) -> (&'a str, String, &'a str) {
        for method in ["GET", "POST"] {
            if let Some((params, q)) = text.strip_prefix(method).and_then(|rest| rest.trim_start().split_once(" | ")) {
                return (method, params.trim_matches('-').to_owned(), q);
            }
        }
        ("POST", format!("db={}&epoch=ns", self.data[0].0), text)
    }
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

async fn open(dir: &Path) -> (V1Shim<Embedded>, Engine) {
    let embedded = config::Embedded { data_dir: dir.to_owned(), ..config::Embedded::default() };
    let mut config = Config::default();
    config.compat.profile = Profile::V1;
    config.auth.mode = AuthMode::None;
    let engine = Engine::open(&embedded, config.limits).await.unwrap();
    let shim = V1ShimLayer::new(config).catalog(engine.catalog()).layer(Embedded::new(engine.clone()));
    (shim, engine)
}

async fn send(shim: &V1Shim<Embedded>, request: Request<Body>) -> (u16, Vec<u8>) {
    let Ok(response) = shim.clone().oneshot(request).await;
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.unwrap().to_bytes().into())
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn ask(shim: &V1Shim<Embedded>, method: &str, params: &str, q: &str) -> Value {
    let q = form(&[("q", q)]);
    let request = if method == "GET" {
        Request::get(format!("/query?{params}&{q}")).body(Body::empty())
    } else {
        Request::post(format!("/query?{params}")).header("content-type", "application/x-www-form-urlencoded").body(Body::from(q))
    };
    let (_, body) = send(shim, request.unwrap()).await;
    let mut value: Value = serde_json::from_slice(&body).unwrap();
    // Where nothing could be run, both worlds' fields stand beside the one that 1.x has.
    if value.get("results").is_none() {
        value = json!({ "error": value["error"] });
    }
    value
}

/// Times near `base` as the recorded answers have them.
fn relative(mut answer: Value, params: &str, base: i64) -> Value {
    let epoch = form_urlencoded::parse(params.as_bytes()).find(|pair| pair.0 == "epoch").map(|pair| pair.1.into_owned());
    let unit = match epoch.as_deref() {
        Some("ns" | "n") => 1,
        Some("us" | "u") => 1_000,
        Some("ms") => 1_000_000,
        Some("s") => 1_000_000_000,
        _ => return answer,
    };
    let results = answer.get_mut("results").and_then(Value::as_array_mut).into_iter().flatten();
    for series in results.filter_map(|result| result.get_mut("series")?.as_array_mut()).flatten() {
        if series["columns"][0] != "time" {
            continue;
        }
        for row in series.get_mut("values").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(time) = row[0].as_i64().and_then(|time| time.checked_mul(unit)) else { continue };
            if (time - base).abs() < 2 * 24 * 60 * MINUTE {
                // Within a second it is now's.
                let whole = (time - base) % 1_000_000_000 == 0;
                row[0] = if whole { format!("B{:+}", time - base).into() } else { "B~".into() };
            }
        }
    }
    answer
}

/// Names, tags and columns of the series.
fn shape(answer: &Value) -> Value {
    let series = |result: &Value| -> Vec<Value> {
        let all = result["series"].as_array().into_iter().flatten();
        all.map(|series| {
            let kept = series.as_object().unwrap().iter().filter(|(key, _)| *key != "values" && *key != "partial");
            Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
        })
        .collect()
    };
    let results = answer["results"].as_array().into_iter().flatten();
    results.map(|result| json!({ "series": series(result), "error": result["error"] })).collect()
}

/// Whether series of the same name have the same columns, and there is one at least.
fn same_columns(ours: &Value, theirs: &Value) -> bool {
    let columns = |answer: &Value| -> Vec<(String, Value)> {
        let results = shape(answer);
        let series = results.as_array().unwrap().iter().flat_map(|result| result["series"].as_array().unwrap().clone());
        series.map(|series| (series["name"].to_string(), series["columns"].clone())).collect()
    };
    let (ours, theirs) = (columns(ours), columns(theirs));
    let mut common = ours.iter().filter_map(|(name, columns)| Some((columns, &theirs.iter().find(|there| there.0 == *name)?.1)));
    common.clone().count() > 0 && common.all(|(ours, theirs)| ours == theirs)
}

#[derive(Default)]
struct Count {
    agree: usize,
    by_shape: usize,
    differ_on_purpose: usize,
    wrong: Vec<String>,
}

async fn run(path: &Path, case: &Case) -> Option<Count> {
    let dir = tempfile::tempdir().unwrap();
    let (shim, engine) = open(dir.path()).await;
    while now() % MINUTE > 45_000_000_000 {
        // Windows that are relative to now must not move while it is asked.
        if !case.data.iter().any(|(_, _, lines)| lines.iter().any(|line| line.contains(" B-"))) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let base = now() / MINUTE * MINUTE;
    for (db, rp, lines) in &case.data {
        let line = |line: &String| match line.rsplit_once(" B-") {
            Some((point, seconds)) => {
                let seconds: i64 = seconds.trim_end_matches('s').parse().unwrap();
                format!("{point} {}", base - seconds * 1_000_000_000)
            }
            None => line.clone(),
        };
        let body = lines.iter().map(line).collect::<Vec<_>>().join("\n");
        let params = form(&[("db", db), ("rp", rp)]);
        let (status, reply) = send(&shim, Request::post(format!("/write?{params}")).body(Body::from(body)).unwrap()).await;
        assert_eq!(status, 204, "{path:?}: {}", String::from_utf8_lossy(&reply));
    }
    let mut count = Count::default();
    for (note, request, theirs) in &case.asked {
        let (method, params, q) = case.request(request);
        let ours = relative(ask(&shim, method, &params, q).await, &params, base);
        let ok = match note.as_deref() {
            Some(note) if note.starts_with("differs: ") => {
                count.differ_on_purpose += 1;
                !same(&ours, theirs)
            }
            Some("shape") => {
                count.by_shape += 1;
                shape(&ours) == shape(theirs)
            }
            Some("columns") => {
                count.by_shape += 1;
                same_columns(&ours, theirs)
            }
            _ => {
                let ok = same(&ours, theirs);
                count.agree += usize::from(ok);
                ok
            }
        };
        if !ok {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            count.wrong.push(format!("{name}: {request}\n  ours:   {ours}\n  theirs: {theirs}"));
        }
    }
    engine.close().await;
    (now() / MINUTE * MINUTE == base || count.wrong.is_empty()).then_some(count)
}

fn paths() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/stack");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "case"));
    paths.sort();
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_answers_as_influxdb_1_6_7() {
    let mut all = Count::default();
    for path in paths() {
        let case = Case::read(&path);
        let count = loop {
            if let Some(count) = run(&path, &case).await {
                break count;
            }
        };
        all.agree += count.agree;
        all.by_shape += count.by_shape;
        all.differ_on_purpose += count.differ_on_purpose;
        all.wrong.extend(count.wrong);
    }
    let Count { agree, by_shape, differ_on_purpose, wrong } = all;
    println!("{agree} agree, {by_shape} in their shape, {differ_on_purpose} differ on purpose, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    assert!(agree > 100, "the cases weren't found");
}

/// What 1.6.7 doesn't know yet, as the documentation of 1.8 has it.
#[tokio::test]
async fn what_later_versions_show() {
    let dir = tempfile::tempdir().unwrap();
    let (shim, engine) = open(dir.path()).await;
    for (db, rp, lines) in [
        ("a", "autogen", "cpu,host=x,region=y v=1 0\nmem,host=x v=1 0"),
        ("a", "week", "cpu,rack=r v=1 0"),
        ("b", "autogen", "disk,path=p v=1 0"),
    ] {
        let params = form(&[("db", db), ("rp", rp)]);
        let (status, _) = send(&shim, Request::post(format!("/write?{params}")).body(Body::from(lines)).unwrap()).await;
        assert_eq!(status, 204);
    }
    let keys = |rows: &[(&str, &[&str])]| -> Value {
        let series = rows.iter().map(|(name, keys)| {
            let values: Vec<_> = keys.iter().map(|key| json!([key])).collect();
            json!({ "name": name, "columns": ["tagKey"], "values": values })
        });
        series.collect()
    };
    let measurements = |rows: &[[&str; 3]]| json!([{ "name": "measurements", "columns": ["name", "database", "retention policy"], "values": rows }]);
    let all = [["cpu", "a", "autogen"], ["mem", "a", "autogen"], ["cpu", "a", "week"], ["disk", "b", "autogen"]];
    for (q, want) in [
        ("SHOW TAG KEYS WITH KEY = host", keys(&[("cpu", &["host"]), ("mem", &["host"])])),
        ("SHOW TAG KEYS WITH KEY IN (region, rack)", keys(&[("cpu", &["rack", "region"])])),
        ("SHOW TAG KEYS FROM cpu WITH KEY != host", keys(&[("cpu", &["rack", "region"])])),
        ("SHOW TAG KEYS WITH KEY =~ /^r/ LIMIT 1", keys(&[("cpu", &["rack"])])),
        ("SHOW TAG KEYS WITH KEY !~ /^r/ WHERE region = 'y'", keys(&[("cpu", &["host"])])),
        ("SHOW MEASUREMENTS ON *.*", measurements(&all)),
        ("SHOW MEASUREMENTS ON a.*", measurements(&all[..3])),
        ("SHOW MEASUREMENTS ON a.week", measurements(&all[2..3])),
        ("SHOW MEASUREMENTS ON *.* LIMIT 2 OFFSET 1", measurements(&all[1..3])),
        ("SHOW MEASUREMENTS ON *.* WITH MEASUREMENT =~ /m|d/ WHERE host = 'x'", measurements(&all[1..2])),
        ("SHOW MEASUREMENTS ON nosuch.*", Value::Null),
    ] {
        let answer = ask(&shim, "POST", "db=a&epoch=ns", q).await;
        assert_eq!(answer["results"][0]["series"], want, "{q}: {answer}");
    }
    let answer = ask(&shim, "POST", "db=a", "SHOW MEASUREMENTS ON *").await;
    let error = "query 'SHOW MEASUREMENTS ON *' not supported. use 'ON *.*' or specify a database";
    assert_eq!(answer["results"][0]["error"], error);
    engine.close().await;
}

/// The lines are ours, their shape is 1.x's, which the case files hold them to.
#[tokio::test]
async fn explain_tells_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (shim, engine) = open(dir.path()).await;
    let lines: String =
        (0..50).map(|i| format!("cpu,host=h{} usage={i},n={i}i {}\n", i % 5, i * 86_400_000_000_000_i64)).collect();
    let (status, _) = send(&shim, Request::post("/write?db=a").body(Body::from(lines)).unwrap()).await;
    assert_eq!(status, 204);
    let text = async |q: &str| -> String {
        let answer = ask(&shim, "POST", "db=a", q).await;
        let rows = answer["results"][0]["series"][0]["values"].as_array().unwrap_or_else(|| panic!("{q}: {answer}")).clone();
        rows.iter().map(|row| row[0].as_str().unwrap()).collect::<Vec<_>>().join("\n")
    };
    let select = "SELECT mean(usage) FROM cpu WHERE host != 'h0' AND time >= 0 AND time < 14d GROUP BY time(1d), host";
    let plan = text(&format!("EXPLAIN {select}")).await;
    for line in [
        "EXPRESSION: mean(usage)",
        "TIME RANGE: from 1970-01-01T00:00:00Z until 1970-01-14T23:59:59.999999999Z",
        "WINDOWS: 24h0m0s, fill(null)",
        "GROUP BY: host",
        "OPERATORS: scan -> filter -> fold windows -> fill -> project",
        "MEASUREMENT: cpu",
        "FIELDS: usage",
        "TAGS: host",
        "NUMBER OF SHARDS: 3",
        "NUMBER OF SERIES: 4",
        "NUMBER OF FILES: 0",
    ] {
        assert!(plan.lines().any(|there| there == line), "no {line:?} in\n{plan}");
    }
    engine.flush().await.unwrap();
    assert!(text(&format!("EXPLAIN {select}")).await.contains("NUMBER OF FILES: 3\n"));
    let run = text("EXPLAIN ANALYZE SELECT mean(usage) FROM cpu GROUP BY host").await;
    for part in
        ["rows_scanned: 50\n", "rows_returned: 5\n", "measurement: cpu\n", "execution_time: ", "planning_time: ", "files: 8\n"]
    {
        assert!(run.contains(part), "no {part:?} in\n{run}");
    }
    let subquery = text("EXPLAIN SELECT max(m) FROM (SELECT mean(usage) AS m FROM cpu GROUP BY host)").await;
    assert!(subquery.contains("SUBQUERY 1: cpu\n") && subquery.contains("MEASUREMENT: cpu\n"), "{subquery}");
    engine.close().await;
}

/// A token sees what it may read, of a database with several policies too; what is about the whole store needs all access.
#[tokio::test]
async fn tokens_see_what_is_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let (open, engine) = open(dir.path()).await;
    for (rp, line) in [("autogen", "cpu v=1 0"), ("secret", "hidden,host=x v=1 0")] {
        let request = Request::post(format!("/write?db=a&rp={rp}")).body(Body::from(line)).unwrap();
        assert_eq!(send(&open, request).await.0, 204);
    }
    let grant = Grant { bucket: "a/autogen".into(), read: true, write: false };
    let token = |name: &str, access: Access| config::Token {
        name: name.into(),
        sha256: Sha256::digest(name).into(),
        access: Arc::new(access),
        forward: None,
    };
    let mut config = Config::default();
    config.compat.profile = Profile::V1;
    config.auth.tokens = vec![token("root", Access::All), token("some", Access::Grants(vec![grant]))];
    let shim = V1ShimLayer::new(config).catalog(engine.catalog()).layer(Embedded::new(engine.clone()));
    let asked = async |token: &str, q: &str| -> (u16, String) {
        let query = form(&[("db", "a"), ("p", token), ("q", q)]);
        let (status, body) = send(&shim, Request::get(format!("/query?{query}")).body(Body::empty()).unwrap()).await;
        (status, String::from_utf8(body).unwrap())
    };
    for (q, at_most) in [
        ("SHOW MEASUREMENTS", r#"[["cpu"]]"#),
        ("SHOW MEASUREMENTS ON *.*", r#"[["cpu","a","autogen"]]"#),
        ("SHOW TAG KEYS", ""),
        ("SHOW SERIES", r#"[["cpu"]]"#),
        ("SHOW SERIES CARDINALITY", "[[1]]"),
        ("SHOW FIELD KEYS", r#"[["v","float"]]"#),
    ] {
        let (status, text) = asked("some", q).await;
        assert!(status == 200 && text.contains(at_most) && !text.contains("hidden"), "{q}: {text}");
        assert!(q == "SHOW FIELD KEYS" || asked("root", q).await.1 != text, "{q}");
    }
    for what in ["USERS", "GRANTS FOR some", "SUBSCRIPTIONS", "SHARDS", "SHARD GROUPS", "STATS", "DIAGNOSTICS FOR 'build'"] {
        let q = format!("SHOW {what}");
        let (status, text) = asked("some", &q).await;
        assert_eq!(status, 403, "{q}: {text}");
        let (status, text) = asked("root", &q).await;
        assert!(status == 200 && !text.contains("error"), "{q}: {text}");
    }
    assert!(asked("root", "SHOW GRANTS FOR some").await.1.contains(r#"[["a","READ"]]"#));
    assert!(asked("some", "EXPLAIN SELECT v FROM a.secret.hidden").await.0 == 403);
    engine.close().await;
}
