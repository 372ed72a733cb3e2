//! Arrow Flight below the shim: servers that have none, servers that say no, servers that break.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tower::Layer;
use v1shim::{
    Body, V1Shim, V1ShimLayer, config,
    config::{AuthMode, Backend, Config, QueryBy},
    dbrp::Mapping,
    native::{FlightTicket, GRPC, flight_data, grpc_message, grpc_prefix},
    upstream::Upstream,
};

use super::{
    client,
    raw::{Raw, read_request, reply},
};
use crate::recorded::{
    fixtures::CORE,
    stack::{Answer, ask},
};

fn shim(url: &str, query: QueryBy) -> V1Shim<Upstream> {
    over(&config::Upstream { query, ..client::config(url) })
}

fn over(upstream: &config::Upstream) -> V1Shim<Upstream> {
    let mut config = Config::default();
    config.auth.mode = AuthMode::Passthrough;
    config.backend = Backend::Upstream(upstream.clone());
    V1ShimLayer::new(config).layer(Upstream::new(upstream).unwrap())
}

async fn query(shim: &V1Shim<Upstream>, q: &str) -> Answer {
    let pairs = [("db", "fx"), ("q", q), ("epoch", "ns")];
    let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let request = Request::get(format!("/query?{query}")).header("authorization", "Token t");
    ask(shim, request.body(Body::empty()).unwrap()).await
}

