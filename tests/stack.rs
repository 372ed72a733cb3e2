//! The whole stack over services that only listen.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::Write as _,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt};
use v1shim::{
    Body, Error, V1ShimLayer,
    access::{Access, Grant, Identity},
    config::{AuthMode, Backend, Config, Live, Token, Upstream},
    dbrp::{Catalog, Mapping},
    native::{Api, ReplyFormat, Target},
    types::{BoxError, BoxFuture, Profile},
};

const V3: Target = Target { api: Api::V3, reply: ReplyFormat::Jsonl, multi_bucket: false, full_influxql: false };
const V2: Target = Target { api: Api::V2, reply: ReplyFormat::V1Json, multi_bucket: false, full_influxql: false };

/// What reached the service.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
    marked: bool,
}

/// Answers what it is told to, in order, then 204. It may be called only when it is ready, and a clone isn't.
#[derive(Debug)]
struct Recorder {
    shared: Arc<Shared>,
    ready: bool,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<VecDeque<(u16, &'static str)>>,
    running: AtomicUsize,
}

impl Clone for Recorder {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ready: false }
    }
}

impl Recorder {
    fn new(answers: &[(u16, &'static str)]) -> Self {
        let shared = Shared { answers: Mutex::new(answers.iter().copied().collect()), ..Shared::default() };
        Self { shared: Arc::new(shared), ready: false }
    }

    fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// `q` of each v3 query that was asked, with its database.
    fn asked(&self) -> Vec<String> {
        self.seen()
            .iter()
            .map(|seen| {
                let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
                format!("{}: {}", body["db"].as_str().unwrap_or("-"), body["q"].as_str().unwrap())
            })
            .collect()
    }
}

/// A request extension of the host.
#[derive(Clone, Debug)]
struct Mark;

impl Service<Request<Body>> for Recorder {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        let shared = Arc::clone(&self.shared);
        assert_eq!(shared.running.fetch_add(1, Ordering::SeqCst), 0, "one statement after the other");
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            tokio::task::yield_now().await;
            shared.seen.lock().unwrap().push(Seen {
                method: parts.method,
                uri: parts.uri.to_string(),
                marked: parts.extensions.get::<Mark>().is_some(),
                headers: parts.headers,
                body,
            });
            shared.running.fetch_sub(1, Ordering::SeqCst);
            let (status, text) = shared.answers.lock().unwrap().pop_front().unwrap_or((204, ""));
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response.headers_mut().insert("connection", "close".parse().unwrap());
            Ok(response)
        })
    }
}

fn config(profile: Profile) -> Config {
    let mut config = Config::default();
    config.compat.profile = profile;
    config.auth.mode = AuthMode::Passthrough;
    config
}

