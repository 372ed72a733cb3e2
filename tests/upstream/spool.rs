//! Writes that wait on disk: against an upstream that comes and goes, and a shim that is killed.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, atomic::AtomicU16, atomic::Ordering},
    time::{Duration, Instant},
};

use http::Request;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tower::ServiceExt;
use v1shim::{
    Body,
    config::{self, Limits, Spool},
    types::Secret,
    upstream::{Spooled, Upstream},
};

use super::{
    client::config,
    raw::{Raw, read_request, reply},
};
use crate::support::TestServer;

/// A v3 server that can be told to be ill: it keeps what it took, in order.
#[derive(Clone, Default)]
struct Store(Arc<State>);

#[derive(Default)]
struct State {
    taken: Mutex<Vec<String>>,
    /// Answered instead of anything else, when not 0.
    ill: AtomicU16,
}

impl Store {
    async fn serve(&self) -> Raw {
        let state = Arc::clone(&self.0);
        Raw::start(move |_, mut stream: TcpStream| {
            let state = Arc::clone(&state);
            async move {
                while let Some(request) = read_request(&mut stream).await {
                    let answer = state.answer(&request);
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    fn ill(&self, status: u16) {
        self.0.ill.store(status, Ordering::SeqCst);
    }

    fn taken(&self) -> Vec<String> {
        self.0.taken.lock().unwrap().clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<String> {
        let begun = Instant::now();
        while self.taken().len() < count {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} of {count}", self.taken().len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.taken()
    }
}

impl State {
    fn answer(&self, request: &str) -> String {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.to_lowercase().contains("authorization: bearer backend"), "{head}");
        let ill = self.ill.load(Ordering::SeqCst);
        if ill != 0 {
            return reply(&format!("{ill} Ill"), "", "ill");
        }
        if head.starts_with("GET ") {
            return reply("200 OK", "content-type: application/json\r\n", r#"[{"iox::database":"d"}]"#);
        }
        if body.starts_with("bad") {
            return reply(
                "400 Bad Request",
                "",
                r#"{"error":"line protocol parsing error","data":{"error_message":"bad","line_number":1,"original_line":"bad"}}"#,
            );
        }
        self.taken.lock().unwrap().push(body.to_owned());
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
    }
}

async fn open(dir: &Path, url: &str) -> Spooled {
    let upstream = Upstream::new(&upstream(url)).unwrap();
    let spool = Spool { dir: Some(dir.to_owned()), ..Spool::default() };
    Spooled::open(upstream, &spool, Limits::default()).await.unwrap()
}

fn upstream(url: &str) -> config::Upstream {
    config::Upstream { token: Some(Secret::new("backend")), retries: 0, breaker_failures: 1000, ..config(url) }
}

/// The status of a write.
async fn write(spool: &Spooled, lines: &str) -> u16 {
    let request = Request::post("/api/v3/write_lp?db=d").header("authorization", "Bearer backend");
    let answer = spool.clone().oneshot(request.body(Body::from(lines.to_owned())).unwrap()).await;
    answer.map_or_else(|error| error.kind().status().as_u16(), |answer| answer.status().as_u16())
}

fn line(n: usize) -> String {
    format!("m v={n} {n}")
}

fn lines(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(line).collect()
}

fn letters(dir: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("dead-letter.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_came_while_the_upstream_was_away_arrives_in_order_and_before_what_comes_later() {
    for illness in [503, 429, 401, 403, 502] {
        let (dir, store) = (tempfile::tempdir().unwrap(), Store::default());
        let server = store.serve().await;
        let spool = open(dir.path(), &server.url()).await;
        assert_eq!(write(&spool, &line(0)).await, 204);
        assert_eq!(store.taken(), lines(0..1), "straight through");
        store.ill(illness);
        for n in 1..50 {
            assert_eq!(write(&spool, &line(n)).await, 204, "{illness}");
        }
        assert_eq!(store.taken().len(), 1);
        store.ill(0);
        for n in 50..60 {
            assert_eq!(write(&spool, &line(n)).await, 204);
        }
        assert_eq!(store.wait_for(60).await, lines(0..60), "{illness}");
        spool.close().await;
    }
}

#[tokio::test]
async fn what_waits_outlives_the_process_and_an_upstream_that_moves() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::default());
    let nobody = super::raw::nobody().await;
    let mut n = 0;
    for _ in 0..3 {
        let spool = open(dir.path(), &nobody).await;
        for _ in 0..20 {
            assert_eq!(write(&spool, &line(n)).await, 204);
            n += 1;
        }
        spool.close().await;
    }
    let server = store.serve().await;
    let spool = open(dir.path(), &server.url()).await;
    assert_eq!(store.wait_for(n).await, lines(0..n));
    spool.close().await;
    drop(spool);
    let spool = open(dir.path(), &server.url()).await;
    assert_eq!(write(&spool, &line(n)).await, 204);
    assert_eq!(store.wait_for(n + 1).await, lines(0..n + 1), "nothing comes twice after an orderly end");
}

#[tokio::test]
async fn what_is_refused_for_good_is_a_dead_letter_and_holds_up_nothing() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::default());
    let server = store.serve().await;
    let spool = open(dir.path(), &server.url()).await;
    assert_eq!(write(&spool, "bad").await, 400, "the client hears it while it can");
    store.ill(503);
    for text in [&line(0), "bad lines\nof it", &line(1)] {
        assert_eq!(write(&spool, text).await, 204);
    }
    store.ill(0);
    assert_eq!(store.wait_for(2).await, lines(0..2));
    let letters = letters(dir.path());
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["lines"], "bad lines\nof it");
    assert_eq!(letters[0]["path"], "/api/v3/write_lp?db=d");
    assert!(letters[0]["reason"].as_str().unwrap().starts_with("400: unable to parse 'bad'"), "{letters:?}");
}

#[tokio::test]
async fn what_is_too_old_is_not_delivered_and_what_is_too_much_is_not_taken() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::default());
    let server = store.serve().await;
    store.ill(503);
    let upstream = Upstream::new(&upstream(&server.url())).unwrap();
    let spool = Spool { dir: Some(dir.path().to_owned()), max_bytes: 1000, max_age: Duration::from_millis(300) };
    let spool = Spooled::open(upstream, &spool, Limits::default()).await.unwrap();
    let long = format!("m v=\"{}\"", "x".repeat(600));
    assert_eq!(write(&spool, &long).await, 204);
    assert_eq!(write(&spool, &long).await, 503, "full");
    let begun = Instant::now();
    while letters(dir.path()).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(letters(dir.path())[0]["reason"].as_str().unwrap().starts_with("older than spool.max_age"));
}

