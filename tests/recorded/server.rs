//! A server on a real socket that gives exactly the recorded answers to the recorded requests.
//!
//! Requests are matched by meaning: parameters in any order, `ns` for `nanosecond` (the server takes both, as recorded), statements by what they
//! parse to. A request that was not recorded gets 599 and is remembered, and the test fails.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, response::IntoResponse};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use v1shim::{
    influxql::{self, Limits, Params},
    native::{FLIGHT_DO_GET, FlightTicket, GRPC, grpc_message},
};

use super::fixtures::{Exchange, Recording};

pub(crate) struct RecordedServer {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    recording: Arc<Recording>,
    seen: Mutex<Vec<String>>,
    missed: Mutex<Vec<String>>,
}

impl RecordedServer {
    pub(crate) async fn start(recording: &Arc<Recording>) -> Self {
        let shared = Arc::new(Shared { recording: Arc::clone(recording), seen: Mutex::default(), missed: Mutex::default() });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { addr, shared, task }
    }

    /// What has been asked since the last time this was called: `POST /path?params body`.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }

    /// What has been asked without having been recorded.
    pub(crate) fn missed(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.missed.lock().unwrap())
    }
}

impl Drop for RecordedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// The recorded messages, or gRPC's status, as a v3 server sends them.
    fn flight(&self, body: &[u8], line: &str) -> Response<axum::body::Body> {
        let ticket = FlightTicket::from_body(body).unwrap();
        assert!(ticket.is_influxql() && ticket.params.is_none(), "{ticket:?}");
        let found = self.recording.flight.iter().find(|flight| {
            flight.ticket.database == ticket.database
                && flight.ticket.query_type == "influxql"
                && flight.ticket.params.is_none()
                && same(&flight.ticket.sql_query) == same(&ticket.sql_query)
        });
        let mut trailers = HeaderMap::new();
        let (code, message) = match found {
            Some(flight) => flight.failure().unwrap_or((0, "")),
            None => {
                self.missed.lock().unwrap().push(line.to_owned());
                (2, "it was not recorded")
            }
        };
        trailers.insert("grpc-status", code.into());
        if code > 0 {
            let message = percent_encoding::utf8_percent_encode(message, percent_encoding::NON_ALPHANUMERIC).to_string();
            trailers.insert("grpc-message", message.parse().unwrap());
        }
        let messages = found.into_iter().flat_map(|flight| flight.messages()).map(|message| grpc_message(&[&message]));
        let frames: Vec<_> = messages.map(Frame::data).collect();
        let reply = Response::builder().header("content-type", GRPC);
        if frames.is_empty() {
            let mut reply = reply.body(axum::body::Body::empty()).unwrap();
            reply.headers_mut().extend(trailers);
            return reply;
        }
        let frames = frames.into_iter().chain([Frame::trailers(trailers)]).map(Ok::<_, std::convert::Infallible>);
        reply.body(axum::body::Body::new(StreamBody::new(futures_util::stream::iter(frames)))).unwrap()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request<axum::body::Body>) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let params: BTreeMap<String, String> =
        form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let shown = FlightTicket::from_body(&body).ok().and_then(|ticket| serde_json::to_vec(&ticket).ok());
    let shown = String::from_utf8_lossy(shown.as_deref().unwrap_or(&body)).into_owned();
    let line = format!("{} {} {params:?} {shown}", parts.method, parts.uri.path());
    shared.seen.lock().unwrap().push(line.clone());

    if parts.uri.path() == FLIGHT_DO_GET {
        return shared.flight(&body, &line);
    }
    let asked = Meaning::new(&parts.method, parts.uri.path(), params, &parts.headers, &body);
    let token = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let has_tokens = shared.recording.has_tokens();
    let with_token =
        |exchange: &&Exchange| !has_tokens || exchange.request.headers.get("Authorization").map(String::as_str) == token;
    if let Some(exchange) = shared.recording.http.iter().filter(with_token).find(|exchange| Meaning::of(exchange) == asked) {
        let mut reply = Response::builder().status(exchange.response.status);
        for (name, value) in &exchange.response.headers {
            if !["connection", "transfer-encoding", "content-length"].contains(&name.as_str()) {
                reply = reply.header(name, value);
            }
        }
        return reply.body(axum::body::Body::from(exchange.response.body())).unwrap();
    }
    if let Some(body) = asked.derived(&shared.recording) {
        return Response::builder().header("content-type", "application/jsonl").body(axum::body::Body::from(body)).unwrap();
    }
    shared.missed.lock().unwrap().push(line);
    Response::builder().status(StatusCode::from_u16(599).unwrap()).body(axum::body::Body::empty()).unwrap()
}

