//! The native front, asked as its clients ask it.

use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use v1shim::{
    Body,
    access::{Access, Grant, Identity},
    config,
    embedded::{Embedded, Engine},
};

struct Front {
    _dir: tempfile::TempDir,
    service: Embedded,
    access: Option<Access>,
}

impl Front {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let limits = config::Limits { body: 1000, decompressed: 2000, ..config::Limits::default() };
        let engine = Engine::open(&super::config(dir.path(), 1 << 20), limits).await.unwrap();
        Self { _dir: dir, service: Embedded::new(engine), access: None }
    }

    fn request(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path).body(Body::from(body.into())).unwrap();
        if let Some(access) = &self.access {
            request.extensions_mut().insert(Identity { name: None, access: Arc::new(access.clone()), forward: None });
        }
        request
    }

    async fn send(&self, request: Request<Body>) -> (u16, String) {
        let response = self.service.clone().oneshot(request).await.unwrap();
        let status = response.status();
        if status != StatusCode::NO_CONTENT
            && !(status == StatusCode::OK && response.headers().get(header::CONTENT_TYPE).is_none())
        {
            assert!(response.headers().contains_key(header::CONTENT_TYPE), "{status}");
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, String) {
        self.send(self.request(method, path, body.to_owned())).await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.ask(Method::POST, path, body).await
    }

    async fn json(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let (status, text) = self.ask(method, path, body).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn points(&self, bucket: &str) -> usize {
        let (engine, bucket) = (self.service.engine().clone(), bucket.to_owned());
        let count = tokio::task::spawn_blocking(move || {
            let tables = engine.snapshot(&bucket).unwrap();
            let measurements = tables.measurements();
            let scan = |measurement: &Arc<str>| v1shim::embedded::Scan {
                measurement: Arc::clone(measurement),
                time: i64::MIN..=i64::MAX,
                fields: super::fields(&*tables, measurement),
                series: None,
                descending: false,
                most: None,
            };
            measurements.iter().map(|measurement| super::rows(&*tables, &scan(measurement)).len()).sum()
        });
        count.await.unwrap()
    }
}

#[tokio::test]
async fn writes() {
    let front = Front::new().await;
    let ok = (204, String::new());
    assert_eq!(front.post("/api/v3/write_lp?db=a%2Fb", "m v=1 1").await, ok, "the first write makes the database");
    assert_eq!(front.post("/api/v2/write?org=any&bucket=a%2Fb&precision=s", "m v=1 1").await, ok);
    for (precision, time) in [("auto", "1700000000"), ("second", "1700000000"), ("ms", "1700000000000"), ("us", "1"), ("n", "2")]
    {
        assert_eq!(front.post(&format!("/api/v3/write_lp?db=a%2Fb&precision={precision}"), &format!("m v=1 {time}")).await, ok);
    }
    assert_eq!(front.points("a/b").await, 4, "a second is the same in all units");

    let error = |code: &str, text: &str| json!({ "code": code, "message": text, "error": text });
    let cases = [
        ("/api/v3/write_lp", "m v=1", 400, error("invalid", "missing query parameter 'db'")),
        ("/api/v3/write_lp?db=x", "", 400, error("invalid", "incoming write was empty")),
        ("/api/v2/write?bucket=nosuch", "m v=1", 404, error("not found", "bucket \"nosuch\" not found")),
        (
            "/api/v2/write?bucket=a%2Fb&precision=m",
            "m v=1",
            400,
            error("invalid", "invalid precision \"m\"; valid precision units are ns, us, ms, and s"),
        ),
    ];
    for (path, body, status, expected) in cases {
        assert_eq!(front.json(Method::POST, path, body).await, (status, expected), "{path}");
    }
    assert_eq!(front.ask(Method::GET, "/api/v3/write_lp?db=a", "").await.0, 405);
    assert_eq!(front.post("/nosuch", "").await.0, 404);
}

#[tokio::test]
async fn partial_writes_have_1xs_words_and_3_cores_lines() {
    let front = Front::new().await;
    front.post("/api/v3/write_lp?db=a", "cpu usage=1 1").await;
    let (status, body) =
        front.json(Method::POST, "/api/v3/write_lp?db=a&precision=ns", "garbage\ncpu usage=2 2\ncpu usage=\"text\" 3").await;
    let error = "partial write: field type conflict: input field \"usage\" on measurement \"cpu\" is type string, already exists as type float dropped=1";
    let lines = json!([
        { "error_message": "unable to parse 'garbage': missing fields", "line_number": 1, "original_line": "garbage" },
        {
            "error_message": "field type conflict: input field \"usage\" on measurement \"cpu\" is type string, already exists as type float",
            "line_number": 3,
            "original_line": "cpu usage=\"text\" 3",
        },
    ]);
    let expected = json!({ "error": "partial write of line protocol occurred", "message": error, "data": lines });
    assert_eq!((status, body), (400, expected));
    let (status, body) = front.json(Method::POST, "/api/v3/write_lp?db=a&accept_partial=false", "cpu usage=7 7\ngarbage").await;
    assert_eq!(
        (status, &body["data"]["line_number"], &body["error"], &body["message"]),
        (400, &json!(2), &json!("line protocol parsing error"), &json!("unable to parse 'garbage': missing fields"))
    );
    assert_eq!(front.points("a").await, 2);
}

#[tokio::test]
async fn bodies_are_bounded_packed_or_not() {
    let front = Front::new().await;
    let pack = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let send = |body: Vec<u8>, encoding: &'static str| {
        let mut request = front.request(Method::POST, "/api/v3/write_lp?db=a", body);
        request.headers_mut().insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
        front.send(request)
    };
    assert_eq!(send(pack("m v=1 1"), "gzip").await.0, 204);
    assert_eq!(send(pack(&"m v=1 1\n".repeat(1000)), "gzip").await.0, 413, "a bomb");
    assert_eq!(send(b"not gzip".to_vec(), "gzip").await.0, 400);
    assert_eq!(send(b"m v=1".to_vec(), "zstd").await.0, 415);
    assert_eq!(send(vec![b'#'; 3000], "identity").await.0, 413);
}