fn program(url: &str) -> crate::support::Builder {
    TestServer::builder().config(&format!(
        "[backend]\nkind = \"upstream\"\n[upstream]\nurl = \"{url}\"\ntoken = \"backend\"\n[spool]\ndir = \"spool\"\n\
         [auth]\nmode = \"local\"\n[[auth.token]]\nname = \"w\"\ntoken = \"w\"\naccess = [{{ bucket = \"d\", write = true }}]"
    ))
}

#[tokio::test]
async fn killed_while_it_delivers_and_while_it_takes_the_shim_loses_nothing() {
    let store = Store::default();
    let server = store.serve().await;
    let mut shim = program(&server.url()).start();
    let mut acknowledged = Vec::new();
    let mut n = 0;
    for round in 0..6 {
        store.ill(if round % 2 == 1 { 503 } else { 0 });
        for _ in 0..40 {
            let request =
                Request::post(format!("{}/write?db=d&p=w", shim.url())).body(http_body_util::Full::from(line(n))).unwrap();
            shim.send(request).await.expect(204);
            acknowledged.push(line(n));
            n += 1;
        }
        shim.kill();
        shim.start_again();
    }
    store.ill(0);
    let begun = Instant::now();
    loop {
        let taken = store.taken();
        if acknowledged.iter().all(|line| taken.contains(line)) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{} of {}", taken.len(), acknowledged.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Some may have come again, but the last time that anything comes is in order.
    let last: BTreeMap<String, usize> = store.taken().into_iter().enumerate().map(|(at, line)| (line, at)).collect();
    let places: Vec<usize> = acknowledged.iter().map(|line| last[line]).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[tokio::test]
async fn started_while_the_upstream_is_away_it_knows_where_to_from_before() {
    let store = Store::default();
    let server = store.serve().await;
    let mut shim = program(&server.url()).start();
    let write = |shim: &TestServer, n: usize| {
        Request::post(format!("{}/write?db=d&p=w", shim.url())).body(http_body_util::Full::from(line(n))).unwrap()
    };
    shim.send(write(&shim, 0)).await.expect(204);
    store.ill(503);
    shim.kill();
    shim.start_again();
    shim.send(write(&shim, 1)).await.expect(204);
    store.ill(0);
    assert_eq!(store.wait_for(2).await, lines(0..2));
}

#[tokio::test]
async fn a_shim_that_never_heard_its_upstream_takes_what_it_knows_the_place_of() {
    let store = Store::default();
    store.ill(503);
    let server = store.serve().await;
    let write = async |shim: &TestServer, db: &str, n: usize| {
        let request =
            Request::post(format!("{}/write?db={db}&p=w", shim.url())).body(http_body_util::Full::from(line(n))).unwrap();
        shim.send(request).await.status.as_u16()
    };
    let mapping = "[[dbrp]]\ndatabase = \"v1\"\nbucket = \"d\"";
    let shim = program(&server.url()).config(mapping).start();
    assert_eq!(write(&shim, "v1", 0).await, 204);
    // It might be anywhere: an acknowledgement would be a promise that can't be kept.
    assert_eq!(write(&shim, "d", 1).await, 503);
    drop(shim);
    // Here the configuration says where.
    let shim = program(&server.url()).config("[dbrp_defaults]\nsource = \"config\"").start();
    assert_eq!(write(&shim, "d", 2).await, 204);
    store.ill(0);
    assert_eq!(store.wait_for(1).await, [line(2)]);
}
