//! What 3 Core says to writes, in v1's words.

use http::{Request, StatusCode};
use v1shim::{Body, types::Profile};

use super::{
    fixtures::{CORE, Exchange},
    server::RecordedServer,
    stack::{ask, over},
};

/// The recorded writes that a v1 client can make too: group, number in it, status and message.
const WRITES: &[(&str, usize, u16, &str)] = &[
    ("write_lp", 0, 204, ""),
    ("write_lp precision", 0, 204, ""),
    ("write_lp precision", 1, 204, ""),
    ("write_lp precision", 2, 204, ""),
    ("write_lp precision", 4, 204, ""),
    ("write_lp precision", 5, 204, ""),
    ("write_lp precision", 7, 204, ""),
    ("write_lp gzip", 0, 204, ""),
    (
        "write_lp partial",
        0,
        400,
        "partial write: field type conflict: input field \"usage\" is type string, already exists as type float (line 1) dropped=1",
    ),
    (
        "write_lp partial",
        1,
        400,
        "partial write: unable to parse 'garbage': Expected at least one space character, got end of input (line 1)\n\
         unable to parse 'cpu,host=a usage= 17': No fields were provided (line 3) dropped=2",
    ),
    (
        "write_lp errors",
        0,
        400,
        "partial write: unable to parse 'garbage': Expected at least one space character, got end of input (line 1) dropped=1",
    ),
    ("write_lp errors", 5, 400, "body content is not valid utf8: invalid utf-8 sequence of 1 bytes from index 0"),
    ("write_lp gzip", 1, 400, "error decoding gzip stream: unexpected end of file"),
    ("write_lp gzip", 2, 415, "unsupported content encoding \"zstd\": use gzip or identity"),
    (
        "write_lp tag/field conflict",
        0,
        400,
        "partial write: field type conflict: input field \"usage\" is type tag, already exists as type float (line 1) dropped=1",
    ),
];

fn v1(exchange: &Exchange) -> Request<Body> {
    let asked = &exchange.request;
    let precision = match asked.params.get("precision").map(String::as_str) {
        Some("nanosecond" | "ns" | "n") => "ns",
        Some("microsecond" | "us" | "u") => "us",
        Some("millisecond" | "ms") => "ms",
        Some("second" | "s") => "s",
        other => panic!("{other:?} is nothing that v1 has"),
    };
    let mut request = Request::post(format!("/write?db={}&precision={precision}", asked.params["db"]));
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    request.body(Body::from(asked.body())).unwrap()
}

#[tokio::test]
async fn recorded_writes_and_their_errors() {
    let server = RecordedServer::start(&CORE).await;
    for profile in [Profile::Serverless, Profile::V1] {
        let shim = over(&server, profile);
        for (group, number, status, message) in WRITES {
            let exchange = CORE.group(group).nth(*number).unwrap();
            let answer = ask(&shim, v1(exchange)).await;
            assert_eq!(answer.status, StatusCode::from_u16(*status).unwrap(), "{group} {number}: {answer:?}");
            if *status == 204 {
                assert!(answer.body.is_empty());
            } else {
                assert_eq!(answer.error(), *message, "{group} {number}");
            }
            assert_eq!(server.missed(), [""; 0], "{group} {number}");
        }
    }
}

#[tokio::test]
async fn databases_are_made_where_they_are_missing_and_found_by_their_names() {
    let server = RecordedServer::start(&CORE).await;
    let shim = over(&server, Profile::V1);
    for (target, db, made) in [
        ("db=fx", "fx", vec![]),
        ("db=fx&rp=autogen", "fx", vec![]),
        ("db=fx&rp=one-week", "fx/one-week", vec![]),
        ("db=new", "new", vec!["new"]),
        // A new database has `autogen` for its default policy, whichever one is written to first.
        ("db=newer&rp=week", "newer/week", vec!["newer", "newer/week"]),
    ] {
        ask(&shim, Request::post(format!("/write?{target}")).body(Body::from("m v=1")).unwrap()).await;
        let seen = server.seen();
        let write = seen.iter().find(|line| line.contains("write_lp")).unwrap_or_else(|| panic!("no write in {seen:?}"));
        assert!(write.contains(&format!("\"db\": {db:?}")), "{target}: {write}");
        let posts: Vec<&String> = seen.iter().filter(|line| line.starts_with("POST /api/v3/configure/database")).collect();
        let expected: Vec<String> =
            made.iter().map(|name| format!("POST /api/v3/configure/database {{}} {{\"db\":{name:?}}}")).collect();
        assert_eq!(posts, expected.iter().collect::<Vec<_>>(), "{target}");
    }
}
