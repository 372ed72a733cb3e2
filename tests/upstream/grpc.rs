//! gRPC through the shim: over h2c on both sides, streaming both ways at once, with trailers.

use std::{convert::Infallible, pin::Pin, task::Poll, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use v1shim::Body;

use super::raw::Raw;
use crate::support::TestServer;

/// Gives back every piece as it comes, and at the end what the head was, in trailers.
struct Echo {
    body: Incoming,
    trailers: Option<HeaderMap>,
}

impl HttpBody for Echo {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            other => other,
        }
    }
}

/// An h2 server without TLS.
async fn server() -> Raw {
    Raw::start(|_, stream| async move {
        let service = hyper::service::service_fn(async |request: Request<Incoming>| {
            assert_eq!(request.version(), Version::HTTP_2);
            let (head, body) = request.into_parts();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            for name in ["te", "authorization", "x-custom", "database"] {
                if let Some(value) = head.headers.get(name) {
                    trailers.insert(http::HeaderName::from_bytes(format!("saw-{name}").as_bytes()).unwrap(), value.clone());
                }
            }
            trailers.insert("saw-path", head.uri.path().parse().unwrap());
            let answer =
                Response::builder().header("content-type", "application/grpc").body(Echo { body, trailers: Some(trailers) });
            Ok::<_, Infallible>(answer.unwrap())
        });
        let _ =
            hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    })
    .await
}

/// A body that is fed piece by piece.
fn fed() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (feed, mut pieces) = mpsc::unbounded_channel::<Bytes>();
    let stream = futures_util::stream::poll_fn(move |cx| {
        pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok::<_, Infallible>(Frame::data(piece))))
    });
    (feed, Body::new(http_body_util::StreamBody::new(stream)))
}

#[tokio::test]
async fn streams_go_both_ways_at_once_and_end_with_trailers() {
    let upstream = server().await;
    let config = format!("[backend]\nkind = \"upstream\"\n[upstream]\nurl = \"{}\"\nretries = 0", upstream.url());
    let shim = TestServer::builder().config(&config).start();
    let stream = TcpStream::connect(("127.0.0.1", shim.port())).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);

    let (feed, body) = fed();
    let request = Request::post(format!("{}/arrow.flight.protocol.FlightService/DoExchange", shim.url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", "Bearer t")
        .header("database", "d")
        .header("x-custom", "kept")
        .body(body)
        .unwrap();
    let answer = timeout(Duration::from_secs(10), client.send_request(request)).await.expect("before the request's end").unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let mut body = answer.into_body();
    for piece in ["one", "two", "three"] {
        feed.send(Bytes::from(piece)).unwrap();
        let frame = timeout(Duration::from_secs(10), body.frame()).await.expect("before the next piece").unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(feed);
    let trailers =
        timeout(Duration::from_secs(10), body.collect()).await.unwrap().unwrap().trailers().cloned().expect("trailers");
    for (name, value) in [
        ("grpc-status", "0"),
        ("saw-te", "trailers"),
        ("saw-authorization", "Bearer t"),
        ("saw-database", "d"),
        ("saw-x-custom", "kept"),
        ("saw-path", "/arrow.flight.protocol.FlightService/DoExchange"),
    ] {
        assert_eq!(trailers.get(name).and_then(|value| value.to_str().ok()), Some(value), "{name} in {trailers:?}");
    }
    connection.abort();
}
