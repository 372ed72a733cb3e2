//! What a v1 client hears when the server behind the shim fails: may it succeed later, 503 with `Retry-After` (a v1 writer keeps its batch); will
//! it never, 4xx with 1.x's phrase (it drops it).

use std::time::Duration;

use http::{Method, Request};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    sync::{Mutex, mpsc},
};
use tower::Layer;
use v1shim::{
    Body, V1Shim, V1ShimLayer, config,
    config::{AuthMode, Backend, Config},
    native::{Api, AuthErrors, RULES},
    upstream::Upstream,
};

use super::{
    client,
    raw::{Raw, nobody, read_request, reply},
};
use crate::recorded::stack::{Answer, ask};

fn shim(url: &str, api: Api) -> V1Shim<Upstream> {
    over(&config::Upstream { api, org: "o".into(), ..client::config(url) })
}

fn over(upstream: &config::Upstream) -> V1Shim<Upstream> {
    let mut config = Config::default();
    config.auth.mode = AuthMode::Passthrough;
    config.backend = Backend::Upstream(upstream.clone());
    V1ShimLayer::new(config).layer(Upstream::new(upstream).unwrap())
}

fn write() -> Request<Body> {
    Request::post("/write?db=tele").header("authorization", "Token t").body(Body::from("m v=1 1\nm v=2 2")).unwrap()
}

fn query(q: &str) -> Request<Body> {
    let pairs = [("db", "tele"), ("q", q), ("epoch", "ns")];
    let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    Request::get(format!("/query?{query}")).header("authorization", "Token t").body(Body::empty()).unwrap()
}

fn retry_after(answer: &Answer) -> Option<u64> {
    answer.headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap())
}

struct Row {
    /// The row of the table that it is an example of.
    rule: &'static str,
    api: Api,
    auth: AuthErrors,
    status: &'static str,
    headers: &'static str,
    body: &'static str,
    becomes: u16,
    retry: Option<u64>,
    message: &'static str,
}

const fn row(rule: &'static str, status: &'static str, body: &'static str, becomes: u16, message: &'static str) -> Row {
    Row { rule, api: Api::V3, auth: AuthErrors::Reject, status, headers: "", body, becomes, retry: None, message }
}

const JSON: &str = "content-type: application/json\r\n";

