//! Two shims in a row, the first in front of a v3 upstream, which is the second on its embedded store, answer as one on its store does, byte
//! for byte.

use std::{sync::Arc, time::Duration};

use axum::Router;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};
use tower::{Layer, ServiceExt};
use v1shim::{
    Body, Error, V1Shim, V1ShimLayer,
    access::Access,
    config,
    config::{AuthMode, Backend, Config, QueryBy, Token},
    embedded::{Embedded, Engine},
    native::{Api, grpc_refusal, is_grpc},
    types::{Profile, Secret},
    upstream::{Upstream, UpstreamCatalog},
};

use crate::recorded::stack::{Answer, ask};

const TOKEN: &str = "all-access";

/// A shim on a store of its own.
async fn alone(profile: Profile, directory: &std::path::Path) -> V1Shim<Embedded> {
    let mut config = config(profile);
    let embedded = config::Embedded { data_dir: directory.to_owned(), ..config::Embedded::default() };
    config.backend = Backend::Embedded(embedded.clone());
    let engine = Engine::open(&embedded, config.limits).await.unwrap();
    V1ShimLayer::new(config).catalog(engine.catalog()).layer(Embedded::new(engine))
}

fn config(profile: Profile) -> Config {
    let mut config = Config::default();
    config.compat.profile = profile;
    config.auth.mode = AuthMode::Local;
    config.auth.tokens.push(Token {
        name: "all".into(),
        sha256: Sha256::digest(TOKEN).into(),
        access: Arc::new(Access::All),
        forward: None,
    });
    config
}

/// A shim in front of a shim on a store.
struct Tandem {
    front: V1Shim<Upstream>,
    task: JoinHandle<()>,
}

impl Tandem {
    async fn start(profile: Profile, query: QueryBy, directory: &std::path::Path) -> Self {
        Self::over(profile, query, Router::new().fallback_service(alone(profile, directory).await)).await
    }

    async fn over(profile: Profile, query: QueryBy, back: Router) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let upstream = config::Upstream {
            api: Api::V3,
            query,
            url: format!("http://{}", listener.local_addr().unwrap()).parse().unwrap(),
            token: Some(Secret::new(TOKEN)),
            timeout: Duration::from_secs(30),
            ..config::Upstream::default()
        };
        let task = tokio::spawn(async move { axum::serve(listener, back).await.unwrap() });
        let service = Upstream::new(&upstream).unwrap();
        let mut config = config(profile);
        config.backend = Backend::Upstream(upstream);
        let catalog = Arc::new(UpstreamCatalog::new(service.clone(), std::time::Duration::from_secs(10)));
        Self { front: V1ShimLayer::new(config).catalog(catalog).layer(service), task }
    }
}

/// The same store, but of `SHOW` it knows no more than 3 Core, and says so in 3 Core's words.
async fn like_core(profile: Profile, directory: &std::path::Path) -> Router {
    const OVER_HTTP: &str = "error in InfluxQL statement: parsing error: invalid SHOW statement, expected DATABASES at pos 5";
    const OVER_FLIGHT: &str =
        "Error while logically planning query: Error during planning: invalid SHOW statement, expected DATABASES at pos 5";
    let store = alone(profile, directory).await;
    Router::new().fallback_service(tower::service_fn(move |request: Request<axum::body::Body>| {
        let store = store.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&body);
            if text.contains("SHOW SERIES") || text.contains("CARDINALITY") {
                return Ok(match is_grpc(&head.headers) {
                    true => grpc_refusal(&Error::invalid(OVER_FLIGHT)),
                    false => Response::builder().status(400).body(Body::from(OVER_HTTP)).unwrap(),
                });
            }
            store.oneshot(Request::from_parts(head, Body::from(body))).await
        }
    }))
}

