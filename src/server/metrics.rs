//! The second listener, for Prometheus: `/metrics` and nothing else.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{interval, sleep, timeout},
};

use super::stop;
use crate::telemetry::Exporter;

/// Scrapers that may come at once.
const SCRAPERS: usize = 16;
/// For one of them to ask and be answered.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until `shutdown` says so.
pub(super) async fn serve(listener: TcpListener, exporter: Exporter, mut shutdown: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut upkeep = interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            () = stop(&mut shutdown) => return,
            _ = upkeep.tick() => exporter.upkeep(),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < SCRAPERS => match accepted {
                Ok((stream, _)) => {
                    let exporter = exporter.clone();
                    connections.spawn(async move {
                        let service = service_fn(move |request| {
                            let response = answer(&exporter, &request);
                            async move { Ok::<_, Infallible>(response) }
                        });
                        let connection = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .keep_alive(false)
                            .serve_connection(TokioIo::new(stream), service);
                        // What goes wrong here is between the scraper and its logs.
                        let _ = timeout(PATIENCE, connection).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept connections for metrics");
                    sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }
}

fn answer(exporter: &Exporter, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, exporter.render()),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}