/// Answers to a write, and what becomes of them.
const ROWS: [Row; 24] = {
    const PARTIAL: &str = "a partial write: 3 Core's 400 with `data`, v2's 422";
    const HEALS_401: &str = "401 to a write, `upstream.auth_errors = \"retry\"`";
    const HEALS_403: &str = "403 to a write, `upstream.auth_errors = \"retry\"`";
    const TOO_LARGE: &str = "413, even to a single line or to a longer body than `upstream.replay_bytes`";
    const NO_BUCKET: &str = "404 for a bucket, a database or a mapping";
    [
        Row {
            headers: "retry-after: 7\r\n",
            retry: Some(7),
            ..row("429", "429 Too Many Requests", "slow down", 503, "slow down")
        },
        Row { retry: Some(5), ..row("429", "429 Too Many Requests", "", 503, "too many requests") },
        Row { retry: Some(5), ..row("408", "408 Request Timeout", "", 503, "request timeout") },
        Row { retry: Some(5), ..row("425", "425 Too Early", "", 503, "too early") },
        Row {
            headers: "retry-after: 30\r\n",
            retry: Some(30),
            ..row("503, 504", "503 Service Unavailable", "busy", 503, "busy")
        },
        Row { retry: Some(5), ..row("503, 504", "504 Gateway Timeout", "<html>504</html>", 503, "gateway timeout") },
        row(
            "401",
            "401 Unauthorized",
            r#"{"error": "the request was not authenticated"}"#,
            401,
            "the request was not authenticated",
        ),
        row("403", "403 Forbidden", r#"{"error": "not allowed to write"}"#, 403, "not allowed to write"),
        Row { auth: AuthErrors::Retry, retry: Some(5), ..row(HEALS_401, "401 Unauthorized", "expired", 503, "expired") },
        Row { auth: AuthErrors::Retry, retry: Some(5), ..row(HEALS_403, "403 Forbidden", "not yours", 503, "not yours") },
        row(TOO_LARGE, "413 Payload Too Large", "request body too large", 413, "request body too large"),
        // 3 Core's words for a partial write, and the 500 that its v2 endpoint makes of it.
        Row {
            headers: JSON,
            ..row(
                PARTIAL,
                "400 Bad Request",
                r#"{"error":"partial write of line protocol occurred","data":[{"error_message":"No fields were provided","line_number":2,"original_line":"m v=2"}]}"#,
                400,
                "partial write: unable to parse 'm v=2': No fields were provided (line 2) dropped=1",
            )
        },
        Row {
            api: Api::V2,
            headers: JSON,
            ..row(
                "500 for a partial write",
                "500 Internal Server Error",
                r#"{"code":"internal error","message":"failure writing points to database: partial write: points beyond retention policy dropped=1"}"#,
                400,
                "partial write: points beyond retention policy dropped=1",
            )
        },
        Row {
            api: Api::V2,
            headers: JSON,
            ..row(
                PARTIAL,
                "422 Unprocessable Entity",
                r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"v\" on measurement \"m\" is type float, already exists as type string dropped=1"}"#,
                400,
                "partial write: field type conflict: input field \"v\" on measurement \"m\" is type float, already exists as type string dropped=1",
            )
        },
        Row {
            api: Api::V2,
            headers: JSON,
            ..row(
                NO_BUCKET,
                "404 Not Found",
                r#"{"code":"not found","message":"bucket \"tele\" not found"}"#,
                404,
                "database not found: \"tele\"",
            )
        },
        row(NO_BUCKET, "404 Not Found", "database not found: tele", 404, "database not found: \"tele\""),
        row("any other 404", "404 Not Found", "no such path here", 404, "no such path here"),
        row("any other 4xx", "400 Bad Request", "invalid precision", 400, "invalid precision"),
        row("any other 4xx", "405 Method Not Allowed", "", 400, "method not allowed"),
        row("any other 4xx", "418 I'm a teapot", "", 400, "i'm a teapot"),
        row("501", "501 Not Implemented", "not implemented: writes", 501, "not implemented: writes"),
        row("any other 500", "500 Internal Server Error", r#"{"error":"disk"}"#, 500, "disk"),
        row("any other 5xx", "502 Bad Gateway", "<html>", 502, "bad gateway"),
        row("any other 5xx", "507 Insufficient Storage", "full", 502, "full"),
    ]
};

#[tokio::test]
async fn answers_to_writes() {
    for row in ROWS {
        let server = Raw::answering(reply(row.status, row.headers, row.body)).await;
        let upstream = config::Upstream { api: row.api, auth_errors: row.auth, org: "o".into(), ..client::config(&server.url()) };
        let answer = ask(&over(&upstream), write()).await;
        assert_eq!(answer.status.as_u16(), row.becomes, "{}: {answer:?}", row.status);
        assert_eq!(retry_after(&answer), row.retry, "{}", row.status);
        assert_eq!(answer.error(), row.message, "{}", row.status);
        assert_eq!(answer.headers.contains_key("www-authenticate"), row.becomes == 401, "{}", row.status);
    }
    let fine = Raw::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(ask(&shim(&fine.url(), Api::V3), write()).await.status, 204);
}

#[test]
fn every_row_of_the_table_has_an_example() {
    for rule in RULES {
        let example = ROWS.iter().find(|row| row.rule == rule.below);
        let example = example.unwrap_or_else(|| panic!("no example of {}", rule.below));
        assert_eq!(rule.kind.status(), example.becomes, "{}", rule.below);
        assert!(rule.client.starts_with(&example.becomes.to_string()), "{} {}", rule.below, rule.client);
    }
    for row in ROWS {
        assert!(RULES.iter().any(|rule| rule.below == row.rule), "{}", row.rule);
    }
}

#[tokio::test]
async fn no_answers_to_writes() {
    let silent = Raw::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let closing = Raw::start(|_, mut stream| async move {
        read_request(&mut stream).await;
    })
    .await;
    for (url, message) in [
        (nobody().await, "upstream can't be reached"),
        (silent.url(), "upstream did not answer in time"),
        (closing.url(), "connection to upstream broke before it answered"),
    ] {
        let answer = ask(&over(&client::impatient(&url)), write()).await;
        assert_eq!((answer.status.as_u16(), retry_after(&answer), &*answer.error()), (503, Some(5), message));
        let answer = ask(&over(&client::impatient(&url)), query("SELECT v FROM m")).await;
        assert_eq!((answer.status.as_u16(), retry_after(&answer)), (503, Some(5)), "{answer:?}");
    }
    let garbage = Raw::answering("SSH-2.0-OpenSSH_9.6\r\n").await;
    let answer = ask(&shim(&garbage.url(), Api::V3), write()).await;
    assert_eq!((answer.status.as_u16(), &*answer.error()), (502, "upstream answered something that is not HTTP"));
}

#[tokio::test]
async fn a_query_reply_that_breaks_off_is_never_taken_for_a_whole_one() {
    let rows: String =
        (0..3).map(|i| format!("{{\"iox::measurement\":\"m\",\"time\":\"1970-01-01T00:00:0{i}\",\"v\":{i}.5}}\n")).collect();
    // In the middle of a row, behind a row, and with a length that was promised.
    let half = &rows[..rows.len() - 10];
    for broken in [
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n", half.len()),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{rows}\r\n", rows.len()),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{rows}", rows.len() + 100),
    ] {
        let server = Raw::start(move |_, mut stream| {
            let broken = broken.clone();
            async move {
                while let Some(request) = read_request(&mut stream).await {
                    let metadata = request.contains("SHOW ");
                    let answer = if metadata { reply("200 OK", "", "") } else { broken.clone() };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if !metadata {
                        return;
                    }
                }
            }
        })
        .await;
        let answer = ask(&shim(&server.url(), Api::V3), query("SELECT v FROM m; SELECT v FROM m")).await;
        let document: Value = serde_json::from_slice(&answer.body).expect("a whole document");
        let error = document["results"][0]["error"].as_str().or_else(|| document["error"].as_str()).expect("an error");
        assert!(error.contains("broke off"), "{document}");
        assert_eq!(document["results"][1]["error"], "not executed", "{document}");
    }
}