/// A token `t` that may do this.
fn local(access: Access) -> Config {
    use sha2::Digest;
    let mut config = Config::default();
    config.auth.mode = AuthMode::Local;
    let token = Token { name: "t".into(), sha256: sha2::Sha256::digest("t").into(), access: Arc::new(access), forward: None };
    config.auth.tokens = vec![token];
    config
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

async fn send(recorder: &Recorder, config: Config, target: Target, request: Request<Body>) -> Answer {
    ask(V1ShimLayer::new(config).target(target), recorder, request).await
}

async fn ask(layer: V1ShimLayer, recorder: &Recorder, mut request: Request<Body>) -> Answer {
    request.extensions_mut().insert(Mark);
    let response = layer.layer(recorder.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
    Answer { status: parts.status, headers: parts.headers, text }
}

fn write(query: &str, body: impl Into<Body>) -> Request<Body> {
    let uri = format!("/write?{query}");
    Request::builder()
        .method("POST")
        .uri(uri)
        .header("authorization", "Token t")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .body(body.into())
        .unwrap()
}

fn query(parameters: &[(&str, &str)]) -> Request<Body> {
    let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    Request::builder().uri(format!("/query?{text}")).header("authorization", "Token t").body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_write_becomes_a_v3_write() {
    let recorder = Recorder::new(&[]);
    let answer = send(&recorder, config(Profile::V1), V3, write("db=d&rp=r&precision=u&u=x", "m f=1 1")).await;
    assert_eq!((answer.status, &*answer.text), (StatusCode::NO_CONTENT, ""));
    assert_eq!(answer.headers["x-influxdb-version"], "1.8.10");
    assert!(!answer.headers.contains_key("connection"));
    let seen = &recorder.seen()[0];
    assert_eq!((&seen.method, &*seen.uri), (&Method::POST, "/api/v3/write_lp?db=d%2Fr&precision=us&accept_partial=true"));
    assert_eq!(seen.headers["authorization"], "Bearer t");
    assert!(!seen.headers.contains_key("x-hop") && seen.marked);
    assert_eq!(seen.body, "m f=1 1");
}

#[tokio::test]
async fn a_write_becomes_a_v2_write() {
    let recorder = Recorder::new(&[]);
    let mut config = config(Profile::Serverless);
    config.backend = Backend::Upstream(Upstream {
        api: Api::V2,
        url: "http://localhost".parse().unwrap(),
        org: "o".into(),
        ..Upstream::default()
    });
    let answer = send(&recorder, config, V2, write("db=d", "m f=1 1")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let seen = &recorder.seen()[0];
    assert_eq!(seen.uri, "/api/v2/write?org=o&bucket=d&precision=ns");
    assert_eq!(seen.headers["authorization"], "Token t");
}

#[tokio::test]
async fn minutes_and_hours_are_written_as_seconds() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"m f=1 2\nm f=2").unwrap();
    let gzip = gzip.finish().unwrap();
    for (encoding, body) in [(None, b"m f=1 2\nm f=2".to_vec()), (Some("gzip"), gzip)] {
        let recorder = Recorder::new(&[]);
        let mut request = write("db=d&precision=h", body);
        if let Some(encoding) = encoding {
            request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        }
        let answer = send(&recorder, config(Profile::V1), V3, request).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
        let seen = &recorder.seen()[0];
        assert!(seen.uri.contains("precision=s&"), "{}", seen.uri);
        assert!(!seen.headers.contains_key("content-encoding"));
        assert_eq!(seen.body, "m f=1 7200\nm f=2");
    }
}

#[tokio::test]
async fn an_empty_write_needs_nobody() {
    let recorder = Recorder::new(&[]);
    let answer = send(&recorder, config(Profile::V1), V3, write("db=d", "")).await;
    assert_eq!((answer.status, recorder.seen().len()), (StatusCode::NO_CONTENT, 0));
}

#[tokio::test]
async fn what_the_service_says_of_a_write_becomes_a_promise() {
    for (status, body, want, error) in [
        (429, "slow", 503, "slow"),
        (408, "", 503, "request timeout"),
        (404, "{\"message\":\"bucket \\\"d\\\" not found\"}", 404, "database not found: \"d\""),
        (500, "{\"error\":\"partial write: x dropped=1\"}", 400, "partial write: x dropped=1"),
        (401, "{\"code\":\"unauthorized\",\"message\":\"no\"}", 401, "no"),
        (400, "incoming write was empty", 204, ""),
    ] {
        let recorder = Recorder::new(&[(status, body)]);
        let answer = send(&recorder, config(Profile::V1), V3, write("db=d", "m f=1")).await;
        assert_eq!(answer.status.as_u16(), want, "{status} {body}");
        if error.is_empty() {
            continue;
        }
        let document: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!((&document["error"], &document["message"]), (&error.into(), &error.into()));
        assert_eq!(answer.headers.contains_key("retry-after"), want == 503);
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

/// A body of unknown length, and one that nobody may read.
struct Endless {
    readable: bool,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        assert!(self.readable, "the body was read");
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"m f=1\n")))))
    }
}

#[tokio::test]
async fn bodies_are_limited_however_they_come() {
    let limited = || {
        let mut config = config(Profile::V1);
        config.limits.body = 20;
        config
    };
    for precision in ["ns", "h"] {
        let parameters = format!("db=d&precision={precision}");
        let recorder = Recorder::new(&[]);
        let answer = send(&recorder, limited(), V3, write(&parameters, Body::new(Endless { readable: true }))).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text);
        let answer = send(&recorder, limited(), V3, write(&parameters, "m f=1 1\nm f=1 2\nm f=1 3\n")).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text);
        assert_eq!(recorder.seen().len(), 0);
    }
}

