//! What every answer of the program has in common, whoever makes it: ids, versions, CORS, gzip; and what is answered here: preflight
//! and `/health`. The layers know nothing of it, since inside somebody's application these belong to the application.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, uri::PathAndQuery};
use tower_service::Service;

use super::{
    body::{Download, End, Leftover, Upload, drain},
    cors, gzip,
    request_id::{REQUEST_ID, RequestIds, X_REQUEST_ID},
};
use crate::{
    body::Body,
    config::{Config, Live},
    telemetry::{CallKind, Metrics, Seen},
    types::BoxError,
};

const VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");
const BUILD: HeaderName = HeaderName::from_static("x-influxdb-build");
const ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The outermost service; each connection has a clone of its own.
#[derive(Debug)]
pub(super) struct Front<S> {
    /// A clone for each request would touch what all threads share a dozen times. Locked while a call is made, not while it is answered.
    inner: Mutex<S>,
    live: Live,
    shared: Arc<Shared>,
}

impl<S: Clone> Clone for Front<S> {
    fn clone(&self) -> Self {
        Self { inner: Mutex::new(self.lock().clone()), live: self.live.clone(), shared: Arc::clone(&self.shared) }
    }
}

#[derive(Debug)]
struct Shared {
    ids: RequestIds,
    metrics: Metrics,
    draining: AtomicBool,
}

impl<S> Front<S> {
    pub(super) fn new(inner: S, live: Live, metrics: Metrics) -> Self {
        let shared = Arc::new(Shared { ids: RequestIds::new(), metrics, draining: AtomicBool::new(false) });
        Self { inner: Mutex::new(inner), live, shared }
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        // Whatever panicked was about one request.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// What is said to `peer`, whose bytes hyper could make no request of: headers and body, for a status that hyper has chosen.
    pub(super) fn unreadable(&self, peer: SocketAddr, status: StatusCode) -> (HeaderMap, Bytes) {
        let config = self.live.load();
        let (code, message) = match status {
            StatusCode::URI_TOO_LONG => ("invalid", "the URL is longer than 64 KiB: use a form body for long queries".to_owned()),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ("invalid", header_too_large(&config)),
            _ => ("invalid", "malformed HTTP request".to_owned()),
        };
        let id = self.shared.ids.of(&HeaderMap::new());
        tracing::info!(target: "v1shim::access", %peer, status = status.as_u16(), id = id.to_str().unwrap_or("-"), "{message}");
        self.shared.metrics.request_begun();
        self.shared.metrics.request_done(CallKind::Other, status, Duration::ZERO, 0);
        let (mut head, body) = (HeaderMap::new(), error_body(code, &message));
        head.insert(header::CONTENT_TYPE, JSON);
        if let Ok(message) = HeaderValue::try_from(message) {
            head.insert(ERROR, message);
        }
        decorate(&mut head, &config, &id, None);
        (head, body.into())
    }

    /// From now on `/health` says that this server is going, so that balancers send no more.
    pub(super) fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }
}

