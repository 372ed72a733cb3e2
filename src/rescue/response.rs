//! Error × profile → response: the only place that writes an error for a client.

use std::{error::Error as StdError, fmt::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};

use serde::Serialize as _;

use crate::{
    body::Body,
    call::Format,
    config::Config,
    error::{Blame, Error, Kind},
    native::{ErrorBody, grpc_refusal, is_grpc},
    respond,
    types::{BoxError, Profile},
};

/// How much of a message goes into a header: 1.x's limit.
const HEADER_LIMIT: usize = 1024;
/// What a client waits for when nobody knows better.
const DEFAULT_DELAY: Duration = Duration::from_secs(5);

/// What has to be known of a request once it is gone.
#[derive(Debug)]
pub(super) struct Facts {
    config: Arc<Config>,
    format: Format,
    pretty: bool,
    /// A call of gRPC, whose clients look for errors in places of their own.
    grpc: bool,
}

impl Facts {
    pub(super) fn of<B>(request: &Request<B>, config: Arc<Config>) -> Self {
        let format = match config.compat.profile {
            Profile::Serverless => Format::Json,
            Profile::V1 => respond::accepted(request.headers()),
        };
        let asked = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "pretty=true"));
        let pretty = asked && config.compat.profile == Profile::V1;
        Self { config, format, pretty, grpc: is_grpc(request.headers()) }
    }
}

/// The response to an error; logs what the client isn't told.
pub(super) fn respond(error: BoxError, facts: &Facts) -> Response<Body> {
    let error = recognise(error);
    log(&error);
    if facts.grpc {
        return grpc_refusal(&error);
    }
    let status = status(error.kind());
    let mut response = Response::new(Body::from(body(&error, facts.format, facts.pretty)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, respond::media_type(facts.format));
    respond::version_headers(headers, &facts.config.compat);
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"InfluxDB\""));
    } else if let Some(value) = header_text(error.message()) {
        headers.insert("x-influxdb-error", value);
    }
    if let Some(methods) = error.allowed_methods() {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE || error.retry_delay().is_some() {
        let delay = error.retry_delay().unwrap_or(DEFAULT_DELAY);
        headers
            .insert(RETRY_AFTER, HeaderValue::from(delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0)).max(1)));
    }
    response
}

/// What may succeed later is 503: v1 writers drop what they get any other 4xx for.
const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::TooManyRequests | Kind::Timeout => StatusCode::SERVICE_UNAVAILABLE,
        other => other.status(),
    }
}

fn body(error: &Error, format: Format, pretty: bool) -> Bytes {
    match format {
        Format::Json => {
            let (body, mut text) = (ErrorBody::of(error), Vec::new());
            // Writing to memory, and of texts and numbers, doesn't fail.
            let _ = if pretty {
                let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
                body.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))
            } else {
                serde_json::to_writer(&mut text, &body)
            };
            text.push(b'\n');
            text.into()
        }
        Format::Csv | Format::MsgPack => respond::error_document(format, error.message()),
    }
}

/// Our own error, wherever it is among the sources; or one of the few others that mean something to a client.
fn recognise(error: BoxError) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    let mut known = None;
    let mut next: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(cause) = next {
        if let Some(ours) = cause.downcast_ref::<Error>() {
            known = Some(ours.copied());
        } else if cause.is::<http_body_util::LengthLimitError>() {
            known = Some(Error::new(Kind::TooLarge, "request entity too large"));
        } else if is_timeout(cause) {
            known = Some(Error::new(Kind::Timeout, "request timed out"));
        }
        if known.is_some() {
            break;
        }
        next = below(cause);
    }
    match known {
        Some(known) => known.with_source(error),
        None => Error::internal(error),
    }
}

