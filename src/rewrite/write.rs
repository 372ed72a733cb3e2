//! v1 `/write` → `/api/v2/write` or `/api/v3/write_lp`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use super::headers;
use crate::{
    access::Identity,
    body::Body,
    call::Write,
    config::{Backend, Config},
    error::{Error, Kind},
    lineprotocol,
    native::{self, Api, Operation},
    respond,
    types::{BoxError, Precision},
};

/// The native call of a write whose bucket is known, or none when there is nothing to write.
pub(super) async fn prepare(
    request: Request<Body>,
    write: &Write,
    bucket: &str,
    identity: &Identity,
    config: &Config,
    api: Api,
) -> Result<Option<Request<Body>>, Error> {
    let (mut parts, body) = request.into_parts();
    if body.size_hint().lower() > config.limits.body {
        return Err(too_large(config.limits.body));
    }
    if body.is_end_stream() {
        // 1.x takes an empty write, v3 doesn't.
        return Ok(None);
    }
    let rewritten = matches!(write.precision, Precision::Minute | Precision::Hour);
    let body = if rewritten {
        let mut bytes = collect(body, config.limits.body).await?;
        if write.gzip {
            bytes = lineprotocol::gunzip(&bytes, config.limits.decompressed)?.into();
        }
        parts.headers.remove(CONTENT_ENCODING);
        Body::from(lineprotocol::rescale(&bytes, write.precision)?)
    } else if body.size_hint().upper().is_some() {
        // Its length is known, and was looked at above.
        body
    } else {
        Body::new(Capped { body, left: config.limits.body, limit: config.limits.body })
    };
    headers::make_native(&mut parts.headers, api, identity);
    // The reply is read here: an error that is compressed because the client can unpack it would be noise.
    headers::remove_all(&mut parts.headers, |name| [ACCEPT, ACCEPT_ENCODING].contains(name));
    parts.method = Method::POST;
    parts.uri = uri(api, config, bucket, write.precision);
    Ok(Some(Request::from_parts(parts, body)))
}

fn uri(api: Api, config: &Config, bucket: &str, precision: Precision) -> Uri {
    match api {
        Api::V2 => {
            let org = match &config.backend {
                Backend::Upstream(upstream) => &*upstream.org,
                Backend::Embedded(_) => "",
            };
            native::v2_write_uri(org, bucket, precision)
        }
        Api::V3 => native::v3_write_uri(bucket, precision),
    }
}

/// v1's answer to a native one.
pub(super) async fn answer(response: Response<Body>, write: &Write, config: &Config) -> Result<Response<Body>, BoxError> {
    let (parts, body) = response.into_parts();
    if !parts.status.is_success() {
        let text = beginning(body).await;
        let auth = match &config.backend {
            Backend::Upstream(upstream) => upstream.auth_errors,
            Backend::Embedded(_) => native::AuthErrors::Reject,
        };
        let error = native::decode_error(parts.status, &parts.headers, &text, Operation::Write { database: &write.db, auth });
        if error.message() != "incoming write was empty" {
            return Err(error.into());
        }
    }
    Ok(no_content(config))
}

/// 204, with 1.x's headers.
pub(super) fn no_content(config: &Config) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    v1_headers(response.headers_mut(), config);
    response
}

pub(super) fn v1_headers(headers: &mut HeaderMap, config: &Config) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    respond::version_headers(headers, &config.compat);
}

/// As much of an error's body as is worth reading.
pub(super) async fn beginning(mut body: Body) -> Bytes {
    const ENOUGH: usize = 64 << 10;
    let mut text = BytesMut::new();
    while text.len() < ENOUGH
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            text.extend_from_slice(&data);
        }
    }
    text.freeze()
}

async fn collect(mut body: Body, limit: u64) -> Result<Bytes, Error> {
    let mut text = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::invalid("the request's body broke off").with_source(error))?;
        if let Ok(data) = frame.into_data() {
            if (text.len() + data.len()) as u64 > limit {
                return Err(too_large(limit));
            }
            text.extend_from_slice(&data);
        }
    }
    Ok(text.freeze())
}

fn too_large(limit: u64) -> Error {
    Error::new(Kind::TooLarge, format!("request entity too large: the body may have {limit} bytes"))
}

/// A body that ends with a 413 when it gets too long.
struct Capped {
    body: Body,
    left: u64,
    limit: u64,
}

impl HttpBody for Capped {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(too_large(self.limit).into()))),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
