//! What 3 Core says as `jsonl`, the shim says as v1 JSON, and mostly as 3 Core itself would have on its own `/query`.

use std::collections::BTreeMap;

use http::StatusCode;
use v1shim::types::Profile;

use super::{
    fixtures::CORE,
    server::RecordedServer,
    stack::{ask, over, query},
};

/// Where the answer isn't what 3 Core says on its own `/query`: what it is instead, and why.
const DIFFERENT: &[(&str, u16, &str, &str)] = &[];

#[tokio::test]
async fn every_recorded_query_gets_the_v1_answer() {
    let server = RecordedServer::start(&CORE).await;
    let shim = over(&server, Profile::V1);
    let mut different: BTreeMap<&str, (u16, &str)> =
        DIFFERENT.iter().map(|(q, status, body, _)| (*q, (*status, *body))).collect();
    let mut wrong = String::new();
    for exchange in CORE.group("query_influxql jsonl") {
        let body = exchange.request.json().unwrap();
        let q = body["q"].as_str().unwrap();
        let recorded = String::from_utf8(CORE.v1(q).expect("recorded as v1 too").body()).unwrap();
        let (status, expected) = match different.remove(q) {
            Some((status, body)) => (status, format!("{body}\n")),
            // 1.x ends its documents with a newline, 3 Core doesn't.
            None => (200, format!("{recorded}\n")),
        };
        let answer = ask(&shim, query(q)).await;
        if (answer.status, answer.text()) != (StatusCode::from_u16(status).unwrap(), &*expected) {
            wrong.push_str(&format!("{q}\n  expected {status} {expected}  got      {} {}\n", answer.status, answer.text()));
        }
        let missed = server.missed();
        if !missed.is_empty() {
            wrong.push_str(&format!("{q}\n  asked what was not recorded: {missed:#?}\n"));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(different.is_empty(), "not recorded: {different:?}");
}
