//! What 3 Core says to writes, in v1's words.

use http::{Request, StatusCode};
use v1shim::{Body, types::Profile};

use super::{
    fixtures::{CORE, Exchange},
    server::RecordedServer,
    stack::{ask, over},
};

/// The recorded writes that a v1 client can make too: group, body, status and message.
const WRITES: &[(&str, &str, u16, &str)] = &[("write_lp precision", "prec v=1 1700000000", 204, "")];

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
        for (group, body, status, message) in WRITES {
            let found = CORE.group(group).find(|exchange| exchange.request.body() == body.as_bytes());
            let exchange = found.unwrap_or_else(|| panic!("no {body:?} in {group}"));
            let answer = ask(&shim, v1(exchange)).await;
            assert_eq!(answer.status, StatusCode::from_u16(*status).unwrap(), "{body}: {answer:?}");
            if *status == 204 {
                assert!(answer.body.is_empty());
            } else {
                assert_eq!(answer.error(), *message, "{body}");
            }
            assert_eq!(server.missed(), [""; 0], "{body}");
        }
    }
}
