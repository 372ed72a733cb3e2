//! `/api/v3/configure/database`: databases of v3, which are buckets.

use std::{sync::Arc, time::Duration};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use http::{Method, Response, StatusCode, request::Parts};
use serde::Deserialize;

use super::{
    Parameters, access, body, empty,
    encode::{Encoder, Format},
    manager, method_not_allowed, reply,
};
use crate::{
    Body,
    access::Permission,
    embedded::{Engine, engine::blocking},
    error::{Error, Kind},
};

#[derive(Deserialize)]
struct Document {
    db: Option<Box<str>>,
    retention_period: Option<Box<str>>,
}

pub(super) async fn configure(
    engine: &Engine,
    head: &Parts,
    parameters: &Parameters<'_>,
    body: Body,
) -> Result<Response<Body>, Error> {
    if head.method == Method::GET {
        return list(engine, head, parameters);
    }
    manager(head)?;
    let engine = engine.clone();
    let missing = |name: &str| Error::invalid(format!("missing parameter '{name}'"));
    match head.method {
        Method::POST => {
            let document: Document = body::document(body).await?;
            let db = document.db.ok_or_else(|| missing("db"))?;
            let retention = document.retention_period.as_deref().map(retention).transpose()?.flatten();
            let created = blocking(move || engine.0.catalog.create_bucket(&db, retention)).await?;
            match created {
                Ok(_) => Ok(empty(StatusCode::OK)),
                Err(error) if error.kind() == Kind::Unprocessable => {
                    let body = "attempted to create a resource that already exists";
                    Ok(reply(StatusCode::CONFLICT, Some("text/plain; charset=utf-8"), body))
                }
                Err(error) => Err(error),
            }
        }
        Method::PUT => {
            let document: Document = body::document(body).await?;
            let db = document.db.ok_or_else(|| missing("db"))?;
            let retention = document.retention_period.as_deref().map(retention).transpose()?;
            let id = id(&engine, &db)?;
            blocking(move || engine.0.catalog.update_bucket(id, None, retention)).await??;
            Ok(empty(StatusCode::OK))
        }
        Method::DELETE => {
            let id = id(&engine, parameters.get("db").ok_or_else(|| missing("db"))?)?;
            blocking(move || engine.remove_bucket(id)).await??;
            Ok(empty(StatusCode::OK))
        }
        _ => Err(method_not_allowed(head)),
    }
}

fn id(engine: &Engine, db: &str) -> Result<u64, Error> {
    let bucket = engine.0.catalog.bucket(db);
    Ok(bucket.ok_or_else(|| Error::new(Kind::NotFound, format!("database not found: \"{db}\"")))?.id)
}

fn list(engine: &Engine, head: &Parts, parameters: &Parameters<'_>) -> Result<Response<Body>, Error> {
    let format = Format::of(parameters.get("format"))?;
    let access = access(head);
    let mut buckets = engine.0.catalog.buckets();
    buckets.retain(|bucket| access.allows(&bucket.name, Permission::Read));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(buckets.iter().map(|bucket| &*bucket.name)));
    let schema = Arc::new(Schema::new(vec![Field::new("iox::database", DataType::Utf8, false)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![names]).map_err(Error::internal)?;
    let mut encoder = Encoder::new(format, &schema)?;
    let mut out = encoder.batch(&batch)?.to_vec();
    out.extend_from_slice(&encoder.finish()?);
    Ok(reply(StatusCode::OK, Some(format.media_type()), out))
}

/// `30d`, `1h30m`, `none`.
pub(super) fn retention(text: &str) -> Result<Option<Duration>, Error> {
    let wrong = || Error::invalid(format!("retention period {text:?} is no duration such as 30d, 1h30m or none"));
    if matches!(text, "none" | "inf" | "infinite") {
        return Ok(None);
    }
    let mut rest = text.trim();
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hr" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 7 * 86_400,
            "y" | "year" | "years" => 365 * 86_400,
            _ => return Err(wrong()),
        };
        rest = rest[letters..].trim_start();
        seconds = number.checked_mul(unit).and_then(|part| seconds.checked_add(part)).ok_or_else(wrong)?;
    }
    if text.trim().is_empty() {
        return Err(wrong());
    }
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retentions() {
        let seconds = |text| retention(text).unwrap().map(|duration| duration.as_secs());
        assert_eq!(seconds("30d"), Some(30 * 86_400));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("1 week 2 days"), Some(9 * 86_400));
        assert_eq!((seconds("none"), seconds("0s")), (None, None));
        for bad in ["", " ", "30", "d", "1x", "-1d", "99999999999999999999d", "9999999999999999y", "1é"] {
            assert!(retention(bad).is_err(), "{bad:?}");
        }
    }
}
