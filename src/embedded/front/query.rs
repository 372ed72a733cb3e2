//! Queries.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Response, StatusCode, header, request::Parts};
use http_body::Frame;
use http_body_util::StreamBody;

use super::{
    Parameters, access, body,
    encode::{Encoder, Format},
    limits, reply,
};
use crate::{
    Body,
    embedded::{Engine, Query},
    error::Error,
    influxql::Params,
    native::QueryInfluxql,
    types::BoxError,
};

/// `GET`, `POST /api/v3/query_influxql`.
pub(super) async fn influxql(
    engine: &Engine,
    head: &Parts,
    parameters: &Parameters<'_>,
    body: Body,
) -> Result<Response<Body>, Error> {
    let limits = limits(engine, head);
    let text;
    let document = if head.method == Method::POST {
        // Escapes may make the text six times as long as it is, and there are parameters.
        text = body::collect(body, (limits.query as u64).saturating_mul(6).saturating_add(1 << 20)).await?;
        serde_json::from_slice(&text).map_err(|error| Error::invalid(format!("serde json error: {error}")))?
    } else {
        of_url(parameters)?
    };
    let format = Format::of(document.format.as_deref().or_else(|| accepted(head)))?;
    let params = match &document.params {
        Some(params) => Params::from_json(params).map_err(|error| Error::invalid(error.to_string()))?,
        None => Params::default(),
    };
    let query = Query {
        bucket: document.db.as_deref().filter(|db| !db.is_empty()).map(Into::into),
        siblings: document.siblings,
        q: document.q.into(),
        params,
        access: access(head),
        timeout: limits.query_timeout,
        memory: limits.query_memory,
    };
    let mut batches = engine.query(query).await?;
    let mut encoder = Encoder::new(format, &batches.schema())?;
    // The status goes out first: a query that fails at once still gets its own.
    let first = match batches.next().await.transpose()? {
        Some(batch) => Some(encoder.batch(&batch)?),
        None => None,
    };
    let media_type = format.media_type();
    let Some(first) = first else {
        return Ok(reply(StatusCode::OK, Some(media_type), encoder.finish()?));
    };
    // Batch after batch, then the end; after an error nothing: a reply that breaks off must not look whole.
    let rest = futures_util::stream::unfold(Some((batches, encoder)), |state| async move {
        let (mut batches, mut encoder) = state?;
        let step = match batches.next().await {
            Some(Ok(batch)) => encoder.batch(&batch).map(|bytes| (bytes, Some((batches, encoder)))),
            Some(Err(error)) => Err(error),
            None => encoder.finish().map(|bytes| (bytes, None)),
        };
        Some(match step {
            Ok((bytes, state)) => (Ok(bytes), state),
            Err(error) => (Err(error), None),
        })
    });
    let stream = futures_util::stream::iter([Ok(first)]).chain(rest);
    let frames = stream.map(|bytes: Result<Bytes, Error>| bytes.map(Frame::data).map_err(BoxError::from));
    Ok(reply(StatusCode::OK, Some(media_type), Body::new(StreamBody::new(frames))))
}

fn of_url<'a>(parameters: &'a Parameters<'_>) -> Result<QueryInfluxql<'a>, Error> {
    let q = parameters.get("q").ok_or_else(|| Error::invalid("missing query parameter 'q'"))?;
    let params = match parameters.get("params") {
        None | Some("null") => None,
        Some(text) => Some(
            serde_json::from_str(text)
                .map_err(|error| Error::invalid(format!("parameter 'params' is no JSON object: {error}")))?,
        ),
    };
    Ok(QueryInfluxql {
        db: parameters.get("db").map(Cow::from),
        q: q.into(),
        format: parameters.get("format").map(Cow::from),
        siblings: BTreeMap::new(),
        params,
    })
}

/// The format that `Accept` names, if it is one of ours.
fn accepted(head: &Parts) -> Option<&'static str> {
    let accept = head.headers.get(header::ACCEPT)?.to_str().ok()?;
    accept.split(',').find_map(|range| Format::of_media_type(range.split(';').next()?.trim()))
}