/// What a request means to the server.
#[derive(Debug, PartialEq)]
struct Meaning {
    method: Method,
    path: String,
    params: BTreeMap<String, String>,
    gzip: bool,
    body: Body,
}

#[derive(Debug, PartialEq)]
enum Body {
    Query(Value),
    Json(Value),
    Other(Bytes),
}

impl Meaning {
    fn of(exchange: &Exchange) -> Self {
        let asked = &exchange.request;
        let headers = asked.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Self::new(&asked.method.parse().unwrap(), &asked.path, asked.params.clone(), &headers, &asked.body())
    }

    fn new(method: &Method, path: &str, mut params: BTreeMap<String, String>, headers: &HeaderMap, body: &[u8]) -> Self {
        if path == "/api/v3/write_lp" {
            if let Some(precision) = params.get_mut("precision") {
                *precision = match precision.as_str() {
                    "nanosecond" | "n" => "ns",
                    "microsecond" | "u" => "us",
                    "millisecond" => "ms",
                    "second" => "s",
                    other => other,
                }
                .to_owned();
            }
            params.entry("accept_partial".into()).or_insert_with(|| "true".into());
        }
        if path == "/query"
            && let Some(q) = params.get_mut("q")
        {
            *q = same(q);
            // An answer in one piece is one too.
            params.retain(|key, _| !["chunked", "chunk_size"].contains(&key.as_str()));
        }
        let gzip = headers.get("content-encoding").is_some_and(|value| value == "gzip");
        let body = match serde_json::from_slice::<Value>(body) {
            Ok(mut query) if query.get("q").is_some() => {
                let q = same(query["q"].as_str().unwrap());
                query["q"] = q.into();
                if query.get("params").is_some_and(|params| params.as_object().is_none_or(serde_json::Map::is_empty)) {
                    query.as_object_mut().unwrap().remove("params");
                }
                Body::Query(query)
            }
            Ok(document) if path.starts_with("/api/v2/") => Body::Json(document),
            _ => Body::Other(Bytes::copy_from_slice(body)),
        };
        Self { method: method.clone(), path: path.to_owned(), params, gzip, body }
    }

    /// `SHOW TAG KEYS` and `SHOW FIELD KEYS` of some measurements are the rows of these in the recorded answer for all: that was recorded for
    /// `cpu`, and the server's other measurements are no different. What `fx` has in its other policy was not recorded: taken for nothing.
    fn derived(&self, recording: &Recording) -> Option<String> {
        let query = match &self.body {
            Body::Query(query) => query,
            // Making a database is recorded for one name, and means the same for others.
            Body::Other(body) if self.method == Method::POST && self.path == "/api/v3/configure/database" => {
                let named = |body: &[u8]| serde_json::from_slice::<Value>(body).ok()?["db"].as_str().map(str::to_owned);
                let name = named(body)?;
                let others = recording.http.iter().filter(|exchange| exchange.request.path == self.path);
                let recorded = others.filter(|exchange| exchange.request.method == "POST" && exchange.response.status == 200);
                let there = recording.http.iter().any(|exchange| {
                    exchange.request.path == self.path
                        && String::from_utf8_lossy(&exchange.response.body()).contains(&format!("{name:?}"))
                });
                return recorded.map(|_| String::new()).next().filter(|_| !there);
            }
            Body::Json(_) | Body::Other(_) => return None,
        };
        let q = query["q"].as_str()?;
        if query["db"] == "fx/one-week" && q.starts_with("SHOW ") {
            return Some(String::new());
        }
        let whole = ["SHOW TAG KEYS", "SHOW FIELD KEYS"].into_iter().find(|whole| q.starts_with(&format!("{whole} FROM ")))?;
        let wanted = q.strip_prefix(whole)?.strip_prefix(" FROM ")?;
        let pattern = match wanted.strip_prefix('/').and_then(|wanted| wanted.strip_suffix('/')) {
            Some(pattern) => pattern.to_owned(),
            None => format!("^{}$", regex::escape(wanted.trim_matches('"'))),
        };
        let wanted = regex::Regex::new(&pattern).unwrap();
        let all = recording
            .group("query_influxql jsonl")
            .find(|exchange| exchange.request.json().is_some_and(|body| body["q"] == whole && body["db"] == query["db"]))?;
        let all = String::from_utf8(all.response.body()).unwrap();
        let rows = all.lines().filter(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            wanted.is_match(row["iox::measurement"].as_str().unwrap())
        });
        Some(rows.map(|row| format!("{row}\n")).collect())
    }
}

/// A statement in one spelling; what doesn't parse stays as it is.
pub(crate) fn same(q: &str) -> String {
    match influxql::parse(q, &Params::default(), Limits::default()) {
        Ok(statements) => statements.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        Err(_) => q.to_owned(),
    }
}
