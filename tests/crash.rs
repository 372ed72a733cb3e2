//! `kill -9` in the middle of writes: every point that was acknowledged is there after the restart.

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arrow_array::{cast::AsArray, types::Int64Type};
use v1shim::embedded::{Engine, Scan};

use crate::support::TestServer;

const CLIENTS: u64 = 8;
const WRITES: usize = 1000;

/// Writes from all clients at once until so many are acknowledged, then kills the server while they go on.
async fn write_and_kill(server: TestServer, number: &Arc<AtomicU64>) -> (TestServer, HashSet<u64>) {
    let server = Arc::new(server);
    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    let killed = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (server, acknowledged, killed, number) =
                (Arc::clone(&server), Arc::clone(&acknowledged), Arc::clone(&killed), Arc::clone(number));
            tokio::spawn(async move {
                loop {
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    // Long enough for several flushes from memory to files with the smaller memory.
                    let body = format!("m,client={client} number={number}i,text=\"{}\" {number}", "x".repeat(2000));
                    match server.try_send(server.request(http::Method::POST, "/write?db=crash", body)).await {
                        Ok(reply) => {
                            reply.expect(204);
                            acknowledged.lock().unwrap().insert(number);
                        }
                        Err(_) if killed.load(Ordering::Relaxed) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    while acknowledged.lock().unwrap().len() < WRITES {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    killed.store(true, Ordering::Relaxed);
    server.signal("KILL");
    for client in clients {
        client.await.unwrap();
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    (Arc::into_inner(server).unwrap(), acknowledged)
}

async fn survives(config: &str) -> TestServer {
    let mut server = TestServer::builder().config(config).start();
    let (number, mut acknowledged) = (Arc::new(AtomicU64::new(1)), HashSet::new());
    for round in 1..=2 {
        let (killed, more) = write_and_kill(server, &number).await;
        server = killed;
        assert!(more.len() >= WRITES);
        acknowledged.extend(more);
        // The program's own recovery, then what is really there, asked without its query engine.
        server.start_again();
        server.kill();
        let there = numbers(&server.dir().join("data")).await;
        server.start_again();
        let lost: Vec<&u64> = acknowledged.difference(&there).collect();
        assert!(
            lost.is_empty(),
            "round {round}: {} of {} acknowledged points are lost: {lost:?}",
            lost.len(),
            acknowledged.len()
        );
    }
    server
}

/// All numbers in a store that nobody has open.
async fn numbers(data_dir: &Path) -> HashSet<u64> {
    let config = v1shim::config::Embedded { data_dir: data_dir.to_owned(), ..v1shim::config::Embedded::default() };
    let engine = Engine::open(&config, v1shim::config::Limits::default()).await.unwrap();
    let tables = engine.snapshot("crash/autogen").unwrap();
    let numbers = tokio::task::spawn_blocking(move || {
        let fields = vec!["number".into()];
        let scan =
            Scan { measurement: "m".into(), time: i64::MIN..=i64::MAX, fields, series: None, descending: false, most: None };
        let (mut numbers, mut rows) = (HashSet::new(), 0);
        for batch in tables.scan(scan).unwrap() {
            let batch = batch.unwrap();
            rows += batch.time.values().len();
            let values = batch.fields[0].as_ref().unwrap().as_primitive::<Int64Type>();
            numbers.extend(values.values().iter().map(|number| *number as u64));
        }
        assert_eq!(numbers.len(), rows, "no point twice");
        numbers
    });
    let numbers = numbers.await.unwrap();
    engine.close().await;
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kill_9() {
    survives("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kill_9_while_points_move_to_files() {
    let server = survives("[embedded]\nmemory = \"1MiB\"").await;
    assert!(server.dir().join("data/files").exists(), "there was something to move");
}
