//! Which permission a path needs that isn't v1's.

use http::Method;
use serde_json::Map;

use super::decode::single;
use crate::{
    call::Native,
    error::Error,
    influxql::Params,
    native::{QueryInfluxql, V2_WRITE, V3_QUERY_INFLUXQL, V3_WRITE},
};

/// What a native path needs, or that its body has to be read to know it. Paths are compared exactly, and what isn't recognised needs
/// all-access: so no other spelling of a path gets by with less.
pub(super) enum Needs {
    Known(Native),
    Body,
}

/// # Errors
/// 400 when a parameter that decides is given twice, or `params` are no JSON object.
pub(super) fn needs(method: &Method, path: &str, query: &str) -> Result<Needs, Error> {
    let known = match (path, method.as_str()) {
        (V2_WRITE, "POST") => Native::Write { bucket: single(query, "bucket")?.map(Into::into) },
        (V3_WRITE, "POST") => Native::Write { bucket: single(query, "db")?.map(Into::into) },
        (V3_QUERY_INFLUXQL, "POST") => return Ok(Needs::Body),
        (V3_QUERY_INFLUXQL, "GET") => {
            let params = match single(query, "params")? {
                Some(text) => Some(serde_json::from_str(&text).map_err(|error| invalid("params", &error))?),
                None => None,
            };
            Native::Query {
                bucket: single(query, "db")?.map(Into::into),
                q: single(query, "q")?.map(Into::into),
                params: bind(params.as_ref())?,
            }
        }
        _ => Native::Other,
    };
    Ok(Needs::Known(known))
}

/// The same from the body of a v3 query.
///
/// # Errors
/// 400 when it is none.
pub(super) fn from_body(body: &[u8]) -> Result<Native, Error> {
    let query: QueryInfluxql<'_> = serde_json::from_slice(body).map_err(|error| invalid("body", &error))?;
    Ok(Native::Query { bucket: query.db.map(Into::into), q: Some(query.q.into()), params: bind(query.params.as_ref())? })
}

fn bind(params: Option<&Map<String, serde_json::Value>>) -> Result<Params, Error> {
    let bound = params.map(Params::from_json).transpose();
    bound
        .map(Option::unwrap_or_default)
        .map_err(|error| Error::invalid(format!("error parsing query parameters: {}", error.message())))
}

fn invalid(what: &str, error: &serde_json::Error) -> Error {
    Error::invalid(format!("{what} of the query is not what it should be: {error}"))
}
