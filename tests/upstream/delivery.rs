//! Repeating, failing over, shedding, cutting: against servers that fail in turn.

use std::{
    convert::Infallible,
    io::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tower::{Layer, ServiceExt};
use v1shim::{
    Body, Error, V1ShimLayer, config,
    native::Api,
    upstream::{Failure, Upstream},
};

use super::{
    client::config,
    raw::{Raw, nobody, read_request, reply},
};

const FINE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// A server that answers its requests in this order, the last answer again and again; an empty one closes the connection.
struct Script {
    server: Raw,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn new(answers: &[&str]) -> Self {
        let answers: Arc<[String]> = answers.iter().map(|&answer| answer.to_owned()).collect();
        Self::by(move |n, _| answers[n.min(answers.len() - 1)].clone()).await
    }

    /// The answer by the request's number and text.
    async fn by(answer: impl Fn(usize, &str) -> String + Send + Sync + 'static) -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (requests, answer) = (Arc::clone(&seen), Arc::new(answer));
        let server = Raw::start(move |_, mut stream: TcpStream| {
            let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
            async move {
                while let Some(request) = read_request(&mut stream).await {
                    let number = {
                        let mut requests = requests.lock().unwrap();
                        requests.push(request.clone());
                        requests.len() - 1
                    };
                    let text = answer(number, &request);
                    if text.is_empty() || stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
        Self { server, seen }
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The bodies that came, decoded.
    fn bodies(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|request| body(request)).collect()
    }
}

fn body(request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut text, mut rest) = (String::new(), body);
    while let Some((length, tail)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        text.push_str(&tail[..length]);
        rest = &tail[length + 2..];
        if length == 0 {
            break;
        }
    }
    text
}

fn write(body: impl Into<Body>) -> Request<Body> {
    Request::post("/api/v3/write_lp?db=d&precision=nanosecond").body(body.into()).unwrap()
}

/// A body that comes in pieces.
fn pieces(pieces: &[&'static str]) -> Body {
    let frames: Vec<_> = pieces.iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(*piece)))).collect();
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

async fn send(config: &config::Upstream, request: Request<Body>) -> Result<Response<Body>, Error> {
    Upstream::new(config).unwrap().oneshot(request).await
}

async fn text(answer: Response<Body>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_write_that_fails_is_sent_again_with_all_of_its_body() {
    for first in ["", "SSH-2.0\r\n", &reply("503 Service Unavailable", "", ""), &reply("502 Bad Gateway", "", "<html>")] {
        for body in [pieces(&["m v=1 1\n", "m v=2 2\n", "m v=3 3"]), Body::from("m v=1 1\nm v=2 2\nm v=3 3")] {
            let server = Script::new(&[first, FINE]).await;
            let answer = send(&config(&server.server.url()), write(body)).await.unwrap();
            assert_eq!(answer.status(), 204, "{first:?}");
            assert_eq!(server.bodies(), ["m v=1 1\nm v=2 2\nm v=3 3"; 2], "{first:?}");
        }
    }
}

#[tokio::test]
async fn what_is_too_long_to_be_kept_is_sent_once() {
    let server = Script::new(&[&reply("503 Service Unavailable", "", "busy"), FINE]).await;
    let config = config::Upstream { replay_bytes: 10, ..config(&server.server.url()) };
    let answer = send(&config, write(pieces(&["m v=1 1\n", "m v=2 2\n"]))).await.unwrap();
    assert_eq!((answer.status(), server.count()), (StatusCode::SERVICE_UNAVAILABLE, 1));
    // Nobody has taken anything of it where nobody listens.
    let config = config::Upstream { urls: vec![server.server.url().parse().unwrap()], ..self::config(&nobody().await) };
    let answer =
        send(&config::Upstream { replay_bytes: 10, ..config }, write(pieces(&["m v=1 1\n", "m v=2 2\n"]))).await.unwrap();
    assert_eq!(answer.status(), 204);
}

#[tokio::test]
async fn what_must_not_be_done_twice_is_done_once() {
    let server = Script::new(&[""]).await;
    let request = |method: Method, path: &str| Request::builder().method(method).uri(path).body(Body::from("{}")).unwrap();
    for request in [request(Method::POST, "/api/v3/configure/database"), request(Method::GET, "/query?q=DROP+MEASUREMENT+m")] {
        let before = server.count();
        let error = send(&config(&server.server.url()), request).await.unwrap_err();
        assert_eq!((Failure::of(&error), server.count() - before), (Some(Failure::Reset), 1));
    }
    let query = request(Method::POST, "/api/v3/query_influxql");
    assert!(send(&config(&server.server.url()), query).await.is_err());
    assert_eq!(server.count(), 2 + 3, "a v3 query only reads");
}

#[tokio::test]
async fn retry_after_is_honoured_or_handed_on() {
    let wait = |seconds: u32| reply("429 Too Many Requests", &format!("retry-after: {seconds}\r\n"), "slow");
    let server = Script::new(&[&wait(1), FINE]).await;
    let begun = Instant::now();
    assert_eq!(send(&config(&server.server.url()), write("m v=1")).await.unwrap().status(), 204);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let server = Script::new(&[&wait(60), FINE]).await;
    let answer = send(&config(&server.server.url()), write("m v=1")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap(), server.count()), (429, "60", 1));
}

#[tokio::test]
async fn one_of_several_that_is_down_is_not_noticed() {
    let (dead, busy, fine) =
        (nobody().await, Script::new(&[&reply("503 Service Unavailable", "", "")]).await, Script::new(&[FINE]).await);
    let config =
        config::Upstream { urls: vec![busy.server.url().parse().unwrap(), fine.server.url().parse().unwrap()], ..config(&dead) };
    let upstream = Upstream::new(&config).unwrap();
    for n in 0..50 {
        let answer = upstream.clone().oneshot(write(format!("m v={n}"))).await.unwrap();
        assert_eq!(answer.status(), 204, "{n}");
    }
    assert!(fine.count() == 50 && busy.count() <= 12, "its breaker has opened: {}", busy.count());
}

#[tokio::test]
async fn health_checks_find_who_is_well_before_requests_do() {
    let sick = Script::by(|_, request| match request.starts_with("GET /health") {
        true => reply("503 Service Unavailable", "", ""),
        false => String::new(),
    })
    .await;
    let well = Script::by(|_, request| match request.starts_with("GET /health") {
        // As InfluxDB 3 does without a token.
        true => reply("401 Unauthorized", "", ""),
        false => FINE.to_owned(),
    })
    .await;
    let config = config::Upstream {
        urls: vec![well.server.url().parse().unwrap()],
        health_interval: Duration::from_millis(20),
        ..config(&sick.server.url())
    };
    let upstream = Upstream::new(&config).unwrap();
    let watch = tokio::spawn(upstream.clone().watch_health());
    while sick.count() < 2 || well.count() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..20 {
        assert_eq!(upstream.clone().oneshot(write("m v=1")).await.unwrap().status(), 204);
    }
    assert!(sick.seen.lock().unwrap().iter().all(|request| request.starts_with("GET /health")));
    watch.abort();
}

#[tokio::test]
async fn an_upstream_that_fails_again_and_again_is_left_alone_and_tried_again() {
    let server = Script::by(|n, _| if n < 3 { String::new() } else { FINE.to_owned() }).await;
    let config = config::Upstream { breaker_failures: 3, retries: 0, ..config(&server.server.url()) };
    let upstream = Upstream::new(&config).unwrap();
    for _ in 0..3 {
        assert_eq!(Failure::of(&upstream.clone().oneshot(write("m v=1")).await.unwrap_err()), Some(Failure::Reset));
    }
    let error = upstream.clone().oneshot(write("m v=1")).await.unwrap_err();
    assert_eq!((Failure::of(&error), error.message()), (Some(Failure::Tripped), "upstream is away"));
    assert_eq!((error.kind().status().as_u16(), error.retry_delay()), (503, Some(Duration::from_secs(1))));
    assert_eq!(server.count(), 3, "it is not asked");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..3 {
        assert_eq!(upstream.clone().oneshot(write("m v=1")).await.unwrap().status(), 204);
    }
}

#[tokio::test]
async fn too_many_at_once_are_refused_at_once() {
    let slow = Raw::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        // The head, and later the end: it is open as long as that.
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n.").await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        stream.write_all(b".").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    })
    .await;
    let config = config::Upstream { max_requests: 2, ..config(&slow.url()) };
    let upstream = Upstream::new(&config).unwrap();
    let ask = || upstream.clone().oneshot(Request::get("/x").body(Body::empty()).unwrap());
    let (one, two) = (tokio::spawn(ask()), tokio::spawn(ask()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = ask().await.unwrap_err();
    assert_eq!((Failure::of(&error), error.kind().status().as_u16()), (Some(Failure::Overloaded), 503));
    assert!(error.retry_delay().is_some());
    let one = one.await.unwrap().unwrap();
    assert!(ask().await.is_err(), "answers are still coming");
    assert_eq!(text(one).await, "..");
    assert_eq!(text(two.await.unwrap().unwrap()).await, "..");
    assert!(ask().await.is_ok());
}

/// Takes bodies of `most` bytes.
async fn narrow(most: usize) -> Script {
    Script::by(move |_, request| {
        let body = body(request);
        if body.len() > most || request.contains("content-encoding: gzip") {
            return reply("413 Payload Too Large", "", "too large");
        }
        let bad = |(n, line): (usize, &str)| {
            line.starts_with("bad")
                .then(|| format!(r#"{{"error_message":"bad","line_number":{},"original_line":"{line}"}}"#, n + 1))
        };
        let bad: Vec<String> = body.lines().enumerate().filter_map(bad).collect();
        if bad.is_empty() {
            return FINE.to_owned();
        }
        reply(
            "400 Bad Request",
            "",
            &format!(r#"{{"error":"partial write of line protocol occurred","data":[{}]}}"#, bad.join(",")),
        )
    })
    .await
}

fn batch(lines: usize) -> String {
    (1..=lines).map(|n| format!("m,host=h{n} v={n} {n}\n")).collect()
}

#[tokio::test]
async fn a_batch_that_is_too_large_goes_in_pieces() {
    let batch = batch(2000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(batch.as_bytes()).unwrap();
    let mut packed = write(gzip.finish().unwrap());
    packed.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    for request in [write(batch.clone()), packed] {
        let server = narrow(10_000).await;
        let answer = send(&config(&server.server.url()), request).await.unwrap();
        assert_eq!(answer.status(), 204);
        let taken: String = server.bodies().into_iter().filter(|body| body.len() <= 10_000 && body.starts_with("m,")).collect();
        assert_eq!(taken, batch, "every line once, in order");
        assert!(!server.seen.lock().unwrap().last().unwrap().contains("content-encoding"));
    }
}

#[tokio::test]
async fn bad_lines_of_a_batch_in_pieces_keep_their_numbers() {
    let lines = batch(2000).replace("m,host=h3 ", "bad,host=h3 ").replace("m,host=h1900 ", "bad,host=h1900 ");
    let server = narrow(10_000).await;
    let answer = send(&config(&server.server.url()), write(lines)).await.unwrap();
    assert_eq!(answer.status(), 400);
    let document: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
    let numbers: Vec<_> = document["data"].as_array().unwrap().iter().map(|line| line["line_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [3, 1900]);
}

#[tokio::test]
async fn a_line_that_is_too_large_does_not_hold_up_the_others() {
    let long = format!("m v=\"{}\" 1\n", "x".repeat(20_000));
    let lines = format!("{}{long}{}", batch(300), batch(300));
    let server = narrow(10_000).await;
    let answer = send(&config(&server.server.url()), write(lines)).await.unwrap();
    assert_eq!(answer.status(), 413);
    let taken: String = server.bodies().into_iter().filter(|body| body.len() <= 10_000).collect();
    assert_eq!(taken, [batch(300), batch(300)].concat());
}

/// A v2 server that takes bodies of `most` bytes and drops points of `m` that come as text, as 1.x and 2.x do: the others are in, and the answer counts.
async fn counting(most: usize) -> Script {
    Script::by(move |_, request| {
        let body = body(request);
        if body.len() > most {
            return reply("413 Payload Too Large", "", r#"{"code":"request too large","message":"too large"}"#);
        }
        let dropped = body.lines().filter(|line| line.contains("v=\"text\"")).count();
        if dropped == 0 {
            return FINE.to_owned();
        }
        let message = format!(
            r#"{{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"v\" on measurement \"m\" is type string, already exists as type float dropped={dropped}"}}"#
        );
        reply("422 Unprocessable Entity", "content-type: application/json\r\n", &message)
    })
    .await
}

#[tokio::test]
async fn dropped_points_of_a_batch_in_pieces_are_counted_together() {
    let lines: String = (1..=2000)
        .map(|n| if n % 100 == 0 { format!("m,host=h{n} v=\"text\" {n}\n") } else { format!("m,host=h{n} v={n} {n}\n") })
        .collect();
    let server = counting(10_000).await;
    let upstream = config::Upstream { api: Api::V2, org: "o".into(), ..config(&server.server.url()) };
    let mut config = config::Config::default();
    config.auth.mode = config::AuthMode::Passthrough;
    config.backend = config::Backend::Upstream(upstream.clone());
    let shim = V1ShimLayer::new(config).layer(Upstream::new(&upstream).unwrap());
    let request = Request::post("/write?db=tele").header("authorization", "Token t").body(Body::from(lines.clone())).unwrap();
    let answer = shim.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 400);
    let document: serde_json::Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(
        document["error"],
        "partial write: field type conflict: input field \"v\" on measurement \"m\" is type string, already exists as type float dropped=20"
    );
    let taken: String = server.bodies().into_iter().filter(|body| body.len() <= 10_000).collect();
    assert_eq!(taken, lines, "every line once, in order");
}
