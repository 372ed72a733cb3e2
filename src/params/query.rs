//! The parameters of `/query`.

use std::num::NonZeroUsize;

use http::HeaderMap;
use serde_json::{Map, Value};

use super::{
    decode::Raw,
    write::{shorten, unit},
};
use crate::{
    call::{Output, Query},
    dbrp::check_name,
    error::Error,
    influxql::Params,
    respond,
    types::{Precision, Profile},
};

/// Rows per chunk when nothing else is said, as in 1.x.
const CHUNK: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// Decides what is asked and how it is answered.
///
/// # Errors
/// 400 for a missing `q`, a name or an `epoch` that the profile doesn't take, and `params` that are no JSON object.
pub(super) fn query(raw: Raw<'_>, headers: &HeaderMap, profile: Profile, read_only: bool) -> Result<Query, Error> {
    let output = output(&raw, headers, profile)?;
    let q = raw.q.filter(|q| !q.trim().is_empty()).ok_or_else(|| Error::invalid("missing required parameter \"q\""))?;
    if let Some(db) = &raw.db {
        check_name(db, profile)?;
    }
    let params = raw.params.as_deref().map(params).transpose()?.unwrap_or_default();
    Ok(Query { q: q.into(), db: raw.db.map(Into::into), rp: raw.rp.map(Into::into), params, output, read_only })
}

fn output(raw: &Raw<'_>, headers: &HeaderMap, profile: Profile) -> Result<Output, Error> {
    let is_true = |value: &Option<_>| profile == Profile::V1 && value.as_deref() == Some("true");
    let rows = raw.chunk_size.as_deref().and_then(|rows| rows.parse().ok()).unwrap_or(CHUNK);
    Ok(Output {
        format: respond::accepted(headers),
        epoch: raw.epoch.as_deref().map(|name| epoch(name, profile)).transpose()?,
        chunk: is_true(&raw.chunked).then_some(rows),
        pretty: is_true(&raw.pretty),
    })
}

fn epoch(name: &str, profile: Profile) -> Result<Precision, Error> {
    match (unit(name), profile) {
        (Some(unit), _) => Ok(unit),
        (None, Profile::V1) => Ok(Precision::Nanosecond),
        (None, Profile::Serverless) => {
            Err(Error::invalid(format!("invalid epoch {:?} (use ns, us, ms, s, m or h)", shorten(name))))
        }
    }
}

fn params(text: &str) -> Result<Params, Error> {
    let object = match serde_json::from_str::<Option<Map<String, Value>>>(text) {
        Ok(object) => object.unwrap_or_default(),
        Err(error) => return Err(Error::invalid(format!("error parsing query parameters: {error}"))),
    };
    Params::from_json(&object).map_err(|error| Error::invalid(format!("error parsing query parameters: {}", error.message())))
}