#[tokio::test]
async fn databases_are_buckets() {
    let front = Front::new().await;
    let configure = "/api/v3/configure/database";
    assert_eq!(front.post(configure, r#"{"db":"made","retention_period":"30d"}"#).await, (200, String::new()));
    assert_eq!(
        front.post(configure, r#"{"db":"made"}"#).await,
        (409, "attempted to create a resource that already exists".to_owned())
    );
    assert_eq!(front.post(configure, r#"{"db":"x","retention_period":"soon"}"#).await.0, 400);
    let listed = front.ask(Method::GET, "/api/v3/configure/database?format=json", "").await;
    assert_eq!(listed, (200, r#"[{"iox::database":"made"}]"#.to_owned()));
    assert_eq!(front.ask(Method::PUT, configure, r#"{"db":"made","retention_period":"1h"}"#).await.0, 200);
    // An old point is dropped now.
    let (status, body) = front.json(Method::POST, "/api/v3/write_lp?db=made&precision=ns", "m v=1 1000\nm v=2").await;
    assert_eq!((status, &body["message"]), (400, &json!("partial write: points beyond retention policy dropped=1")));
    assert_eq!(front.points("made").await, 1);
    assert_eq!(front.ask(Method::DELETE, "/api/v3/configure/database?db=made", "").await.0, 200);
    assert_eq!(front.ask(Method::DELETE, "/api/v3/configure/database?db=made", "").await.0, 404);
    assert_eq!(front.post(configure, r#"{"db":"made"}"#).await.0, 200);
    assert_eq!(front.points("made").await, 0, "it begins empty again");
}

#[tokio::test]
async fn buckets_and_mappings_are_managed() {
    let front = Front::new().await;
    let (status, bucket) = front
        .json(
            Method::POST,
            "/api/v2/buckets",
            r#"{"orgID":"x","name":"tele/one","retentionRules":[{"type":"expire","everySeconds":172800}]}"#,
        )
        .await;
    assert_eq!(status, 201);
    assert_eq!(
        bucket["retentionRules"],
        json!([{ "type": "expire", "everySeconds": 172_800, "shardGroupDurationSeconds": 86_400 }])
    );
    let id = bucket["id"].as_str().unwrap();
    assert_eq!(front.json(Method::GET, "/api/v2/buckets?name=tele%2Fone", "").await.1["buckets"][0]["id"], id);
    assert_eq!(front.json(Method::GET, &format!("/api/v2/buckets/{id}"), "").await.1["name"], "tele/one");
    let patched = front.json(Method::PATCH, &format!("/api/v2/buckets/{id}"), r#"{"retentionRules":[]}"#).await.1;
    assert_eq!(patched["retentionRules"][0]["everySeconds"], 0);
    assert_eq!(front.post("/api/v2/buckets", r#"{"name":"tele/one"}"#).await.0, 422);
    assert_eq!(front.post("/api/v2/buckets", "{").await.0, 400);

    let listed = front.json(Method::GET, "/api/v2/dbrps?db=tele", "").await.1;
    assert_eq!((&listed["content"][0]["virtual"], &listed["content"][0]["retention_policy"]), (&json!(true), &json!("one")));
    let body = format!(r#"{{"database":"tele","retention_policy":"autogen","bucketID":"{id}","default":true}}"#);
    let (status, made) = front.json(Method::POST, "/api/v2/dbrps", &body).await;
    assert_eq!((status, &made["virtual"]), (201, &json!(false)));
    let path = format!("/api/v2/dbrps/{}", made["id"].as_str().unwrap());
    assert_eq!(front.json(Method::PATCH, &path, r#"{"retention_policy":"two"}"#).await.1["content"]["retention_policy"], "two");
    let catalog = front.service.engine().catalog();
    assert_eq!(
        catalog.resolve(&v1shim::access::Identity::unrestricted(None), "tele", Some("two")).await.unwrap().as_deref(),
        Some("tele/one")
    );
    assert_eq!(front.ask(Method::DELETE, &path, "").await.0, 204);
    assert_eq!(front.ask(Method::DELETE, &path, "").await.0, 404);
    assert_eq!(front.ask(Method::DELETE, &format!("/api/v2/buckets/{id}"), "").await.0, 204);
    assert_eq!(front.ask(Method::GET, "/api/v2/buckets/zz", "").await.0, 400);
}

#[tokio::test]
async fn callers_see_what_they_may_read() {
    let mut front = Front::new().await;
    for db in ["a", "b"] {
        front.post(&format!("/api/v3/write_lp?db={db}"), "m v=1 1").await;
    }
    front.access = Some(Access::Grants(vec![Grant { bucket: "a".into(), read: true, write: false }]));
    let listed = front.ask(Method::GET, "/api/v3/configure/database", "").await.1;
    assert_eq!(listed, r#"[{"iox::database":"a"}]"#);
    assert_eq!(front.json(Method::GET, "/api/v2/buckets", "").await.1["buckets"].as_array().unwrap().len(), 1);
    assert_eq!(front.json(Method::GET, "/api/v2/dbrps", "").await.1["content"].as_array().unwrap().len(), 1);
    let query = |q: &str| json!({ "q": q, "format": "jsonl" }).to_string();
    let shown = front.post("/api/v3/query_influxql", &query("SHOW DATABASES")).await;
    assert_eq!(shown, (200, "{\"iox::database\":\"a\",\"deleted\":false}\n".to_owned()));
    let of = |sibling: &str| json!({ "db": "a", "q": "SHOW MEASUREMENTS", "siblings": { "a": [sibling] } }).to_string();
    assert_eq!(front.post("/api/v3/query_influxql", &of("a")).await.0, 200);
    assert_eq!(
        front.post("/api/v3/query_influxql", &of("b")).await.0,
        403,
        "a foreign bucket isn't read by calling it a sibling"
    );
    assert_eq!(front.post("/api/v3/write_lp?db=a", "m v=1 1").await.0, 403);
    assert_eq!(front.post("/api/v3/configure/database", r#"{"db":"c"}"#).await.0, 403);
    assert_eq!(front.ask(Method::DELETE, "/api/v3/configure/database?db=a", "").await.0, 403);
}

#[tokio::test]
async fn queries_come_in_3_cores_formats() {
    let front = Front::new().await;
    let query = |q: &str, format: &str| json!({ "db": "fx", "q": q, "format": format }).to_string();
    let path = "/api/v3/query_influxql";
    front.post("/api/v3/configure/database", r#"{"db":"fx","retention_period":"1d"}"#).await;
    front.post("/api/v3/configure/database", r#"{"db":"it's, \"so\""}"#).await;
    let q = "SHOW DATABASES";
    let rows = "{\"iox::database\":\"fx\",\"deleted\":false}";
    let other = "{\"iox::database\":\"it's, \\\"so\\\"\",\"deleted\":false}";
    assert_eq!(front.post(path, &query(q, "json")).await, (200, format!("[{rows},{other}]")));
    assert_eq!(front.post(path, &query(q, "jsonl")).await, (200, format!("{rows}\n{other}\n")));
    assert_eq!(
        front.post(path, &query(q, "csv")).await,
        (200, "iox::database,deleted\nfx,false\n\"it's, \"\"so\"\"\",false\n".to_owned())
    );
    assert!(front.post(path, &query(q, "pretty")).await.1.starts_with("| iox::database"));
    let shown = front.ask(Method::GET, &format!("{path}?db=fx&q=SHOW+RETENTION+POLICIES&format=jsonl"), "").await;
    assert_eq!(shown, (200, "{\"iox::database\":\"fx\",\"name\":\"autogen\",\"duration\":\"86400s\"}\n".to_owned()));

    let response = front.service.clone().oneshot(front.request(Method::POST, path, query(q, "arrow"))).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/vnd.apache.arrow.stream");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let batches: Vec<_> = arrow_ipc::reader::StreamReader::try_new(&*bytes, None).unwrap().map(Result::unwrap).collect();
    assert_eq!((batches.len(), batches[0].num_rows()), (1, 2));

    for (body, status) in [
        (query("SHOW DATABASES; SHOW DATABASES", "json"), 400),
        (query("SELEC", "json"), 400),
        (query(q, "parquet"), 400),
        ("{".to_owned(), 400),
    ] {
        assert_eq!(front.post(path, &body).await.0, status, "{body}");
    }
    assert_eq!(front.ask(Method::GET, path, "").await.0, 400);
    assert_eq!(front.json(Method::GET, "/health", "").await.1["status"], "pass");
    assert_eq!(front.ask(Method::GET, "/ping", "").await.0, 200);
}

#[tokio::test]
async fn rows_are_what_3_core_has_recorded() {
    let recorded: Value = serde_json::from_str(include_str!("../fixtures/influxdb3-core.json")).unwrap();
    let front = Front::new().await;
    let calls = recorded["http"].as_array().unwrap();
    let first = &calls[0]["request"];
    assert_eq!(front.post("/api/v3/write_lp?db=fx&precision=ns", first["body"].as_str().unwrap()).await.0, 204);
    // Of a later, partial write these were kept.
    front
        .post(
            "/api/v3/write_lp?db=fx&precision=ns",
            "cpu,host=a usage=9 1700000000000000002\ncpu,host=a usage=10 1700000000000000003",
        )
        .await;
    let mut compared = 0;
    for call in calls {
        let (request, response) = (&call["request"], &call["response"]);
        let body = request["body"].as_str().unwrap_or_default();
        let plain = [
            "SELECT * FROM cpu\"",
            "SELECT usage FROM cpu\"",
            "SELECT usage, host FROM cpu WHERE host='a'\"",
            "SELECT mean(usage) FROM cpu\"",
        ];
        let formats = ["query_influxql json", "query_influxql jsonl", "query_influxql csv"];
        if !formats.contains(&call["group"].as_str().unwrap()) || !plain.iter().any(|q| body.contains(&format!("\"q\": \"{q}"))) {
            continue;
        }
        assert_eq!(
            front.post("/api/v3/query_influxql", body).await,
            (200, response["body"].as_str().unwrap().to_owned()),
            "{body}"
        );
        compared += 1;
    }
    assert_eq!(compared, 12);
    let missing = json!({ "db": "nosuch", "q": "SELECT * FROM cpu" }).to_string();
    assert_eq!(front.json(Method::POST, "/api/v3/query_influxql", &missing).await.1["error"], "database not found: \"nosuch\"");
}
