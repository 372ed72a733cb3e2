//! What a request asks for: the request extensions that the layers hand to each other.
//!
//! [`params`](crate::params) makes the [`Call`], [`guard`](crate::guard) the [`Approved`] statements,
//! [`rewrite`](crate::rewrite) consumes both.

use std::sync::Arc;

use crate::{
    influxql::{Params, Statement},
    types::Precision,
};

/// What stands at a path. Trailing slashes don't count, as in the documentation's own examples (`/query/?p=…`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Endpoint {
    /// v1 `/write`
    Write,
    /// v1 `/query`
    Query,
    /// v1 `/ping`
    Ping,
    /// `/health`
    Health,
    /// Anything that isn't v1's.
    Other,
}

impl Endpoint {
    /// The endpoint at this path.
    #[must_use]
    pub fn at(path: &str) -> Self {
        match path.trim_end_matches('/') {
            "/write" => Self::Write,
            "/query" => Self::Query,
            "/ping" => Self::Ping,
            "/health" => Self::Health,
            _ => Self::Other,
        }
    }
}

/// Whether a request needs no credential: `/ping`, looking at `/health`, and CORS preflight.
#[must_use]
pub fn is_open(method: &http::Method, path: &str, headers: &http::HeaderMap) -> bool {
    match Endpoint::at(path) {
        Endpoint::Ping => true,
        Endpoint::Health if *method == http::Method::GET || *method == http::Method::HEAD => true,
        _ => is_preflight(method, headers),
    }
}

/// Whether this is a CORS preflight, which browsers send without credentials.
///
/// <https://fetch.spec.whatwg.org/#cors-preflight-request>
#[must_use]
pub fn is_preflight(method: &http::Method, headers: &http::HeaderMap) -> bool {
    use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
    *method == http::Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// A request, understood.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Call {
    /// v1 `POST /write`
    Write(Write),
    /// v1 `GET` or `POST /query`
    Query(Arc<Query>),
    /// v1 `GET` or `HEAD /ping`
    Ping {
        /// `verbose=true` (also `1`, `t`): 200 with the version instead of 204.
        verbose: bool,
    },
    /// A path that isn't v1's: goes on as it is, if the caller may.
    Native(Native),
}

/// The parameters of `/write`, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Write {
    /// `db`
    pub db: Box<str>,
    /// `rp`; an empty one is absent.
    pub rp: Option<Box<str>>,
    /// `precision`, nanoseconds when absent.
    pub precision: Precision,
    /// `Content-Encoding: gzip`
    pub gzip: bool,
}

/// The parameters of `/query`, checked.
#[derive(Clone, Debug)]
pub struct Query {
    /// `q`
    pub q: Box<str>,
    /// `db`; an empty one is absent. Whether one is needed depends on the statement.
    pub db: Option<Box<str>>,
    /// `rp`; an empty one is absent.
    pub rp: Option<Box<str>>,
    /// `params`: bind parameters.
    pub params: Params,
    /// How the answer is written.
    pub output: Output,
    /// A `GET`: statements that change something earn a warning, as in 1.x.
    pub read_only: bool,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Output {
    /// `Accept`
    pub format: Format,
    /// `epoch`; absent: RFC 3339 with nanoseconds in JSON and CSV (CSV: 1.x writes epoch nanoseconds).
    pub epoch: Option<Precision>,
    /// `chunked=true`: rows per chunk.
    pub chunk: Option<std::num::NonZeroUsize>,
    /// `pretty=true`
    pub pretty: bool,
}

/// The encodings of v1.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Format {
    /// `application/json`, and everything unknown.
    #[default]
    Json,
    /// `application/csv`, `text/csv`
    Csv,
    /// `application/x-msgpack`
    MsgPack,
}

/// What a native or unknown path needs.
#[derive(Clone, Debug)]
pub enum Native {
    /// Writes to a bucket: `/api/v2/write`, `/api/v3/write_lp`.
    Write {
        /// `bucket` or `db`
        bucket: Option<Box<str>>,
    },
    /// A query; its databases are checked by [`guard`](crate::guard) and the service below.
    Query {
        /// `db`
        bucket: Option<Box<str>>,
        /// The InfluxQL text.
        q: Option<Box<str>>,
        /// Bind parameters.
        params: Params,
    },
    /// Needs no permission: `/health`, CORS preflight.
    Open,
    /// Anything else: all-access.
    Other,
}

/// The statements of a query that may run, in order, and of a native call, which goes on as it is, none: a request extension put there by
/// [`guard`](crate::guard).
#[derive(Clone, Debug)]
pub struct Approved(pub Arc<[ApprovedStatement]>);

/// One statement with its fate.
#[derive(Clone, Debug)]
pub struct ApprovedStatement {
    /// The statement.
    pub statement: Statement,
    /// What happens to it.
    pub action: Action,
}

/// What happens to a statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// It is run by the service below.
    Forward,
    /// It is carried out with the management API of the service below, if it is about databases or retention policies and that service takes no
    /// such statements; else it is run there.
    Provision,
    /// It is answered as if it had been run.
    Ack,
    /// It isn't run, and its result carries this error: what 1.x finds wrong with it only then.
    Fail(Box<str>),
    /// Profile `v1`: its result carries this error, and so does `not executed` those behind it.
    Refuse(Box<str>),
}
