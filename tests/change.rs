//! Statements that change something, through the program: what 1.6.7 answers, who may, and `kill -9` in between.

use http::{Method, header};
use sha2::{Digest, Sha256};

use crate::support::TestServer;

const FORWARD: &str = "[guard]\ncreate = \"forward\"\ndrop = \"forward\"\nalter = \"forward\"\ndelete = \"forward\"\n\
                       select_into = \"forward\"\nkill = \"forward\"\n";

fn start(profile: &str, more: &str) -> TestServer {
    TestServer::builder().config(&format!("[compat]\nprofile = \"{profile}\"\n{FORWARD}{more}")).start()
}

fn query(db: &str, q: &str) -> String {
    format!(
        "/query?{}",
        form_urlencoded::Serializer::new(String::new()).extend_pairs([("db", db), ("epoch", "ns"), ("q", q)]).finish()
    )
}

async fn ask(server: &TestServer, db: &str, q: &str) -> String {
    server.post(&query(db, q), "").await.expect(200).text().trim_end().to_owned()
}

/// `> db|statement` or `> W db&rp=…|line protocol`, then the answer, as recorded from 1.6.7 (`tests/cases/change/record`).
#[tokio::test]
async fn recorded_answers() {
    for case in [
        include_str!("cases/change/policies.case"),
        include_str!("cases/change/deletes.case"),
        include_str!("cases/change/into.case"),
    ] {
        let server = start("v1", "");
        let mut lines = case.lines().filter(|line| !line.is_empty()).peekable();
        let mut wrong = String::new();
        let mut asked = 0;
        while let Some(line) = lines.next() {
            if line.starts_with('#') {
                continue;
            }
            let step = line.strip_prefix("> ").unwrap_or_else(|| panic!("{line}"));
            let recorded = lines.next().unwrap();
            // What we answer instead, and why, stands behind it.
            let differs = lines.next_if(|line| line.starts_with("# differs: "));
            let ours = differs.and_then(|_| lines.next());
            let expected = ours.unwrap_or(recorded);
            let got = match step.strip_prefix("W ") {
                Some(write) => {
                    let (db, body) = write.split_once('|').unwrap();
                    let reply = server.post(&format!("/write?db={db}"), body.replace("\\n", "\n")).await;
                    let error = reply.headers.get("x-influxdb-error").map(|error| error.to_str().unwrap().to_owned());
                    format!("{} {}", reply.status.as_u16(), error.unwrap_or_default()).trim_end().to_owned()
                }
                None => {
                    let (db, q) = step.split_once('|').unwrap();
                    let reply = server.post(&query(db, q), "").await;
                    match reply.status.as_u16() {
                        200 => reply.text().trim_end().to_owned(),
                        // The body of a refused query has more members than 1.x's.
                        _ => serde_json::json!({ "error": reply.json()["error"] }).to_string(),
                    }
                }
            };
            asked += 1;
            if got != expected {
                wrong.push_str(&format!("> {step}\n  1.x:  {expected}\n  here: {got}\n"));
            }
        }
        assert!(wrong.is_empty(), "\n{wrong}");
        assert!(asked > 25, "{asked}");
    }
}

#[tokio::test]
async fn what_may_be_changed_depends_on_the_token() {
    let token = |name: &str, access: &str| {
        let sha256: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[auth.token]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\naccess = {access}\n")
    };
    let tokens = token("all", "\"all\"")
        + &token("writer", "[{ bucket = \"d/autogen\", read = true, write = true }]")
        + &token("reader", "[{ bucket = \"d/autogen\", read = true, write = false }]");
    let server = start("serverless", &tokens);
    let send = async |token: &str, q: &str| {
        let mut request = server.request(Method::POST, &query("d", q), "");
        request.headers_mut().insert(header::AUTHORIZATION, format!("Token {token}").parse().unwrap());
        server.send(request).await.status.as_u16()
    };
    for (token, q, status) in [
        ("writer", "CREATE DATABASE d", 403),
        ("all", "CREATE DATABASE d", 200),
        ("writer", "DROP MEASUREMENT m", 200),
        ("writer", "DELETE FROM m", 200),
        ("writer", "DROP SERIES FROM m", 200),
        ("reader", "DELETE FROM m", 403),
        ("reader", "DROP MEASUREMENT m", 403),
        ("writer", "ALTER RETENTION POLICY autogen ON d DURATION 1w", 403),
        ("writer", "DROP RETENTION POLICY autogen ON d", 403),
        ("writer", "SHOW MEASUREMENTS; DROP DATABASE d", 403),
        ("all", "CREATE RETENTION POLICY w ON d DURATION INF REPLICATION 1", 200),
        // 1.x deletes in all policies of a database.
        ("writer", "DELETE FROM m", 403),
        ("all", "DELETE FROM m", 200),
        ("all", "DROP DATABASE d", 200),
    ] {
        assert_eq!(send(token, q).await, status, "{token}: {q}");
    }
}