#[tokio::test]
async fn who_may_not_write_is_told_before_the_body_is_read() {
    let recorder = Recorder::new(&[]);
    let access = Access::Grants(vec![Grant { bucket: "d".into(), read: true, write: false }]);
    let answer = send(&recorder, local(access), V3, write("db=d", Body::new(Endless { readable: false }))).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
}

#[tokio::test]
async fn statements_run_one_after_the_other() {
    let rows = "{\"iox::measurement\":\"m\",\"time\":\"1970-01-01T00:00:01\",\"a\":1}\n";
    let recorder = Recorder::new(&[(200, rows), (400, "no such function"), (200, rows)]);
    let parameters =
        [("db", "d"), ("epoch", "s"), ("q", "SELECT a FROM m; SELECT b FROM x.r.n; SELECT a FROM m; SHOW DATABASES")];
    let answer = send(&recorder, config(Profile::V1), V3, query(&parameters)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.text,
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"a\"],\"values\":[[1,1]]}]},\
         {\"statement_id\":1,\"error\":\"no such function\"},\
         {\"statement_id\":2,\"error\":\"not executed\"},{\"statement_id\":3,\"error\":\"not executed\"}]}\n"
    );
    assert_eq!(recorder.asked(), ["d: SELECT a FROM m", "x/r: SELECT b FROM n"]);
    let seen = recorder.seen();
    assert!(seen.iter().all(|seen| seen.marked && seen.headers["authorization"] == "Bearer t"));
    assert!(seen.iter().all(|seen| seen.uri == "/api/v3/query_influxql" && seen.method == Method::POST));
}

#[tokio::test]
async fn statements_without_a_database_fail_alone() {
    let recorder = Recorder::new(&[]);
    let answer = send(&recorder, config(Profile::V1), V3, query(&[("q", "SELECT a FROM m; SHOW DATABASES")])).await;
    assert_eq!(
        answer.text,
        "{\"results\":[{\"statement_id\":0,\"error\":\"database name required\"},{\"statement_id\":1,\"error\":\"not executed\"}]}\n"
    );
    let answer = send(&recorder, config(Profile::V1), V3, query(&[("q", "SELECT a FROM d..m, e..n")])).await;
    assert!(answer.text.contains("can't read several databases"), "{}", answer.text);
    assert_eq!(recorder.seen().len(), 0);
}

#[tokio::test]
async fn several_buckets_are_named_where_the_service_can_read_them() {
    let recorder = Recorder::new(&[(200, "")]);
    let target = Target { multi_bucket: true, full_influxql: true, ..V3 };
    send(&recorder, config(Profile::V1), target, query(&[("q", "SELECT a FROM d..m, e.r.n SLIMIT 1")])).await;
    assert_eq!(recorder.asked(), ["d: SELECT a FROM d..m, \"e/r\"..n SLIMIT 1"]);
}

#[tokio::test]
async fn columns_of_wildcards_are_asked_for_once() {
    let fields = "{\"iox::measurement\":\"m\",\"fieldKey\":\"b\",\"fieldType\":\"float\"}\n";
    let tags = "{\"iox::measurement\":\"m\",\"tagKey\":\"a\"}\n";
    let rows = "{\"iox::measurement\":\"m\",\"time\":\"1970-01-01T00:00:01\",\"b\":1.5}\n";
    let recorder = Recorder::new(&[(200, fields), (200, tags), (200, rows), (200, rows)]);
    let layer = V1ShimLayer::new(config(Profile::V1)).target(V3);
    for _ in 0..2 {
        let answer = ask(layer.clone(), &recorder, query(&[("db", "d"), ("epoch", "s"), ("q", "SELECT * FROM m")])).await;
        assert!(answer.text.contains("\"columns\":[\"time\",\"a\",\"b\"],\"values\":[[1,null,1.5]]"), "{}", answer.text);
        // The layer is made anew: what has been learnt belongs to one.
        recorder.shared.answers.lock().unwrap().extend([(200, fields), (200, tags), (200, rows)]);
        recorder.shared.answers.lock().unwrap().pop_front();
    }
    assert_eq!(recorder.asked()[..3], ["d: SHOW FIELD KEYS FROM m", "d: SHOW TAG KEYS FROM m", "d: SELECT * FROM m"]);
}