impl Drop for Tandem {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is asked, in order: method, path, `Accept`, body.
fn story() -> Vec<(Method, String, &'static str, &'static str)> {
    let mut story = Vec::new();
    for (parameters, body) in [
        (
            "db=tele",
            "cpu,host=a,region=eu usage=1.5,count=2i,big=18446744073709551615u,up=true,note=\"first\" 1700000000000000000\n\
             cpu,host=b,region=us usage=2.5,count=3i 1700000001000000000\n\
             cpu,host=a,region=eu usage=3.5 1700000060000000000\n\
             cpu,host=b usage=4.5,note=\"no region \\\"quoted\\\"\" 1700000061000000000\n\
             odd\\ name,tag\\ key=va\\,lue field\\ key=1 1700000000000000000",
        ),
        ("db=tele&precision=s", "mem,host=a used=10i 1700000000\nmem,host=a used=20i 1700000060"),
        ("db=tele&precision=m", "minute v=1 28333333"),
        ("db=tele&precision=h", "hour v=1 472222"),
        ("db=tele&rp=week&precision=ms", "cpu,host=w usage=7 1700000000000"),
        ("db=other", "cpu,host=o usage=9 1700000000000000000"),
        // A database whose first policy isn't the default one.
        ("db=late&rp=weekly", "cpu,host=l usage=10 1700000000000000000"),
        // What goes wrong.
        ("", "cpu usage=1"),
        ("db=", "cpu usage=1"),
        ("db=tele&precision=fortnight", "cpu usage=1"),
        ("db=tele", "cpu usage=\"text\" 1700000000000000000\ncpu,host=c usage=5 1700000000000000000"),
        ("db=tele", "garbage\ncpu,host=d usage=6 1700000000000000000"),
        ("db=tele", "garbage"),
        ("db=tele", ""),
        ("db=tele&precision=h", "cpu usage=1 9223372036854775807"),
    ] {
        story.push((Method::POST, format!("/write?{parameters}"), "", body));
    }
    let queries = [
        "SELECT * FROM cpu",
        "SELECT usage FROM cpu",
        "SELECT usage, host FROM cpu WHERE host = 'a'",
        "SELECT nosuch FROM cpu",
        "SELECT usage FROM nosuch",
        "SELECT mean(usage), count(count) FROM cpu GROUP BY host",
        "SELECT mean(usage) FROM cpu WHERE time >= 1700000000s AND time < 1700000120s GROUP BY time(1m), host fill(none)",
        "SELECT mean(usage) FROM cpu WHERE time >= 1700000000s AND time < 1700000120s GROUP BY time(30s), region fill(previous)",
        "SELECT mean(usage) FROM cpu WHERE time >= 1700000000s AND time < 1700000120s GROUP BY time(30s) fill(null)",
        "SELECT * FROM cpu GROUP BY *",
        "SELECT usage FROM cpu GROUP BY /re.*/",
        "SELECT /^u/ FROM cpu",
        "SELECT usage FROM cpu, mem",
        "SELECT * FROM /^(cpu|mem)$/ GROUP BY host",
        "SELECT last(usage), host FROM cpu GROUP BY region",
        "SELECT max(usage) - min(usage) AS range, first(note) FROM cpu",
        "SELECT \"field key\" FROM \"odd name\" GROUP BY \"tag key\"",
        "SELECT usage FROM cpu ORDER BY time DESC LIMIT 2",
        "SELECT usage FROM tele..cpu; SELECT usage FROM other..cpu; SELECT usage FROM tele.week.cpu",
        "SELECT usage FROM week.cpu",
        "SELECT usage FROM \"nosuch\"..cpu; SELECT usage FROM cpu",
        "SELECT v FROM minute; SELECT v FROM hour",
        "SELECT usage FROM cpu WHERE host =~ /^[ab]$/ AND usage > 1.5",
        "SHOW DATABASES",
        "SHOW RETENTION POLICIES",
        "SHOW RETENTION POLICIES ON tele",
        "SHOW RETENTION POLICIES ON nosuch",
        "SHOW RETENTION POLICIES ON late",
        "SHOW MEASUREMENTS ON late",
        "SELECT usage FROM late..cpu; SELECT usage FROM late.weekly.cpu; SELECT usage FROM late.autogen.cpu",
        "SHOW MEASUREMENTS",
        "SHOW MEASUREMENTS ON other",
        "SHOW MEASUREMENTS WITH MEASUREMENT =~ /^c/",
        "SHOW TAG KEYS",
        "SHOW TAG KEYS FROM cpu",
        "SHOW TAG VALUES FROM cpu WITH KEY IN (host, region)",
        "SHOW FIELD KEYS",
        "SHOW FIELD KEYS FROM cpu",
        "SELECT usage FROM cpu GROUP BY host SLIMIT 1",
        "SELECT usage FROM cpu GROUP BY host SLIMIT 1 SOFFSET 1",
        "SELECT usage FROM cpu GROUP BY host LIMIT 1 OFFSET 1",
        "SHOW SERIES",
        "SHOW SERIES FROM cpu WHERE host = 'a'",
        "SHOW SERIES CARDINALITY",
        "SHOW MEASUREMENT CARDINALITY",
        "SHOW TAG KEY CARDINALITY",
        "SHOW TAG VALUES FROM /c.*/ WITH KEY = host WHERE region = 'eu'",
        "SHOW TAG KEYS LIMIT 1",
        "SELECT count(*) FROM cpu",
        "SELECT count(*), mean(usage) FROM cpu GROUP BY *",
        "SELECT distinct(host) FROM cpu",
        "SELECT distinct(usage) FROM cpu",
        "SELECT median(usage), mode(usage), spread(usage), stddev(usage) FROM cpu",
        "SELECT percentile(usage, 50), host FROM cpu",
        "SELECT usage * 2 + count AS x, usage FROM cpu",
        "SELECT floor(usage) FROM cpu",
        "SELECT max(mean) FROM (SELECT mean(usage) FROM cpu GROUP BY host)",
        "SELECT top(usage, 2), host FROM cpu",
        "SELECT derivative(usage) FROM cpu",
        "SELECT usage FROM cpu tz('Europe/Berlin')",
        "SELECT mean(usage) FROM cpu WHERE time > 1699999000s AND time < 1700000100s GROUP BY time(10m) tz('Asia/Kolkata')",
        "SELECT time, usage FROM cpu LIMIT 1",
        "SELECT host FROM cpu",
        "SELECT usage::integer, note::string FROM cpu",
        "EXPLAIN SELECT usage FROM cpu",
        // What is refused, and what is wrong.
        "CREATE DATABASE x",
        "SELECT usage INTO y FROM cpu",
        "DROP MEASUREMENT cpu",
        "SELECT usage FROM cpu; DELETE FROM cpu",
        "SELECT usage FROM",
        "SELEC usage",
        "",
    ];
    for q in queries {
        story.push((Method::GET, query(q, &[("epoch", "ns")]), "", ""));
    }
    for (q, more) in [
        ("SELECT * FROM cpu", &[("epoch", "s"), ("pretty", "true")][..]),
        ("SELECT * FROM cpu", &[("epoch", "h")]),
        ("SELECT * FROM cpu", &[]),
        ("SELECT * FROM cpu GROUP BY *", &[("chunked", "true"), ("chunk_size", "1")]),
        ("SELECT * FROM cpu; SELECT * FROM mem", &[("chunked", "true"), ("chunk_size", "2"), ("epoch", "ms")]),
        ("SELECT usage FROM cpu WHERE host = $h", &[("params", "{\"h\":\"a\"}")]),
        ("SELECT usage FROM cpu WHERE host = $h", &[("params", "{}")]),
        ("SELECT usage FROM cpu", &[("rp", "week")]),
        ("SELECT usage FROM cpu", &[("db", "nosuch")]),
        ("SHOW DATABASES", &[("db", "")]),
    ] {
        for accept in ["application/json", "application/csv", "application/x-msgpack"] {
            story.push((Method::GET, query(q, more), accept, ""));
        }
    }
    // Then its default one, which the first write has made.
    story.push((Method::POST, "/write?db=late".into(), "", "cpu,host=l usage=11 1700000000000000000"));
    for q in ["SELECT usage FROM cpu; SELECT usage FROM weekly.cpu", "SHOW RETENTION POLICIES", "SHOW DATABASES"] {
        story.push((Method::GET, query(q, &[("db", "late"), ("epoch", "ns")]), "", ""));
    }
    story
}

fn query(q: &str, more: &[(&str, &str)]) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    if !more.iter().any(|(name, _)| *name == "db") {
        pairs.append_pair("db", "tele");
    }
    format!("/query?{}", pairs.append_pair("q", q).extend_pairs(more).finish())
}

