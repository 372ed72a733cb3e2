//! What 3 Core says as `jsonl`, the shim says as v1 JSON, and mostly as 3 Core itself would have on its own `/query`.

use std::collections::BTreeMap;

use http::Request;
use serde_json::{Value, json};
use v1shim::{Body, types::Profile};

use super::{
    fixtures::CORE,
    server::RecordedServer,
    stack::{ask, over, query},
};

/// Where the answer isn't what 3 Core says on its own `/query`: status and body, and why.
const DIFFERENT: &[(&str, u16, &str, &str)] = &[
    (
        "SHOW DATABASES",
        200,
        r#"{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["_internal"],["bench2"],["fx"]]}]}]}"#,
        "fx/one-week is a retention policy of fx",
    ),
    ("SHOW RETENTION POLICIES", 200, POLICIES, "1.x's columns, and no name of the series"),
    ("SHOW RETENTION POLICIES ON fx", 200, POLICIES, "the same"),
    (
        "SELECT usage FROM cpu SLIMIT 1",
        200,
        r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","columns":["time","usage"],"values":[[1700000000000000000,1.5],[1700000000000000002,9],[1700000000000000003,10],[1700000001000000000,2.5],[1700000060000000000,3.5],[1700000061000000000,4.5]]}]}]}"#,
        "the shim does what 3 Core can't",
    ),
    (
        "SHOW TAG KEY CARDINALITY",
        200,
        r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","columns":["count"],"values":[[2]]},{"name":"mem","columns":["count"],"values":[[1]]},{"name":"odd name","columns":["count"],"values":[[1]]}]}]}"#,
        "the shim counts what SHOW TAG KEYS lists",
    ),
    (
        "SELECT sample(usage,1) FROM cpu",
        200,
        r#"{"results":[{"statement_id":0,"error":"rewriting statement\ncaused by\ngather information about select statement\ncaused by\nError during planning: sample window must be greater than 1, got 1"}]}"#,
        "its native endpoint says it without `datafusion error: `",
    ),
    (
        "SELECT usage INTO x FROM cpu",
        200,
        r#"{"results":[{"statement_id":0,"error":"statement 1: SELECT INTO is not supported here: write the result with /write instead (policy guard.select_into is \"reject\")"}]}"#,
        "refused by policy",
    ),
    (
        "CREATE DATABASE x",
        200,
        r#"{"results":[{"statement_id":0,"error":"statement 1: CREATE is not supported here: manage buckets with the server's own API instead (policy guard.create is \"reject\")"}]}"#,
        "refused by policy",
    ),
    (
        "DROP MEASUREMENT cpu",
        200,
        r#"{"results":[{"statement_id":0,"error":"statement 1: DROP is not supported here: manage buckets with the server's own API instead (policy guard.drop is \"reject\")"}]}"#,
        "refused by policy",
    ),
    (
        "DELETE FROM cpu",
        200,
        r#"{"results":[{"statement_id":0,"error":"statement 1: DELETE is not supported here: delete points with the server's own API instead (policy guard.delete is \"reject\")"}]}"#,
        "refused by policy",
    ),
    (
        "SELEC usage",
        400,
        r#"{"code":"invalid","message":"error parsing query: found SELEC, expected SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL at line 1, char 1","error":"error parsing query: found SELEC, expected SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL at line 1, char 1"}"#,
        "1.x refuses the query as a whole, in these words",
    ),
    (
        "SELECT usage FROM",
        400,
        r#"{"code":"invalid","message":"error parsing query: found EOF, expected identifier at line 1, char 19","error":"error parsing query: found EOF, expected identifier at line 1, char 19"}"#,
        "1.x refuses the query as a whole, in these words",
    ),
    (
        "SELECT usage FROM cpu WHERE host = $h",
        400,
        r#"{"code":"invalid","message":"error parsing query: missing parameter: h","error":"error parsing query: missing parameter: h"}"#,
        "1.x binds parameters while it parses",
    ),
    (
        "SELECT usage FROM \"other\"..\"cpu\"",
        200,
        r#"{"results":[{"statement_id":0,"error":"database not found: other"}]}"#,
        "1.x's phrase, which clients look for",
    ),
];

const POLICIES: &str = r#"{"results":[{"statement_id":0,"series":[{"columns":["name","duration","shardGroupDuration","replicaN","default"],"values":[["autogen","0s","168h0m0s",1,true],["one-week","0s","168h0m0s",1,false]]}]}]}"#;

/// Queries that the shim turns into something that was not recorded, and into what.
const UNRECORDED: &[(&str, &str, &str)] = &[
    (
        "SHOW TAG VALUES WITH KEY = host",
        r#"{"db":"fx","q":"SHOW TAG VALUES WITH KEY = host WHERE time > 0","format":"jsonl"}"#,
        "3 Core would look back one day only",
    ),
    (
        "SHOW SERIES",
        r#"{"db":"fx","q":"SELECT count(*) FROM compat GROUP BY *","format":"jsonl"}"#,
        "3 Core doesn't know it: a row a series, of each measurement",
    ),
    (
        "SELECT usage FROM \"one-week\".\"compat\"",
        r#"{"db":"fx/one-week","q":"SELECT usage FROM compat","format":"jsonl"}"#,
        "3 Core reads fx instead",
    ),
    (
        "SELECT usage FROM cpu; SELECT used FROM mem",
        r#"{"db":"fx","q":"SELECT used FROM mem","format":"jsonl"}"#,
        "one call a statement",
    ),
];

