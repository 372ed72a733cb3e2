//! Which permission a path needs that isn't v1's.

use http::Method;
use serde_json::Map;

use super::decode::single;
use crate::{
    call::Native,
    error::Error,
    influxql::Params,
    native::{FLIGHT_DO_GET, FlightTicket, QueryInfluxql, V2_WRITE, V3_QUERY_INFLUXQL, V3_WRITE},
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
        (V3_QUERY_INFLUXQL | FLIGHT_DO_GET, "POST") => return Ok(Needs::Body),
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
pub(super) fn from_body(path: &str, body: &[u8]) -> Result<Native, Error> {
    if path == FLIGHT_DO_GET {
        return from_ticket(body);
    }
    let query: QueryInfluxql<'_> = serde_json::from_slice(body).map_err(|error| invalid("body", &error))?;
    Ok(Native::Query { bucket: query.db.map(Into::into), q: Some(query.q.into()), params: bind(query.params.as_ref())? })
}

/// Tickets that aren't InfluxQL are the service's business, and may read anything there.
fn from_ticket(body: &[u8]) -> Result<Native, Error> {
    let Some(ticket) = FlightTicket::from_body(body).ok().filter(FlightTicket::is_influxql) else { return Ok(Native::Other) };
    let bucket = (!ticket.database.is_empty()).then(|| ticket.database.into());
    Ok(Native::Query { bucket, q: Some(ticket.sql_query.into()), params: bind(ticket.params.as_ref())? })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_a_query_when_it_is_influxql() {
        let of = |ticket: &FlightTicket<'_>| from_body(FLIGHT_DO_GET, &ticket.to_body().unwrap()).unwrap();
        let mut ticket = FlightTicket::influxql("b", "SELECT a FROM m");
        let Native::Query { bucket, q, .. } = of(&ticket) else { panic!() };
        assert_eq!((bucket.as_deref(), q.as_deref()), (Some("b"), Some("SELECT a FROM m")));
        ticket.database = "".into();
        assert!(matches!(of(&ticket), Native::Query { bucket: None, .. }));
        ticket.query_type = "sql".into();
        assert!(matches!(of(&ticket), Native::Other));
        for other in [&b""[..], b"garbage", b"\0\0\0\0\x02\x0a\0"] {
            assert!(matches!(from_body(FLIGHT_DO_GET, other).unwrap(), Native::Other));
        }
    }
}
