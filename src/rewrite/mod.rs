//! v1 calls become native ones of v2 or v3, and native replies v1's answers.
//!
//! | v1 | to a v2 target | to a v3 target |
//! |---|---|---|
//! | `/write` | `POST /api/v2/write?org=&bucket=&precision=` | `POST /api/v3/write_lp?db=&precision=&accept_partial=true` |
//! | `/query` | `POST /query?db=&rp=&q=`, a call a statement | Arrow Flight's `DoGet`, or `POST /api/v3/query_influxql`; a call a statement |
//! | `SHOW DATABASES`, `SHOW RETENTION POLICIES` | answered here, from the mapping | same |
//! | `/ping` | answered here | same |
//! | anything else | passed on, with the native `Authorization` | same |
//!
//! 1. Every bucket of every statement is found and authorized before the first statement runs, and a write's before its body is read.
//!    403 and 404 of any of them are the whole request's; in profile `v1` a 404 is the failure of its statement, as in 1.x.
//! 2. A write's body is streamed and not looked at, but for `precision=m` and `h`, which are rewritten to seconds under the limits. More
//!    than `limits.body` is 413, by `Content-Length` or while it streams.
//! 3. Names in statements become buckets. When it is one, the native call names it; several are written `"bucket".."measurement"` for a
//!    service that reads them ([`Target::multi_bucket`](crate::native::Target)), else the statement fails.
//!    What a v3 server can't do is done here: `SLIMIT` and `SOFFSET` on the rows, `SHOW SERIES` and the cardinalities, lists of all times.
//! 4. Statements run one after the other, each on a clone of the inner service that has been waited for, each native request with the
//!    extensions of the original one. Those behind a failed one say `not executed`.
//! 5. What a statement itself did wrong stands in its result, with status 200. What may succeed later or with another credential decides
//!    the status, as long as nothing has been sent.
//! 6. Headers of one connection go neither in nor out; the client's credential leaves as one native header. `Upgrade` (but for `h2c`) and
//!    `CONNECT` are 501.
//!
//! It needs what the layers outside of it leave among the extensions: [`Call`](crate::call::Call) by [`params`](crate::params),
//! [`Approved`](crate::call::Approved) by [`guard`](crate::guard), [`Identity`](crate::access::Identity) by [`auth`](crate::auth); else the
//! error's source is [`MissingLayer`].
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//! use v1shim::{
//!     Body,
//!     access::Identity,
//!     call::{Call, Write},
//!     config::{Config, Live},
//!     native::{Api, ReplyFormat, Target},
//!     rewrite::{MissingLayer, RewriteLayer},
//!     types::Precision,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let native = service_fn(async |request: Request<Body>| {
//!     assert_eq!(request.uri(), "/api/v3/write_lp?db=telegraf&precision=ns&accept_partial=true");
//!     Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
//! });
//! let target = Target { api: Api::V3, reply: ReplyFormat::Jsonl, multi_bucket: false, full_influxql: false };
//! let mut service = RewriteLayer::new(Live::new(Config::default()), target, None).layer(native);
//!
//! let mut request = Request::new(Body::from("cpu usage=1"));
//! let write = Write { db: "telegraf".into(), rp: None, precision: Precision::Nanosecond, gzip: false };
//! request.extensions_mut().insert(Call::Write(write));
//! request.extensions_mut().insert(Identity::unrestricted(None));
//! let response = service.ready().await.unwrap().call(request).await.unwrap();
//! assert_eq!(response.status(), StatusCode::NO_CONTENT);
//!
//! let error = service.ready().await.unwrap().call(Request::new(Body::empty())).await.unwrap_err();
//! assert!(error.source().unwrap().is::<MissingLayer>());
//! # });
//! ```

mod flight;
mod headers;
mod layer;
mod modules;
mod plan;
mod provision;
mod query;
mod schema;
mod series;
mod show;
mod statement;
mod users;
mod whole;
mod write;

pub use layer::{MissingLayer, Rewrite, RewriteLayer};
