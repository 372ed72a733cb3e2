//! The outermost layer: every error becomes a response, in the one shape that v1 clients and v2 tools both read.
//!
//! ```json
//! {"code":"not found","message":"database not found: \"x\"","error":"database not found: \"x\""}
//! ```
//!
//! 1. `message` and `error` are the same text. An error that is about a statement adds `results`, which is where Telegraf looks.
//! 2. The status is the error's kind, but for what may succeed later (429 and time-outs of the service below): v1 writers drop a batch
//!    on any 4xx, so that is 503 with `Retry-After`.
//! 3. `Content-Type` is `application/json`; in profile `v1` it follows `Accept`, as in 1.x.
//! 4. `X-Influxdb-Error` has the first 1024 bytes of the message, but not on a 401, which has `WWW-Authenticate` instead.
//! 5. What isn't an [`Error`](crate::Error), and doesn't hide one among its sources, is a 500 with an opaque text. Sources are logged, never
//!    sent.
//!
//! Only errors are rescued: responses of the inner service pass as they are, and panics are not caught.
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//! use v1shim::{Body, Error, config::{Config, Live}, rescue::RescueLayer};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let refusing = service_fn(async |_: Request<Body>| Err::<Response<Body>, _>(Error::invalid("database is required")));
//! let mut service = RescueLayer::new(Live::new(Config::default())).layer(refusing);
//!
//! let response = service.ready().await.unwrap().call(Request::new(Body::empty())).await.unwrap();
//! assert_eq!(response.status(), StatusCode::BAD_REQUEST);
//! assert_eq!(response.headers()["x-influxdb-error"], "database is required");
//! # });
//! ```

mod layer;
mod response;

pub use layer::{Rescue, RescueFuture, RescueLayer};
