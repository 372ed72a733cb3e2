//! What a query may take: it ends when its client goes away, when its time is up, and when it needs too much memory, and only it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::support::TestServer;

/// A server with 40 MB of points, more than sockets hold: whoever asks for all of them and doesn't read keeps a query running.
async fn server(limits: &str) -> TestServer {
    let server = TestServer::builder().config(&format!("[auth]\nmode = \"none\"\n[limits]\n{limits}")).start();
    let text = "x".repeat(1000);
    for part in 0..4 {
        let lines: String = (0..10_000).map(|row| format!("big v={row},text=\"{text}\" {}\n", part * 10_000 + row)).collect();
        server.post("/write?db=d", lines).await.expect(204);
    }
    server
}

const EVERYTHING: &str = "/query?db=d&q=SELECT+*+FROM+big";
const COUNT: &str = "/query?db=d&q=SELECT+count(v)+FROM+big";

/// Asks and reads the beginning of the answer.
fn begin(server: &TestServer, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn closing_the_connection_ends_the_query() {
    let server = server("concurrent_queries = 1").await;
    let stream = begin(&server, EVERYTHING);
    // There is room for one query at a time: another one waits for as long as it runs.
    let waiting = tokio::time::timeout(Duration::from_millis(500), server.get(COUNT)).await;
    assert!(waiting.is_err(), "the first query has ended by itself");
    drop(stream);
    let started = Instant::now();
    let reply =
        tokio::time::timeout(Duration::from_secs(30), server.get(COUNT)).await.expect("the first query still runs").expect(200);
    assert!(reply.text().contains("40000"), "{} after {:?}", reply.text(), started.elapsed());
}

#[tokio::test]
async fn a_query_has_its_time() {
    let server = server("query_timeout = \"1s\"").await;
    let mut stream = begin(&server, EVERYTHING);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let end = String::from_utf8_lossy(&rest[rest.len().saturating_sub(300)..]).into_owned();
    assert!(end.contains(r#""error":"timeout: the query took too long""#), "{end}");
    assert!(rest.len() < 40_000_000, "{} bytes", rest.len());
    // The next one has its own.
    server.get(COUNT).await.expect(200);
}

#[tokio::test]
async fn too_much_memory_is_one_querys_failure() {
    let server = server("query_memory = \"1MiB\"").await;
    // All values have to be there at once.
    let (greedy, modest) = tokio::join!(server.get("/query?db=d&q=SELECT+mode(text)+FROM+big"), server.get(COUNT));
    let greedy = greedy.text();
    assert!(greedy.contains("limits.query_memory"), "{}", &greedy[greedy.len().saturating_sub(300)..]);
    assert!(modest.expect(200).text().contains("40000"));
}

#[tokio::test]
async fn raw_rows_need_little_memory() {
    // 40 MB of one series.
    let server = server("query_memory = \"1MiB\"").await;
    let reply = server.get(EVERYTHING).await.expect(200);
    assert_eq!(reply.text().matches("xxx\"").count(), 40_000, "{}", &reply.text()[reply.text().len().saturating_sub(300)..]);
}

#[tokio::test]
async fn a_week_of_wide_rows_needs_no_memory_for_a_week() {
    let start = |memory: &str| {
        let config = format!("[auth]\nmode = \"none\"\n[limits]\nquery_memory = \"{memory}\"\n[embedded]\nmemory = \"1MiB\"\n");
        TestServer::builder().config(&config).start()
    };
    // Most of it lies in files; about 4 MB if it is held. Many rows have the same time, some series pause, one ends early, one begins late.
    let (small, large) = (start("1MiB"), start("1GiB"));
    for part in 0..8 {
        let mut lines = String::new();
        for i in part * 300..(part + 1) * 300 {
            for series in 0..20 {
                let there = match series {
                    3 => i % 50 == 0,
                    4 => i < 40,
                    5 => i > 2300,
                    6 => !(500..2000).contains(&i),
                    _ => true,
                };
                let time = 1_483_315_200 + i * 100 + if series % 3 == 0 { series } else { 0 };
                if there {
                    let fields: Vec<String> =
                        (0..10).map(|field| format!("f{field}={}.5", (i * 7 + series * 3 + field) % 101)).collect();
                    let note = if series % 2 == 0 { format!(",note=\"n{}\"", i % 3) } else { String::new() };
                    lines.push_str(&format!("wide,host=h{series} {}{note} {time}000000000\n", fields.join(",")));
                }
            }
        }
        for server in [&small, &large] {
            server.post("/write?db=d", lines.clone()).await.expect(204);
        }
    }
    for statement in [
        "SELECT * FROM wide",
        "SELECT * FROM wide ORDER BY time DESC",
        "SELECT note, f1 FROM wide WHERE f1 > 50",
        "SELECT * FROM wide WHERE f9 > 99 ORDER BY time DESC",
        "SELECT * FROM wide LIMIT 30000 OFFSET 1000",
        "SELECT * FROM wide GROUP BY host",
        "SELECT * FROM wide GROUP BY host ORDER BY time DESC LIMIT 1500",
        "SELECT f0, host FROM (SELECT f0 FROM wide WHERE f0 < 90 GROUP BY host)",
    ] {
        let path = format!("/query?db=d&epoch=ns&q={}", statement.replace(' ', "+").replace('>', "%3E").replace('<', "%3C"));
        let (little, much) = (small.get(&path).await.expect(200), large.get(&path).await.expect(200));
        let (little, much) = (little.text(), much.text());
        assert!(much.len() > 10_000 && !much.contains("error"), "{statement}: {}", &much[..much.len().min(300)]);
        // Which of the rows at one time comes first doesn't depend on the memory.
        let differs = little.bytes().zip(much.bytes()).position(|(a, b)| a != b);
        assert!(
            little == much,
            "{statement} differs at {differs:?}: {}",
            &little[differs.unwrap_or_default().saturating_sub(200)..][..300.min(little.len())]
        );
    }
}