#[tokio::test]
async fn nothing_runs_when_any_bucket_is_forbidden() {
    let recorder = Recorder::new(&[(200, "")]);
    let access = Access::Grants(vec![Grant { bucket: "d".into(), read: true, write: false }]);
    let request = query(&[("db", "d"), ("q", "SELECT a FROM m; SELECT a FROM e..m")]);
    let answer = send(&recorder, local(access), V3, request).await;
    assert_eq!((answer.status, recorder.seen().len()), (StatusCode::FORBIDDEN, 0));
    assert!(answer.text.contains("\"results\":[{\"statement_id\":1,"), "{}", answer.text);
}

#[tokio::test]
async fn failures_that_may_pass_have_a_status_when_they_come_first() {
    let request = || query(&[("db", "d"), ("q", "SELECT a FROM m; SELECT b FROM m")]);
    let recorder = Recorder::new(&[(503, "")]);
    let answer = send(&recorder, config(Profile::V1), V3, request()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let recorder = Recorder::new(&[(200, ""), (503, "busy")]);
    let answer = send(&recorder, config(Profile::V1), V3, request()).await;
    assert_eq!(answer.text, "{\"results\":[{\"statement_id\":0},{\"statement_id\":1,\"error\":\"busy\"}]}\n");
}

/// Two databases; `b` has two retention policies.
#[derive(Debug)]
struct Known;

impl Known {
    fn mapping(database: &str, rp: &str, default: bool) -> Mapping {
        let bucket = format!("{database}/{rp}").into();
        let retention = (rp == "week").then(|| std::time::Duration::from_secs(7 * 86400));
        Mapping { database: database.into(), retention_policy: rp.into(), bucket, default, retention, ..Mapping::default() }
    }
}

impl Catalog for Known {
    fn resolve<'a>(
        &'a self,
        _: &'a Identity,
        db: &'a str,
        rp: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<Box<str>>, Error>> {
        Box::pin(async move {
            Ok((["a", "b"].contains(&db) && rp != Some("nosuch")).then(|| format!("{db}/{}", rp.unwrap_or("autogen")).into()))
        })
    }

    fn create<'a>(&'a self, _: &'a Identity, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<Box<str>, Error>> {
        Box::pin(async { Err(Error::invalid("no")) })
    }

    fn list<'a>(&'a self, _: &'a Identity) -> BoxFuture<'a, Result<Vec<Mapping>, Error>> {
        let rows = [("a", "autogen", true), ("b", "autogen", true), ("b", "week", false)];
        Box::pin(async move { Ok(rows.map(|(db, rp, default)| Self::mapping(db, rp, default)).to_vec()) })
    }
}

#[tokio::test]
async fn databases_and_retention_policies_are_what_the_caller_may_read() {
    let recorder = Recorder::new(&[]);
    let show = async |access: Access, q: &str| {
        ask(V1ShimLayer::new(local(access)).target(V3).catalog(Arc::new(Known)), &recorder, query(&[("q", q)])).await
    };
    let answer = show(Access::All, "SHOW DATABASES").await;
    assert_eq!(
        answer.text,
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"databases\",\"columns\":[\"name\"],\"values\":[[\"a\"],[\"b\"]]}]}]}\n"
    );
    let only = Access::Grants(vec![Grant { bucket: "b/week".into(), read: true, write: false }]);
    let answer = show(only.clone(), "SHOW DATABASES").await;
    assert!(answer.text.contains("\"values\":[[\"b\"]]"), "{}", answer.text);
    let answer = show(Access::All, "SHOW RETENTION POLICIES ON b").await;
    assert_eq!(
        answer.text,
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"columns\":[\"name\",\"duration\",\"shardGroupDuration\",\"replicaN\",\"default\"],\
         \"values\":[[\"autogen\",\"0s\",\"168h0m0s\",1,true],[\"week\",\"168h0m0s\",\"24h0m0s\",1,false]]}]}]}\n"
    );
    let answer = show(Access::All, "SHOW RETENTION POLICIES ON c").await;
    assert_eq!(answer.text, "{\"results\":[{\"statement_id\":0,\"error\":\"database not found: c\"}]}\n");
    let answer = show(Access::Grants(Vec::new()), "SHOW DATABASES").await;
    assert!(answer.text.contains("[{\"name\":\"databases\",\"columns\":[\"name\"]}]"), "{}", answer.text);
    assert_eq!(recorder.seen().len(), 0);
}