/// A query that runs is listed, and ends when it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn queries_are_listed_and_killed() {
    let server = start("v1", "");
    for part in 0..20 {
        let lines: String = (0..5000).map(|n| format!("m,h=h{} v={n} {}\n", n % 10, part * 5000 + n)).collect();
        server.post("/write?db=d", lines).await.expect(204);
    }
    let listed = ask(&server, "d", "SHOW QUERIES").await;
    assert!(listed.contains(r#""columns":["qid","query","database","duration","status"]"#), "{listed}");
    assert!(listed.contains(r#""SHOW QUERIES","d",""#) && listed.contains(r#"s","running"]]"#), "{listed}");
    assert_eq!(
        ask(&server, "d", "KILL QUERY 9999").await,
        r#"{"results":[{"statement_id":0,"error":"no such query id: 9999"}]}"#
    );
    // Ten thousand windows for each of its points: it takes long.
    let slow = "SELECT mean(v) FROM m WHERE time >= 0 AND time < 100000000000 GROUP BY time(10ns), h fill(linear)";
    let request = server.request(Method::POST, &query("d", slow), "");
    let killing = async {
        let id = loop {
            let listed: serde_json::Value = serde_json::from_str(&ask(&server, "d", "SHOW QUERIES").await).unwrap();
            let rows = listed["results"][0]["series"][0]["values"].as_array().unwrap().clone();
            if let Some(row) = rows.iter().find(|row| row[1].as_str().unwrap().starts_with("SELECT mean")) {
                assert_eq!(row[2], "d");
                break row[0].clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        };
        assert_eq!(ask(&server, "d", &format!("KILL QUERY {id}")).await, r#"{"results":[{"statement_id":0}]}"#);
    };
    let (reply, ()) =
        tokio::time::timeout(std::time::Duration::from_secs(60), async { tokio::join!(server.send(request), killing) })
            .await
            .expect("it ends long before it would by itself");
    assert!(reply.text().contains("query interrupted"), "{}", reply.text());
    let listed = ask(&server, "d", "SHOW QUERIES").await;
    assert!(!listed.contains("SELECT mean"), "{listed}");
}

#[tokio::test]
async fn the_configuration_stays_above_statements() {
    let more = "[[dbrp]]\ndatabase = \"plant\"\nretention_policy = \"month\"\nbucket = \"factory/plant\"\n";
    let server = start("serverless", more);
    let fails = "{\"results\":[{\"statement_id\":0,\"error\":\"";
    for (q, expected) in [
        ("CREATE DATABASE plant", "{\"results\":[{\"statement_id\":0}]}".to_owned()),
        ("DROP DATABASE plant", format!("{fails}database \\\"plant\\\" is mapped by the configuration ([[dbrp]])\"}}]}}")),
        (
            "ALTER RETENTION POLICY month ON plant DURATION 2d",
            format!(
                "{fails}retention policy \\\"month\\\" of database \\\"plant\\\" is mapped by the configuration ([[dbrp]])\"}}]}}"
            ),
        ),
        (
            "CREATE RETENTION POLICY day ON plant DURATION 1d REPLICATION 1 DEFAULT",
            format!(
                "{fails}the default retention policy of database \\\"plant\\\" is set by the configuration ([[dbrp]])\"}}]}}"
            ),
        ),
    ] {
        assert_eq!(ask(&server, "", q).await, expected, "{q}");
    }
}

/// Every acknowledged statement holds after `kill -9`, whatever was under way.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_statements_survive_kill_9() {
    let mut server = start("v1", "[embedded]\nmemory = \"1MiB\"\n");
    let text = "x".repeat(2000);
    for round in 0..3_i64 {
        let db = format!("d{round}");
        ask(&server, "", &format!("CREATE DATABASE {db} WITH DURATION 52w NAME \"year\"")).await;
        ask(&server, "", &format!("CREATE RETENTION POLICY keep ON {db} DURATION INF REPLICATION 1 DEFAULT")).await;
        let mut deleted = 0;
        for number in 1..=600_i64 {
            let body = format!("m,h=a n={number}i,t=\"{text}\" {number}\nm,h=b n={number}i {number}\ndrop n={number}i {number}");
            server.post(&format!("/write?db={db}"), body).await.expect(204);
            if number % 150 == 0 {
                deleted = number - 20;
                ask(&server, &db, &format!("DELETE FROM m WHERE h = 'a' AND time <= {deleted}")).await;
            }
            if number == 500 {
                ask(&server, &db, "DROP MEASUREMENT \"drop\"").await;
            }
        }
        // Some that nobody is told about.
        let requests: Vec<_> = (0..8)
            .map(|n| server.request(Method::POST, &query(&db, &format!("DELETE FROM m WHERE h = 'b' AND time = {n}")), ""))
            .collect();
        {
            let sending = futures_util::future::join_all(requests.into_iter().map(|request| server.try_send(request)));
            let _ = tokio::time::timeout(std::time::Duration::from_millis(3), sending).await;
        }
        server.signal("KILL");
        server.start_again();
        let policies = ask(&server, "", &format!("SHOW RETENTION POLICIES ON {db}")).await;
        assert!(policies.contains(r#"["keep","0s","168h0m0s",1,true],["year","8736h0m0s","168h0m0s",1,false]"#), "{policies}");
        let left = ask(&server, &db, "SELECT count(n), min(n), max(n) FROM m WHERE h = 'a'").await;
        assert!(
            left.contains(&format!("[0,{},{},600]", 600 - deleted, deleted + 1)),
            "round {round}: {deleted} are deleted: {left}"
        );
        let left = ask(&server, &db, "SELECT count(n), min(n) FROM \"drop\"").await;
        assert!(left.contains("[0,100,501]"), "round {round}: {left}");
        let left = ask(&server, &db, "SELECT count(n), max(n) FROM m WHERE h = 'b' AND time >= 8").await;
        assert!(left.contains("[8,593,600]"), "round {round}: {left}");
    }
    ask(&server, "", "DROP DATABASE d1").await;
    server.signal("KILL");
    server.start_again();
    assert!(ask(&server, "", "SHOW DATABASES").await.contains(r#""values":[["d0"],["d2"]]"#));
    assert_eq!(
        ask(&server, "d1", "SELECT * FROM m").await,
        r#"{"results":[{"statement_id":0,"error":"database not found: d1"}]}"#
    );
}

/// Points `m n=0 … m n=parts*5000-1`, each at the time of its number.
async fn write_numbers(server: &TestServer, parts: i64) {
    for part in 0..parts {
        let lines: String = (part * 5000..part * 5000 + 5000).map(|n| format!("m n={n}i {n}\n")).collect();
        server.post("/write?db=d", lines).await.expect(204);
    }
}

/// How many of these numbers were copied to `measurement`: the first ones, without a gap.
async fn copied(server: &TestServer, measurement: &str) -> i64 {
    let answer = ask(server, "d", &format!("SELECT count(n), max(n) FROM {measurement}")).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let Some(row) = answer["results"][0]["series"][0]["values"][0].as_array() else { return 0 };
    let count = row[1].as_i64().unwrap();
    assert_eq!(row[2], count - 1, "{answer}");
    count
}

/// `INTO` writes some thousand points at a time: after `kill -9` there are those of the first writes, and all of them once the statement was
/// answered.
#[tokio::test(flavor = "multi_thread")]
async fn what_into_has_written_survives_kill_9() {
    let mut server = start("v1", "[embedded]\nmemory = \"1MiB\"\n");
    write_numbers(&server, 5).await;
    let answered = ask(&server, "d", "SELECT n INTO whole FROM m").await;
    assert!(answered.contains(r#""columns":["time","written"],"values":[[0,25000]]"#), "{answered}");
    server.signal("KILL");
    server.start_again();
    assert_eq!(copied(&server, "whole").await, 25_000);
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..8_u64 {
        let request = server.request(Method::POST, &query("d", &format!("SELECT n INTO part{round} FROM m")), "");
        let time = std::time::Duration::from_millis(round * 15);
        let answered = tokio::time::timeout(time, server.try_send(request)).await.is_ok();
        server.signal("KILL");
        server.start_again();
        let count = copied(&server, &format!("part{round}")).await;
        assert!(!answered || count == 25_000, "round {round}: {count}");
        seen.insert(count);
    }
    assert!(seen.first() < Some(&25_000), "nothing was interrupted: {seen:?}");
}

/// `KILL QUERY` of a statement that writes: what is written stays, nothing comes after it, also over `kill -9`.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_into_stops_writing() {
    let mut server = start("v1", "");
    write_numbers(&server, 40).await;
    let request = server.request(Method::POST, &query("d", "SELECT n INTO slow FROM m"), "");
    let killing = async {
        while copied(&server, "slow").await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let listed: serde_json::Value = serde_json::from_str(&ask(&server, "d", "SHOW QUERIES").await).unwrap();
        let rows = listed["results"][0]["series"][0]["values"].as_array().unwrap().clone();
        let row = rows.iter().find(|row| row[1].as_str().unwrap().contains(" INTO ")).unwrap_or_else(|| panic!("{rows:?}"));
        ask(&server, "d", &format!("KILL QUERY {}", row[0])).await
    };
    let (reply, killed) =
        tokio::time::timeout(std::time::Duration::from_secs(60), async { tokio::join!(server.send(request), killing) })
            .await
            .expect("it ends long before it would by itself");
    assert_eq!(killed, r#"{"results":[{"statement_id":0}]}"#);
    assert!(reply.text().contains("query interrupted"), "{}", reply.text());
    let written = copied(&server, "slow").await;
    assert!(0 < written && written < 200_000, "{written}");
    server.signal("KILL");
    server.start_again();
    assert_eq!(copied(&server, "slow").await, written);
}
