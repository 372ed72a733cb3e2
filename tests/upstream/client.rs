//! The client alone, against servers that misbehave.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};
use tower::ServiceExt;
use v1shim::{
    Body, Error, config,
    error::Kind,
    types::Secret,
    upstream::{Failure, Upstream},
};

use super::raw::{Raw, nobody, read_request, reply};

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

pub(super) fn config(url: &str) -> config::Upstream {
    config::Upstream {
        url: url.parse().unwrap(),
        // What speaks here byte by byte speaks HTTP/1.1.
        query: config::QueryBy::Http,
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_secs(20),
        ..config::Upstream::default()
    }
}

fn upstream(url: &str) -> Upstream {
    Upstream::new(&config(url)).unwrap()
}

/// One that waits for a second only.
pub(super) fn impatient(url: &str) -> config::Upstream {
    config::Upstream { timeout: Duration::from_secs(1), ..config(url) }
}

fn write() -> Request<Body> {
    Request::post("/api/v3/write_lp?db=a%2Fb&precision=nanosecond").body(Body::from("m v=1 1")).unwrap()
}

async fn failure(url: &str) -> (Failure, Error) {
    let error = Upstream::new(&impatient(url)).unwrap().oneshot(write()).await.expect_err("no answer");
    (Failure::of(&error).expect("a failure of the upstream"), error)
}

#[tokio::test]
async fn nobody_listens() {
    let (failure, error) = failure(&nobody().await).await;
    assert_eq!(failure, Failure::Connect);
    assert_eq!((error.kind(), error.message()), (Kind::Unavailable, "upstream can't be reached"));
    assert!(error.retry_delay().is_some());
}

#[tokio::test]
async fn no_headers_in_time() {
    let server = Raw::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let (failure, error) = failure(&server.url()).await;
    assert_eq!((failure, error.kind().status()), (Failure::Timeout, StatusCode::SERVICE_UNAVAILABLE));
    assert!(error.retry_delay().is_some());
}

#[tokio::test]
async fn closed_instead_of_an_answer() {
    let server = Raw::start(|_, mut stream| async move {
        read_request(&mut stream).await;
    })
    .await;
    let (failure, error) = failure(&server.url()).await;
    assert_eq!((failure, error.kind()), (Failure::Reset, Kind::Unavailable));
    assert!(error.retry_delay().is_some());
}

#[tokio::test]
async fn reset_while_the_request_is_sent() {
    let server = Raw::start(|_, mut stream| async move {
        // Unread bytes make the kernel send a reset instead of an orderly end.
        let _ = stream.read(&mut [0; 16]).await;
    })
    .await;
    let request = Request::post("/api/v3/write_lp?db=x").body(Body::from(vec![b'x'; 4 << 20])).unwrap();
    let error = upstream(&server.url()).oneshot(request).await.expect_err("no answer");
    assert_eq!((Failure::of(&error), error.kind()), (Some(Failure::Reset), Kind::Unavailable));
}

#[tokio::test]
async fn garbage_instead_of_an_answer() {
    let server = Raw::answering("\0\x01\x02 this is no HTTP\r\n\r\n").await;
    let (failure, error) = failure(&server.url()).await;
    assert_eq!((failure, error.kind()), (Failure::Garbage, Kind::BadGateway));
}

#[tokio::test]
async fn answers_that_break_off_end_with_an_error() {
    for reply in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nten bytes.",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nten bytes.\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nten bytes.\r\nzz\r\n",
    ] {
        let server = Raw::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(reply.as_bytes()).await.unwrap();
        })
        .await;
        let mut body = upstream(&server.url()).oneshot(write()).await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&first[..], b"ten bytes.");
        let error = body.frame().await.expect("not a quiet end").expect_err("an error");
        assert_eq!(Failure::of(&*error), Some(Failure::BrokenOff), "{reply:?}");
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn an_answer_that_stalls_ends_with_an_error() {
    let server = Raw::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n").await.unwrap();
        // Slow is fine, as long as it moves.
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            stream.write_all(b"1\r\na\r\n").await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let mut body = Upstream::new(&impatient(&server.url())).unwrap().oneshot(write()).await.unwrap().into_body();
    let mut bytes = 0;
    let error = loop {
        match body.frame().await.expect("not a quiet end") {
            Ok(frame) => bytes += frame.into_data().unwrap().len(),
            Err(error) => break error,
        }
    };
    assert_eq!((bytes, Failure::of(&*error)), (5, Some(Failure::Stalled)));
}

