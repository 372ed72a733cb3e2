//! An axum app with routes of its own and native endpoints of its own: with the layer around it, InfluxDB v1 clients can write to it and
//! read from it.
//!
//! ```sh
//! cargo run --example axum_layer
//! ```
//!
//! and in another shell:
//!
//! ```console
//! $ curl -i 'http://127.0.0.1:3000/write?db=home' -u any:secret --data-binary 'room,name=kitchen temp=21.5 1700000000000000000'
//! HTTP/1.1 204 No Content
//! $ curl -G 'http://127.0.0.1:3000/query' -u any:secret -d db=home -d epoch=s --data-urlencode 'q=SELECT temp FROM room GROUP BY "name"'
//! {"results":[{"statement_id":0,"series":[{"name":"room","tags":{"name":"kitchen"},"columns":["time","temp"],"values":[[1700000000,21.5]]}]}]}
//! $ curl http://127.0.0.1:3000/hello
//! hello from the app
//! $ curl -H 'Authorization: Bearer secret' http://127.0.0.1:3000/points
//! 1
//! ```
//!
//! `Router::layer` runs after routing, where `/write` and `/query` would have been lost already: so the layer goes around the router. What it
//! doesn't know itself it hands on, with the credential checked; a route for everybody stands outside of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tower_layer::Layer;
use v1shim::{
    V1ShimLayer,
    access::Access,
    config::{Config, Token},
    influxql::{
        self, Limits, Params, Statement, StatementKind,
        ast::{Dimension, Expr, MeasurementName, Select, ShowKind, Source},
    },
    lineprotocol::{FieldValue, parse_lines},
    native::{Api, QueryInfluxql, ReplyFormat, Target, V3_QUERY_INFLUXQL, V3_WRITE},
    types::Precision,
};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 3000)).await?;
    axum::serve(listener, app()).await
}

/// The app: a route for everybody, and the shim around everything else.
pub(crate) fn app() -> Router {
    let mut config = Config::default();
    config.auth.tokens.push(Token {
        name: "everything".into(),
        sha256: Sha256::digest("secret").into(),
        access: Arc::new(Access::All),
        forward: None,
    });
    // What the endpoints below understand: v3's paths, one JSON object a row, one database a statement.
    let target = Target { api: Api::V3, reply: ReplyFormat::Jsonl, multi_bucket: false, full_influxql: false };

    let inside = Router::new()
        .route("/points", get(points))
        .route(V3_WRITE, post(write_lp))
        .route(V3_QUERY_INFLUXQL, post(query_influxql))
        .with_state(Store::default());
    Router::new()
        .route("/hello", get(async || "hello from the app"))
        .fallback_service(V1ShimLayer::new(config).target(target).layer(inside))
}

/// Points by database, in memory.
type Store = Arc<Mutex<BTreeMap<String, Vec<Point>>>>;

#[derive(Clone)]
struct Point {
    measurement: String,
    tags: BTreeMap<String, String>,
    fields: BTreeMap<String, Value>,
    time: i64,
}

async fn points(State(store): State<Store>) -> String {
    let store = store.lock().unwrap_or_else(PoisonError::into_inner);
    store.values().map(Vec::len).sum::<usize>().to_string()
}

