//! The native front: the store as a small v3 (and v2) server.
//!
//! | path | |
//! |---|---|
//! | `POST /api/v3/write_lp` | `db`, `precision` (`auto` by default, as v3), `accept_partial` |
//! | `POST /api/v2/write` | `bucket`, `precision`; `org` is ignored |
//! | `GET`, `POST /api/v3/query_influxql` | `db`, `q`, `format` (`json`, `jsonl`, `csv`, `pretty`, `arrow`), `params` |
//! | `POST /arrow.flight.protocol.FlightService/DoGet` | over HTTP/2: a ticket `{"database","sql_query","query_type":"influxql","params"}` |
//! | `GET`, `POST`, `PUT`, `DELETE /api/v3/configure/database` | databases, which are buckets |
//! | `/api/v2/buckets`, `/api/v2/dbrps` | buckets and mappings |
//! | `/health`, `/ping` | |
//!
//! Who may do what is decided before. Where the request carries an [`Identity`], reads, writes and listings keep to it all the same.

mod body;
mod database;
mod encode;
mod flight;
mod manage;
mod parameters;
mod query;
mod text;
mod write;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};

use self::parameters::Parameters;
use super::Engine;
use crate::{
    Body,
    access::{Access, Identity},
    config,
    error::{Error, Kind},
    native,
    types::BoxFuture,
};

/// The store as a service that speaks native HTTP.
#[derive(Clone, Debug)]
pub struct Embedded {
    engine: Engine,
}

impl Embedded {
    /// In front of this store.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// The store.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl tower_service::Service<Request<Body>> for Embedded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let engine = self.engine.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            Ok(match native::is_grpc(&head.headers) {
                false => route(&engine, &head, body).await.unwrap_or_else(|error| refuse(&error)),
                true => flight::call(&engine, &head, body).await.unwrap_or_else(|error| {
                    log(&error);
                    native::grpc_refusal(&error)
                }),
            })
        })
    }
}

async fn route(engine: &Engine, head: &Parts, body: Body) -> Result<Response<Body>, Error> {
    let path = head.uri.path();
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let parameters = Parameters::of(head);
    match (&head.method, path) {
        (&Method::POST, native::V3_WRITE) => write::v3(engine, head, &parameters, body).await,
        (&Method::POST, native::V2_WRITE) => write::v2(engine, head, &parameters, body).await,
        (&Method::GET | &Method::POST, native::V3_QUERY_INFLUXQL) => query::influxql(engine, head, &parameters, body).await,
        (_, native::V3_CONFIGURE_DATABASE) => database::configure(engine, head, &parameters, body).await,
        (&Method::GET | &Method::HEAD, "/health") => Ok(health(engine)),
        (&Method::GET | &Method::HEAD | &Method::POST, "/ping") => Ok(ping()),
        (_, native::V3_WRITE | native::V2_WRITE | native::V3_QUERY_INFLUXQL | "/health" | "/ping") => {
            Err(method_not_allowed(head))
        }
        _ => match path.strip_prefix("/api/v2/") {
            Some(rest) if rest == "buckets" || rest.starts_with("buckets/") => {
                manage::buckets(engine, head, &parameters, body).await
            }
            Some(rest) if rest == "dbrps" || rest.starts_with("dbrps/") => manage::dbrps(engine, head, &parameters, body).await,
            _ => Err(Error::new(Kind::NotFound, format!("path not found: \"{path}\""))),
        },
    }
}

/// The limits that this request sees.
fn limits(engine: &Engine, head: &Parts) -> config::Limits {
    head.extensions.get::<config::Snapshot>().map_or(engine.0.limits, |snapshot| snapshot.0.limits)
}

/// What the caller may do; everything where nobody has looked.
fn access(head: &Parts) -> Arc<Access> {
    head.extensions.get::<Identity>().map_or_else(|| Arc::new(Access::All), |identity| Arc::clone(&identity.access))
}

/// Management is for all-access tokens.
fn manager(head: &Parts) -> Result<(), Error> {
    match *access(head) {
        Access::All => Ok(()),
        Access::Grants(_) => Err(Error::new(Kind::Forbidden, "managing buckets needs an all-access token")),
    }
}

fn method_not_allowed(head: &Parts) -> Error {
    Error::new(Kind::MethodNotAllowed, format!("method {} is not allowed for \"{}\"", head.method, head.uri.path()))
}

fn health(engine: &Engine) -> Response<Body> {
    let (status, state, message) = match engine.broken() {
        None => (StatusCode::OK, "pass", "ready for queries and writes"),
        Some(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "fail", "writes are refused: the log can't be written, see the server's log")
        }
    };
    let body = serde_json::json!({
        "checks": [], "message": message, "name": "v1shim", "status": state, "version": env!("CARGO_PKG_VERSION"),
    });
    json(status, &body)
}

fn ping() -> Response<Body> {
    json(StatusCode::OK, &serde_json::json!({ "product_name": "v1shim", "version": env!("CARGO_PKG_VERSION") }))
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    reply(status, Some("application/json"), body)
}

fn empty(status: StatusCode) -> Response<Body> {
    reply(status, None, Vec::new())
}

fn reply(status: StatusCode, media_type: Option<&'static str>, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    if let Some(media_type) = media_type {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    response
}

/// An error as a native answer.
fn refuse(error: &Error) -> Response<Body> {
    log(error);
    let kind = error.kind();
    let mut response = json(kind.status(), &native::ErrorBody::of(error));
    if let Some(delay) = error.retry_delay() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
    response
}

fn log(error: &Error) {
    if error.kind().status().is_server_error() && error.kind() != Kind::NotImplemented {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(%error, cause, "a native call failed");
    }
}