impl<S> Front<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    /// Answers a request. `guard` is dropped when the answer has gone.
    pub(super) async fn answer<B, G>(&self, peer: SocketAddr, request: Request<B>, guard: G) -> Response<Download<Ending<G>>>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
        G: Send + 'static,
    {
        let started = Instant::now();
        let config = self.live.load();
        let id = self.shared.ids.of(request.headers());
        let origin = request.headers().get(header::ORIGIN).filter(|origin| !origin.is_empty()).cloned();
        let takes_gzip = config.server.compress && gzip::takes_gzip(request.headers());
        let (method, seen, received) = (request.method().clone(), Seen::default(), Arc::new(AtomicU64::new(0)));
        let kind = CallKind::of(&method, request.uri().path());
        let path = request.uri().path_and_query().cloned();
        self.shared.metrics.request_begun();

        // Reading from somebody who waits for our `100 Continue` would ask for what we don't want.
        let expects = request.headers().contains_key(header::EXPECT);
        let leftover = Leftover::default();
        let request = request
            .map(|body| Body::new(Upload::new(body, config.server.idle_timeout, Arc::clone(&received), Arc::clone(&leftover))));
        let mut response = match self.answered_here(&config, &request) {
            Some(response) => response,
            None => self.call(request, &id, &seen).await,
        };
        let rest = leftover.lock().ok().and_then(|mut leftover| leftover.take());
        if let Some(rest) = rest
            && !expects
        {
            drain(rest).await;
        }
        decorate(response.headers_mut(), &config, &id, origin.as_ref());
        if takes_gzip {
            response = gzip::compress(takes_gzip, &method, response);
        }
        let ending = Ending {
            shared: Arc::clone(&self.shared),
            started,
            peer,
            method,
            path,
            kind,
            status: response.status(),
            id,
            seen,
            received,
            _guard: guard,
        };
        response.map(|body| Download::new(body, ending))
    }

    /// Preflight, `/health`, and what no HTTP server behind a proxy does.
    fn answered_here(&self, config: &Config, request: &Request<Body>) -> Option<Response<Body>> {
        // Of HTTP/1.1's, hyper has said it.
        if request.version() == Version::HTTP_2 && header_list(request) > config.server.max_header_bytes {
            return Some(refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "invalid", &header_too_large(config)));
        }
        match (request.method(), request.uri().path().trim_end_matches('/')) {
            // 200 and nothing, as in 1.x.
            (&Method::OPTIONS, _) => Some(Response::new(Body::empty())),
            (&Method::CONNECT, _) => Some(refusal(StatusCode::NOT_IMPLEMENTED, "not implemented", "CONNECT is not supported")),
            (&Method::GET | &Method::HEAD, "/health") => Some(self.health(config)),
            _ => None,
        }
    }

    /// As 1.8 answers it.
    fn health(&self, config: &Config) -> Response<Body> {
        let draining = self.shared.draining.load(Ordering::Relaxed);
        let (status, message, word) = if draining {
            (StatusCode::SERVICE_UNAVAILABLE, "shutting down", "fail")
        } else {
            (StatusCode::OK, "ready for queries and writes", "pass")
        };
        let body = serde_json::json!({
            "checks": [], "message": message, "name": "influxdb", "status": word, "version": config.compat.version,
        });
        json(status, &body)
    }

    async fn call(&self, mut request: Request<Body>, id: &HeaderValue, seen: &Seen) -> Response<Body> {
        ignore_h2c(request.headers_mut());
        // The service below logs it under the same id.
        request.headers_mut().insert(X_REQUEST_ID.clone(), id.clone());
        request.extensions_mut().insert(seen.clone());
        let mut request = Some(request);
        let answer = AssertUnwindSafe(async move {
            let called = poll_fn(|cx| {
                let mut inner = self.lock();
                let Ok(()) = ready!(inner.poll_ready(cx));
                Poll::Ready(inner.call(request.take().unwrap_or_default()))
            });
            called.await.await
        });
        match answer.catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                tracing::error!(id = ?id, "panic while a request was being answered");
                refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "internal error")
            }
        }
    }
}

/// An offer of HTTP/2 over plain text, which Java's client makes with every request and curl with `--http2`: RFC 9110 §7.8 lets a server
/// ignore it, and the request is a normal one.
fn ignore_h2c(headers: &mut HeaderMap) {
    const SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
    let offers =
        |headers: &HeaderMap| headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"h2c"));
    if !offers(headers) {
        return;
    }
    headers.remove(header::UPGRADE);
    headers.remove(SETTINGS);
    let rest: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.eq_ignore_ascii_case("upgrade") && !name.eq_ignore_ascii_case(SETTINGS.as_str()) && !name.is_empty())
        .map(str::to_owned)
        .collect();
    headers.remove(header::CONNECTION);
    if let Ok(rest) = HeaderValue::try_from(rest.join(", "))
        && !rest.is_empty()
    {
        headers.insert(header::CONNECTION, rest);
    }
}

/// Headers of every answer.
fn decorate(headers: &mut HeaderMap, config: &Config, id: &HeaderValue, origin: Option<&HeaderValue>) {
    for (name, value) in [(VERSION, &config.compat.version), (BUILD, &config.compat.build)] {
        // Most answers have them already.
        if headers.get(&name).is_none_or(|said| said != &**value)
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.insert(name, value);
        }
    }
    headers.insert(REQUEST_ID.clone(), id.clone());
    headers.insert(X_REQUEST_ID.clone(), id.clone());
    if let Some(origin) = origin {
        cors::allow(headers, origin);
    }
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(error_body(code, message)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    if let Ok(message) = HeaderValue::from_str(message) {
        response.headers_mut().insert(ERROR, message);
    }
    response
}

fn error_body(code: &str, message: &str) -> String {
    serde_json::json!({ "code": code, "message": message, "error": message }).to_string()
}

fn header_too_large(config: &Config) -> String {
    format!("the request's header has more than {} bytes or 100 fields", config.server.max_header_bytes)
}

/// Size of a header as RFC 9113 §6.5.2 counts it, in bytes.
fn header_list(request: &Request<Body>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    target + request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum::<usize>()
}

/// What is told of a request when it is over.
pub(super) struct Ending<G> {
    shared: Arc<Shared>,
    started: Instant,
    peer: SocketAddr,
    method: Method,
    path: Option<PathAndQuery>,
    kind: CallKind,
    status: StatusCode,
    id: HeaderValue,
    seen: Seen,
    received: Arc<AtomicU64>,
    _guard: G,
}

