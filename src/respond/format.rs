//! What the client wants to read, and the small documents that need no rows.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header::ACCEPT};

use super::{csv, json, msgpack};
use crate::{call::Format, config::Compat};

const VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");
const BUILD: HeaderName = HeaderName::from_static("x-influxdb-build");

/// The first format of `Accept` that is v1's; everything else is JSON, never an error.
#[must_use]
pub fn accepted(headers: &HeaderMap) -> Format {
    for value in headers.get_all(ACCEPT) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let mut parts = item.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            if parts.any(refuses) {
                continue;
            }
            for (name, format) in [
                ("application/json", Format::Json),
                ("application/csv", Format::Csv),
                ("text/csv", Format::Csv),
                ("application/x-msgpack", Format::MsgPack),
                ("application/*", Format::Json),
                ("*/*", Format::Json),
            ] {
                if media.eq_ignore_ascii_case(name) {
                    return format;
                }
            }
        }
    }
    Format::Json
}

/// `q=0`: what is named is not wanted.
fn refuses(parameter: &str) -> bool {
    let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32))
}

/// `Content-Type` of answers in this format.
#[must_use]
pub fn media_type(format: Format) -> HeaderValue {
    HeaderValue::from_static(match format {
        Format::Json => "application/json",
        Format::Csv => "text/csv",
        Format::MsgPack => "application/x-msgpack",
    })
}

/// `X-Influxdb-Version` and `X-Influxdb-Build`, which 1.x puts on every answer.
pub fn version_headers(headers: &mut HeaderMap, compat: &Compat) {
    for (name, text) in [(VERSION, &compat.version), (BUILD, &compat.build)] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
}

/// An error alone, as 1.x writes it in this format.
#[must_use]
pub fn error_document(format: Format, message: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(message.len() + 32);
    match format {
        Format::Json => json::error_document(&mut out, message),
        Format::Csv => csv::error_document(&mut out, message),
        Format::MsgPack => msgpack::error_document(&mut out, message),
    }
    out.freeze()
}