/// What an error says to be its cause. An [`std::io::Error`] that wraps another one names only that one's source.
fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn is_timeout(error: &(dyn StdError + 'static)) -> bool {
    #[cfg(feature = "server")]
    if error.is::<tower::timeout::error::Elapsed>() {
        return true;
    }
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
}

/// As much of a message as fits, without what a header can't hold.
fn header_text(message: &str) -> Option<HeaderValue> {
    let mut end = message.len().min(HEADER_LIMIT);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let text: String = message.get(..end)?.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
    HeaderValue::try_from(text).ok()
}

fn log(error: &Error) {
    let mut sources = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        _ = write!(sources, ": {cause}");
        next = cause.source();
    }
    let status = status(error.kind()).as_u16();
    match error.blame() {
        Blame::Client => tracing::debug!(status, "{error}{sources}"),
        Blame::Upstream => tracing::warn!(status, "{error}{sources}"),
        Blame::Shim => tracing::error!(status, "{error}{sources}"),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn facts(profile: Profile, accept: &str) -> Facts {
        let mut config = Config::default();
        config.compat.profile = profile;
        let request = Request::builder().header("accept", accept).body(()).unwrap();
        Facts::of(&request, Arc::new(config))
    }

    fn answer(error: impl Into<BoxError>, facts: &Facts) -> (Response<()>, String) {
        let (parts, body) = respond(error.into(), facts).into_parts();
        let bytes = futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap().to_bytes();
        (Response::from_parts(parts, ()), String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn statuses_bodies_and_headers() {
        let json = facts(Profile::Serverless, "text/csv");
        let (response, body) = answer(Error::invalid("a \"b\"\n"), &json);
        assert_eq!(response.status(), 400);
        assert_eq!(body, "{\"code\":\"invalid\",\"message\":\"a \\\"b\\\"\\n\",\"error\":\"a \\\"b\\\"\\n\"}\n");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["x-influxdb-error"], "a \"b\" ");
        assert_eq!(response.headers()["x-influxdb-version"], "1.8.10");

        let (response, _) = answer(Error::new(Kind::Unauthorized, "authorization failed"), &json);
        assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"InfluxDB\"");
        assert!(!response.headers().contains_key("x-influxdb-error"));

        for (error, status, retry) in [
            (Error::new(Kind::TooManyRequests, "x").retry_after(Duration::from_millis(1500)), 503, Some("2")),
            (Error::new(Kind::Timeout, "x"), 503, Some("5")),
            (Error::new(Kind::Unavailable, "x").retry_after(Duration::ZERO), 503, Some("1")),
            (Error::new(Kind::BadGateway, "x"), 502, None),
            (Error::new(Kind::TooLarge, "x"), 413, None),
        ] {
            let (response, _) = answer(error, &json);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().get("retry-after").map(|value| value.to_str().unwrap()), retry);
        }
    }

    #[test]
    fn clients_of_grpc_find_errors_where_they_look() {
        let request = Request::builder().header("content-type", "application/grpc").body(()).unwrap();
        let facts = Facts::of(&request, Arc::new(Config::default()));
        let (response, body) = answer(Error::new(Kind::Unauthorized, "authorization failed"), &facts);
        assert_eq!((response.status().as_u16(), &*body), (200, ""));
        assert_eq!(response.headers()["grpc-status"], "16");
        assert_eq!(response.headers()["grpc-message"], "authorization failed");
    }

    #[test]
    fn an_error_about_a_statement_has_results() {
        let (_, body) = answer(Error::invalid("no").in_statement(2), &facts(Profile::Serverless, "*/*"));
        assert_eq!(
            body,
            "{\"code\":\"invalid\",\"message\":\"no\",\"error\":\"no\",\"results\":[{\"statement_id\":2,\"error\":\"no\"}]}\n"
        );
    }

    #[test]
    fn profile_v1_follows_accept() {
        let (response, text) = answer(Error::invalid("a, b"), &facts(Profile::V1, "text/csv"));
        assert_eq!((response.headers()["content-type"].to_str().unwrap(), &*text), ("text/csv", "error\n\"a, b\"\n"));
        let (response, _) = answer(Error::invalid("x"), &facts(Profile::V1, "application/x-msgpack"));
        assert_eq!(response.headers()["content-type"], "application/x-msgpack");
        assert_eq!(&*body(&Error::invalid("x"), Format::MsgPack, false), b"\x81\xa5error\xa1x");
    }

    #[test]
    fn profile_v1_indents_on_demand() {
        for (profile, uri, expected) in [
            (
                Profile::V1,
                "/query?pretty=true",
                "{\n    \"code\": \"invalid\",\n    \"message\": \"x\",\n    \"error\": \"x\"\n}\n",
            ),
            (Profile::V1, "/query?pretty=yes", "{\"code\":\"invalid\",\"message\":\"x\",\"error\":\"x\"}\n"),
            (Profile::Serverless, "/query?pretty=true", "{\"code\":\"invalid\",\"message\":\"x\",\"error\":\"x\"}\n"),
        ] {
            let mut config = Config::default();
            config.compat.profile = profile;
            let facts = Facts::of(&Request::builder().uri(uri).body(()).unwrap(), Arc::new(config));
            assert_eq!(answer(Error::invalid("x"), &facts).1, expected);
        }
    }

    #[test]
    fn the_unknown_is_opaque_and_the_hidden_is_found() {
        let json = facts(Profile::Serverless, "");
        let (response, body) = answer("secret detail", &json);
        assert_eq!(response.status(), 500);
        assert!(!body.contains("secret"), "{body}");

        let hidden = std::io::Error::other(Error::new(Kind::TooLarge, "too much"));
        let (response, body) = answer(hidden, &json);
        assert_eq!(response.status(), 413);
        assert!(body.contains("too much"));

        let (response, _) = answer(std::io::Error::from(std::io::ErrorKind::TimedOut), &json);
        assert_eq!(response.status(), 503);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let value = header_text(&"é".repeat(1000)).unwrap();
        assert_eq!(value.len(), 1024);
        let value = header_text(&format!("a{}", "é".repeat(1000))).unwrap();
        assert_eq!(value.len(), 1023);
    }
}
