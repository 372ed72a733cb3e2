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
    let object = object(text).map_err(|why| Error::invalid(format!("error parsing query parameters: {why}")))?;
    Params::from_json(&object).map_err(|error| Error::invalid(format!("error parsing query parameters: {}", error.message())))
}

/// The JSON object at the start of a text; as in 1.x, nobody looks at what follows it. What is wrong is said in 1.x's words where it has
/// some.
fn object(text: &str) -> Result<Map<String, Value>, String> {
    let kind = match serde_json::Deserializer::from_str(text).into_iter().next() {
        Some(Ok(Value::Object(object))) => return Ok(object),
        Some(Ok(Value::Null)) => return Ok(Map::new()),
        Some(Ok(Value::Array(_))) => "array",
        Some(Ok(Value::String(_))) => "string",
        Some(Ok(Value::Number(_))) => "number",
        Some(Ok(Value::Bool(_))) => "bool",
        Some(Err(error)) if !error.is_eof() => {
            let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
            let found = line.char_indices().take_while(|(at, _)| *at < error.column()).last();
            let found = found.map_or(char::REPLACEMENT_CHARACTER, |(_, found)| found);
            return Err(if error.to_string().starts_with("expected value") {
                format!("invalid character {found:?} looking for beginning of value")
            } else {
                format!("invalid character {found:?} at line {}, char {}", error.line(), error.column())
            });
        }
        Some(Err(_)) | None => return Err("unexpected EOF".to_owned()),
    };
    Err(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
}
