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
    let (greedy, modest) = tokio::join!(server.get(EVERYTHING), server.get(COUNT));
    let greedy = greedy.text();
    assert!(greedy.contains("limits.query_memory"), "{}", &greedy[greedy.len().saturating_sub(300)..]);
    assert!(modest.expect(200).text().contains("40000"));
}