#[tokio::test]
async fn what_means_nothing_fails_in_its_turn() {
    let recorder = Recorder::new(&[]);
    for profile in [Profile::Serverless, Profile::V1] {
        let layer = V1ShimLayer::new(config(profile)).target(V3).catalog(Arc::new(Known));
        let q = "SELECT mean(a) FROM m GROUP BY time(5m), time(1m); SHOW DATABASES";
        let answer = ask(layer, &recorder, query(&[("db", "b"), ("q", q)])).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.text,
            "{\"results\":[{\"statement_id\":0,\"error\":\"multiple time dimensions not allowed\"},\
             {\"statement_id\":1,\"error\":\"not executed\"}]}\n"
        );
    }
    assert_eq!(recorder.seen().len(), 0);
}

#[tokio::test]
async fn an_unknown_database_is_404_or_the_statements_own_failure() {
    let recorder = Recorder::new(&[]);
    for (profile, status, db, from, text) in [
        (Profile::Serverless, 404, "c", "m", "database not found: \"c\""),
        (Profile::V1, 200, "c", "m", "database not found: c"),
        (Profile::V1, 200, "c", "nosuch.m", "database not found: c"),
        (Profile::V1, 200, "b", "nosuch.m", "retention policy not found: nosuch"),
        (Profile::V1, 200, "b", "nosuch..m", "database not found: nosuch"),
    ] {
        let layer = V1ShimLayer::new(config(profile)).target(V3).catalog(Arc::new(Known));
        let answer = ask(layer, &recorder, query(&[("db", db), ("q", &format!("SELECT a FROM {from}"))])).await;
        assert_eq!(answer.status.as_u16(), status);
        let document: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(document["results"][0]["error"], text);
    }
}

#[tokio::test]
async fn v2_answers_pass_or_are_encoded_again() {
    let reply = "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"a\"],\"values\":[[1000000000,1]]}]}]}\n";
    let recorder = Recorder::new(&[(200, reply)]);
    let answer =
        send(&recorder, config(Profile::V1), V2, query(&[("db", "d"), ("rp", "r"), ("epoch", "u"), ("q", "SELECT a FROM m")]))
            .await;
    assert_eq!(answer.text, reply);
    assert_eq!(recorder.seen()[0].uri, "/query?db=d&rp=r&q=SELECT+a+FROM+m&epoch=u");
    assert_eq!(recorder.seen()[0].headers["authorization"], "Token t");

    let recorder = Recorder::new(&[(200, reply), (200, reply)]);
    let mut request = query(&[("db", "d"), ("epoch", "s"), ("q", "SELECT a FROM m; SELECT a FROM m")]);
    request.headers_mut().insert("accept", "text/csv".parse().unwrap());
    let answer = send(&recorder, config(Profile::V1), V2, request).await;
    assert_eq!(answer.text, "name,tags,time,a\nm,,1,1\n\nname,tags,time,a\nm,,1,1\n");
    assert_eq!(answer.headers["content-type"], "text/csv");
    assert_eq!(recorder.seen()[1].uri, "/query?db=d&q=SELECT+a+FROM+m&epoch=ns&chunked=true&chunk_size=10000");
}