#[tokio::test]
async fn nobody_is_offered_compression_where_the_reply_is_read_here() {
    let (seen, mut requests) = mpsc::channel(8);
    let server = Raw::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                seen.send(request.to_lowercase()).await.unwrap();
                stream.write_all(reply("400 Bad Request", "", "incoming").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let shim = shim(&server.url(), Api::V3);
    for mut request in [write(), query("SELECT v FROM m")] {
        request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        request.headers_mut().insert("accept", "application/csv".parse().unwrap());
        request.headers_mut().insert("content-length", "15".parse().unwrap());
        ask(&shim, request).await;
        let sent = requests.recv().await.unwrap();
        assert!(!sent.contains("\r\naccept") && sent.contains("\r\ncontent-length: "), "{sent}");
    }
}

#[tokio::test]
async fn other_paths_pass_untouched() {
    let (seen, requests) = mpsc::channel(8);
    let requests = Mutex::new(requests);
    let server = Raw::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                seen.send(request).await.unwrap();
                let headers = "content-type: text/odd\r\nx-platform-error-code: teapot\r\n";
                stream.write_all(reply("418 I'm a teapot", headers, "{\"raw\": true}").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let shim = shim(&format!("{}/base", server.url()), Api::V3);
    for (method, target, body) in [
        (Method::GET, "/api/v2/me?u=%20x", ""),
        (Method::PUT, "/api/v3/configure/x//y", "{\"a\":1}"),
        (Method::DELETE, "/a;b=c?%F0%9F%90%88", ""),
    ] {
        let request =
            Request::builder().method(&method).uri(target).header("authorization", "Bearer t").header("x-custom", "kept");
        let answer = ask(&shim, request.body(Body::from(body)).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (418, "{\"raw\": true}"));
        assert_eq!(answer.headers["x-platform-error-code"], "teapot");
        let sent = requests.lock().await.recv().await.unwrap();
        assert!(sent.starts_with(&format!("{method} /base{target} HTTP/1.1\r\n")), "{sent}");
        assert!(sent.contains("x-custom: kept\r\n") && sent.ends_with(&format!("\r\n\r\n{body}")), "{sent}");
        assert!(sent.to_lowercase().contains("authorization: bearer t\r\n"), "{sent}");
    }
}