impl<G: Send + 'static> End for Ending<G> {
    fn end(self, bytes: u64, complete: bool) {
        let took = self.started.elapsed();
        let received = self.received.load(Ordering::Relaxed);
        self.shared.metrics.request_done(self.kind, self.status, took, received);
        macro_rules! log {
            ($level:expr) => {
                tracing::event!(
                    target: "v1shim::access",
                    $level,
                    peer = %self.peer,
                    method = %self.method,
                    // Without the query string: it may hold a password.
                    path = self.path.as_ref().map_or("", PathAndQuery::path),
                    status = self.status.as_u16(),
                    ms = took.as_secs_f64() * 1e3,
                    bytes_in = received,
                    bytes_out = bytes,
                    complete,
                    token = self.seen.token_name().unwrap_or("-"),
                    id = self.id.to_str().unwrap_or("-"),
                    q = self.seen.query_text(),
                )
            };
        }
        // What went well is for who wants to see everything; what didn't, for everybody.
        if self.status.is_server_error() {
            log!(tracing::Level::WARN);
        } else if self.status.is_client_error() || !complete {
            log!(tracing::Level::INFO);
        } else {
            log!(tracing::Level::DEBUG);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tower::service_fn;

    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    async fn ask(request: Request<Body>) -> (Response<()>, String) {
        let inner = service_fn(|request: Request<Body>| async move {
            match request.uri().path() {
                "/panic" => panic!("a bug"),
                "/headers" => Ok(Response::new(Body::from(format!("{:?}", request.headers())))),
                "/big" => Ok(Response::builder()
                    .header(header::CONTENT_TYPE, "application/json")
                    .body("7".repeat(5000).into())
                    .unwrap()),
                _ => Ok::<_, Infallible>(Response::builder().status(204).body(Body::empty()).unwrap()),
            }
        });
        let front = Front::new(inner, Live::new(Config::default()), Metrics::new());
        let (head, body) = front.answer(PEER, request, ()).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(head, ()), String::from_utf8_lossy(&body).into_owned())
    }

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
        let builder = Request::builder().method(method).uri(path);
        headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn every_answer_says_what_and_which() {
        for path in ["/x", "/health", "/panic"] {
            let (response, _) = ask(request("GET", path, &[("request-id", "mine")])).await;
            assert_eq!(response.headers()["x-influxdb-version"], "1.8.10", "{path}");
            assert_eq!(response.headers()["x-influxdb-build"], "OSS");
            assert_eq!(response.headers()["request-id"], "mine");
            assert_eq!(response.headers()["x-request-id"], "mine");
            assert!(!response.headers().contains_key("access-control-allow-origin"));
        }
    }

    #[tokio::test]
    async fn health_is_version_ones() {
        let (response, body) = ask(request("GET", "/health", &[])).await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            body,
            r#"{"checks":[],"message":"ready for queries and writes","name":"influxdb","status":"pass","version":"1.8.10"}"#
        );
    }

    #[tokio::test]
    async fn pages_may_ask() {
        let (response, body) = ask(request("OPTIONS", "/query", &[("origin", "http://grafana:3000")])).await;
        assert_eq!((response.status(), body.as_str()), (StatusCode::OK, ""));
        assert_eq!(response.headers()["access-control-allow-origin"], "http://grafana:3000");
        assert!(response.headers()["access-control-allow-headers"].to_str().unwrap().contains("Authorization"));
        let (response, _) = ask(request("GET", "/x", &[("origin", "null")])).await;
        assert_eq!(response.headers()["access-control-allow-origin"], "null");
    }

    #[tokio::test]
    async fn a_request_is_read_to_its_end_unless_it_waits_to_be_asked() {
        for (headers, read) in [(&[][..], 3), (&[("expect", "100-continue")][..], 0)] {
            let frames = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&frames);
            let pieces = stream::iter(0..3).map(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
                Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(b"piece")))
            });
            let (response, _) = ask(request("POST", "/x", headers).map(|_| Body::new(StreamBody::new(pieces)))).await;
            assert_eq!((response.status(), frames.load(Ordering::Relaxed)), (StatusCode::NO_CONTENT, read));
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let (response, body) = ask(request("GET", "/panic", &[])).await;
        assert_eq!(response.status(), 500);
        assert_eq!(body, r#"{"code":"internal error","message":"internal error","error":"internal error"}"#);
    }

    #[tokio::test]
    async fn who_takes_gzip_gets_it() {
        let (response, body) = ask(request("GET", "/big", &[("accept-encoding", "gzip")])).await;
        assert_eq!((&response.headers()["content-encoding"], body.len() < 1000), (&HeaderValue::from_static("gzip"), true));
        let (response, body) = ask(request("GET", "/big", &[])).await;
        assert_eq!((response.headers().get("content-encoding"), body.len()), (None, 5000));
    }

    #[tokio::test]
    async fn an_offer_of_h2c_is_ignored_and_the_id_goes_on() {
        let offer = [
            ("upgrade", "h2c"),
            ("connection", "Upgrade, HTTP2-Settings, keep-alive"),
            ("http2-settings", "AA"),
            ("x-request-id", "7"),
        ];
        let (_, body) = ask(request("GET", "/headers", &offer)).await;
        assert_eq!(body, r#"{"x-request-id": "7", "connection": "keep-alive"}"#);
    }
}