#[tokio::test]
async fn a_slow_client_is_not_a_slow_upstream() {
    let server = Raw::answering(OK).await;
    let (frames, body) = channel_body();
    let reply = tokio::spawn(Upstream::new(&impatient(&server.url())).unwrap().oneshot(Request::post("/w").body(body).unwrap()));
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        frames.send(Ok(Bytes::from("m v=1\n"))).await.unwrap();
    }
    drop(frames);
    assert_eq!(reply.await.unwrap().unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_upstream_that_takes_nothing_more_is_slow() {
    let server = Raw::start(|_, stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let endless = futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b'x'; 65536]))));
    let request = Request::post("/w").body(Body::new(StreamBody::new(endless))).unwrap();
    let error = Upstream::new(&impatient(&server.url())).unwrap().oneshot(request).await.expect_err("no answer");
    assert_eq!(Failure::of(&error), Some(Failure::Timeout));
}

#[tokio::test]
async fn an_error_of_the_requests_own_body_is_told_as_it_is() {
    let server = Raw::answering(OK).await;
    let (frames, body) = channel_body();
    frames.send(Ok(Bytes::from("m v=1\n"))).await.unwrap();
    frames.send(Err(Error::new(Kind::TooLarge, "body is longer than 6 bytes"))).await.unwrap();
    let error = upstream(&server.url()).oneshot(Request::post("/w").body(body).unwrap()).await.expect_err("no answer");
    assert_eq!((error.kind(), error.message()), (Kind::TooLarge, "body is longer than 6 bytes"));
}

#[tokio::test]
async fn bodies_stream_both_ways_at_the_same_time() {
    let server = Raw::start(|_, mut stream| async move {
        let mut buffer = [0; 4096];
        let mut seen = Vec::new();
        while !seen.ends_with(b"first\r\n") {
            let n = stream.read(&mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..n]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nheard\r\n").await.unwrap();
        while !seen.ends_with(b"0\r\n\r\n") {
            let n = stream.read(&mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..n]);
        }
        stream.write_all(b"3\r\nend\r\n0\r\n\r\n").await.unwrap();
    })
    .await;
    let (frames, body) = channel_body();
    frames.send(Ok(Bytes::from("first"))).await.unwrap();
    let mut reply = upstream(&server.url()).oneshot(Request::post("/w").body(body).unwrap()).await.unwrap().into_body();
    assert_eq!(reply.frame().await.unwrap().unwrap().into_data().unwrap(), "heard");
    frames.send(Ok(Bytes::from("second"))).await.unwrap();
    drop(frames);
    assert_eq!(reply.collect().await.unwrap().to_bytes(), "end");
}

