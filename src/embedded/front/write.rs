//! Writes.

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{Parameters, access, body, empty, limits};
use crate::{
    Body,
    access::{Access, Permission},
    embedded::{Engine, Outcome, Rejected, Write, engine::blocking},
    error::{Error, Kind},
    lineprotocol::Unit,
    native::PARTIAL_WRITE,
    types::Precision,
};

/// `POST /api/v3/write_lp`. As with 3 Core the first write makes the database, if the caller may.
pub(super) async fn v3(engine: &Engine, head: &Parts, parameters: &Parameters<'_>, body: Body) -> Result<Response<Body>, Error> {
    let db = parameters.get("db").ok_or_else(|| Error::invalid("missing query parameter 'db'"))?;
    let unit = v3_unit(parameters.get("precision"))?;
    may_write(head, db)?;
    let body = body::read(head, body, &limits(engine, head)).await?;
    if body.is_empty() {
        return Err(Error::invalid("incoming write was empty"));
    }
    if engine.0.catalog.bucket(db).is_none() && matches!(*access(head), Access::All) {
        let (catalog, db) = (std::sync::Arc::clone(&engine.0.catalog), Box::<str>::from(db));
        blocking(move || catalog.provide_bucket(&db)).await??;
    }
    write(engine, db, unit, parameters.flag("accept_partial", true), body).await
}

/// `POST /api/v2/write`.
pub(super) async fn v2(engine: &Engine, head: &Parts, parameters: &Parameters<'_>, body: Body) -> Result<Response<Body>, Error> {
    let bucket = parameters.get("bucket").ok_or_else(|| Error::new(Kind::NotFound, "bucket not found"))?;
    let unit = match parameters.get("precision") {
        None | Some("ns") => Precision::Nanosecond,
        Some("us") => Precision::Microsecond,
        Some("ms") => Precision::Millisecond,
        Some("s") => Precision::Second,
        Some(other) => {
            return Err(Error::invalid(format!("invalid precision {other:?}; valid precision units are ns, us, ms, and s")));
        }
    };
    // A name, or a number.
    let Some(there) = engine.0.catalog.bucket(bucket).or_else(|| {
        let id = u64::from_str_radix(bucket, 16).ok().filter(|_| bucket.len() == 16)?;
        engine.0.catalog.bucket_by_id(id)
    }) else {
        return Err(Error::new(Kind::NotFound, format!("bucket \"{bucket}\" not found")));
    };
    may_write(head, &there.name)?;
    let body = body::read(head, body, &limits(engine, head)).await?;
    write(engine, &there.name, unit.into(), true, body).await
}

fn v3_unit(precision: Option<&str>) -> Result<Unit, Error> {
    Ok(Unit::Of(match precision {
        None | Some("auto") => return Ok(Unit::Auto),
        Some("s" | "second") => Precision::Second,
        Some("ms" | "millisecond") => Precision::Millisecond,
        Some("us" | "u" | "microsecond") => Precision::Microsecond,
        Some("ns" | "n" | "nanosecond") => Precision::Nanosecond,
        Some(other) => {
            return Err(Error::invalid(format!(
                "serde error: unknown variant `{other}`, expected one of `auto`, `s`, `second`, `millisecond`, `ms`, `microsecond`, `u`, \
                 `us`, `n`, `nanosecond`, `ns`"
            )));
        }
    }))
}

fn may_write(head: &Parts, bucket: &str) -> Result<(), Error> {
    if access(head).allows(bucket, Permission::Write) {
        return Ok(());
    }
    Err(Error::new(Kind::Forbidden, format!("not allowed to write to \"{bucket}\"")))
}

async fn write(engine: &Engine, bucket: &str, unit: Unit, accept_partial: bool, body: Bytes) -> Result<Response<Body>, Error> {
    match engine.write(Write { bucket: bucket.into(), body, unit, accept_partial }).await? {
        Outcome::Written => Ok(empty(StatusCode::NO_CONTENT)),
        Outcome::Rejected(rejected) => Ok(super::json(StatusCode::BAD_REQUEST, &document(&rejected, accept_partial))),
    }
}

/// 3 Core's document, for which its clients look, with 1.x's words for the layers above, which take a `message` where there is one.
fn document(rejected: &Rejected, accept_partial: bool) -> Value {
    let mut lines = rejected
        .lines
        .iter()
        .map(|line| json!({ "error_message": line.reason, "line_number": line.number, "original_line": line.line }));
    let data = if accept_partial { Value::Array(lines.collect()) } else { lines.next().unwrap_or_default() };
    // Clients tell a partial write by these words.
    let error = if accept_partial { PARTIAL_WRITE } else { "line protocol parsing error" };
    json!({ "error": error, "message": rejected.error, "data": data })
}