/// An h2 server without TLS that answers every request so, and how many it has had.
async fn h2(answer: impl Fn(usize) -> Response<Body> + Send + Sync + 'static) -> (Raw, Arc<AtomicUsize>) {
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    let server = Raw::start(move |_, stream| {
        let (answer, count) = (Arc::clone(&answer), Arc::clone(&counted));
        async move {
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                assert_eq!(request.headers()["authorization"], "Bearer t");
                let response = answer(count.fetch_add(1, Ordering::SeqCst));
                async move { Ok::<_, Infallible>(response) }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    (server, count)
}

/// Only a status.
fn refusal(code: u32, message: &str) -> Response<Body> {
    let response = Response::builder().header("content-type", GRPC).header("grpc-status", code).header("grpc-message", message);
    response.body(Body::empty()).unwrap()
}

/// Pieces of a stream, and a status.
fn stream(pieces: Vec<Bytes>, code: Option<u32>) -> Response<Body> {
    let trailers = code.map(|code| {
        let headers = [("grpc-status", code.to_string()), ("grpc-message", "said%20late".to_owned())];
        Frame::trailers(headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
    });
    let frames = pieces.into_iter().map(Frame::data).chain(trailers).map(Ok::<_, Infallible>);
    let body = StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>()));
    Response::builder().header("content-type", GRPC).body(Body::new(body)).unwrap()
}

/// The recorded messages of a statement.
fn messages(q: &str) -> Vec<Bytes> {
    let flight = CORE.flight.iter().find(|flight| flight.ticket.sql_query == q).unwrap();
    flight.messages().map(|message| grpc_message(&[&message])).collect()
}

/// gRPC's codes, what it says, and what a v1 client hears: status, `Retry-After`, message.
const STATUSES: &[(u32, &str, u16, Option<&str>, &str)] = &[
    (1, "gone", 503, Some("5"), "gone"),
    (2, "odd", 500, None, "odd"),
    (3, "Error while planning query: no such function", 200, None, "no such function"),
    (4, "too slow", 503, Some("5"), "too slow"),
    (5, "no such thing", 200, None, "no such thing"),
    (5, "Database fx not found", 200, None, "database not found: \"fx\""),
    (6, "twice", 200, None, "twice"),
    (7, "not yours", 403, None, "not yours"),
    (8, "slow down", 503, Some("5"), "slow down"),
    (9, "not now", 200, None, "not now"),
    (10, "conflict", 503, Some("5"), "conflict"),
    (11, "too far", 200, None, "too far"),
    (12, "no DoGet", 200, None, "no DoGet"),
    (13, "Cannot retrieve database: External error: database not found: fx", 200, None, "database not found: \"fx\""),
    (13, "disk", 500, None, "disk"),
    (14, "starting", 503, Some("5"), "starting"),
    (15, "lost", 500, None, "lost"),
    (16, "who are you", 401, None, "who are you"),
    (99, "what", 500, None, "what"),
];

#[tokio::test]
async fn what_grpc_says_a_v1_client_hears() {
    for (code, says, status, retry, message) in STATUSES {
        // Among the headers, and behind an empty body.
        for late in [false, true] {
            let (server, _) = h2(move |_| match late {
                false => refusal(*code, says),
                true => stream(Vec::new(), Some(*code)),
            })
            .await;
            let upstream = config::Upstream { query: QueryBy::Flight, retries: 0, ..client::config(&server.url()) };
            let answer = query(&over(&upstream), "SELECT v FROM m").await;
            if late && says.contains("atabase") {
                continue;
            }
            let message = if late { "said late" } else { message };
            assert_eq!(answer.status.as_u16(), *status, "{code}: {answer:?}");
            assert_eq!(answer.headers.get("retry-after").map(|value| value.to_str().unwrap()), *retry, "{code}");
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            let error = if *status == 200 { &body["results"][0]["error"] } else { &body["error"] };
            assert_eq!(error, message, "{code}: {body}");
        }
    }
}

#[tokio::test]
async fn what_may_pass_is_asked_again() {
    for code in [14, 8, 4] {
        let (server, count) = h2(move |number| match number {
            0 => refusal(code, "soon"),
            _ => stream(messages("SELECT usage FROM cpu LIMIT 1"), Some(0)),
        })
        .await;
        let answer = query(&shim(&server.url(), QueryBy::Flight), "SELECT usage FROM cpu LIMIT 1").await;
        assert!(answer.text().contains("\"values\":[[1700000000000000000,1.5]]"), "{code} {answer:?}");
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }
    // What is said for good isn't.
    let (server, count) = h2(|_| refusal(3, "no")).await;
    query(&shim(&server.url(), QueryBy::Flight), "SELECT usage FROM cpu").await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_without_flight_is_asked_over_http() {
    const ROW: &str = "{\"iox::measurement\":\"m\",\"time\":\"1970-01-01T00:00:01\",\"v\":1.5}\n";
    // HTTP/1.1 that answers everything, closes on what it doesn't know, or resets.
    for behaviour in 0..3 {
        let server = Raw::start(move |_, mut stream| async move {
            while let Some(request) = read_request(&mut stream).await {
                if request.starts_with("PRI ") {
                    match behaviour {
                        0 => {
                            let text = reply("400 Bad Request", "connection: close\r\n", "what?");
                            let _ = stream.write_all(text.as_bytes()).await;
                        }
                        1 => {}
                        _ => stream.set_zero_linger().unwrap(),
                    }
                    return;
                }
                assert!(request.starts_with("POST /api/v3/query_influxql "), "{request}");
                if stream.write_all(reply("200 OK", "content-type: application/jsonl\r\n", ROW).as_bytes()).await.is_err() {
                    return;
                }
            }
        })
        .await;
        // One that would be left alone after one failure: finding out is none.
        let upstream = config::Upstream { query: QueryBy::Auto, breaker_failures: 1, ..client::config(&server.url()) };
        let shim = over(&upstream);
        let answers = futures_util::future::join_all((0..8).map(|_| query(&shim, "SELECT v FROM m"))).await;
        for answer in answers {
            assert!(answer.text().contains("\"values\":[[1000000000,1.5]]"), "{behaviour} {answer:?}");
        }
    }
}

#[tokio::test]
async fn flight_that_is_switched_off_is_found_out_once() {
    const ROW: &str = "{\"iox::measurement\":\"m\",\"time\":\"1970-01-01T00:00:01\",\"v\":1.5}\n";
    for (name, off) in [
        ("trailers alone", (|| refusal(12, "")) as fn() -> Response<Body>),
        ("trailers", || stream(Vec::new(), Some(12))),
        ("a path that isn't there", || Response::builder().status(404).body(Body::from("Not found")).unwrap()),
        ("some page", || Response::builder().header("content-type", "text/html").body(Body::from("<html>")).unwrap()),
    ] {
        let flown = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&flown);
        let app = axum::Router::new()
            .route("/api/v3/query_influxql", axum::routing::post(async || ([("content-type", "application/jsonl")], ROW)))
            .fallback(move || {
                count.fetch_add(1, Ordering::SeqCst);
                let (head, body) = off().into_parts();
                async move { Response::from_parts(head, axum::body::Body::new(body)) }
            });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let shim = shim(&url, QueryBy::Auto);
        for _ in 0..3 {
            let answer = query(&shim, "SELECT v FROM m; SELECT v FROM m").await;
            assert_eq!(answer.text().matches("\"values\":[[1000000000,1.5]]").count(), 2, "{name} {answer:?}");
        }
        assert_eq!(flown.load(Ordering::SeqCst), 1, "{name}");
        // Told to take it, the shim says that there is none.
        let answer = query(&super::flight::shim(&url, QueryBy::Flight), "SELECT v FROM m").await;
        assert!(answer.text().contains("error"), "{name} {answer:?}");
        task.abort();
    }
}

#[tokio::test]
async fn nobody_at_all_is_503() {
    let url = super::raw::nobody().await;
    for way in [QueryBy::Auto, QueryBy::Flight] {
        let answer = query(&shim(&url, way), "SELECT v FROM m").await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.headers["retry-after"], "5");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_whole_is_never_taken_for_one() {
    const Q: &str = "SELECT * FROM cpu";
    let whole = messages(Q);
    let all: Vec<u8> = whole.concat();
    let cut = |end: usize| vec![Bytes::copy_from_slice(&all[..end])];
    let half = all.len() / 2;
    for (name, pieces, code) in [
        ("no trailers", whole.clone(), None),
        ("cut in a message", cut(all.len() - 10), Some(0)),
        ("cut in a message, without trailers", cut(half), None),
        ("a failure behind rows", whole.clone(), Some(14)),
        ("a schema alone, and a failure", whole[..1].to_vec(), Some(13)),
        ("nothing", Vec::new(), Some(0)),
        ("nothing at all", Vec::new(), None),
    ] {
        let (pieces, quoted) = (Arc::new(pieces), name);
        let (server, _) = h2(move |_| stream(pieces.to_vec(), code)).await;
        let answer = query(&shim(&server.url(), QueryBy::Flight), &format!("{Q}; SELECT v FROM m")).await;
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("a whole document");
        let error = body["results"][0]["error"].as_str().or_else(|| body["error"].as_str());
        assert!(error.is_some_and(|error| !error.is_empty()), "{quoted}: {body}");
        if answer.status == 200 {
            assert_eq!(body["results"][1]["error"], "not executed", "{quoted}");
        }
    }
}

#[tokio::test]
async fn a_batch_has_its_limit() {
    const Q: &str = "SELECT * FROM cpu";
    // A message that says to be 2 GB, and goes on and on.
    let (server, _) = h2(|_| {
        let piece = Bytes::from(vec![0; 1 << 20]);
        let endless = [Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\x7f")].into_iter().chain(std::iter::repeat_n(piece, 80));
        let pieces = endless.flat_map(|body| [flight_data(b"", body.len()).unwrap(), body]);
        stream(messages(Q).into_iter().take(1).chain(pieces).collect(), Some(0))
    })
    .await;
    let upstream = config::Upstream { query: QueryBy::Flight, ..client::config(&server.url()) };
    let mut config = Config::default();
    config.auth.mode = AuthMode::Passthrough;
    config.limits.query_memory = 1 << 20;
    config.backend = Backend::Upstream(upstream.clone());
    let answer = query(&V1ShimLayer::new(config).layer(Upstream::new(&upstream).unwrap()), Q).await;
    assert!(answer.text().contains("limits.query_memory"), "{answer:?}");
}

#[tokio::test]
async fn hostile_messages_are_errors() {
    const Q: &str = "SELECT * FROM cpu";
    let whole = messages(Q);
    let flight = CORE.flight.iter().find(|flight| flight.ticket.sql_query == Q).unwrap();
    let batch = flight.messages().nth(1).unwrap();
    let mut streams: Vec<Vec<Bytes>> = vec![
        vec![Bytes::from_static(b"\x01\0\0\0\0")],
        vec![Bytes::from_static(b"\0\xff\xff\xff\xff")],
        vec![grpc_message(&[b"garbage"])],
        vec![flight_data(b"not a flatbuffer at all, but long enough", 0).unwrap()],
        vec![whole[1].clone(), whole[0].clone()],
        vec![whole[0].clone(), whole[0].clone()],
        // The batch's header, and a shorter body than it speaks of.
        vec![whole[0].clone(), grpc_message(&[&batch[..batch.len() / 3]])],
    ];
    // Bytes of the batch's message turned: most are data, the others lengths, offsets and types.
    for at in (0..batch.len()).step_by(11) {
        let mut batch = batch.clone();
        batch[at] ^= 0x55;
        streams.push(vec![whole[0].clone(), grpc_prefix(batch.len()).to_vec().into(), batch.into()]);
    }
    let streams = Arc::new(streams);
    let served = Arc::clone(&streams);
    let (server, count) = h2(move |number| stream(served[number].clone(), Some(0))).await;
    let shim = over(&config::Upstream {
        query: QueryBy::Flight,
        retries: 0,
        timeout: Duration::from_secs(5),
        ..client::config(&server.url())
    });
    let mut errors = 0;
    for number in 0..streams.len() {
        let answer = query(&shim, Q).await;
        let body: Result<serde_json::Value, _> = serde_json::from_slice(&answer.body);
        let body = body.unwrap_or_else(|error| panic!("{number}: {error} {answer:?}"));
        let error = answer.status != 200 || body["results"][0]["error"].is_string();
        assert!(error || number >= 7, "{number}: {body}");
        errors += usize::from(error);
    }
    assert_eq!(count.load(Ordering::SeqCst), streams.len());
    assert!(errors > 20, "{errors} of {}", streams.len());
}

#[tokio::test]
async fn odd_names_are_the_same_for_writes_and_queries() {
    let mapping = |database: &str, rp: &str, bucket: &str| Mapping {
        database: database.into(),
        retention_policy: rp.into(),
        bucket: bucket.into(),
        default: true,
        ..Mapping::default()
    };
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let app = axum::Router::new().fallback(move |request: Request<axum::body::Body>| {
        let log = Arc::clone(&log);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let (told, answer) = match FlightTicket::from_body(&body) {
                Ok(ticket) => {
                    let told = format!("{}: {}", ticket.database, ticket.sql_query);
                    (told, stream(messages("SELECT usage FROM nosuch"), Some(0)))
                }
                Err(_) => {
                    let db =
                        form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).next().unwrap().1.into_owned();
                    (format!("{db} <"), Response::builder().status(204).body(Body::empty()).unwrap())
                }
            };
            log.lock().unwrap().push(told);
            answer.map(axum::body::Body::new)
        }
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let upstream =
        config::Upstream { query: QueryBy::Flight, ..client::config(&format!("http://{}", listener.local_addr().unwrap())) };
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let mut config = Config::default();
    config.auth.mode = AuthMode::Passthrough;
    config.backend = Backend::Upstream(upstream.clone());
    // Neither spaces nor dots are allowed in 3 Core's names.
    config.dbrp.mappings =
        vec![mapping("my db", "one week", "my_db/one_week"), mapping("a.b", "autogen", "a_b"), mapping("CPU", "x", "cpu")].into();
    let shim = V1ShimLayer::new(config).layer(Upstream::new(&upstream).unwrap());
    for (write, q, bucket, asked) in [
        ("db=my+db", "SELECT v FROM \"my db\".\"one week\".\"m x\"", "my_db/one_week", "SELECT v FROM \"m x\""),
        ("db=my+db&rp=one+week", "SELECT v FROM \"my db\"..\"m x\"", "my_db/one_week", "SELECT v FROM \"m x\""),
        ("db=a.b", "SHOW FIELD KEYS ON \"a.b\" FROM \"autogen\".m", "a_b", "SHOW FIELD KEYS FROM m"),
        ("db=a.b&rp=autogen", "SELECT v FROM (SELECT v FROM \"a.b\"..m)", "a_b", "SELECT v FROM (SELECT v FROM m)"),
        ("db=CPU", "SELECT v FROM \"CPU\"..m", "cpu", "SELECT v FROM m"),
        // By template, without a mapping.
        ("db=d&rp=autogen", "SELECT v FROM d.autogen.m", "d", "SELECT v FROM m"),
        ("db=d&rp=One+Week", "SELECT v FROM d.\"One Week\".m", "d/One Week", "SELECT v FROM m"),
    ] {
        let request = Request::post(format!("/write?{write}")).header("authorization", "Token t");
        assert_eq!(ask(&shim, request.body(Body::from("m v=1")).unwrap()).await.status, 204, "{write}");
        let answer = query(&shim, q).await;
        assert_eq!(answer.text(), "{\"results\":[{\"statement_id\":0}]}\n", "{q}");
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [format!("{bucket} <"), format!("{bucket}: {asked}")], "{write}");
    }
    task.abort();
}
