//! Which statements may run: parses a query once and hands the tree on as [`Approved`](crate::call::Approved).
//!
//! 1. `q` is parsed, never searched with patterns: case, comments, quotes, several statements and subqueries don't fool it, and
//!    `SELECT "drop" FROM "create"` is what it is.
//! 2. `SELECT … INTO`, `CREATE`, `DELETE`, `DROP`, `GRANT`, `EXPLAIN`, `REVOKE`, `ALTER`, `SET` and `KILL` each have a policy, `[guard]` in
//!    the configuration: `reject` (the default; in profile `v1` that of `EXPLAIN` is `forward`), `ack` (answer with success, do nothing),
//!    `forward` or `provision` (databases and retention policies are made with the server's management API). A statement with two verbs, `EXPLAIN SELECT … INTO`, follows the stricter one.
//! 3. Nothing of a query with a refused statement is executed. In `serverless` the query is 400 with the statement's number; in `v1` the
//!    statement's result carries the error, and all others `not executed`.
//! 4. A query that can't be parsed is 400 with 1.x's message, one without a statement 400 `missing required parameter "q"`.
//! 5. What is forwarded though it changes something needs all-access, and so does `SHOW` of what isn't any bucket's (users, queries, shards,
//!    …). But who may write to a bucket may also delete there (`DELETE`, `DROP SERIES`, `DROP MEASUREMENT`) and be a `SELECT … INTO`'s target.
//! 6. Native paths are guarded as well, so that they are no way around: InfluxQL of v3 follows the same policies (`ack` counts as `reject`:
//!    there is no v1 answer to give), each bucket it names needs read, or write where it deletes or writes, a write's bucket write, and any
//!    other path all-access.
//!
//! The buckets of v1 queries and writes are judged where they are resolved, see [`dbrp`](crate::dbrp).
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! use v1shim::{
//!     Body, Error,
//!     access::Identity,
//!     call::Approved,
//!     config::{Config, Live},
//!     guard::GuardLayer,
//!     params::ParamsLayer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let inner = service_fn(async |request: Request<Body>| {
//!     let Approved(statements) = request.extensions().get().expect("approved statements");
//!     assert_eq!(statements.len(), 2);
//!     Ok::<_, std::io::Error>(Response::new(Body::empty()))
//! });
//! let live = Live::new(Config::default());
//! let service = ParamsLayer::new(live.clone()).layer(GuardLayer::new(live).layer(inner));
//! let query = |uri: &str| {
//!     let identity = Identity::unrestricted(None);
//!     Request::get(uri).extension(identity).body(Body::empty()).unwrap()
//! };
//!
//! assert!(service.clone().oneshot(query("/query?q=SHOW+DATABASES;SELECT+%22drop%22+FROM+%22create%22")).await.is_ok());
//!
//! let error = service.oneshot(query("/query?q=SHOW+DATABASES;dRoP/**/DATABASE+x")).await.unwrap_err();
//! assert_eq!(error.downcast::<Error>().unwrap().statement(), Some(1));
//! # });
//! ```
//!
//! See <https://docs.influxdata.com/influxdb/cloud-serverless/guides/api-compatibility/v1/#bucket-management-with-influxql-not-supported>.

mod approve;
mod layer;
mod native;
mod policy;
#[cfg(test)]
mod tests;

pub use layer::{Guard, GuardLayer};
