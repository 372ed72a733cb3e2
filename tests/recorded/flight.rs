//! What 3 Core says over Arrow Flight, in the framing of an Arrow IPC stream: the layout that the stack reads of the embedded store is the
//! one that a v3 server has.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::service_fn;
use v1shim::{Body, config::QueryBy, native::ARROW_STREAM, types::Profile};

use super::{
    fixtures::{CORE, Flight},
    queries::v1,
    server::RecordedServer,
    server::same,
    stack::{ask, over_arrow, over_by, query},
};

/// Statements that aren't asked as they are, and what is asked instead.
const REWRITTEN: &[(&str, &str)] = &[
    ("SHOW TAG VALUES WITH KEY = host", "SHOW TAG VALUES WITH KEY = host WHERE time > 0"),
    ("SELECT usage FROM \"one-week\".\"compat\"", "SELECT usage FROM compat"),
];

/// Answered from the mapping: nobody is asked.
const LEFT_OUT: &[&str] = &["SHOW RETENTION POLICIES"];

#[tokio::test]
async fn recorded_arrow_becomes_the_v1_answer() {
    let mut compared = 0;
    let mut wrong = String::new();
    for flight in CORE.flight.iter().filter(|flight| flight.status.is_none() && flight.ticket.query_type == "influxql") {
        let q = &flight.ticket.sql_query;
        if flight.ticket.params.is_some() || LEFT_OUT.contains(&q.as_str()) {
            continue;
        }
        let expected = format!("{}\n", v1(q));
        let stream = Arc::new(flight.ipc_stream());
        let wanted = REWRITTEN.iter().find(|(before, _)| before == q).map_or_else(|| q.clone(), |(_, after)| (*after).to_owned());
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

/// Where a failure reads otherwise than over HTTP, or the shim does what 3 Core can't. The rest says what 3 Core's own `/query` says.
const OVER_FLIGHT: &[(&str, &str)] = &[
    (
        "SHOW TAG KEY CARDINALITY",
        r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","columns":["count"],"values":[[2]]},{"name":"mem","columns":["count"],"values":[[1]]},{"name":"odd name","columns":["count"],"values":[[1]]}]}]}"#,
    ),
    (
        "SELECT sample(usage,1) FROM cpu",
        r#"{"results":[{"statement_id":0,"error":"rewriting statement: gather information about select statement: Error during planning: sample window must be greater than 1, got 1"}]}"#,
    ),
];

#[tokio::test]
async fn every_recorded_query_over_flight_gets_the_v1_answer() {
    let server = RecordedServer::start(&CORE).await;
    let shim = over_by(&server, Profile::V1, QueryBy::Flight);
    let (mut wrong, mut compared) = (String::new(), 0);
    for flight in CORE.flight.iter().filter(|flight| flight.ticket.query_type == "influxql" && flight.ticket.database == "fx") {
        let q = &flight.ticket.sql_query;
        if flight.ticket.params.is_some() {
            continue;
        }
        let answer = ask(&shim, query(q)).await;
        let missed = server.missed();
        // Asked in a way that was not recorded, or not asked at all: see `queries`.
        if q == "SHOW TAG VALUES WITH KEY = host" || q.contains("one-week") || answer.status != 200 || q.contains("; ") {
            continue;
        }
        let asked = server.seen().iter().any(|line| line.contains("DoGet"));
        if !asked {
            continue;
        }
        let expected = match OVER_FLIGHT.iter().find(|(differs, _)| differs == q) {
            Some((_, expected)) => format!("{expected}\n"),
            None if flight.status.is_none() => format!("{}\n", v1(q)),
            // What 3 Core can't and the shim does.
            None => format!("{}\n", v1("SELECT usage FROM cpu")),
        };
        if answer.text() != expected || !missed.is_empty() {
            wrong.push_str(&format!("{q}\n  expected {expected}  got      {} {}\n  {missed:?}\n", answer.status, answer.text()));
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(compared > 25, "{compared}");
}

#[tokio::test]
async fn flight_is_taken_where_it_is() {
    let server = RecordedServer::start(&CORE).await;
    let shim = over_by(&server, Profile::V1, QueryBy::Auto);
    for _ in 0..2 {
        let answer = ask(&shim, query("SELECT * FROM cpu GROUP BY *")).await;
        assert_eq!(answer.text(), format!("{}\n", v1("SELECT * FROM cpu GROUP BY *")));
    }
    let seen = server.seen();
    assert_eq!(seen.iter().filter(|line| line.contains("query_influxql")).count(), 0, "{seen:?}");
    assert_eq!(seen.iter().filter(|line| line.contains("DoGet")).count(), 2, "{seen:?}");
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

#[test]
fn the_layout_is_the_one_that_native_names() {
    use v1shim::native::{COLUMN_TYPE_METADATA, COLUMN_TYPE_TAG, GROUP_KEY_METADATA, MEASUREMENT_COLUMN};

    let mut grouped = 0;
    for flight in CORE.flight.iter().filter(|flight| flight.status.is_none() && flight.ticket.query_type == "influxql") {
        let q = &flight.ticket.sql_query;
        let stream = flight.ipc_stream();
        let reader = arrow_ipc::reader::StreamReader::try_new(&stream[..], None).unwrap();
        let schema = reader.schema();
        let keys = schema.metadata().get(GROUP_KEY_METADATA).map(|text| serde_json::from_str::<Value>(text).unwrap());
        for key in keys.iter().flat_map(|keys| keys["tagKeyColumns"].as_array()).flatten() {
            let column = schema.field(usize::try_from(key["columnIndex"].as_u64().unwrap()).unwrap());
            assert_eq!(column.name(), key["tagKey"].as_str().unwrap(), "{q}");
            assert_eq!(column.metadata()[COLUMN_TYPE_METADATA], COLUMN_TYPE_TAG, "{q}");
            grouped += 1;
        }
        if q.starts_with("SELECT") {
            assert_eq!(schema.field(0).name(), MEASUREMENT_COLUMN, "{q}");
            assert!(keys.is_some() || schema.fields().len() < 3, "{q}: {schema:?}");
        }
        for batch in reader {
            assert!(batch.unwrap().num_rows() > 0, "{q}");
        }
    }
    assert!(grouped > 5);
}