/// `POST /api/v3/write_lp?db=&precision=`: the shim always says the precision, and has turned minutes and hours into seconds.
async fn write_lp(State(store): State<Store>, Query(params): Query<BTreeMap<String, String>>, body: Bytes) -> Response {
    let Some(db) = params.get("db") else { return bad("missing query parameter 'db'") };
    let precision = match params.get("precision").map(String::as_str) {
        Some("ns") => Precision::Nanosecond,
        Some("us") => Precision::Microsecond,
        Some("ms") => Precision::Millisecond,
        Some("s") => Precision::Second,
        other => return bad(&format!("unknown precision {other:?}")),
    };
    let mut points = Vec::new();
    for line in parse_lines(&body, precision) {
        match line {
            Ok(line) => points.push(Point {
                measurement: line.measurement.into_owned(),
                tags: line.tags.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
                fields: line.fields.into_iter().map(|(key, value)| (key.into_owned(), json_value(value))).collect(),
                time: line.timestamp.unwrap_or_else(now),
            }),
            Err(error) => return (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response(),
        }
    }
    store.lock().unwrap_or_else(PoisonError::into_inner).entry(db.clone()).or_default().extend(points);
    StatusCode::NO_CONTENT.into_response()
}

/// `POST /api/v3/query_influxql`: one statement; the answer is one JSON object a row, nulls left out.
async fn query_influxql(State(store): State<Store>, body: Bytes) -> Response {
    let Ok(query) = serde_json::from_slice::<QueryInfluxql<'_>>(&body) else { return bad("not a query") };
    let statements = match influxql::parse(&query.q, &Params::default(), Limits::default()) {
        Ok(statements) => statements,
        Err(error) => return bad(&error.to_string()),
    };
    let store = store.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(points) = store.get(query.db.as_deref().unwrap_or_default()) else {
        return (StatusCode::NOT_FOUND, Json(json!({ "error": "database not found" }))).into_response();
    };
    let rows = match &*statements {
        [Statement { kind: StatementKind::Select(select), .. }] => selected(select, points),
        [Statement { kind: StatementKind::Show(show), .. }] => {
            let wanted = |point: &&Point| show.from.is_empty() || show.from.iter().any(|source| reads(source, point));
            let points = points.iter().filter(wanted);
            match show.kind {
                ShowKind::Measurements => {
                    Some(unique(points.map(|point| json!({ IOX: "measurements", "name": point.measurement }))))
                }
                ShowKind::TagKeys => Some(unique(
                    points.flat_map(|point| point.tags.keys().map(|key| json!({ IOX: point.measurement, "tagKey": key }))),
                )),
                ShowKind::FieldKeys => Some(unique(points.flat_map(|point| {
                    let typed = |(key, value)| json!({ IOX: point.measurement, "fieldKey": key, "fieldType": type_name(value) });
                    point.fields.iter().map(typed)
                }))),
                _ => None,
            }
        }
        _ => None,
    };
    match rows {
        Some(rows) => ([("content-type", "application/jsonl")], rows).into_response(),
        None => bad(&format!("this little store can't answer {}", query.q)),
    }
}

const IOX: &str = "iox::measurement";

/// `SELECT columns FROM measurements [GROUP BY tags | *] [LIMIT n]`; nothing else.
fn selected(select: &Select, points: &[Point]) -> Option<String> {
    let plain = select.condition.is_none() && select.into.is_none() && select.limits.offset.is_none();
    let columns: Vec<&str> = select
        .fields
        .iter()
        .map(|field| match &field.expr {
            Expr::VarRef(column) if field.alias.is_none() => Some(&*column.name.name),
            Expr::Wildcard(..) => Some("*"),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let groups: Vec<&str> = select
        .group_by
        .iter()
        .map(|dimension| match dimension {
            Dimension::Tag(tag) => Some(&*tag.name),
            Dimension::Wildcard(_) => Some("*"),
            _ => None,
        })
        .collect::<Option<_>>()?;
    if !plain {
        return None;
    }
    let has = |wanted: &[&str], key: &str| wanted.contains(&"*") || wanted.contains(&key);
    let mut found: Vec<(Vec<(&str, &str)>, &Point)> = points
        .iter()
        .filter(|point| select.from.iter().any(|source| reads(source, point)))
        .filter(|point| point.fields.keys().any(|field| has(&columns, field)))
        .map(|point| {
            let group = point.tags.iter().filter(|(key, _)| has(&groups, key));
            (group.map(|(key, value)| (key.as_str(), value.as_str())).collect(), point)
        })
        .collect();
    // Series after series, each by time: that is the order in which a v3 server answers, and in which series can be cut from a stream.
    found.sort_by(|(a, x), (b, y)| (&x.measurement, a, x.time).cmp(&(&y.measurement, b, y.time)));
    let mut rows = String::new();
    let (mut series, mut count) = (None, 0);
    for (group, point) in &found {
        let this = (&point.measurement, group);
        count = if series == Some(this) { count + 1 } else { 1 };
        series = Some(this);
        if select.limits.limit.is_some_and(|limit| limit > 0 && count > limit) {
            continue;
        }
        let mut row = Map::new();
        row.insert(IOX.into(), point.measurement.as_str().into());
        row.insert("time".into(), timestamp(point.time).into());
        row.extend(
            point
                .tags
                .iter()
                .filter(|(key, _)| has(&groups, key) || has(&columns, key))
                .map(|(k, v)| (k.clone(), v.as_str().into())),
        );
        row.extend(point.fields.iter().filter(|(key, _)| has(&columns, key)).map(|(k, v)| (k.clone(), v.clone())));
        rows.push_str(&format!("{}\n", Value::Object(row)));
    }
    Some(rows)
}

fn reads(source: &Source, point: &Point) -> bool {
    matches!(source, Source::Measurement(measurement)
        if matches!(&measurement.name, MeasurementName::Name(name) if *name.name == *point.measurement))
}

fn unique(rows: impl Iterator<Item = Value>) -> String {
    rows.map(|row| format!("{row}\n")).collect::<BTreeSet<_>>().into_iter().collect()
}

fn json_value(value: FieldValue<'_>) -> Value {
    match value {
        FieldValue::Float(value) => value.into(),
        FieldValue::Integer(value) => value.into(),
        FieldValue::Unsigned(value) => value.into(),
        FieldValue::String(value) => value.into(),
        FieldValue::Boolean(value) => value.into(),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "integer",
        _ => "string",
    }
}

/// As a v3 server writes times: UTC without saying so.
fn timestamp(nanos: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap_or_default().to_string();
    time.trim_end_matches('Z').to_owned()
}

fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

fn bad(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, message.to_owned()).into_response()
}