fn request((method, path, accept, body): &(Method, String, &'static str, &'static str)) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Token {TOKEN}"));
    if !accept.is_empty() {
        request = request.header("accept", *accept);
    }
    request.body(Body::from(*body)).unwrap()
}

fn shown(answer: &Answer) -> String {
    let headers =
        ["content-type", "content-encoding", "x-influxdb-error", "x-influxdb-version", "www-authenticate", "retry-after"]
            .map(|name| answer.headers.get(name).map(|value| format!("{name}: {}", value.to_str().unwrap())));
    let headers = headers.into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!("{} {headers}\n    {}", answer.status, answer.body.escape_ascii())
}

async fn compare(profile: Profile, query: QueryBy) {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let alone = alone(profile, one.path()).await;
    let tandem = Tandem::start(profile, query, two.path()).await;
    let (mut different, mut told) = (String::new(), 0);
    for step in story() {
        let expected = shown(&ask(&alone, request(&step)).await);
        let got = shown(&ask(&tandem.front, request(&step)).await);
        told += usize::from(expected.contains("values") || expected.contains("cpu,"));
        if got != expected {
            let (method, path, accept, body) = &step;
            different.push_str(&format!("{method} {path} {accept} {body:?}\n  one: {expected}\n  two: {got}\n"));
        }
    }
    assert!(different.is_empty(), "\n{different}");
    // Not all the same errors.
    assert!(told > 40, "{told}");
}

