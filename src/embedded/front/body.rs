//! Request bodies, within their limits.

use bytes::Bytes;
use http::{header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::{
    Body,
    config::Limits,
    embedded::engine::blocking,
    error::{Error, Kind},
    lineprotocol::gunzip,
};

/// Longest body of a management call.
const MANAGEMENT: u64 = 1 << 20;

/// The whole body, decompressed.
pub(super) async fn read(head: &Parts, body: Body, limits: &Limits) -> Result<Bytes, Error> {
    let gzip =
        match head.headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase()) {
            None => false,
            Some(encoding) => match &*encoding {
                "" | "identity" => false,
                "gzip" | "x-gzip" => true,
                other => return Err(Error::new(Kind::UnsupportedMediaType, format!("unacceptable content-encoding: {other:?}"))),
            },
        };
    // What isn't compressed may be as long as what was.
    let bytes = collect(body, if gzip { limits.body } else { limits.body.max(limits.decompressed) }).await?;
    if !gzip {
        return Ok(bytes);
    }
    let limit = limits.decompressed;
    Ok(blocking(move || gunzip(&bytes, limit)).await??.into())
}

/// A JSON document. `{}` when there is none.
pub(super) async fn document<T: DeserializeOwned>(body: Body) -> Result<T, Error> {
    let bytes = collect(body, MANAGEMENT).await?;
    let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::invalid(format!("request body is not the JSON that is wanted: {error}")))
}

/// The whole body as it is.
pub(super) async fn collect(body: Body, limit: u64) -> Result<Bytes, Error> {
    let limited = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::new(Kind::TooLarge, format!("request body is larger than {limit} bytes")))
        }
        // A layer above may have cut it off, for its own reasons.
        Err(error) => match error.downcast::<Error>() {
            Ok(error) => Err(*error),
            Err(error) => Err(Error::invalid("request body breaks off").with_source(error)),
        },
    }
}