#[tokio::test]
async fn every_recorded_query_gets_the_v1_answer() {
    let server = RecordedServer::start(&CORE).await;
    let shim = over(&server, Profile::V1);
    let mut different: BTreeMap<&str, (u16, &str)> =
        DIFFERENT.iter().map(|(q, status, body, _)| (*q, (*status, *body))).collect();
    let mut wrong = String::new();
    let mut count = 0;
    for exchange in CORE.group("query_influxql jsonl") {
        let body = exchange.request.json().unwrap();
        let q = body["q"].as_str().unwrap();
        let answer = ask(&shim, query(q)).await;
        count += 1;
        let missed = server.missed();
        if let Some((_, asked, _)) = UNRECORDED.iter().find(|(unrecorded, ..)| *unrecorded == q) {
            assert_eq!(missed, [format!("POST /api/v3/query_influxql {{}} {asked}")], "{q}");
            continue;
        }
        let (status, expected) = match different.remove(q) {
            Some((status, body)) => (status, format!("{body}\n")),
            // 1.x ends its documents with a newline, 3 Core doesn't.
            None => (200, format!("{}\n", v1(q))),
        };
        if (answer.status.as_u16(), answer.text()) != (status, &*expected) {
            wrong.push_str(&format!("{q}\n  expected {status} {expected}  got      {} {}\n", answer.status, answer.text()));
        }
        if !missed.is_empty() {
            wrong.push_str(&format!("{q}\n  asked what was not recorded: {missed:#?}\n"));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(different.is_empty(), "not recorded: {different:?}");
    assert_eq!(count, 45);
}

/// 3 Core's own answer, with the characters escaped that 1.x escapes.
pub(super) fn v1(q: &str) -> String {
    let text = String::from_utf8(CORE.v1(q).unwrap_or_else(|| panic!("{q} is not recorded as v1")).body()).unwrap();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[tokio::test]
async fn statements_are_asked_one_after_the_other_until_one_fails() {
    let server = RecordedServer::start(&CORE).await;
    let shim = over(&server, Profile::V1);
    let [first, second] = ["SELECT usage FROM cpu LIMIT 1", "SELECT mean(usage), count(count) FROM cpu GROUP BY host"].map(|q| {
        let answer: Value = serde_json::from_str(&v1(q)).unwrap();
        answer["results"][0]["series"].clone()
    });
    let fails = "SELECT sample(usage,1) FROM cpu";
    let q = "SELECT usage FROM cpu LIMIT 1; SELECT mean(usage), count(count) FROM cpu GROUP BY host";
    let q = format!("{q}; SELECT usage FROM nosuch; {fails}; {q}");
    let answer = ask(&shim, query(&q)).await;
    let results: Value = serde_json::from_slice(&answer.body).unwrap();
    let results = results["results"].as_array().unwrap();
    assert_eq!((&results[0]["series"], &results[1]["series"]), (&first, &second));
    assert_eq!(results[2], json!({ "statement_id": 2 }));
    assert!(results[3]["error"].as_str().unwrap().contains("sample window must be greater than 1"), "{:?}", results[3]);
    for (id, result) in results.iter().enumerate().skip(4) {
        assert_eq!(*result, json!({ "statement_id": id, "error": "not executed" }));
    }
    assert_eq!(results.len(), 6);
    let asked = server.seen().iter().filter(|line| line.contains("query_influxql")).count();
    assert_eq!((asked, server.missed()), (4, vec![]));
}

#[tokio::test]
async fn a_refused_statement_says_why_wherever_it_stands() {
    let server = RecordedServer::start(&CORE).await;
    let answer = ask(&over(&server, Profile::V1), query("SELECT usage FROM cpu; DROP MEASUREMENT cpu; SHOW MEASUREMENTS")).await;
    let results: Value = serde_json::from_slice(&answer.body).unwrap();
    let errors: Vec<&str> = (0..3).map(|id| results["results"][id]["error"].as_str().unwrap()).collect();
    assert_eq!((errors[0], errors[2]), ("not executed", "not executed"));
    assert!(errors[1].starts_with("statement 2: DROP is not supported here"), "{errors:?}");
    assert_eq!(server.seen(), [""; 0]);
}

#[tokio::test]
async fn bind_parameters_are_bound_before_they_leave() {
    let server = RecordedServer::start(&CORE).await;
    let mut request = query("SELECT usage, host FROM cpu WHERE host = $h");
    let uri = format!("{}&params=%7B%22h%22%3A%22a%22%7D", request.uri());
    *request.uri_mut() = uri.parse().unwrap();
    let answer = ask(&over(&server, Profile::Serverless), request).await;
    assert_eq!((answer.text(), server.missed()), (&*format!("{}\n", v1("SELECT usage, host FROM cpu WHERE host='a'")), vec![]));
}

#[tokio::test]
async fn a_database_that_is_not_there() {
    let server = RecordedServer::start(&CORE).await;
    for (profile, status, name) in [(Profile::Serverless, 404, r#"\"nosuch\""#), (Profile::V1, 200, "nosuch")] {
        let request = Request::get("/query?db=nosuch&q=SELECT+*+FROM+cpu").body(Body::empty()).unwrap();
        let answer = ask(&over(&server, profile), request).await;
        assert!(answer.text().contains(&format!(r#""error":"database not found: {name}""#)), "{answer:?}");
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
    assert_eq!(server.missed(), [""; 0]);
}
