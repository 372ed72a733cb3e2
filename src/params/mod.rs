//! What a request asks for: its path, method, parameters and, where they stand there, its body become a [`Call`](crate::call::Call) among
//! its extensions.
//!
//! 1. **Paths.** `/write`, `/query` and `/ping`, with or without trailing slashes. Of all other paths it only finds out which permission
//!    they need ([`Native`](crate::call::Native)); where `compat.passthrough` is off they are 404.
//! 2. **Methods.** `POST /write`, `GET` and `POST /query`, `GET` and `HEAD /ping`; any other is 405 with `Allow`.
//! 3. **Where parameters of `/query` stand**, the first that isn't empty counts: a form body, the URL, a multipart form (a field or a file), a
//!    body of `application/vnd.influxql`. A body of any other type, or none, is read only when the URL has no `q`: as a form when it
//!    begins with the name of a parameter, else as InfluxQL. The body of a `GET` is read only when it is a multipart form. Of `/write`
//!    they stand in the URL only. A malformed escape, or an unescaped `;`, is 400, but in `q` and `params`, where it stands for itself.
//! 4. **Values** by profile:
//!
//!    | | `serverless` | `v1` |
//!    |---|---|---|
//!    | `db` of a write | 1 to 64 characters | any printable ones |
//!    | `precision` | `n ns us ms s m h`, else 400 | `n ns u us µ ms s m h`, else 400 |
//!    | `epoch` | `n ns u us µ ms s m h`, else 400 | the same, else nanoseconds |
//!    | `chunked`, `chunk_size` (`chunked_size`), `pretty` | ignored | honoured when `true` |
//!    | `consistency` | ignored | `any one quorum all`, else 400 |
//!
//! 5. **`Content-Encoding`** is `gzip` or `identity`, else 415; a `GET` may say `gzip` too (influxdb-python does).
//! 6. **Bodies** that hold parameters are read up to `limits.query` bytes, else 413. All others are left alone, a write's first of all.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! use v1shim::{Body, Error, call::Call, config::{Config, Live}, params::ParamsLayer};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let inner = service_fn(async |request: Request<Body>| {
//!     let Some(Call::Query(query)) = request.extensions().get() else { panic!("a query") };
//!     assert_eq!((&*query.q, query.db.as_deref()), ("SHOW DATABASES", Some("tele")));
//!     Ok::<_, std::io::Error>(Response::new(Body::empty()))
//! });
//! let service = ParamsLayer::new(Live::new(Config::default())).layer(inner);
//!
//! let query = Request::post("/query/?db=tele")
//!     .header("content-type", "application/x-www-form-urlencoded")
//!     .body(Body::from("q=SHOW+DATABASES"))
//!     .unwrap();
//! assert!(service.clone().oneshot(query).await.is_ok());
//!
//! let write = Request::post("/write?db=tele&precision=u").body(Body::empty()).unwrap();
//! let error = service.oneshot(write).await.unwrap_err().downcast::<Error>().unwrap();
//! assert_eq!(
//!     error.message(),
//!     "failed to deserialize db/rp/precision in request: unknown variant `u`, expected one of `s`, `ms`, `us`, `ns`",
//! );
//! # });
//! ```
//!
//! See <https://docs.influxdata.com/influxdb/v1/tools/api/>.

mod body;
mod decode;
mod layer;
mod native;
mod plan;
mod query;
#[cfg(test)]
mod tests;
mod write;

pub use layer::{Params, ParamsFuture, ParamsLayer};