#[tokio::test]
async fn native_paths_pass_untouched_for_those_who_may() {
    let native = |path: &str, token: &str| {
        let authorization = format!("Bearer {token}");
        let (method, body) = if path.contains("query") { ("GET", "") } else { ("POST", "m f=1") };
        Request::builder().method(method).uri(path).header("authorization", authorization).body(Body::from(body)).unwrap()
    };
    let access = || Access::Grants(vec![Grant { bucket: "d".into(), read: true, write: true }]);
    for (path, status) in [
        ("/api/v3/write_lp?db=d&precision=auto", 200),
        ("/api/v3/write_lp?db=e", 403),
        ("/api/v3/configure/database", 403),
        ("/api/v3/query_influxql?db=d&q=SELECT+a+FROM+m", 200),
        ("/api/v3/query_influxql?db=d&q=SELECT+a+FROM+e..m", 403),
    ] {
        let recorder = Recorder::new(&[(200, "fine")]);
        let answer = send(&recorder, local(access()), V3, native(path, "t")).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {}", answer.text);
        if status == 200 {
            assert_eq!((answer.text.as_str(), recorder.seen()[0].uri.as_str()), ("fine", path));
            assert!(!answer.headers.contains_key("connection") && !answer.headers.contains_key("x-influxdb-version"));
        }
    }
    let recorder = Recorder::new(&[]);
    assert_eq!(send(&recorder, local(access()), V3, native("/x", "wrong")).await.status, StatusCode::UNAUTHORIZED);
    let mut closed = local(Access::All);
    closed.compat.passthrough = false;
    assert_eq!(send(&recorder, closed, V3, native("/x", "t")).await.status, StatusCode::NOT_FOUND);
    let mut upgrade = native("/x", "t");
    upgrade.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    assert_eq!(send(&recorder, local(Access::All), V3, upgrade).await.status, StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn ping_needs_nobody() {
    let recorder = Recorder::new(&[]);
    for (uri, status, text) in [("/ping", 204, ""), ("/ping?verbose=true", 200, "{\"version\":\"1.8.10\"}")] {
        let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
        let answer = send(&recorder, Config::default(), V3, request).await;
        assert_eq!((answer.status.as_u16(), answer.text.trim_end()), (status, text));
        assert_eq!(
            (&answer.headers["x-influxdb-version"], &answer.headers["x-influxdb-build"]),
            (&"1.8.10".parse().unwrap(), &"OSS".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn the_configuration_is_followed() {
    let recorder = Recorder::new(&[]);
    let live = Live::new(config(Profile::Serverless));
    let mut shim = V1ShimLayer::new(live.clone()).target(V3).layer(recorder.clone());
    let refused = async |shim: &mut v1shim::V1Shim<Recorder>| {
        let ready = ServiceExt::<Request<Body>>::ready(shim).await.unwrap();
        ready.call(write("db=d&precision=u", "m f=1")).await.unwrap().status()
    };
    assert_eq!(refused(&mut shim).await, StatusCode::BAD_REQUEST);
    live.store(config(Profile::V1));
    assert_eq!(refused(&mut shim).await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_layer_without_the_ones_before_says_so() {
    let mut rewrite = v1shim::rewrite::RewriteLayer::new(Live::new(Config::default()), V3, None).layer(Recorder::new(&[]));
    let error = rewrite.ready().await.unwrap().call(write("db=d", "m f=1")).await.unwrap_err();
    let source = std::error::Error::source(&*error).unwrap();
    assert!(source.is::<v1shim::rewrite::MissingLayer>(), "{source}");
}

#[tokio::test]
async fn an_axum_router_is_a_service_too() {
    let router = axum::Router::new()
        .route("/api/v3/write_lp", axum::routing::post(async |body: String| body.len().to_string()))
        .route("/health", axum::routing::get(async || "mine"));
    let shim = V1ShimLayer::new(config(Profile::V1)).target(V3).layer(router);
    let response = shim.clone().oneshot(write("db=d", "m f=1")).await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let health = Request::builder().uri("/health").body(axum::body::Body::empty()).unwrap();
    let body = shim.oneshot(health).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "mine");
}