#[tokio::test]
async fn two_in_a_row_answer_as_one_does() {
    compare(Profile::Serverless, QueryBy::Http).await;
}

#[tokio::test]
async fn in_profile_v1_too() {
    compare(Profile::V1, QueryBy::Http).await;
}

#[tokio::test]
async fn over_flight_too() {
    compare(Profile::Serverless, QueryBy::Flight).await;
}

#[tokio::test]
async fn over_flight_in_profile_v1_too() {
    compare(Profile::V1, QueryBy::Auto).await;
}

#[tokio::test]
async fn what_a_server_lacks_is_made_up_for() {
    for query in [QueryBy::Flight, QueryBy::Http] {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let alone = alone(Profile::V1, one.path()).await;
        let tandem = Tandem::over(Profile::V1, query, like_core(Profile::V1, two.path()).await).await;
        let writes = story().into_iter().filter(|(_, path, ..)| path.starts_with("/write?db=tele"));
        let odd =
            "odd\\ one\\,\\ two,a\\ tag=with\\ space\\,and\\=all v=1 1700000000000000000\nbare v=1,w=\"x\" 1700000000000000000";
        for write in writes.chain([(Method::POST, "/write?db=tele".into(), "", odd)]) {
            let (expected, got) = (ask(&alone, request(&write)).await, ask(&tandem.front, request(&write)).await);
            assert_eq!(expected.status, got.status, "{write:?}");
        }
        let mut different = String::new();
        for q in [
            "SHOW SERIES",
            "SHOW SERIES LIMIT 2 OFFSET 1",
            "SHOW SERIES FROM cpu",
            "SHOW SERIES FROM cpu, mem WHERE host = 'a'",
            "SHOW SERIES FROM /^(c|m)/ WHERE host =~ /a|b/",
            "SHOW SERIES WHERE host != ''",
            "SHOW SERIES WHERE region = ''",
            "SHOW SERIES WHERE host = 'nosuch'",
            "SHOW SERIES FROM nosuch",
            "SHOW SERIES FROM \"odd one, two\"",
            "SHOW SERIES CARDINALITY",
            "SHOW SERIES EXACT CARDINALITY",
            "SHOW SERIES EXACT CARDINALITY FROM cpu",
            "SHOW SERIES CARDINALITY FROM cpu WHERE host = 'a'",
            "SHOW SERIES EXACT CARDINALITY WHERE time > 0",
            "SHOW SERIES EXACT CARDINALITY OFFSET 1",
            "SHOW MEASUREMENT CARDINALITY",
            "SHOW MEASUREMENT EXACT CARDINALITY",
            "SHOW MEASUREMENT EXACT CARDINALITY WHERE host = 'a'",
            "SHOW MEASUREMENT CARDINALITY FROM /c.*/",
            "SHOW TAG KEY CARDINALITY",
            "SHOW TAG KEY EXACT CARDINALITY FROM cpu",
            "SHOW TAG VALUES CARDINALITY WITH KEY = host",
            "SHOW TAG VALUES EXACT CARDINALITY FROM cpu WITH KEY IN (host, region)",
            "SHOW FIELD KEY CARDINALITY",
            "SHOW FIELD KEY EXACT CARDINALITY FROM cpu",
            "SHOW SERIES; SHOW SERIES EXACT CARDINALITY; SELECT usage FROM cpu LIMIT 1",
            "SHOW SERIES ON late",
            "SHOW SERIES ON nosuch",
        ] {
            let step = (Method::GET, self::query(q, &[]), "", "");
            let expected = shown(&ask(&alone, request(&step)).await);
            let got = shown(&ask(&tandem.front, request(&step)).await);
            if got != expected {
                different.push_str(&format!("{q}\n  one: {expected}\n  two: {got}\n"));
            }
        }
        assert!(different.is_empty(), "{query:?}\n{different}");
    }
}