#[tokio::test]
async fn connections_are_kept_and_replaced_when_the_server_has_closed_them() {
    let server = Raw::start(|number, mut stream| async move {
        // The first connection serves two requests, then the server closes it without having said so.
        for _ in 0..if number == 0 { 2 } else { 100 } {
            if read_request(&mut stream).await.is_none() {
                return;
            }
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let upstream = upstream(&server.url());
    for (call, connections) in [(0, 1), (1, 1), (2, 2), (3, 2)] {
        let reply = upstream.clone().oneshot(write()).await.unwrap();
        assert_eq!(reply.status(), StatusCode::NO_CONTENT);
        assert_eq!(server.connections(), connections, "call {call}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_costs_no_time() {
    for rest in [50, 200] {
        let server = Raw::start(|_, mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        })
        .await;
        // Nothing is sent again: it was never sent.
        let upstream = Upstream::new(&config::Upstream { retries: 0, ..config(&server.url()) }).unwrap();
        for _ in 0..10 {
            let answer = tokio::time::timeout(Duration::from_secs(5), upstream.clone().oneshot(write())).await;
            assert_eq!(answer.expect("at once").unwrap().status(), 204);
            // Until the server's end has come; nobody looks at the connection meanwhile.
            tokio::time::sleep(Duration::from_millis(rest)).await;
        }
    }
}

#[tokio::test]
async fn requests_and_replies_lose_what_belongs_to_a_connection_and_nothing_else() {
    let (seen, mut requests) = mpsc::channel(1);
    let server = Raw::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let request = read_request(&mut stream).await.unwrap();
            seen.send(request).await.unwrap();
            let headers =
                "Connection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nRetry-After: 7\r\nX-Kept: yes\r\n";
            stream.write_all(reply("418 I'm a teapot", headers, "short").as_bytes()).await.unwrap();
            let _ = stream.read(&mut [0; 1]).await;
        }
    })
    .await;
    let mut request = write();
    for (name, value) in [
        ("host", "shim.example:8086"),
        ("connection", "keep-alive, x-secret-hop"),
        ("x-secret-hop", "1"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("content-encoding", "identity"),
        ("x-custom", "ä"),
    ] {
        request.headers_mut().append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let answer = upstream(&format!("{}/base/", server.url())).oneshot(request).await.unwrap();
    let sent = requests.recv().await.unwrap();
    let mut lines: Vec<String> = sent.split("\r\n").map(str::to_owned).collect();
    assert_eq!(lines.remove(0), "POST /base/api/v3/write_lp?db=a%2Fb&precision=nanosecond HTTP/1.1");
    assert_eq!(lines.pop().as_deref(), Some("m v=1 1"));
    lines.retain(|line| !line.is_empty());
    lines.sort_unstable();
    let host = format!("host: {}", server.addr);
    assert_eq!(lines, ["content-encoding: identity", "content-length: 7", &host, "x-custom: ä"]);

    assert_eq!(answer.status().as_u16(), 418);
    let headers = answer.headers();
    assert_eq!((&headers["retry-after"], &headers["x-kept"]), (&"7".parse().unwrap(), &"yes".parse().unwrap()));
    for gone in ["connection", "x-hop", "keep-alive"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "short");
}

#[tokio::test]
async fn nobody_borrows_the_upstreams_token() {
    let (seen, mut requests) = mpsc::channel(1);
    let server = Raw::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let line = request.lines().find(|line| line.starts_with("authorization")).map(str::to_owned);
                seen.send(line).await.unwrap();
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let upstream = Upstream::new(&config::Upstream { token: Some(Secret::new("backend")), ..config(&server.url()) }).unwrap();
    for own in [Some("Bearer client"), None] {
        let mut request = write();
        if let Some(own) = own {
            request.headers_mut().insert(header::AUTHORIZATION, own.parse().unwrap());
        }
        let expected = own.map(|own| format!("authorization: {own}"));
        upstream.clone().oneshot(request).await.unwrap();
        assert_eq!(requests.recv().await.unwrap(), expected);
    }
}

#[cfg(feature = "server")]
#[tokio::test]
async fn tls_is_checked_and_h2_is_taken_where_it_is_offered() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (alpn, version) in [(&b"h2"[..], "HTTP/2.0"), (b"http/1.1", "HTTP/1.1")] {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let mut server_tls = rustls::ServerConfig::builder_with_provider(std::sync::Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![key.cert.der().clone()],
                rustls_pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()).into(),
            )
            .unwrap();
        server_tls.alpn_protocols = vec![alpn.to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server_tls));
        let server = Raw::start(move |_, stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
                    let version = format!("{:?}", request.version());
                    request.into_body().collect().await.unwrap();
                    Ok::<_, Infallible>(http::Response::new(Body::from(version)))
                });
                let io = hyper_util::rt::TokioIo::new(stream);
                let builder = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
                let _ = builder.serve_connection(io, service).await;
            }
        })
        .await;
        let config = config(&format!("https://localhost:{}", server.addr.port()));

        let mut roots = rustls::RootCertStore::empty();
        roots.add(key.cert.der().clone()).unwrap();
        let trusting = |roots| {
            rustls::ClientConfig::builder_with_provider(std::sync::Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth()
        };
        let upstream = Upstream::with_tls(&config, trusting(roots)).unwrap();
        let answer = upstream.oneshot(write()).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), version);

        let upstream = Upstream::with_tls(&config, trusting(rustls::RootCertStore::empty())).unwrap();
        let error = upstream.oneshot(write()).await.expect_err("nobody vouches for that certificate");
        assert_eq!(Failure::of(&error), Some(Failure::Connect));
    }
}

/// A body that is fed by hand.
fn channel_body() -> (mpsc::Sender<Result<Bytes, Error>>, Body) {
    let (sender, mut receiver) = mpsc::channel(8);
    let frame = |item: Result<Bytes, Error>| item.map(Frame::data);
    let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|item| item.map(frame)));
    (sender, Body::new(StreamBody::new(stream)))
}
