//! What 3 Core says over Arrow Flight, in the framing of an Arrow IPC stream: the layout that the stack reads of the embedded store is the
//! one that a v3 server has.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::service_fn;
use v1shim::{Body, native::ARROW_STREAM};

use super::{
    fixtures::{CORE, Flight},
    server::same,
    stack::{ask, over_arrow, query},
};

/// Where the answer isn't what 3 Core says on its own `/query`, and why.
const DIFFERENT: &[(&str, &str, &str)] = &[];

#[tokio::test]
async fn recorded_arrow_becomes_the_v1_answer() {
    let mut compared = 0;
    let mut wrong = String::new();
    for flight in CORE.flight.iter().filter(|flight| flight.status.is_none() && flight.ticket.query_type == "influxql") {
        if flight.ticket.params.is_some() {
            continue;
        }
        let q = &flight.ticket.sql_query;
        let expected = match DIFFERENT.iter().find(|(different, ..)| different == q) {
            Some((_, body, _)) => format!("{body}\n"),
            None => format!("{}\n", String::from_utf8(CORE.v1(q).expect("recorded as v1 too").body()).unwrap()),
        };
        let stream = Arc::new(flight.ipc_stream());
        let wanted = q.clone();
        let service = service_fn(move |request: Request<Body>| {
            let (stream, wanted) = (Arc::clone(&stream), wanted.clone());
            async move {
                let asked: Value = serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
                assert_eq!(asked["format"], "arrow");
                let mut response = Response::new(Body::from(stream.to_vec()));
                if same(asked["q"].as_str().unwrap()) != same(&wanted) {
                    *response.status_mut() = StatusCode::from_u16(599).unwrap();
                }
                response.headers_mut().insert("content-type", ARROW_STREAM.parse().unwrap());
                Ok::<_, Infallible>(response)
            }
        });
        let answer = ask(&over_arrow(service), query(q)).await;
        if (answer.status, answer.text()) != (StatusCode::OK, &*expected) {
            wrong.push_str(&format!("{q}\n  expected 200 {expected}  got      {} {}\n", answer.status, answer.text()));
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(compared > 25, "{compared}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_says_so() {
    let whole = CORE.flight.iter().find(|flight| flight.ticket.sql_query == "SELECT * FROM cpu").map(Flight::ipc_stream).unwrap();
    // Within the schema, within the batch's header, within its body.
    for end in [100, 1700, whole.len() - 100] {
        let part = whole[..end].to_vec();
        let service = service_fn(move |_: Request<Body>| {
            let mut response = Response::new(Body::from(part.clone()));
            response.headers_mut().insert("content-type", ARROW_STREAM.parse().unwrap());
            async { Ok::<_, Infallible>(response) }
        });
        let answer = ask(&over_arrow(service), query("SELECT * FROM cpu")).await;
        assert!(answer.text().contains("\"error\":"), "{end}: {answer:?}");
    }
}
