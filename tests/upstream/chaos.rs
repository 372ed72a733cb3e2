//! A network that does everything that networks do: a proxy between shim and server that delays, resets, cuts off and makes things up.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::TcpStream,
};
use tower::ServiceExt;
use v1shim::{
    Body,
    config::{self, Limits, Spool},
    types::Secret,
    upstream::{Spooled, Upstream},
};

use super::{
    client::config,
    raw::{Raw, read_request},
};

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    None,
    /// Every piece of the answer takes its time.
    Delay,
    /// Closed at once.
    Refuse,
    /// The request arrives, the answer doesn't.
    LoseAnswer,
    /// Half of the request arrives.
    CutRequest,
    /// The answer breaks off in its head.
    CutAnswer,
    /// Something that is no HTTP comes back.
    Garbage,
    /// Nothing comes back, for long.
    Silence,
}

const MISHAPS: [Mishap; 8] = [
    Mishap::None,
    Mishap::Delay,
    Mishap::Refuse,
    Mishap::LoseAnswer,
    Mishap::CutRequest,
    Mishap::CutAnswer,
    Mishap::Garbage,
    Mishap::Silence,
];

/// Passes connections on to `to`, each with the next mishap, as long as it is told to.
async fn proxy(to: std::net::SocketAddr, wild: Arc<AtomicBool>) -> Raw {
    Raw::start(move |number, stream| {
        let mishap = if wild.load(Ordering::SeqCst) { MISHAPS[number * 5 % MISHAPS.len()] } else { Mishap::None };
        async move {
            // Whatever goes wrong here is what the test is about.
            let _ = pass(stream, to, mishap).await;
        }
    })
    .await
}

async fn pass(mut near: TcpStream, to: std::net::SocketAddr, mishap: Mishap) -> std::io::Result<()> {
    let mut far = TcpStream::connect(to).await?;
    let mut buffer = [0; 4096];
    match mishap {
        Mishap::None => {
            let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.split(), far.split());
            tokio::select! {
                result = copy(&mut near_in, &mut far_out) => result.map(drop),
                result = copy(&mut far_in, &mut near_out) => result.map(drop),
            }
        }
        Mishap::Delay => loop {
            let n = near.read(&mut buffer).await?;
            if n == 0 {
                return Ok(());
            }
            far.write_all(&buffer[..n]).await?;
            let n = far.read(&mut buffer).await?;
            for byte in buffer[..n].chunks(7) {
                tokio::time::sleep(Duration::from_millis(2)).await;
                near.write_all(byte).await?;
            }
        },
        // Unread bytes make the kernel send a reset.
        Mishap::Refuse => Ok(()),
        Mishap::LoseAnswer => {
            let n = near.read(&mut buffer).await?;
            far.write_all(&buffer[..n]).await?;
            far.read(&mut buffer).await.map(drop)
        }
        Mishap::CutRequest => {
            let n = near.read(&mut buffer).await?;
            far.write_all(&buffer[..n / 2]).await
        }
        Mishap::CutAnswer => {
            let n = near.read(&mut buffer).await?;
            far.write_all(&buffer[..n]).await?;
            let n = far.read(&mut buffer).await?;
            near.write_all(&buffer[..n / 2]).await
        }
        Mishap::Garbage => {
            let _ = near.read(&mut buffer).await?;
            near.write_all(b"\x16\x03\x01 make of this what you like\r\n\r\n").await
        }
        Mishap::Silence => {
            let _ = near.read(&mut buffer).await?;
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(())
        }
    }
}

/// Takes writes, and keeps their bodies in order.
async fn server() -> (Raw, Arc<Mutex<Vec<String>>>) {
    let taken = Arc::<Mutex<Vec<String>>>::default();
    let store = Arc::clone(&taken);
    let server = Raw::start(move |_, mut stream| {
        let store = Arc::clone(&store);
        async move {
            // One connection, one request: so that every request meets a mishap of its own.
            let Some(request) = read_request(&mut stream).await else { return };
            store.lock().unwrap().push(request.split_once("\r\n\r\n").unwrap().1.to_owned());
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        }
    })
    .await;
    (server, taken)
}

fn impatient(url: &str) -> config::Upstream {
    config::Upstream {
        token: Some(Secret::new("backend")),
        timeout: Duration::from_millis(500),
        breaker_failures: 1000,
        retries: 4,
        retry_percent: 100,
        ..config(url)
    }
}

fn line(n: usize) -> String {
    format!("m,host=h{n} v={n} {n}")
}

fn write(n: usize) -> Request<Body> {
    Request::post("/api/v3/write_lp?db=d").body(Body::from(Bytes::from(line(n)))).unwrap()
}

#[tokio::test]
async fn what_is_acknowledged_is_there_and_what_is_not_can_be_sent_again() {
    let (server, taken) = server().await;
    let proxy = proxy(server.addr, Arc::new(AtomicBool::new(true))).await;
    let upstream = Upstream::new(&impatient(&proxy.url())).unwrap();
    let mut refused = 0;
    for n in 0..60 {
        match upstream.clone().oneshot(write(n)).await {
            Ok(answer) => {
                assert_eq!(answer.status(), 204);
                assert!(taken.lock().unwrap().contains(&line(n)), "{n} was acknowledged");
            }
            Err(error) => {
                assert!(error.kind().status().is_server_error(), "a writer keeps its batch: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused < 20, "repeating gets most of them through: {refused} of 60 refused");
    let whole: Vec<String> = (0..60).map(line).collect();
    assert!(taken.lock().unwrap().iter().all(|body| whole.contains(body)), "half a request is none");
}

#[tokio::test]
async fn with_a_spool_everything_arrives_and_in_order() {
    let (server, taken) = server().await;
    let wild = Arc::new(AtomicBool::new(true));
    let proxy = proxy(server.addr, Arc::clone(&wild)).await;
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool { dir: Some(dir.path().to_owned()), ..Spool::default() };
    let upstream = Upstream::new(&config::Upstream { retries: 0, ..impatient(&proxy.url()) }).unwrap();
    let spooled = Spooled::open(upstream, &spool, Limits::default()).await.unwrap();
    for n in 0..60 {
        let answer = spooled.clone().oneshot(write(n)).await.unwrap();
        assert_eq!(answer.status(), 204, "{n}");
    }
    wild.store(false, Ordering::SeqCst);
    let begun = Instant::now();
    let last = loop {
        let taken = taken.lock().unwrap().clone();
        let last: Vec<_> = (0..60).map(|n| taken.iter().rposition(|body| *body == line(n))).collect();
        if let Some(last) = last.into_iter().collect::<Option<Vec<_>>>() {
            break last;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{} arrived", taken.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(last.is_sorted(), "{last:?}");
    assert!(!dir.path().join("dead-letter.jsonl").exists(), "nothing was given up");
}
